//! What can go wrong, in words.

use std::io;

use nix::errno::Errno;

/// Why a kernel could not be loaded or started.
///
/// Variants follow the error numbers that the kernel gives (`kexec_file_load(2)` and
/// `kernel/kexec_file.c`), because each of them wants another remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KexecError {
    /// Memory for a file could not be had, or a seal did not hold.
    #[error("memory file \"{name}\": {operation} failed: {source}")]
    MemoryFile {
        /// What was done.
        operation: &'static str,
        /// Name of the memory file.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// ENOSYS: the kernel was built without `CONFIG_KEXEC_FILE`.
    #[error("this kernel has no kexec_file_load (CONFIG_KEXEC_FILE is off)")]
    Unsupported,
    /// EPERM: lockdown without a valid signature, `kexec_load_disabled`, or not root.
    #[error(
        "the kernel forbids kexec_file_load (kernel.kexec_load_disabled, lockdown, or not root)"
    )]
    Forbidden,
    /// ENOKEY, EKEYREJECTED, EBADMSG, ENODATA: a signature on the kernel image is demanded.
    #[error("the running kernel demands a signature on the new kernel: {0}")]
    Signature(Errno),
    /// ENOEXEC: no loader of the running kernel takes this image.
    #[error("the new kernel is in no format that the running kernel can load")]
    Format,
    /// EBUSY: another kexec load is going on.
    #[error("another kexec operation is in progress")]
    Busy,
    /// EFBIG: an image is larger than the kernel takes.
    #[error("kernel or initramfs is too large for the running kernel")]
    TooBig,
    /// ENOMEM or EADDRNOTAVAIL: no room for the segments.
    #[error("no memory for the new kernel's segments: {0}")]
    Memory(Errno),
    /// The command line holds more than the kernel takes.
    #[error("the command line of {len} bytes is longer than the new kernel takes")]
    CommandLine {
        /// Its length without the final NUL.
        len: usize,
    },
    /// Anything else.
    #[error("kexec: {operation} failed: {source}")]
    Other {
        /// What was done.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl KexecError {
    /// The error that `kexec_file_load` means by this number.
    pub(crate) fn from_load(errno: Errno) -> Self {
        match errno {
            Errno::ENOSYS => Self::Unsupported,
            Errno::EPERM | Errno::EACCES => Self::Forbidden,
            Errno::ENOKEY
            | Errno::EKEYREJECTED
            | Errno::EKEYEXPIRED
            | Errno::EKEYREVOKED
            | Errno::EBADMSG
            | Errno::ENODATA
            | Errno::ENOPKG => Self::Signature(errno),
            Errno::ENOEXEC => Self::Format,
            Errno::EBUSY => Self::Busy,
            Errno::EFBIG => Self::TooBig,
            Errno::ENOMEM | Errno::EADDRNOTAVAIL => Self::Memory(errno),
            other => Self::Other { operation: "kexec_file_load", source: other.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::KexecError;

    #[test]
    fn numbers_that_want_different_remedies_are_told_apart() {
        assert!(matches!(KexecError::from_load(Errno::ENOSYS), KexecError::Unsupported));
        assert!(matches!(KexecError::from_load(Errno::EPERM), KexecError::Forbidden));
        assert!(matches!(KexecError::from_load(Errno::ENOKEY), KexecError::Signature(_)));
        assert!(matches!(KexecError::from_load(Errno::EKEYREJECTED), KexecError::Signature(_)));
        assert!(matches!(KexecError::from_load(Errno::ENODATA), KexecError::Signature(_)));
        assert!(matches!(KexecError::from_load(Errno::ENOEXEC), KexecError::Format));
        assert!(matches!(KexecError::from_load(Errno::EBUSY), KexecError::Busy));
        assert!(matches!(KexecError::from_load(Errno::EFBIG), KexecError::TooBig));
        assert!(matches!(KexecError::from_load(Errno::EADDRNOTAVAIL), KexecError::Memory(_)));
        assert!(matches!(KexecError::from_load(Errno::EIO), KexecError::Other { .. }));
    }
}
