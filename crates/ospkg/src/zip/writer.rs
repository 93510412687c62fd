//! Writing archives: stored members, aligned data, nothing that differs between two runs.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use super::CENTRAL_HEADER;
use super::END_OF_DIRECTORY;
use super::LOCAL_HEADER;
use super::LOCAL_HEADER_LEN;
use super::METHOD_STORED;
use super::member::BUFFER_LEN;

/// Data of aligned members starts at a multiple of this: a page.
const ALIGNMENT: u64 = 4096;
/// Extra field "alignment", known from Android packages: its id, length and alignment value.
const ALIGNMENT_EXTRA_ID: u16 = 0xd935;
const ALIGNMENT_EXTRA_MIN: u64 = 6;

/// 2.0: directories and deflate, which everybody reads.
const VERSION_NEEDED: u16 = 20;
/// Made on Unix, so that the file modes count.
const MADE_BY: u16 = 3 << 8 | VERSION_NEEDED;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// The earliest that the format knows: 1980-01-01, 0:00.
const DATE: u16 = 1 << 5 | 1;
const TIME: u16 = 0;
const CRC_OFFSET: u64 = 14;

/// Why writing failed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The output failed.
    Write(io::Error),
    /// The input failed.
    Read(io::Error),
    /// The input is not as long as was said.
    Length,
    /// Past the 4 GiB that offsets reach.
    TooLarge,
}

/// A member as the central directory will tell of it.
struct Written {
    name: String,
    crc: u32,
    len: u32,
    header_offset: u32,
}

/// Writes an archive from the front; checksums are filled in behind each member.
pub(crate) struct Writer<W> {
    out: W,
    position: u64,
    members: Vec<Written>,
}

impl<W: Write + Seek> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, position: 0, members: Vec::new() }
    }

    pub(crate) fn directory(&mut self, name: &str) -> Result<(), WriteError> {
        self.member(name, 0, io::empty(), false)
    }

    /// A file of `len` bytes whose data starts on a page.
    pub(crate) fn aligned<R: Read>(
        &mut self,
        name: &str,
        len: u64,
        data: R,
    ) -> Result<(), WriteError> {
        self.member(name, len, data, true)
    }

    pub(crate) fn file(&mut self, name: &str, data: &[u8]) -> Result<(), WriteError> {
        self.member(name, data.len() as u64, data, false)
    }

    fn member<R: Read>(
        &mut self,
        name: &str,
        len: u64,
        data: R,
        align: bool,
    ) -> Result<(), WriteError> {
        let header_offset = u32::try_from(self.position).map_err(|_| WriteError::TooLarge)?;
        let narrow_len = u32::try_from(len).map_err(|_| WriteError::TooLarge)?;
        let name_len = u16::try_from(name.len()).map_err(|_| WriteError::TooLarge)?;
        let extra = if align { self.alignment_extra(name) } else { Vec::new() };
        let extra_len = u16::try_from(extra.len()).map_err(|_| WriteError::TooLarge)?;

        let mut header = LOCAL_HEADER.to_vec();
        for field in [VERSION_NEEDED, FLAGS, METHOD_STORED, TIME, DATE] {
            header.extend(field.to_le_bytes());
        }
        for field in [0, narrow_len, narrow_len] {
            header.extend(field.to_le_bytes());
        }
        header.extend(name_len.to_le_bytes());
        header.extend(extra_len.to_le_bytes());
        header.extend(name.as_bytes());
        header.extend(extra);
        self.write(&header)?;

        let crc = self.copy(len, data)?;
        if crc != 0 {
            let crc_at = u64::from(header_offset) + CRC_OFFSET;
            self.out.seek(SeekFrom::Start(crc_at)).map_err(WriteError::Write)?;
            self.out.write_all(&crc.to_le_bytes()).map_err(WriteError::Write)?;
            self.out.seek(SeekFrom::Start(self.position)).map_err(WriteError::Write)?;
        }
        self.members.push(Written { name: name.to_owned(), crc, len: narrow_len, header_offset });
        Ok(())
    }

    /// An extra field that ends on a page.
    fn alignment_extra(&self, name: &str) -> Vec<u8> {
        let shortest = self.position + LOCAL_HEADER_LEN + name.len() as u64 + ALIGNMENT_EXTRA_MIN;
        let padding = shortest.next_multiple_of(ALIGNMENT) - shortest;
        // At most a page, so neither conversion can fail.
        let content_len = u16::try_from(padding + 2).unwrap_or_default();
        let alignment = u16::try_from(ALIGNMENT).unwrap_or_default();
        let mut extra = Vec::new();
        for field in [ALIGNMENT_EXTRA_ID, content_len, alignment] {
            extra.extend(field.to_le_bytes());
        }
        extra.resize(extra.len() + usize::try_from(padding).unwrap_or_default(), 0);
        extra
    }

    fn copy<R: Read>(&mut self, len: u64, data: R) -> Result<u32, WriteError> {
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = vec![0; BUFFER_LEN.min(usize::try_from(len).unwrap_or(BUFFER_LEN) + 1)];
        let mut copied = 0_u64;
        // One byte more than there should be tells a longer input.
        let mut data = data.take(len.saturating_add(1));
        loop {
            let read = match data.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(WriteError::Read(error)),
            };
            let chunk = buffer.get(..read).unwrap_or_default();
            copied += read as u64;
            if copied > len {
                return Err(WriteError::Length);
            }
            crc.update(chunk);
            self.write(chunk)?;
        }
        if copied == len { Ok(crc.finalize()) } else { Err(WriteError::Length) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(WriteError::Write)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Writes the central directory; gives the length of the archive.
    pub(crate) fn finish(mut self) -> Result<u64, WriteError> {
        let start = u32::try_from(self.position).map_err(|_| WriteError::TooLarge)?;
        let count = u16::try_from(self.members.len()).map_err(|_| WriteError::TooLarge)?;
        for member in core::mem::take(&mut self.members) {
            self.write(&member.central_header())?;
        }
        let end = u32::try_from(self.position).map_err(|_| WriteError::TooLarge)?;
        let mut record = END_OF_DIRECTORY.to_vec();
        for field in [0, 0, count, count] {
            record.extend(field.to_le_bytes());
        }
        record.extend((end - start).to_le_bytes());
        record.extend(start.to_le_bytes());
        record.extend(0_u16.to_le_bytes());
        self.write(&record)?;
        self.out.flush().map_err(WriteError::Write)?;
        Ok(self.position)
    }
}

impl Written {
    fn central_header(&self) -> Vec<u8> {
        // Unix mode in the upper half; the lower byte tells MS-DOS of directories.
        let attributes: u32 =
            if self.name.ends_with('/') { 0o40_755 << 16 | 0x10 } else { 0o100_644 << 16 };
        // Checked when the local header was written.
        let name_len = u16::try_from(self.name.len()).unwrap_or_default();
        let mut header = CENTRAL_HEADER.to_vec();
        for field in [MADE_BY, VERSION_NEEDED, FLAGS, METHOD_STORED, TIME, DATE] {
            header.extend(field.to_le_bytes());
        }
        for field in [self.crc, self.len, self.len] {
            header.extend(field.to_le_bytes());
        }
        // Lengths of name, extra field and comment; disk; internal attributes.
        for field in [name_len, 0, 0, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        header.extend(attributes.to_le_bytes());
        header.extend(self.header_offset.to_le_bytes());
        header.extend(self.name.as_bytes());
        header
    }
}
