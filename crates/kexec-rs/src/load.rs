//! Loading and starting the new kernel.

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;

use crate::KexecError;
use crate::SealedFile;

/// Longest command line that an x86-64 kernel takes, without the final NUL (`COMMAND_LINE_SIZE`).
const MAX_COMMAND_LINE: usize = 2047;

/// Proof that a kernel is loaded; the only thing that can be started.
#[derive(Debug)]
#[must_use = "a loaded kernel runs only after `execute`"]
pub struct Loaded(());

/// Hands a kernel, its initramfs and its command line to the running kernel.
///
/// # Errors
/// One [`KexecError`] for each remedy there is. Running out of memory inside the call is a kernel
/// panic and no error: compute the need beforehand.
pub fn load(
    kernel: &SealedFile,
    initramfs: &SealedFile,
    command_line: &CStr,
) -> Result<Loaded, KexecError> {
    let with_nul = command_line.to_bytes_with_nul();
    if with_nul.len() > MAX_COMMAND_LINE + 1 {
        return Err(KexecError::CommandLine { len: with_nul.len() - 1 });
    }
    let no_flags: libc::c_ulong = 0;
    // SAFETY: both descriptors are open for the whole call, the pointer and length describe a
    // NUL-terminated string that outlives it, and the kernel writes to none of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_fd().as_raw_fd(),
            initramfs.as_fd().as_raw_fd(),
            with_nul.len(),
            with_nul.as_ptr(),
            no_flags,
        )
    };
    Errno::result(result).map_err(KexecError::from_load)?;
    Ok(Loaded(()))
}

impl Loaded {
    /// Starts the loaded kernel. Nothing of the running one is saved.
    ///
    /// Returns only if that failed, with the reason.
    pub fn execute(self) -> KexecError {
        match reboot(RebootMode::RB_KEXEC) {
            Ok(never) => match never {},
            Err(errno) => KexecError::Other { operation: "reboot", source: errno.into() },
        }
    }
}

/// Forbids any further loading until the next kernel starts. What is loaded can still be started.
///
/// # Errors
/// [`KexecError::Other`] if the kernel does not take the setting.
pub fn disable_further_loading() -> Result<(), KexecError> {
    fs::write("/proc/sys/kernel/kexec_load_disabled", "1")
        .map_err(|source| KexecError::Other { operation: "set kernel.kexec_load_disabled", source })
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::Write;

    use super::load;
    use crate::KexecError;
    use crate::MemFile;

    #[test]
    fn an_overlong_command_line_is_refused_before_the_kernel_sees_it() {
        let sealed = || {
            let mut file = MemFile::create("test").unwrap();
            file.write_all(b"x").unwrap();
            file.seal().unwrap()
        };
        let line = CString::new(vec![b'a'; 2048]).unwrap();
        let error = load(&sealed(), &sealed(), &line).unwrap_err();
        assert!(matches!(error, KexecError::CommandLine { len: 2048 }), "{error}");
    }
}
