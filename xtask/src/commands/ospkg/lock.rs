//! `cargo xtask ospkg lock`.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use ramstrap_cli::Error;
use recipe::Recipe;
use recipe::apt::Lists;
use recipe::apt::Sources;
use recipe::builder;
use recipe::lock::Lock;
use xtask::cache;
use xtask::progress;

use super::megabytes;

/// Write packages.lock anew: the newest versions that the archive has
///
/// With the name `builder`, ospkg/builder.lock: the root file system that --locked builds in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask ospkg lock vpn\n  \
    cargo xtask ospkg lock builder --mirror https://deb.example/debian")]
pub(super) struct Args {
    /// A directory in ospkg/, or `builder`
    name: String,

    /// Another directory of recipes
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,

    /// The archive that packages come from [default: that of this machine's APT]
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let recipes = super::recipes_in(args.recipes.as_deref());
    let builder = args.name == builder::NAME;
    let recipe =
        if builder { builder::recipe(&recipes)? } else { Recipe::load(&recipes, &args.name)? };
    if recipe.root().is_some() {
        return Err(Error::new(format!("{} takes an existing root file system", recipe.name))
            .remedy("it has no packages, and needs no lock")
            .into());
    }
    let Some(distribution) = recipe.distribution() else {
        return Err(Error::new(format!("{} names no distribution", recipe.name))
            .remedy("include = [\"base\"], or say [distribution] suites = [\"…\"]")
            .into());
    };
    let sources = args.mirror.as_deref().map_or_else(Sources::of_this_host, Sources::mirror);
    // Lists of its own: those of two locks at a time do not get into each other's way.
    let dir = tempfile::Builder::new().prefix("lists-").tempdir_in(cache::subdir("apt")?)?;
    let lists = progress::step("fetch the archive's lists", |_| {
        Ok(Lists::fetch(distribution, &sources, dir.path())?)
    })?;
    let lock = lists.lock(&recipe, &distribution.architecture)?;
    let path = if builder { builder::lock_file(&recipes) } else { recipe.lock_file() };
    let before = fs::read_to_string(&path).ok().and_then(|text| Lock::parse(&text).ok());
    let text = lock.to_toml();
    cache::publish_file(&path, text.as_bytes())?;
    let size: u64 = lock.package.iter().map(|it| it.size).sum();
    println!("{}: {} packages, {} MB", path.display(), lock.package.len(), megabytes(size));
    for line in changes(&before.unwrap_or_default(), &lock) {
        println!("  {line}");
    }
    Ok(())
}

/// What is new, gone or of another version.
fn changes(before: &Lock, now: &Lock) -> Vec<String> {
    let version = |lock: &Lock, name: &str| {
        lock.package.iter().find(|it| it.name == name).map(|it| it.version.clone())
    };
    let mut names: Vec<&String> =
        before.package.iter().chain(&now.package).map(|it| &it.name).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| match (version(before, name), version(now, name)) {
        (None, Some(new)) => Some(format!("+ {name} {new}")),
        (Some(old), None) => Some(format!("- {name} {old}")),
        (Some(old), Some(new)) if old != new => Some(format!("  {name} {old} → {new}")),
        _ => None,
    };
    names.into_iter().filter_map(change).collect()
}
