//! The last stage: hand the verified package to the kernel and start it.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::time::Duration;

use kexec_rs::KexecError;
use netup::Connected;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::HEADER_LEN;
use report::BootReport;
use report::Code;
use report::Failure;
use report::Outcome;
use report::Stage;
use report::channel::Event;
use tracing::warn;

use crate::Inputs;
use crate::acquire::Answer;
use crate::console;
use crate::finish;
use crate::handover;
use crate::handover::HandOver;
use crate::journal;
use crate::memory;
use crate::mirror::Verified;

/// How long the NIC may take to go down before the jump.
const QUIESCE_PATIENCE: Duration = Duration::from_secs(3);

/// Loads the package and starts it. Returns only when that failed.
///
/// # Errors
/// E0507 and E06xx.
pub(crate) async fn into(
    inputs: &Inputs,
    connected: &Connected<Answer>,
    package: Verified,
    dry_run: bool,
) -> Result<Infallible, Failure> {
    let loading = journal::begin(Stage::Kexec);
    let loaded =
        loading.close(load(inputs, package), |_| "kernel and initramfs are loaded".to_owned())?;
    if dry_run {
        finish::dry_run();
    }
    let quiescing = netup::quiesce(&connected.link.interface);
    if tokio::time::timeout(QUIESCE_PATIENCE, quiescing).await.is_err() {
        warn!(
            "{} does not go down; starting the new kernel all the same",
            connected.link.interface
        );
    }
    if let Some(report) = journal::snapshot(Outcome::Kexec) {
        console::line(&announcement(&report));
        console::event(&Event::End { report });
    }
    console::drain();
    Err(kexec_failure(loaded.execute()))
}

fn load(inputs: &Inputs, package: Verified) -> Result<kexec_rs::Loaded, Failure> {
    let command_line = package.manifest().cmdline.clone().unwrap_or_default();
    let command_line = CString::new(command_line).map_err(|_| {
        Failure::new(Code::ManifestInvalid, "the command line in manifest.json holds a NUL")
    })?;
    let (_, _, mut kernel, mut initramfs) = package.into_parts();

    let mut header = Vec::with_capacity(HEADER_LEN);
    let io_failure = |error: std::io::Error| Failure::new(Code::MemoryFile, error.to_string());
    kernel.rewind().map_err(io_failure)?;
    kernel.by_ref().take(HEADER_LEN as u64).read_to_end(&mut header).map_err(io_failure)?;
    let image = BzImage::parse(&header).map_err(|error| Failure::from_error(&error))?;

    let initramfs_len = initramfs.len().map_err(kexec_failure)?;
    let kernel_len = kernel.len().map_err(kexec_failure)?;
    memory::admit_kexec(kernel_len, u64::from(image.init_size), initramfs_len)?;

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
fn announcement(report: &BootReport) -> String {
    let Some(package) = &report.package else { return String::new() };
    let label = package.label.as_deref().unwrap_or("(no label)");
    let mut lines = vec![format!("booting {label}"), format!("  sha256  {}", package.sha256)];
    for signer in &package.signers {
        lines.push(format!("  signer  {} until {}", signer.subject, signer.not_after));
    }
    lines.push(format!("  from    {}", package.archive_url));
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
