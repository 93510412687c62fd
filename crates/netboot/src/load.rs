//! The verified package is handed to the kernel, with what the OS is told.

use std::ffi::CString;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use kexec_rs::KexecError;
use kexec_rs::Loaded;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::HEADER_LEN;
use report::Code;
use report::Failure;
use report::Stage;
use tracing::warn;

use crate::events::Event;
use crate::events::Events;
use crate::events::Running;
use crate::handover;
use crate::handover::HandOver;
use crate::inputs::Inputs;
use crate::memory;
use crate::mirror::Verified;

/// Loads a verified package, with the hand-over behind its initramfs. Loading another one is
/// forbidden from then on.
///
/// # Errors
/// E0503, E0507 and E06xx.
pub fn load(inputs: &Inputs, events: &dyn Events, package: Verified) -> Result<Loaded, Failure> {
    let loading = Running::begin(events, Stage::Kexec);
    loading
        .close(hand_over(inputs, events, package), |_| "kernel and initramfs are loaded".to_owned())
}

fn hand_over(inputs: &Inputs, events: &dyn Events, package: Verified) -> Result<Loaded, Failure> {
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
    memory::admit_kexec(events, kernel_len, u64::from(image.init_size), initramfs_len)?;

    let bytes = kernel_len.saturating_add(initramfs_len);
    events.on(Event::Loading { bytes, watchdog_seconds });
    let report = events.hand_over();
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

/// What an error of memory files or kexec means to an operator.
pub fn kexec_failure(error: KexecError) -> Failure {
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

#[cfg(test)]
mod tests {
    use kexec_rs::KexecError;
    use nix::errno::Errno;
    use report::Code;

    use super::kexec_failure;

    #[test]
    fn what_the_kernel_refuses_has_its_code() {
        let cases = [
            (KexecError::Unsupported, Code::KexecForbidden),
            (KexecError::Forbidden, Code::KexecForbidden),
            (KexecError::Signature(Errno::ENOKEY), Code::KexecSignature),
            (KexecError::Format, Code::KexecFormat),
            (KexecError::Memory(Errno::ENOMEM), Code::MemoryTooSmall),
            (KexecError::Busy, Code::KexecFailed),
        ];
        for (error, code) in cases {
            let words = error.to_string();
            let failure = kexec_failure(error);
            assert_eq!((failure.code, failure.detail), (code, words));
        }
    }
}
