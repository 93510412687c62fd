//! Anonymous memory files that can be sealed.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use nix::fcntl::FallocateFlags;
use nix::fcntl::FcntlArg;
use nix::fcntl::SealFlag;
use nix::fcntl::fallocate;
use nix::fcntl::fcntl;
use nix::sys::memfd::MFdFlags;
use nix::sys::memfd::memfd_create;

use crate::KexecError;

/// Seals after which neither the content nor the length of a file can change, nor the seals.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_SEAL);

const PAGE: u64 = 4096;

/// A file in memory that has no name in any file system.
#[derive(Debug)]
pub struct MemFile {
    file: File,
    name: String,
    /// Bytes before this offset were given back; see [`MemFile::release_before`].
    released: u64,
}

impl MemFile {
    /// Makes an empty file; `name` appears in `/proc/PID/fd` and in errors only.
    ///
    /// # Errors
    /// [`KexecError::MemoryFile`] if the kernel refuses.
    pub fn create(name: &str) -> Result<Self, KexecError> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
            .map_err(|errno| memory_error("memfd_create", name, errno.into()))?;
        Ok(Self { file: File::from(fd), name: name.to_owned(), released: 0 })
    }

    /// Takes a file of the initramfs that has no name any more, to be read like one of these. It
    /// must be open for writing if memory is to be given back, and it cannot be sealed.
    #[must_use]
    pub fn adopt(file: File, name: &str) -> Self {
        Self { file, name: name.to_owned(), released: 0 }
    }

    /// Whether [`MemFile::release_before`] works: the kernel's oldest file system for an initramfs,
    /// ramfs, cannot do it.
    #[must_use]
    pub fn can_release(&self) -> bool {
        let beyond = self.file.metadata().map_or(0, |file| file.len()).next_multiple_of(PAGE);
        punch(&self.file, beyond, PAGE).is_ok()
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// [`KexecError::MemoryFile`] if the kernel does not tell.
    pub fn len(&self) -> Result<u64, KexecError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|error| memory_error("fstat", &self.name, error))?.len())
    }

    /// Whether nothing was written yet.
    ///
    /// # Errors
    /// As for [`MemFile::len`].
    pub fn is_empty(&self) -> Result<bool, KexecError> {
        Ok(self.len()? == 0)
    }

    /// Throws the content away and starts again at offset 0.
    ///
    /// # Errors
    /// [`KexecError::MemoryFile`] if the kernel refuses.
    pub fn clear(&mut self) -> Result<(), KexecError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| memory_error("truncate", &self.name, error))?;
        self.released = 0;
        Ok(())
    }

    /// Gives the memory of all whole pages before `offset` back to the kernel. They read as
    /// zeros from now on; length and position stay.
    ///
    /// # Errors
    /// [`KexecError::MemoryFile`] if the kernel refuses.
    pub fn release_before(&mut self, offset: u64) -> Result<(), KexecError> {
        let end = offset - offset % PAGE;
        if end <= self.released {
            return Ok(());
        }
        let (start, len) = (self.released, end - self.released);
        punch(&self.file, start, len)
            .map_err(|errno| memory_error("release", &self.name, errno.into()))?;
        self.released = end;
        Ok(())
    }

    /// Seals content and length for good.
    ///
    /// # Errors
    /// [`KexecError::MemoryFile`] if a seal cannot be set or does not show up afterwards (for
    /// example while the file is mapped writable).
    pub fn seal(self) -> Result<SealedFile, KexecError> {
        fcntl(&self.file, FcntlArg::F_ADD_SEALS(SEALS))
            .map_err(|errno| memory_error("seal", &self.name, errno.into()))?;
        let seals = fcntl(&self.file, FcntlArg::F_GET_SEALS)
            .map_err(|errno| memory_error("read the seals", &self.name, errno.into()))?;
        if !SealFlag::from_bits_retain(seals).contains(SEALS) {
            let error = io::Error::other("the seals did not hold");
            return Err(memory_error("seal", &self.name, error));
        }
        let len = self.len()?;
        Ok(SealedFile { file: self.file, len })
    }
}

/// Gives the memory behind a range of a file back; the file keeps its length.
fn punch(file: &File, start: u64, len: u64) -> nix::Result<()> {
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, how, start.cast_signed(), len.cast_signed())
}

impl Read for MemFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

impl Write for MemFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for MemFile {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.file.seek(pos)
    }
}

/// A memory file whose content and length can never change again.
#[derive(Debug)]
pub struct SealedFile {
    file: File,
    len: u64,
}

impl SealedFile {
    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl AsFd for SealedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn memory_error(operation: &'static str, name: &str, source: io::Error) -> KexecError {
    KexecError::MemoryFile { operation, name: name.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::io::Seek;
    use std::io::SeekFrom;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use super::MemFile;

    #[test]
    fn a_sealed_file_can_neither_be_written_nor_resized() {
        let mut file = MemFile::create("test").unwrap();
        file.write_all(b"kernel").unwrap();
        let sealed = file.seal().unwrap();
        assert_eq!(sealed.len(), 6);
        let mut again = File::from(sealed.as_fd().try_clone_to_owned().unwrap());
        again.rewind().unwrap();
        assert!(again.write_all(b"other").is_err(), "content");
        assert!(again.set_len(0).is_err(), "shrink");
        assert!(again.set_len(100).is_err(), "grow");
        let mut content = String::new();
        again.rewind().unwrap();
        again.read_to_string(&mut content).unwrap();
        assert_eq!(content, "kernel");
    }

    #[test]
    fn released_pages_are_given_back_and_the_rest_stays() {
        let mut file = MemFile::create("test").unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        let before = file.file.metadata().unwrap().blocks();
        file.release_before((1 << 19) + 100).unwrap();
        file.release_before(10).unwrap();
        let after = file.file.metadata().unwrap().blocks();
        assert!(after <= before / 2 + 8, "{after} of {before} blocks are left");
        let mut byte = [0];
        file.seek(SeekFrom::Start((1 << 19) + 100)).unwrap();
        file.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
        assert_eq!(file.len().unwrap(), 1 << 20);
    }

    #[test]
    fn clearing_starts_again() {
        let mut file = MemFile::create("test").unwrap();
        file.write_all(b"half an arch").unwrap();
        file.clear().unwrap();
        file.write_all(b"archive").unwrap();
        file.rewind().unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "archive");
    }
}
