//! Copying members out of an archive.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;

use super::DATA_DESCRIPTOR;
use super::Directory;
use super::Entry;
use super::Fields;
use super::LOCAL_HEADER;
use super::LOCAL_HEADER_LEN;
use super::METHOD_DEFLATED;
use super::METHOD_STORED;
use super::ZipError;
use super::directory::read_at;

/// Bytes that are moved at once.
pub(super) const BUFFER_LEN: usize = 1024 * 1024;

/// Encrypted, patch data, strongly encrypted, masked headers.
const UNSUPPORTED_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// CRC and lengths stand behind the data; in the local header they are zero.
const HAS_DATA_DESCRIPTOR: u16 = 1 << 3;

/// A member whose place in the archive is known and checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Member {
    deflated: bool,
    crc: u32,
    /// Whether the CRC stands behind the data once more.
    has_data_descriptor: bool,
    /// Offset of the first byte of the data.
    pub(crate) start: u64,
    compressed_len: u64,
    /// Length of the file.
    pub(crate) len: u64,
}

impl Member {
    /// Reads the local header of an entry and holds it against the central directory.
    pub(crate) fn locate<R: Read + Seek>(
        archive: &mut R,
        directory: &Directory,
        entry: &Entry,
    ) -> Result<Self, ZipError> {
        if entry.flags & UNSUPPORTED_FLAGS != 0 {
            return Err(ZipError::invalid("it is encrypted or a patch"));
        }
        let deflated = match entry.method {
            METHOD_STORED => false,
            METHOD_DEFLATED => true,
            other => {
                return Err(ZipError::invalid(format!(
                    "compression method {other} is not supported"
                )));
            }
        };
        if !deflated && entry.compressed_len != entry.len {
            return Err(ZipError::invalid("it is stored, but its two lengths differ"));
        }

        // Asked before it is read: a file system refuses offsets that no file can have, and that is
        // not the fault of what the archive lies on.
        let header_end = entry.header_offset.checked_add(LOCAL_HEADER_LEN);
        if header_end.is_none_or(|end| end > directory.start()) {
            return Err(ZipError::invalid("it does not lie inside of the archive"));
        }
        let mut header = [0; LOCAL_HEADER_LEN as usize];
        read_at(archive, entry.header_offset, &mut header)?;
        let mut fields = Fields(&header);
        if fields.array()? != LOCAL_HEADER {
            return Err(ZipError::invalid("its local header is not where it should be"));
        }
        let (_needed, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let (_time, _date, crc) = (fields.u16()?, fields.u16()?, fields.u32()?);
        let (compressed_len, len) = (fields.u32()?, fields.u32()?);
        let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
        let mut name = vec![0; usize::from(name_len)];
        archive.read_exact(&mut name).map_err(ZipError::reading)?;

        // Lengths that do not fit are all ones here and stand in an extra field.
        let fits = |local: u32, central: u64| local == u32::MAX || u64::from(local) == central;
        let repeated =
            crc == entry.crc && fits(compressed_len, entry.compressed_len) && fits(len, entry.len);
        let postponed = flags & HAS_DATA_DESCRIPTOR != 0;
        if name != entry.name || method != entry.method || flags & UNSUPPORTED_FLAGS != 0 {
            return Err(ZipError::invalid("its local header is another file's"));
        }
        if !repeated && !postponed {
            return Err(ZipError::invalid("its local header and the central directory differ"));
        }

        let header_len = LOCAL_HEADER_LEN + u64::from(name_len) + u64::from(extra_len);
        let start = entry.header_offset.checked_add(header_len);
        let end = start.and_then(|start| start.checked_add(entry.compressed_len));
        match (start, end) {
            (Some(start), Some(end)) if end <= directory.start() => Ok(Self {
                deflated,
                crc: entry.crc,
                has_data_descriptor: entry.flags & HAS_DATA_DESCRIPTOR != 0,
                start,
                compressed_len: entry.compressed_len,
                len: entry.len,
            }),
            _ => Err(ZipError::invalid("it does not lie inside of the archive")),
        }
    }

    /// The start of the file, at most `max` bytes. Nothing is checked: the CRC is at the end.
    pub(crate) fn read_start<R: Read + Seek>(
        &self,
        archive: &mut R,
        max: usize,
    ) -> Result<Vec<u8>, ZipError> {
        let mut start = Vec::new();
        let mut sink = Start { bytes: &mut start, max };
        match copy_data(archive, self, &mut sink, |_, _| {}) {
            // Full: the sink takes no more.
            Err(ZipError::Write(_)) => {}
            other => other.map(|_| ())?,
        }
        Ok(start)
    }
}

/// Keeps the first bytes and refuses the rest, so that the copy ends.
struct Start<'a> {
    bytes: &'a mut Vec<u8>,
    max: usize,
}

impl Write for Start<'_> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let room = self.max.saturating_sub(self.bytes.len()).min(data.len());
        self.bytes.extend_from_slice(data.get(..room).unwrap_or_default());
        Ok(room)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Copies a member, checks its length and CRC. `progress` hears after each buffer up to which
/// offset of the archive the member has been read.
pub(crate) fn copy_member<R: Read + Seek, W: Write>(
    archive: &mut R,
    member: &Member,
    to: &mut W,
    progress: impl FnMut(&mut R, u64),
) -> Result<(), ZipError> {
    let crc = copy_data(archive, member, to, progress)?;
    to.flush().map_err(ZipError::Write)?;
    if crc != member.crc || (member.has_data_descriptor && repeated_crc(archive, member)? != crc) {
        return Err(ZipError::invalid("its CRC is wrong"));
    }
    Ok(())
}

/// The CRC behind the data, which may have a signature of its own. The lengths that follow it are of
/// four or eight bytes and tell nothing new.
fn repeated_crc<R: Read + Seek>(archive: &mut R, member: &Member) -> Result<u32, ZipError> {
    let mut descriptor = [0; 8];
    read_at(archive, member.start.saturating_add(member.compressed_len), &mut descriptor)?;
    archive.seek(SeekFrom::Start(0)).map_err(ZipError::Read)?;
    let mut fields = Fields(&descriptor);
    match fields.array()? {
        DATA_DESCRIPTOR => fields.u32(),
        crc => Ok(u32::from_le_bytes(crc)),
    }
}

fn copy_data<R: Read + Seek, W: Write>(
    archive: &mut R,
    member: &Member,
    to: &mut W,
    mut progress: impl FnMut(&mut R, u64),
) -> Result<u32, ZipError> {
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut inflater = member.deflated.then(|| Inflater::new(member.len));
    let end = member.start.saturating_add(member.compressed_len);
    let mut position = member.start;
    while position < end {
        let left = usize::try_from(end - position).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
        let chunk = buffer.get_mut(..left).unwrap_or_default();
        // `progress` may have moved the position.
        read_at(archive, position, chunk)?;
        position += left as u64;
        match &mut inflater {
            None => {
                crc.update(chunk);
                to.write_all(chunk).map_err(ZipError::Write)?;
            }
            Some(inflater) => {
                inflater.inflate(chunk, |data| {
                    crc.update(data);
                    to.write_all(data).map_err(ZipError::Write)
                })?;
            }
        }
        progress(archive, position);
    }
    if let Some(inflater) = inflater {
        inflater.finish()?;
    }
    // Leave no position that depends on the member.
    archive.seek(SeekFrom::Start(0)).map_err(ZipError::Read)?;
    Ok(crc.finalize())
}

/// Inflates a stream of known length and stops at it.
struct Inflater {
    stream: Decompress,
    output: Vec<u8>,
    expected: u64,
    ended: bool,
}

impl Inflater {
    fn new(expected: u64) -> Self {
        let output = vec![0; BUFFER_LEN];
        Self { stream: Decompress::new(false), output, expected, ended: false }
    }

    fn inflate(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ZipError>,
    ) -> Result<(), ZipError> {
        while !self.ended {
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(input, &mut self.output, FlushDecompress::None)
                .map_err(|_| ZipError::invalid("its compressed data is corrupt"))?;
            let used = usize::try_from(self.stream.total_in() - before_in).unwrap_or_default();
            let made = usize::try_from(self.stream.total_out() - before_out).unwrap_or_default();
            if self.stream.total_out() > self.expected {
                return Err(ZipError::invalid("it is longer than its header says"));
            }
            take(self.output.get(..made).unwrap_or_default())?;
            input = input.get(used..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            // With room left in the output, no progress means that it wants more input.
            if made < self.output.len() && (input.is_empty() || used == 0) {
                break;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), ZipError> {
        if !self.ended {
            return Err(ZipError::invalid("its compressed data is cut short"));
        }
        if self.stream.total_out() != self.expected {
            return Err(ZipError::invalid("it is shorter than its header says"));
        }
        Ok(())
    }
}
