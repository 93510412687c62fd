//! `cargo xtask ospkg`: what of it needs the source tree. Everything else is the operator's tool.

mod build;
mod lock;
mod rebuild;

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ramstrap_cli::Error;
use recipe::Recipe;
use xtask::ospkg;

pub(super) use rebuild::Common;

/// OS packages that are built from this source tree
///
/// A recipe is a directory in ospkg/ with a recipe.toml; docs/os-packages.md is the guide.
/// `cargo xtask ospkg --help` shows the operator's commands for packages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask ospkg list\n  \
    cargo xtask ospkg new mine\n  \
    cargo xtask ospkg lock mine\n  \
    cargo xtask ospkg build vpn --staff-keys staff/ --locked --release 7 --keep-inputs kept/\n  \
    cargo xtask ospkg rebuild vpn.json --inputs https://images.example.org/kept/")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Build(Box<build::Args>),
    Lock(lock::Args),
    /// Make a recipe with comments in it, which builds at once
    New {
        /// Name of the directory in ospkg/
        name: String,
        /// Another directory of recipes
        #[arg(long, value_name = "DIR")]
        recipes: Option<PathBuf>,
    },
    /// List the recipes
    List {
        /// Another directory of recipes
        #[arg(long, value_name = "DIR")]
        recipes: Option<PathBuf>,
    },
    Rebuild(rebuild::Args),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.what {
        What::Build(args) => build::run(args),
        What::Lock(args) => lock::run(args),
        What::New { name, recipes } => new(name, recipes.as_deref()),
        What::List { recipes } => list(recipes.as_deref()),
        What::Rebuild(args) => return rebuild::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            explain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Also what to do about it, which an error alone does not print.
fn explain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(error) = error.downcast_ref::<Error>() {
        for line in error.details() {
            eprintln!("  {line}");
        }
        if let Some(remedy) = error.remedy_text() {
            eprintln!("help: {remedy}");
        }
    }
}

fn new(name: &str, recipes: Option<&Path>) -> Result<()> {
    let dir = recipe::template::create(&recipes_in(recipes), name)?;
    let option = recipes.map(|it| format!(" --recipes {}", it.display())).unwrap_or_default();
    println!("{}: edit recipe.toml, then `cargo xtask ospkg build {name}{option}`", dir.display());
    Ok(())
}

/// This directory of recipes, or that of the source tree.
fn recipes_in(recipes: Option<&Path>) -> PathBuf {
    recipes.map_or_else(ospkg::recipes, Path::to_path_buf)
}

fn list(recipes: Option<&Path>) -> Result<()> {
    for (name, label) in Recipe::list(&recipes_in(recipes))? {
        println!("{name:<12} {label}");
    }
    Ok(())
}

/// A length for people.
fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}
