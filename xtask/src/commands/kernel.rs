//! `cargo xtask kernel`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use clap::ValueEnum;
use recipe::builder::Builder;
use serde_json::json;
use xtask::cache;
use xtask::kernel_build;
use xtask::kernel_build::Built;
use xtask::kernel_build::Settings;
use xtask::kernel_build::Source;
use xtask::kernel_build::Which;
use xtask::kernel_build::reproduce;
use xtask::kernel_build::reproduce::Extent;
use xtask::ospkg;
use xtask::progress;

/// Build the slim kernels, check their options, prove that they are reproducible
///
/// The options are in kernel-config/, and so is a README about them. Kernels that were built are kept
/// in the cache (~/.cache/ramstrap/kernels/ours) and used from then on by `cargo xtask boot` and `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build kernels: about 20 minutes for both on two processors, once
    #[command(after_help = "Examples:\n  \
        cargo xtask kernel build\n  \
        cargo xtask kernel build boot --source ~/linux-6.12\n  \
        cargo xtask kernel build os --tarball linux-source-6.12_6.12.117-1~deb12u1_all.deb\n\n\
        Needs about 3 GB under the cache; the unpacked source stays there (kernels/source, 1.7 GB) and \
        can be deleted.")]
    Build(BuildArgs),
    /// Check that every option survives, without compiling: seconds, once the source is there
    ///
    /// `make` drops an option whose dependencies are not fulfilled without a word. This resolves the
    /// options as a build would, and ends with status 1 and a list if one was lost: each with the file
    /// and line that asks for it, where the kernel defines it, and what it depends on. The first time,
    /// the source is downloaded and unpacked: minutes, and 2 GB under the cache.
    Check(CheckArgs),
    /// Build once more in other surroundings and compare every byte with the kernel in the cache
    #[command(
        after_help = "The other build has another copy of the source, another directory, umask, \
        date, time zone, number of jobs and set of programs on PATH; as root another user and host name, \
        too. It takes the time of a build (of two, if there is no kernel in the cache yet), and 2 GB in \
        the directory for temporary files."
    )]
    Reproduce(ReproduceArgs),
}

#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// Build from this unpacked source tree [default: the distribution's linux-source-6.12]
    #[arg(long, value_name = "DIR", conflicts_with = "tarball")]
    source: Option<PathBuf>,

    /// Build from this tarball, or from the one in this Debian package
    #[arg(long, value_name = "FILE")]
    tarball: Option<PathBuf>,

    /// Take a tarball that kernel-config/pins.toml does not list, and mark the kernel
    #[arg(long, requires = "tarball")]
    unpinned: bool,
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// Which kernel [default: both]
    kernel: Option<Kernel>,

    #[command(flatten)]
    source: SourceArgs,

    /// Refuse a source that is not pinned
    #[arg(long)]
    release: bool,

    /// Build in the locked root of ospkg/builder.lock, not with the tools of this machine
    #[arg(long)]
    locked: bool,

    /// Compile this many files at a time [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    jobs: Option<usize>,

    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Which kernel [default: both]
    kernel: Option<Kernel>,

    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, clap::Args)]
struct ReproduceArgs {
    /// Which kernel [default: both]
    kernel: Option<Kernel>,

    #[command(flatten)]
    source: SourceArgs,

    /// Only the few objects that say when, where and by whom they were made: a minute
    #[arg(long)]
    quick: bool,

    /// Compile this many files at a time [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    jobs: Option<usize>,
}

/// [`Which`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kernel {
    /// The bootloader's
    Boot,
    /// That of RAM-only OS packages
    Os,
}

impl SourceArgs {
    fn source(&self) -> Source {
        match (&self.source, &self.tarball) {
            (Some(dir), _) => Source::Tree(dir.clone()),
            (_, Some(file)) => Source::Tarball { file: file.clone(), unpinned: self.unpinned },
            (None, None) => Source::Distribution,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Build(args) => build(args)?,
        Command::Check(args) => {
            for which in chosen(args.kernel) {
                let version = kernel_build::check(which, &args.source.source())?;
                println!("{which}: every option survives in Linux {version}");
            }
        }
        Command::Reproduce(args) => {
            let extent = if args.quick { Extent::Quick } else { Extent::Full };
            let settings =
                Settings { source: args.source.source(), jobs: args.jobs, ..Settings::default() };
            for which in chosen(args.kernel) {
                println!("{}", reproduce::run(which, extent, &settings)?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// make takes 0 for an error, and nothing for no limit.
fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1 up".to_owned()),
        Ok(jobs) => Ok(jobs),
    }
}

fn chosen(kernel: Option<Kernel>) -> Vec<Which> {
    match kernel {
        Some(Kernel::Boot) => vec![Which::Boot],
        Some(Kernel::Os) => vec![Which::Os],
        None => Which::ALL.to_vec(),
    }
}

fn build(args: &BuildArgs) -> Result<()> {
    let builder = if args.locked { Some(locked_builder()?) } else { None };
    let settings =
        Settings { source: args.source.source(), jobs: args.jobs, release: args.release, builder };
    let built = kernel_build::build_all(&chosen(args.kernel), &settings)?;
    if args.json {
        let records: Vec<_> = built
            .iter()
            .map(|Built { product, cached }| {
                json!({ "image": product.image(), "cached": cached, "build": product.record })
            })
            .collect();
        println!("{:#}", json!(records));
        return Ok(());
    }
    for built in &built {
        println!("{}", describe(built));
    }
    Ok(())
}

/// The builder root, without Rust: no kernel of ours has a part in it.
fn locked_builder() -> Result<Builder> {
    progress::step("prepare the locked builder", |step| {
        let (recipes, debs) = (ospkg::recipes(), ospkg::debs(None, None)?);
        Ok(Builder::open(&recipes, &debs, &cache::subdir("builder")?, &|what| step.at(what))?)
    })
}

fn describe(built: &Built) -> String {
    let record = &built.product.record;
    let when = if built.cached { "was in the cache, compiled" } else { "compiled" };
    let pinned = if record.unpinned { "NOT PINNED: not for releases" } else { "pinned" };
    format!(
        "{} kernel, Linux {}\n  file    {}\n  size    {} bytes, and {:.1} MiB of memory to unpack itself\n  \
         sha256  {}\n  source  {} {} ({pinned})\n  time    {when} in {} min {} s with {} jobs",
        record.kernel,
        record.release,
        built.product.image().display(),
        record.bytes,
        f64::from(record.init_size) / f64::from(1 << 20),
        record.sha256,
        record.source.origin,
        record.source.version,
        record.seconds / 60,
        record.seconds % 60,
        record.jobs,
    )
}
