//! The last stage: hand the verified package to the kernel and start it.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kexec_rs::KexecError;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::HEADER_LEN;
use report::BootReport;
use report::Code;
use report::Failure;
use report::Outcome;
use report::Stage;
use report::channel::Event;
use tracing::debug;
use tracing::warn;

use crate::Inputs;
use crate::console;
use crate::finish;
use crate::handover;
use crate::handover::HandOver;
use crate::journal;
use crate::memory;
use crate::mirror::Verified;
use crate::watchdog;

/// How long the links may take to go down before the jump.
const QUIESCE_PATIENCE: Duration = Duration::from_secs(3);

/// Loads the package and starts it. Returns only when that failed.
///
/// # Errors
/// E0507 and E06xx.
pub(crate) fn into(
    inputs: &Inputs,
    package: Verified,
    dry_run: bool,
) -> Result<Infallible, Failure> {
    let loading = journal::begin(Stage::Kexec);
    let loaded =
        loading.close(load(inputs, package), |_| "kernel and initramfs are loaded".to_owned())?;
    if dry_run {
        finish::dry_run();
    }
    quiesce();
    let watchdog = watchdog::hand_over();
    if let Some(report) = journal::snapshot(Outcome::Kexec) {
        console::line(&announcement(&report, watchdog.as_deref()));
        console::event(&Event::End { report });
    }
    console::drain();
    let error = loaded.execute();
    // Still here: what follows is to be watched again.
    watchdog::arm();
    Err(kexec_failure(error))
}

/// Switches all links off, so that no packet is written any more into memory that is not ours then.
///
/// In a thread: the kernel switches off while the request is being sent, and a driver may hang.
fn quiesce() {
    let (done, wait) = mpsc::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = done.send(runtime.block_on(netup::quiesce()));
        }
    };
    let started = thread::Builder::new().spawn(work);
    match started.map(|_| wait.recv_timeout(QUIESCE_PATIENCE)) {
        Ok(Ok(quiesced)) => {
            for failure in quiesced.failures {
                warn!("{failure}; starting the new kernel all the same");
            }
            debug!("links switched off: {}", quiesced.down.join(", "));
        }
        _ => warn!("the links do not go down; starting the new kernel all the same"),
    }
}

fn load(inputs: &Inputs, package: Verified) -> Result<kexec_rs::Loaded, Failure> {
    let command_line = package.manifest().cmdline.clone().unwrap_or_default();
    let command_line = CString::new(command_line).map_err(|_| {
        Failure::new(Code::ManifestInvalid, "the command line in manifest.json holds a NUL")
    })?;
    let watchdog_seconds = package.manifest().watchdog_seconds;
    let (_, _, mut kernel, mut initramfs) = package.into_parts();

    let mut header = Vec::with_capacity(HEADER_LEN);
    let io_failure = |error: std::io::Error| Failure::new(Code::MemoryFile, error.to_string());
    kernel.rewind().map_err(io_failure)?;
    kernel.by_ref().take(HEADER_LEN as u64).read_to_end(&mut header).map_err(io_failure)?;
    let image = BzImage::parse(&header).map_err(|error| Failure::from_error(&error))?;

    let initramfs_len = initramfs.len().map_err(kexec_failure)?;
    let kernel_len = kernel.len().map_err(kexec_failure)?;
    memory::admit_kexec(kernel_len, u64::from(image.init_size), initramfs_len)?;

    watchdog::before_loading(kernel_len.saturating_add(initramfs_len), watchdog_seconds);
    let report = journal::snapshot(Outcome::Kexec);
    let report = report.and_then(|report| serde_json::to_vec(&report).ok()).unwrap_or_default();
    initramfs.seek(SeekFrom::End(0)).map_err(io_failure)?;
    let content = HandOver {
        boot_report: &report,
        host_configuration: &inputs.host.raw,
        trust_policy: &inputs.policy.files,
    };
    handover::append(&mut initramfs, initramfs_len, &content).map_err(io_failure)?;

    let kernel = kernel.seal().map_err(kexec_failure)?;
    let initramfs = initramfs.seal().map_err(kexec_failure)?;
    let loaded = kexec_rs::load(&kernel, &initramfs, &command_line).map_err(kexec_failure)?;
    if let Err(error) = kexec_rs::disable_further_loading() {
        warn!("{error}");
    }
    Ok(loaded)
}

/// The last words: what is started, and who vouches for it.
fn announcement(report: &BootReport, watchdog: Option<&str>) -> String {
    let Some(package) = &report.package else { return String::new() };
    let label = package.label.as_deref().unwrap_or("(no label)");
    let mut lines = vec![format!("booting {label}"), format!("  sha256  {}", package.sha256)];
    for signer in &package.signers {
        lines.push(format!("  signer  {} until {}", signer.subject, signer.not_after));
    }
    lines.push(format!("  from    {}", package.archive_url));
    lines.extend(watchdog.map(|fate| format!("  watch   watchdog {fate}")));
    lines.push(format!("  after   {:.3} s", report.total_us as f64 / 1e6));
    lines.join("\n")
}

/// What an error of memory files or kexec means to an operator.
pub(crate) fn kexec_failure(error: KexecError) -> Failure {
    let code = match &error {
        KexecError::MemoryFile { .. } => Code::MemoryFile,
        KexecError::Unsupported | KexecError::Forbidden => Code::KexecForbidden,
        KexecError::Signature(_) => Code::KexecSignature,
        KexecError::Format => Code::KexecFormat,
        KexecError::Memory(_) => Code::MemoryTooSmall,
        KexecError::CommandLine { .. } => Code::ManifestInvalid,
        _ => Code::KexecFailed,
    };
    Failure::new(code, error.to_string())
}
