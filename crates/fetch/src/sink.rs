//! Where an archive is written to.

use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;

use trust::Sha256Digest;

/// Takes an archive's bytes in their order, and can be emptied when a download has to start again.
pub trait Sink {
    /// Takes the next bytes, all of them.
    ///
    /// # Errors
    /// When there is no room; the download ends with [`report::Code::MemoryFile`].
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Throws away everything that was written.
    ///
    /// # Errors
    /// As for [`Sink::write_all`].
    fn restart(&mut self) -> io::Result<()>;

    /// Whether it hashes by itself, because something else than the bytes that come is to be
    /// verified. By default it does not.
    fn hashes(&self) -> bool {
        false
    }

    /// All bytes have come. A sink that [`Sink::hashes`] gives the digest of what it made of them.
    ///
    /// # Errors
    /// If they are not all of what it expects.
    fn finish(&mut self) -> io::Result<Option<Sha256Digest>> {
        Ok(None)
    }
}

impl<S: Sink> Sink for &mut S {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        S::write_all(self, bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        S::restart(self)
    }

    fn hashes(&self) -> bool {
        S::hashes(self)
    }

    fn finish(&mut self) -> io::Result<Option<Sha256Digest>> {
        S::finish(self)
    }
}

impl Sink for Vec<u8> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }
}
