//! `cargo xtask boot`.

mod inputs;
mod medium;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use xtask::harness;
use xtask::harness::BootOptions;
use xtask::harness::BootResult;
use xtask::harness::Echo;
use xtask::harness::Ended;
use xtask::harness::Nic;
use xtask::harness::Status;
use xtask::kernels;
use xtask::kernels::Choice;
use xtask::setup;

/// Boot a machine in QEMU with a trust policy and a host configuration of yours
///
/// Builds a boot image from your trust policy and host configuration and boots it in QEMU, until
/// the OS powers off, the machine reboots or the time is up. The console goes to standard output.
/// For the guest, the loopback of this machine is 10.0.2.2.
///
/// With --medium it starts from a boot medium in place of that: an ISO image, a disk image or an
/// EFI executable, with everything that is on it. So that /init reports to this command, build the
/// medium with `--cmdline 'no_timer_check panic=-1 ramstrap.report=ttyS1'`.
///
/// Exit status: 0 an OS was booted (or `--dryrun` did all but that), 3 the bootloader refused or
/// failed, 4 neither within the time, 1 the harness failed, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  cargo xtask boot --trust-policy policy --host-config host.json
  cargo xtask boot --trust-policy policy --host-config host.json --firmware uefi --cpus 4
  cargo xtask boot --medium ramstrap.iso --machine pc
  cargo xtask boot --medium ramstrap.iso --medium-as usb --firmware uefi
  cargo xtask boot --medium ramstrap.efi --firmware uefi --screenshot screen.png"
)]
pub(super) struct Args {
    /// Directory with trust_policy.json, ospkg_signing_root.pem and tls_roots.pem
    #[arg(long, value_name = "DIR", required_unless_present = "medium")]
    trust_policy: Option<PathBuf>,

    /// Host configuration to put into the boot image
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,

    /// Boot kernel: ours, cloud, generic (this distribution's, downloaded) or a bzImage. Without it
    /// ours, if it is built
    #[arg(long, value_name = "FILE")]
    kernel: Option<String>,

    /// Directory with the modules of a kernel file
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// Memory of the machine
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    memory: u32,

    /// NIC model as QEMU names it, once for each NIC; QEMU properties may follow behind a comma
    #[arg(long, value_name = "MODEL", default_value = "virtio-net-pci")]
    nic: Vec<String>,

    /// More for the kernel command line; what stands behind ` -- ` goes to /init
    #[arg(long, value_name = "STR", default_value = "", allow_hyphen_values = true)]
    append: String,

    /// One more argument for QEMU; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<String>,

    /// What the machine's clock starts with: a date in UTC, 2001-01-01 or 2001-01-01T12:00:00, or
    /// the time of now, utc or localtime
    #[arg(long, value_name = "DATE", value_parser = inputs::rtc)]
    rtc: Option<String>,

    /// End the machine after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,

    /// Write what came of it to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    hardware: medium::Hardware,
}

pub(super) fn run(args: Args) -> Result<ExitCode> {
    let choice = Choice::from_args(args.kernel.as_deref(), args.modules.as_deref())?;
    inputs::check(&args)?;
    setup::ensure(&setup::for_boot(args.hardware.firmware()))?;
    if let Err(reason) = inputs::check_nics(&args.nic) {
        eprintln!("error: {reason}");
        return Ok(ExitCode::from(2));
    }
    let medium = args.hardware.medium()?;
    let kernel = kernels::select(&choice, &args.nic)?;
    let options = BootOptions {
        host_config: args.host_config,
        memory_mib: args.memory,
        nics: args.nic.into_iter().map(Nic::new).collect(),
        append: args.append,
        qemu_args: args.qemu_arg,
        rtc: args.rtc,
        timeout: Duration::from_secs(args.timeout),
        echo: Echo::Stdout,
        ..BootOptions::new(kernel, args.trust_policy.unwrap_or_default())
    };
    let result = harness::boot(&args.hardware.apply(options, medium.as_ref()))?;
    eprintln!("\n{}", verdict(&result, args.timeout));
    if let Some(file) = &args.json {
        let text = format!("{:#}\n", result.to_json());
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::from(result.exit_code()))
}

/// One line on what came of it.
fn verdict(result: &BootResult, timeout: u64) -> String {
    let report = result.report.as_ref();
    let failure = report.and_then(|report| report.failure.as_ref());
    match (result.status, failure) {
        (Status::Booted, _) => format!("booted; {}", end(result.ended, timeout)),
        (Status::Dryrun, _) => "dry run: everything went well, and nothing was booted".to_owned(),
        (Status::Refused, Some(failure)) => {
            format!("refused: {failure}\n  remedy: {}", failure.remedy)
        }
        (Status::Refused, None) => "refused, without a reason".to_owned(),
        (Status::Neither, _) => {
            let last = match (report, &result.firmware) {
                (Some(_), _) => "the bootloader started a kernel that never spoke".to_owned(),
                (None, Some(words)) => format!("the firmware says: {words}"),
                (None, None) => "no bootloader reported on the second serial port".to_owned(),
            };
            format!("neither booted nor refused: {last}; {}", end(result.ended, timeout))
        }
    }
}

/// How the machine ended, with the word that `--json` has for it.
fn end(ended: Ended, timeout: u64) -> String {
    match ended {
        Ended::Poweroff => "the machine switched itself off (poweroff)".to_owned(),
        Ended::Reboot => "the machine reset itself (reboot)".to_owned(),
        Ended::Panic => "a kernel panicked (panic)".to_owned(),
        Ended::Firmware => "nothing was started (firmware)".to_owned(),
        Ended::Timeout => {
            format!("the time ({timeout} s) was up (timeout); --timeout gives it more")
        }
    }
}

#[cfg(test)]
mod tests {
    use xtask::harness::BootResult;
    use xtask::harness::Ended;
    use xtask::harness::Status;

    use super::verdict;

    #[test]
    fn the_verdict_says_how_the_machine_ended() {
        let result = |status, ended| BootResult {
            status,
            ended,
            report: None,
            serial: String::new(),
            events: Vec::new(),
            marks: Vec::new(),
            firmware: None,
            screen: None,
        };
        let text = verdict(&result(Status::Neither, Ended::Timeout), 4);
        assert!(text.contains("the time (4 s) was up") && text.contains("--timeout"), "{text}");
        let text = verdict(&result(Status::Booted, Ended::Poweroff), 4);
        assert_eq!(text, "booted; the machine switched itself off (poweroff)");
    }
}
