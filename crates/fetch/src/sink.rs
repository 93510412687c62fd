//! Where an archive is written to.

use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;

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
}

impl<S: Sink> Sink for &mut S {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        S::write_all(self, bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        S::restart(self)
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
