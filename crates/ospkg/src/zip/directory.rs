//! The central directory at the end of an archive.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use super::CENTRAL_HEADER;
use super::CENTRAL_HEADER_LEN;
use super::END_OF_DIRECTORY;
use super::END_OF_DIRECTORY_LEN;
use super::Fields;
use super::ZIP64_END_OF_DIRECTORY;
use super::ZIP64_LOCATOR;
use super::ZipError;

/// Longest central directory that is read, in bytes.
pub const MAX_DIRECTORY_LEN: u64 = 16 * 1024 * 1024;
/// Longest name of an entry, in bytes.
pub const MAX_ENTRY_NAME_LEN: usize = 4096;
/// Most entries of an archive that are read.
pub const MAX_ENTRIES: u64 = 65_535;
const MAX_COMMENT_LEN: usize = 65_535;
const ZIP64_LOCATOR_LEN: usize = 20;
const ZIP64_END_OF_DIRECTORY_LEN: usize = 56;
const ZIP64_EXTRA: u16 = 1;

/// What the central directory says about one member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed_len: u64,
    pub(crate) len: u64,
    /// Offset of the local header from the start of the file.
    pub(crate) header_offset: u64,
}

/// The entries of an archive, in their order.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: Vec<Entry>,
    /// Where the central directory starts: members end before.
    start: u64,
    archive_len: u64,
}

impl Directory {
    /// Finds and reads the central directory. Bytes before the archive, a comment and bytes behind
    /// it are skipped.
    pub(crate) fn read<R: Read + Seek>(archive: &mut R) -> Result<Self, ZipError> {
        let archive_len = archive.seek(SeekFrom::End(0)).map_err(ZipError::Read)?;
        let end = End::find(archive, archive_len)?;
        if end.entries > MAX_ENTRIES || end.len > MAX_DIRECTORY_LEN {
            return Err(ZipError::invalid("the central directory is too large"));
        }
        let start = end.offset_in_file;
        let mut bytes = vec![0; usize::try_from(end.len).unwrap_or_default()];
        read_at(archive, start, &mut bytes)?;
        let mut fields = Fields(&bytes);
        let mut entries = Vec::new();
        for _ in 0..end.entries {
            entries.push(read_entry(&mut fields, end.base)?);
        }
        if !fields.is_empty() {
            return Err(ZipError::invalid("the central directory has more than its entries"));
        }
        Ok(Self { entries, start, archive_len })
    }

    /// The first entry of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name.as_bytes())
    }

    /// Where members end.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn archive_len(&self) -> u64 {
        self.archive_len
    }
}

/// What the end record says, checked against where it was found.
struct End {
    entries: u64,
    /// Length of the central directory.
    len: u64,
    offset_in_file: u64,
    /// Length of what stands before the archive; added to every offset.
    base: u64,
}

impl End {
    fn find<R: Read + Seek>(archive: &mut R, archive_len: u64) -> Result<Self, ZipError> {
        let no_end = || ZipError::invalid("no end of a central directory found");
        let longest = END_OF_DIRECTORY_LEN + MAX_COMMENT_LEN;
        let tail_len = usize::try_from(archive_len).unwrap_or(longest).min(longest);
        let tail_start = archive_len - tail_len as u64;
        let mut tail = vec![0; tail_len];
        read_at(archive, tail_start, &mut tail)?;

        let last = tail_len.checked_sub(END_OF_DIRECTORY_LEN).ok_or_else(no_end)?;
        let (position, fields) = (0..=last)
            .rev()
            .filter_map(|position| {
                let record = tail.get(position..)?;
                let fields = record.strip_prefix(&END_OF_DIRECTORY)?;
                let comment_len = u16::from_le_bytes(*record.get(20..22)?.first_chunk()?);
                let end = END_OF_DIRECTORY_LEN + usize::from(comment_len);
                (end <= record.len()).then_some((position, fields))
            })
            .next()
            .ok_or_else(no_end)?;

        let mut fields = Fields(fields);
        let disks = (fields.u16()?, fields.u16()?);
        let (entries_here, entries) = (fields.u16()?, fields.u16()?);
        let (len, offset) = (fields.u32()?, fields.u32()?);
        if disks != (0, 0) || entries_here != entries {
            return Err(ZipError::invalid("it is a part of a split archive"));
        }
        let end_offset = tail_start + position as u64;
        let saturated = entries == u16::MAX || len == u32::MAX || offset == u32::MAX;
        if saturated && let Some(end) = Self::find_zip64(archive, end_offset)? {
            return Ok(end);
        }
        Self::located(end_offset, u64::from(entries), u64::from(len), u64::from(offset))
    }

    /// The record that replaces the end record where its fields are too narrow.
    fn find_zip64<R: Read + Seek>(
        archive: &mut R,
        end_offset: u64,
    ) -> Result<Option<Self>, ZipError> {
        let Some(locator_offset) = end_offset.checked_sub(ZIP64_LOCATOR_LEN as u64) else {
            return Ok(None);
        };
        let mut locator = [0; ZIP64_LOCATOR_LEN];
        read_at(archive, locator_offset, &mut locator)?;
        let Some(fields) = locator.strip_prefix(&ZIP64_LOCATOR) else { return Ok(None) };
        let mut fields = Fields(fields);
        let (_disk, record_offset) = (fields.u32()?, fields.u64()?);

        let mut record = [0; ZIP64_END_OF_DIRECTORY_LEN];
        if record_offset >= locator_offset {
            return Err(ZipError::invalid("the ZIP64 end record is not where it should be"));
        }
        read_at(archive, record_offset, &mut record)?;
        let Some(fields) = record.strip_prefix(&ZIP64_END_OF_DIRECTORY) else {
            return Err(ZipError::invalid("the ZIP64 end record is not where it should be"));
        };
        let mut fields = Fields(fields);
        let (_record_len, _versions) = (fields.u64()?, fields.u32()?);
        let disks = (fields.u32()?, fields.u32()?);
        let (entries_here, entries) = (fields.u64()?, fields.u64()?);
        let (len, offset) = (fields.u64()?, fields.u64()?);
        if disks != (0, 0) || entries_here != entries {
            return Err(ZipError::invalid("it is a part of a split archive"));
        }
        Self::located(record_offset, entries, len, offset).map(Some)
    }

    /// The directory ends where its end record starts; what is missing then stands before the
    /// archive.
    fn located(end_offset: u64, entries: u64, len: u64, offset: u64) -> Result<Self, ZipError> {
        let offset_in_file = end_offset.checked_sub(len);
        let base = offset_in_file.and_then(|in_file| in_file.checked_sub(offset));
        match (offset_in_file, base) {
            (Some(offset_in_file), Some(base)) => Ok(Self { entries, len, offset_in_file, base }),
            _ => Err(ZipError::invalid("the central directory is not where it should be")),
        }
    }
}

fn read_entry(fields: &mut Fields<'_>, base: u64) -> Result<Entry, ZipError> {
    let mut header = Fields(fields.take(CENTRAL_HEADER_LEN)?);
    if header.array()? != CENTRAL_HEADER {
        return Err(ZipError::invalid("the central directory has something that is no entry"));
    }
    let (_made_by, _needed) = (header.u16()?, header.u16()?);
    let (flags, method) = (header.u16()?, header.u16()?);
    let (_time, _date) = (header.u16()?, header.u16()?);
    let crc = header.u32()?;
    let (compressed_len, len) = (header.u32()?, header.u32()?);
    let (name_len, extra_len) = (usize::from(header.u16()?), usize::from(header.u16()?));
    let comment_len = usize::from(header.u16()?);
    let disk = header.u16()?;
    let (_internal, _external) = (header.u16()?, header.u32()?);
    let offset = header.u32()?;
    if name_len > MAX_ENTRY_NAME_LEN {
        return Err(ZipError::invalid("the name of an entry is too long"));
    }
    if disk != 0 {
        return Err(ZipError::invalid("it is a part of a split archive"));
    }
    let name = fields.take(name_len)?.to_vec();
    let mut wide = zip64_values(fields.take(extra_len)?);
    fields.take(comment_len)?;

    // Only values that do not fit have a wide form, in this order.
    let mut widen = |narrow: u32| match narrow {
        u32::MAX => wide.u64().map_err(|_| ZipError::invalid("an entry lacks its ZIP64 values")),
        _ => Ok(u64::from(narrow)),
    };
    let len = widen(len)?;
    let compressed_len = widen(compressed_len)?;
    let header_offset = widen(offset)?
        .checked_add(base)
        .ok_or_else(|| ZipError::invalid("an entry lies outside of the archive"))?;
    Ok(Entry { name, flags, method, crc, compressed_len, len, header_offset })
}

/// The ZIP64 part of an extra field; empty if there is none.
fn zip64_values(extra: &[u8]) -> Fields<'_> {
    let mut fields = Fields(extra);
    while let (Ok(id), Ok(len)) = (fields.u16(), fields.u16()) {
        match fields.take(usize::from(len)) {
            Ok(data) if id == ZIP64_EXTRA => return Fields(data),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Fields(&[])
}

pub(super) fn read_at<R: Read + Seek>(
    archive: &mut R,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), ZipError> {
    archive.seek(SeekFrom::Start(offset)).map_err(ZipError::Read)?;
    archive.read_exact(buffer).map_err(ZipError::reading)
}
