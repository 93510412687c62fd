//! Boots a machine in QEMU and says what came of it.
//!
//! [`boot`] makes a boot image from a trust policy and a host configuration, starts QEMU with it,
//! reads the console, `/init`'s report channel and QEMU's own events until the machine ends or the
//! time is up, and returns a [`BootResult`]. QEMU never outlives the call.

mod guest;
mod hardware;
mod lan;
mod machine;
mod memory;
mod options;
mod process;
mod result;
mod screen;
pub mod uefi_vars;
mod watch;

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::json;

pub use guest::Guest;
pub use guest::Line;
pub use hardware::Bus;
pub use hardware::Disk;
pub use hardware::Display;
pub use hardware::Firmware;
pub use hardware::Machine;
pub use hardware::Start;
pub use lan::Lan;
pub use lan::Link;
pub use memory::Find;
pub use memory::Needle;
pub use memory::places;
pub use options::BootOptions;
pub use options::Echo;
pub use options::LinkChange;
pub use options::Netdev;
pub use options::Nic;
pub use options::RandomNumbers;
pub use result::BootResult;
pub use result::Ended;
pub use result::Mark;
pub use result::Status;
pub use result::TimedEvent;

use crate::accel;
use crate::accel::Accel;
use crate::image;
use machine::Resources;
use process::Message;
use process::Qemu;
use process::Sockets;
use process::Source;
use watch::Watch;

/// The UEFI variables of a machine that was never switched on, as the firmware's package has them.
const UEFI_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// How long a machine may go on after a kernel panic: enough for the rest of the panic's lines.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// How long output is waited for once QEMU has closed its control channel.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long firmware that has refused an image may look for another one.
const AFTER_REFUSAL: Duration = Duration::from_secs(3);

/// Kernel parameters that a boot image on a medium needs so that [`boot`] can tell what came of it:
/// a panic ends the machine, and `/init` reports on the second serial port.
pub const MEDIUM_PARAMETERS: &str = machine::PARAMETERS;

/// Boots a machine and waits for its end.
///
/// # Errors
///
/// A harness error: the boot image could not be made or QEMU could not be started. What happens
/// inside the machine is never an error, but a [`BootResult`].
pub fn boot(options: &BootOptions) -> Result<BootResult> {
    let (accel, initramfs) = prepare(options)?;
    run(options, accel, &initramfs)
}

/// The accelerator for a machine, and the boot image if QEMU is to hand it over.
fn prepare(options: &BootOptions) -> Result<(Accel, Vec<u8>)> {
    let accel = if options.icount.is_some() { Accel::Tcg } else { accel::choose(&options.kernel)? };
    match options.start {
        Start::Direct => Ok((accel, image::boot_image(options)?)),
        _ => Ok((accel, Vec::new())),
    }
}

/// Runs a machine with this initramfs, whatever it holds; policy and host configuration of the
/// options are not looked at.
///
/// # Errors
///
/// QEMU could not be started or failed, or the options contradict each other.
pub fn run(options: &BootOptions, accel: Accel, initramfs: &[u8]) -> Result<BootResult> {
    let mut qemu = switch_on(options, accel, initramfs)?;
    let watch = observe(&mut qemu, options);
    let end = qemu.started.elapsed();
    let explained = watch.has_ended() || end >= options.timeout;
    let screen = if explained && options.display.has_screen() {
        screen::capture(&mut qemu, options.screenshot.as_deref())?
    } else {
        None
    };
    if explained {
        qemu.kill();
    }
    let (status, complaints) = qemu.wait()?;
    if !explained {
        bail!("qemu-system-x86_64 failed ({status}): {}", complaints.trim());
    }
    Ok(BootResult { screen, ..watch.finish(end) })
}

/// Starts QEMU and lets the machine run.
fn switch_on(options: &BootOptions, accel: Accel, initramfs: &[u8]) -> Result<Qemu> {
    check(options)?;
    let initramfs = unnamed_file(initramfs)?;
    let uefi_vars = options.firmware.is_uefi().then(|| uefi_store(options)).transpose()?;
    let sockets = Sockets::new(options.ports.len())?;
    let [console_fd, report_fd, qmp_fd] = sockets.fds();
    let port_fds = sockets.port_fds();
    let initramfs_fd = initramfs.as_raw_fd();
    let uefi_vars_fd = uefi_vars.as_ref().map(File::as_raw_fd);
    let resources =
        Resources { accel, initramfs_fd, uefi_vars_fd, console_fd, report_fd, qmp_fd, port_fds };
    let arguments = machine::arguments(options, &resources);
    let files: Vec<i32> = uefi_vars_fd.into_iter().chain([initramfs_fd]).collect();
    let mut qemu = Qemu::start(&arguments, sockets, &files)?;
    for (index, _) in options.nics.iter().enumerate().filter(|(_, nic)| !nic.link_up) {
        qemu.set_link(&machine::nic_id(index), false);
    }
    // Paused until here, so that no cable was ever seen that is not there.
    let _ = qemu.command("cont", &json!({}));
    Ok(qemu)
}

/// What no machine can be.
fn check(options: &BootOptions) -> Result<()> {
    let BootOptions { firmware, machine, start, display, screenshot, nics, .. } = options;
    if *firmware == Firmware::UefiSecureBoot && *machine == Machine::Pc {
        bail!("Secure Boot needs the system management mode of q35: the machine pc has none");
    }
    if matches!(start, Start::HttpBoot { .. }) && !firmware.is_uefi() {
        bail!("HTTP boot is a feature of UEFI; under BIOS give iPXE the URL as its boot file");
    }
    if matches!(start, Start::Network { .. }) && nics.is_empty() {
        bail!("a machine without a NIC cannot start from the network");
    }
    if screenshot.is_some() && !display.has_screen() {
        bail!("a machine without a graphics adapter has no screen to take a picture of");
    }
    if let Start::Cdrom(file) | Start::Usb(file) | Start::Disk(file) = start
        && !file.is_file()
    {
        bail!("{} is not there, or is no file: the machine cannot start from it", file.display());
    }
    Ok(())
}

/// Reads everything that comes out of the machine, until it ends or the time is up.
fn observe(qemu: &mut Qemu, options: &BootOptions) -> Watch {
    let mut watch = Watch::default();
    let mut changes = options.link_changes.clone();
    changes.sort_by_key(|change| change.after);
    changes.reverse();
    let mut closed_at = None;
    loop {
        let now = qemu.started.elapsed();
        while let Some(change) = changes.pop_if(|change| change.after <= now) {
            qemu.set_link(&machine::nic_id(change.nic), change.up);
        }
        let limits = [
            Some(options.timeout),
            watch.panic_at().map(|at| at + AFTER_PANIC),
            watch.firmware_gave_up_at().map(|at| at + AFTER_REFUSAL),
            // With a screen to look at, QEMU stays when the machine has ended.
            watch.shutdown_at(),
            closed_at.map(|at| at + LAST_WORDS),
        ];
        let Some(limit) = limits.into_iter().flatten().min().filter(|&limit| limit > now) else {
            return watch;
        };
        let next_change = changes.last().map_or(limit, |change| change.after);
        match qemu.messages.recv_timeout(limit.min(next_change).saturating_sub(now)) {
            Ok(Message { at, from }) => {
                let at = at.saturating_duration_since(qemu.started);
                match from {
                    Source::Console(bytes) => {
                        echo(options.echo, &bytes);
                        watch.console(&bytes, at);
                    }
                    Source::Report(bytes) => watch.channel(&bytes, at),
                    Source::Qmp(message) => watch.qmp(&message, at),
                    Source::Closed => closed_at = Some(at),
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // All sockets are closed and everything has been read.
            Err(RecvTimeoutError::Disconnected) => return watch,
        }
    }
}

fn echo(echo: Echo, bytes: &[u8]) {
    if echo == Echo::Stdout {
        let mut stdout = std::io::stdout().lock();
        // A reader that has gone away must not end the boot.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
}

/// The file of UEFI variables that the machine may write to.
fn uefi_store(options: &BootOptions) -> Result<File> {
    if let Some(file) = options.uefi_store.as_deref().filter(|file| file.exists()) {
        return open_store(file);
    }
    let path = UEFI_VARIABLES;
    let mut store = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    if let Start::HttpBoot { url } = &options.start {
        store = uefi_vars::add(&store, &uefi_vars::boot_from_url(url)?)?;
    }
    store = uefi_vars::add(&store, &options.uefi_variables)?;
    let Some(file) = options.uefi_store.as_deref() else { return unnamed_file(&store) };
    fs::write(file, store).with_context(|| format!("cannot write {}", file.display()))?;
    open_store(file)
}

fn open_store(file: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).open(file);
    opened.with_context(|| format!("cannot open {}", file.display()))
}

/// A temporary file without a name: nothing is left of it, however this process ends.
fn unnamed_file(contents: &[u8]) -> Result<File> {
    let mut file = tempfile::tempfile().context("no temporary file")?;
    file.write_all(contents).context("cannot write a temporary file")?;
    Ok(file)
}
