//! PE32+ images, the executables of UEFI: a strict reader, and a writer that replaces and appends
//! sections.
//!
//! Source: Microsoft, "PE Format". The reader takes what firmware takes and Authenticode gives one
//! meaning to: sections that share bytes of the file, or reach beyond it, are refused.

mod write;

use core::ops::Range;

use thiserror::Error;

use crate::bytes;

pub use write::NewSection;
pub use write::READABLE_DATA;
pub(crate) use write::set_checksum;

/// Length of the COFF header, with its signature before it.
const COFF_LEN: usize = 24;
/// Where the data directories start in the optional header of PE32+.
const DIRECTORIES: usize = 112;
/// What the optional header of PE32+ starts with.
const PE32_PLUS: u16 = 0x20b;
/// Length of one section header.
const SECTION_LEN: usize = 40;
/// Index of the certificate table among the data directories: the signatures.
const CERTIFICATES: u32 = 4;

/// Why bytes are no PE image that could be worked with.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PeError {
    /// The start is not that of an executable for UEFI.
    #[error("it is no PE image: {0}")]
    NotPe(&'static str),
    /// A header contradicts itself or the length of the file.
    #[error("the PE image is damaged: {0}")]
    Damaged(&'static str),
    /// This section lies outside of the file, or where another one lies.
    #[error("the PE image is damaged: section {0} {1}")]
    Section(String, &'static str),
    /// No more section headers fit before the first section.
    #[error("the PE image has no room for {wanted} section headers, only for {room}")]
    NoRoom {
        /// How many sections the image would have.
        wanted: usize,
        /// How many fit.
        room: usize,
    },
    /// An image ends at 4 GiB.
    #[error("the PE image would be larger than 4 GiB")]
    TooLarge,
}

/// There is less than the headers say.
pub(crate) const CUT: PeError = PeError::Damaged("it ends within its headers");

/// A section header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Section {
    /// Name, filled up with zeros.
    pub name: [u8; 8],
    /// Length in memory, in bytes.
    pub virtual_size: u32,
    /// Place in memory, relative to the image.
    pub virtual_address: u32,
    /// Length in the file, in bytes.
    pub raw_size: u32,
    /// Place in the file.
    pub raw_offset: u32,
    /// Flags.
    pub characteristics: u32,
}

impl Section {
    /// The name without the zeros behind it; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(self.name.get(..end).unwrap_or_default()).into_owned()
    }

    /// Where its bytes are in the file. Nowhere, if it has none.
    pub(crate) fn raw(&self) -> Option<Range<usize>> {
        let start = usize::try_from(self.raw_offset).ok()?;
        let end = start.checked_add(usize::try_from(self.raw_size).ok()?)?;
        (end > start).then_some(start..end)
    }

    /// Where it ends in memory.
    fn virtual_end(&self) -> Option<u32> {
        self.virtual_address.checked_add(self.virtual_size.max(1))
    }
}

/// A PE32+ image whose headers and sections have been checked.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    /// Where the COFF header's signature is.
    coff: usize,
    optional_len: usize,
    directories: u32,
    section_alignment: u32,
    file_alignment: u32,
    headers_len: usize,
    certificates: Range<usize>,
    sections: Vec<Section>,
}

impl<'a> Image<'a> {
    /// Reads and checks the headers of an image.
    ///
    /// # Errors
    /// If it is no PE32+ image, or one whose parts do not fit together.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PeError> {
        if !bytes.starts_with(b"MZ") {
            return Err(PeError::NotPe("it does not start with MZ"));
        }
        let coff = bytes::u32(bytes, 0x3c).and_then(|offset| usize::try_from(offset).ok());
        let coff = coff.filter(|&offset| offset >= 0x40);
        let coff = coff.ok_or(PeError::NotPe("it does not say where its header is"))?;
        let header = bytes.get(coff..).filter(|header| header.starts_with(b"PE\0\0"));
        let header = header.ok_or(PeError::NotPe("there is no PE signature"))?;
        let section_count = bytes::u16(header, 6).ok_or(CUT)?;
        let optional_len = usize::from(bytes::u16(header, 20).ok_or(CUT)?);
        let optional = header.get(COFF_LEN..).and_then(|rest| rest.get(..optional_len));
        let optional = optional.ok_or(CUT)?;
        if bytes::u16(optional, 0) != Some(PE32_PLUS) {
            return Err(PeError::NotPe("it is not of the 64-bit kind (PE32+)"));
        }
        let field = |offset: usize| bytes::u32(optional, offset).ok_or(CUT);
        let directories = field(DIRECTORIES - 4)?;
        if directories <= CERTIFICATES || directories > 16 {
            return Err(PeError::Damaged("the number of data directories is out of range"));
        }
        if optional.len() < DIRECTORIES + 8 * usize::try_from(directories).unwrap_or(16) {
            return Err(PeError::Damaged("the optional header is too short for its directories"));
        }
        let table = coff + COFF_LEN + optional_len;
        let mut image = Self {
            bytes,
            coff,
            optional_len,
            directories,
            section_alignment: field(32)?,
            file_alignment: field(36)?,
            headers_len: usize::try_from(field(60)?).unwrap_or(usize::MAX),
            certificates: 0..0,
            sections: read_sections(bytes, table, usize::from(section_count)).ok_or(CUT)?,
        };
        let table_end = table + usize::from(section_count) * SECTION_LEN;
        if image.headers_len < table_end || image.headers_len > bytes.len() {
            return Err(PeError::Damaged("the length of the headers is out of range"));
        }
        if !image.section_alignment.is_power_of_two() || !image.file_alignment.is_power_of_two() {
            return Err(PeError::Damaged("an alignment is no power of two"));
        }
        image.certificates = image.find_certificates()?;
        image.check_sections()?;
        Ok(image)
    }

    /// All sections, in the order of their headers.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The first section of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name() == name)
    }

    /// What the file has of a section: at most as much as it takes in memory. What it takes in
    /// memory beyond that is zero there.
    #[must_use]
    pub fn content(&self, section: &Section) -> &'a [u8] {
        let raw = section.raw().and_then(|range| self.bytes.get(range)).unwrap_or_default();
        let len = usize::try_from(section.virtual_size).unwrap_or(usize::MAX).min(raw.len());
        raw.get(..len).unwrap_or_default()
    }

    /// Length of all headers, in bytes.
    #[must_use]
    pub fn headers_len(&self) -> usize {
        self.headers_len
    }

    /// The certificate table, where signatures are: the end of the file, or empty.
    #[must_use]
    pub fn certificates(&self) -> &'a [u8] {
        self.bytes.get(self.certificates.clone()).unwrap_or_default()
    }

    /// The whole file without the certificate table.
    #[must_use]
    pub fn without_certificates(&self) -> &'a [u8] {
        self.bytes.get(..self.unsigned_len()).unwrap_or_default()
    }

    /// Length of the file without the certificate table.
    pub(crate) fn unsigned_len(&self) -> usize {
        if self.certificates.is_empty() { self.bytes.len() } else { self.certificates.start }
    }

    /// Where the checksum is: four bytes.
    pub(crate) fn checksum_at(&self) -> usize {
        self.coff + COFF_LEN + 64
    }

    /// Where the certificate table's place and length are: eight bytes.
    pub(crate) fn certificate_entry_at(&self) -> usize {
        self.directory_at(CERTIFICATES)
    }

    fn directory_at(&self, index: u32) -> usize {
        self.coff + COFF_LEN + DIRECTORIES + 8 * usize::try_from(index).unwrap_or(0)
    }

    fn find_certificates(&self) -> Result<Range<usize>, PeError> {
        let at = self.certificate_entry_at();
        let field = |at| bytes::u32(self.bytes, at).and_then(|it| usize::try_from(it).ok());
        let (Some(start), Some(len)) = (field(at), field(at + 4)) else {
            return Err(CUT);
        };
        if len == 0 {
            return Ok(0..0);
        }
        // Anything behind the table would be neither signed nor a signature.
        let end = start.checked_add(len).filter(|&end| end == self.bytes.len());
        match end {
            Some(end) if start >= self.headers_len && start.is_multiple_of(8) => Ok(start..end),
            _ => Err(PeError::Damaged("the certificate table is not at the end of the file")),
        }
    }

    fn check_sections(&self) -> Result<(), PeError> {
        let limit = self.unsigned_len();
        let mut used: Vec<(Range<usize>, &Section)> = Vec::new();
        for section in &self.sections {
            if section.virtual_end().is_none() {
                return Err(PeError::Section(section.name(), "reaches beyond 4 GiB"));
            }
            let Some(raw) = section.raw() else { continue };
            if raw.end > limit {
                return Err(PeError::Section(section.name(), "reaches beyond the end of the file"));
            }
            if raw.start < self.headers_len {
                return Err(PeError::Section(section.name(), "lies within the headers"));
            }
            used.push((raw, section));
        }
        used.sort_by_key(|(range, _)| range.start);
        for pair in used.windows(2) {
            if let [(before, _), (after, section)] = pair
                && before.end > after.start
            {
                return Err(PeError::Section(section.name(), "lies where another one lies"));
            }
        }
        Ok(())
    }
}

/// How many bytes the headers of a PE32+ image speak of, sections and certificate table included,
/// whether they are there or not. `None` if the headers themselves are not all there.
#[must_use]
pub fn claimed_len(bytes: &[u8]) -> Option<u64> {
    let coff = usize::try_from(bytes::u32(bytes, 0x3c)?).ok()?;
    let header = bytes.get(coff..).filter(|header| header.starts_with(b"PE\0\0"))?;
    let optional_len = usize::from(bytes::u16(header, 20)?);
    let entry = COFF_LEN + DIRECTORIES + 8 * usize::try_from(CERTIFICATES).ok()?;
    let certificates = (bytes::u32(header, entry)?, bytes::u32(header, entry + 4)?);
    let table = coff.checked_add(COFF_LEN + optional_len)?;
    let sections = read_sections(bytes, table, usize::from(bytes::u16(header, 6)?))?;
    let raw = sections.iter().map(|section| (section.raw_offset, section.raw_size));
    let ends = raw
        .chain([certificates])
        .filter(|(_, len)| *len != 0)
        .map(|(start, len)| u64::from(start) + u64::from(len));
    Some(ends.max().unwrap_or(0))
}

fn read_sections(bytes: &[u8], table: usize, count: usize) -> Option<Vec<Section>> {
    let end = table.checked_add(count.checked_mul(SECTION_LEN)?)?;
    let headers = bytes.get(table..end)?;
    headers
        .chunks_exact(SECTION_LEN)
        .map(|header| {
            Some(Section {
                name: bytes::array(header, 0)?,
                virtual_size: bytes::u32(header, 8)?,
                virtual_address: bytes::u32(header, 12)?,
                raw_size: bytes::u32(header, 16)?,
                raw_offset: bytes::u32(header, 20)?,
                characteristics: bytes::u32(header, 36)?,
            })
        })
        .collect()
}
