//! `cargo xtask ospkg build`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use ramstrap_cli::dates;
use trust::Channel;
use trust::Timestamp;
use xtask::build;
use xtask::locked::Locked;
use xtask::ospkg;

use super::megabytes;

/// How many origins the table of sizes names.
const LARGEST: usize = 12;

/// Build the package of a recipe: NAME.zip and NAME.json
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask ospkg build vpn --staff-keys staff/\n  \
    cargo xtask ospkg build vpn --staff-keys staff/ --locked --release 7 --keep-inputs kept/\n  \
    cargo xtask ospkg build vpn --out /srv/www/os --inputs https://os.example/inputs")]
pub(super) struct Args {
    /// A directory in ospkg/
    name: String,

    /// Another directory of recipes
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,

    /// Where NAME.zip and NAME.json go [default: target/ospkg]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Public keys of staff who may provision the OS: all NAME.pem of this directory
    #[arg(long, value_name = "DIR")]
    staff_keys: Option<PathBuf>,

    /// Number of this release; machines upgrade to higher ones only
    #[arg(long, value_name = "N")]
    release: Option<u64>,

    /// The last moment at which machines boot it: a date of RFC 3339, or the first second of a day (UTC)
    #[arg(long, value_name = "DATE", value_parser = dates::parse_end, allow_hyphen_values = true)]
    not_after: Option<Timestamp>,

    /// The line of releases that it belongs to; a trust policy may demand one
    #[arg(long, value_name = "NAME", value_parser = clap::value_parser!(Channel))]
    channel: Option<Channel>,

    /// A label in place of the recipe's
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// A command line for the kernel in place of the recipe's
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,

    /// A watchdog's time-out in place of the recipe's
    #[arg(long, value_name = "SECONDS")]
    watchdog_seconds: Option<u32>,

    /// Where machines find the archive [default: beside the descriptor]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// A bzImage in place of our OS kernel
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Take packages from a store of kept inputs, not from the archive
    #[arg(long, value_name = "DIR|URL")]
    inputs: Option<String>,

    /// Put everything that is taken in into this store, for those who rebuild the package later
    #[arg(long, value_name = "DIR")]
    keep_inputs: Option<PathBuf>,

    /// The archive that packages come from [default: that of this machine's APT]
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,

    /// Compile in the locked root of ospkg/builder.lock, not with the tools of this machine: what
    /// releases are built with
    #[arg(long)]
    locked: bool,

    /// Compress anew what was compressed before
    #[arg(long)]
    no_cache: bool,

    /// Replace a package whose signatures are not over the new one
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let out = args.out.clone().unwrap_or_else(|| build::target_dir().join("ospkg"));
    let mut options = recipe::Options {
        label: args.label.clone(),
        recipes: super::recipes_in(args.recipes.as_deref()),
        release: args.release,
        not_after: args.not_after,
        channel: args.channel.clone(),
        cmdline: args.cmdline.clone(),
        watchdog_seconds: args.watchdog_seconds,
        url: args.url.clone(),
        staff_keys: args.staff_keys.clone(),
        kernel: args.kernel.clone(),
        debs: ospkg::debs(args.mirror.as_deref(), args.inputs.as_deref())?,
        keep_inputs: args.keep_inputs.clone(),
        replace: args.replace,
        ..ospkg::options(&args.name, &out)?
    };
    if args.no_cache {
        options.cache = None;
    }
    let dirty = rebuild::source::of_checkout(build::root()).is_ok_and(|source| source.dirty);
    if args.release.is_some() && dirty {
        eprintln!(
            "warning: the source tree has files that are not committed, so that nobody can rebuild \
             this release: commit or remove them first (`git status`)"
        );
    }
    let locked = args.locked.then(|| Locked::open(&options.debs)).transpose()?;
    let built = ospkg::build_in(&options, locked.as_ref())?;
    for warning in built.warnings.iter().chain(&built.created.warnings) {
        eprintln!("warning: {warning}");
    }
    if args.release.is_some() && !args.locked {
        eprintln!(
            "note: without --locked this release is the same only on machines with equal tools \
             (docs/reproducible-builds.md)"
        );
    }
    println!("archive     {}", built.names.archive.display());
    println!("descriptor  {}", built.names.descriptor.display());
    println!("SHA-256     {}", built.created.digest);
    println!(
        "size        {} MB: kernel {}, initramfs {} (unpacked {})",
        megabytes(built.created.length),
        megabytes(built.kernel_length),
        megabytes(built.initramfs_length),
        megabytes(built.root_length)
    );
    println!("time        {:.1} s", started.elapsed().as_secs_f64());
    println!("\n| what takes the room | MB unpacked |\n| --- | ---: |");
    let (largest, rest) = built.room.split_at(LARGEST.min(built.room.len()));
    for (origin, bytes) in largest {
        println!("| {origin} | {} |", megabytes(*bytes));
    }
    if !rest.is_empty() {
        let sum: u64 = rest.iter().map(|(_, bytes)| bytes).sum();
        println!("| {} others | {} |", rest.len(), megabytes(sum));
    }
    Ok(())
}
