//! `ramstrap ospkg create`.

use std::path::PathBuf;

use ospkg::WATCHDOG_SECONDS;
use serde_json::json;
use trust::Channel;
use trust::Timestamp;

use crate::Result;
use crate::commands::count;
use crate::commands::size;
use crate::dates;
use crate::output::Output;
use crate::package;
use crate::package::Contents;
use crate::package::Names;

/// Create an OS package: NAME.zip with kernel and initramfs, and its descriptor NAME.json.
///
/// The same inputs give the same bytes. Both files are readable by everybody, as a web server
/// needs them. Nobody boots the package before it is signed.
///
/// Packing the same inputs again keeps the signatures that the package has. Other inputs would lose
/// them: that is refused without --replace.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The OS's kernel: a bzImage (vmlinuz) for x86-64.
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// The OS's initramfs: the whole OS, it has no other root.
    #[arg(long, value_name = "FILE")]
    initramfs: PathBuf,
    /// Kernel command line of the OS.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,
    /// Leave a hardware watchdog running with this time-out, 10 to 86400 seconds: the OS must open
    /// and pet it before that. Without it, the bootloader disarms its watchdog before the OS starts.
    #[arg(long, value_name = "N", value_parser = watchdog_seconds())]
    watchdog_seconds: Option<u32>,
    /// Number of this release, higher than that of the release before. It is signed; a machine takes
    /// nothing below its policy's `min_release`, and an OS that upgrades itself nothing but a higher
    /// release than its own.
    #[arg(long, value_name = "N")]
    release: Option<u64>,
    /// The last moment at which machines boot it, such as 2027-06-30T12:00:00Z; a day means its first
    /// second, in UTC. It is signed. A machine that does not know the time sees an end only if that is
    /// before the build of its boot image.
    #[arg(long, value_name = "DATE", value_parser = dates::parse_end, allow_hyphen_values = true)]
    not_after: Option<Timestamp>,
    /// The line of releases that it belongs to: letters, digits, `.`, `_` and `-`. It is signed; a
    /// machine whose policy has a `channel` takes packages of that one only.
    #[arg(long, value_name = "NAME", value_parser = clap::value_parser!(Channel))]
    channel: Option<Channel>,
    /// A name for people; consoles and boot reports show it.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Where machines find the archive: an http(s) URL, or a path relative to the descriptor's.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// NAME (NAME.zip and NAME.json mean the same), or a directory for os-package.zip. Missing
    /// directories above it are made.
    #[arg(long, value_name = "NAME|DIR")]
    out: PathBuf,
    /// Take a kernel that is not a bzImage.
    #[arg(long)]
    any_kernel: bool,
    /// Replace a signed package by another one, though its signatures are lost.
    #[arg(long)]
    replace: bool,
    /// Write a descriptor without signatures, even where the one that is there has some over this
    /// very archive.
    #[arg(long)]
    unsigned: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg create --kernel vmlinuz --initramfs initramfs.cpio.zst \\
      --url os.zip --out os
  ramstrap ospkg create --kernel vmlinuz --initramfs initramfs.cpio.zst \\
      --cmdline 'console=ttyS0 panic=30' --label 'web servers 2026-11' \\
      --release 12 \\
      --not-after 2027-06-30 --channel stable --watchdog-seconds 300 \\
      --url https://images.example.org/web/os.zip --out packages/os";

fn watchdog_seconds() -> clap::builder::RangedI64ValueParser<u32> {
    let (least, most) = WATCHDOG_SECONDS.into_inner();
    clap::value_parser!(u32).range(i64::from(least)..=i64::from(most))
}

pub(super) fn run(args: Args, output: &mut Output) -> Result<()> {
    if args.url.as_deref().unwrap_or_default().is_empty() {
        output.warning(
            "no --url: machines cannot find the archive over the network; \
             `--url NAME.zip` means beside the descriptor",
        );
    }
    let names = Names::new(&args.out);
    let contents = Contents {
        kernel: args.kernel,
        initramfs: args.initramfs,
        cmdline: args.cmdline,
        label: args.label,
        watchdog_seconds: args.watchdog_seconds,
        release: args.release,
        not_after: args.not_after,
        channel: args.channel,
        url: args.url.unwrap_or_default(),
        any_kernel: args.any_kernel,
        extra: Vec::new(),
        replace: args.replace || args.unsigned,
        unsigned: args.unsigned,
    };
    let created = package::create(&contents, &names)?;
    for warning in &created.warnings {
        output.warning(warning);
    }
    output.field("archive", names.archive.display());
    output.field("descriptor", names.descriptor.display());
    output.field("size", size(created.length));
    output.field("SHA-256", created.digest);
    if created.kept > 0 {
        let kept = count(created.kept, "signature");
        output.field("kept", format!("{kept}: the archive is the one that was signed"));
    }
    output.result(json!({
        "archive": names.archive,
        "descriptor": names.descriptor,
        "size": created.length,
        "sha256": created.digest.to_string(),
        "signatures": created.kept,
    }));
    Ok(())
}
