//! PE32+ images, the executables of UEFI: a strict reader, and a writer that replaces and appends
//! sections.
//!
//! Source: Microsoft, "PE Format". The reader takes what firmware takes and Authenticode gives one
//! meaning to: sections that share bytes of the file, or reach beyond it, are refused.

use core::ops::Range;

use thiserror::Error;

use crate::bytes;

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
/// Index of the debug directory, which holds offsets into the file.
const DEBUG: u32 = 6;

/// Initialised data that is read: the characteristics of a section with content.
pub const READABLE_DATA: u32 = 0x4000_0040;

/// Sections are appended at multiples of the page size, whatever the image's own alignment is.
const PAGE: u32 = 4096;

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

    fn to_bytes(self) -> [u8; SECTION_LEN] {
        let mut header = [0; SECTION_LEN];
        let numbers =
            [self.virtual_size, self.virtual_address, self.raw_size, self.raw_offset, 0, 0, 0];
        let fields = self.name.into_iter().chain(numbers.into_iter().flat_map(u32::to_le_bytes));
        // Relocations and line numbers stay zero: an image has none.
        let all = fields.take(SECTION_LEN - 4).chain(self.characteristics.to_le_bytes());
        header.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        header
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

/// Content of a section that is to be appended.
#[derive(Clone, Copy, Debug)]
pub struct NewSection<'a> {
    /// At most 8 bytes.
    pub name: &'static str,
    /// Its content.
    pub content: &'a [u8],
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

    /// This image without the sections `replaced`, with `new` ones behind the others, in this order;
    /// signatures, symbols and debug directory go.
    ///
    /// Sections that stay keep their place in memory. New ones are put behind them, each at a page
    /// of its own. In the file everything moves together, so that no byte belongs to no section.
    ///
    /// # Errors
    /// If there is no room for the section headers, or the image grows too large.
    pub fn with_sections(
        &self,
        replaced: &[&str],
        new: &[NewSection<'_>],
    ) -> Result<Vec<u8>, PeError> {
        let kept: Vec<&Section> =
            self.sections.iter().filter(|it| !replaced.contains(&it.name().as_str())).collect();
        let headers_len = self.room_for_headers(&kept, kept.len() + new.len())?;
        let mut layout = Layout {
            headers: Vec::new(),
            body: Vec::new(),
            raw_end: headers_len,
            file_alignment: self.file_alignment,
        };
        let mut memory_end = headers_len;
        for section in kept {
            let raw = section.raw().and_then(|range| self.bytes.get(range)).unwrap_or_default();
            layout.add(*section, raw)?;
            memory_end = memory_end.max(section.virtual_end().ok_or(PeError::TooLarge)?);
        }
        let mut added_len = 0_u32;
        for section in new {
            let virtual_size =
                u32::try_from(section.content.len()).map_err(|_| PeError::TooLarge)?;
            let alignment = self.section_alignment.max(PAGE);
            let virtual_address = bytes::align(memory_end, alignment).ok_or(PeError::TooLarge)?;
            let mut name = [0; 8];
            name.iter_mut().zip(section.name.bytes()).for_each(|(place, byte)| *place = byte);
            let header = Section {
                name,
                virtual_size,
                virtual_address,
                raw_size: 0,
                raw_offset: 0,
                characteristics: READABLE_DATA,
            };
            let raw_size = layout.add(header, section.content)?;
            added_len = added_len.checked_add(raw_size).ok_or(PeError::TooLarge)?;
            memory_end = header.virtual_end().ok_or(PeError::TooLarge)?;
        }
        let image_len =
            bytes::align(memory_end, self.section_alignment).ok_or(PeError::TooLarge)?;
        self.assemble(&layout, headers_len, image_len, added_len)
    }

    /// Length of the headers with so many sections: as now, or longer if the first section leaves
    /// room for it in memory.
    fn room_for_headers(&self, kept: &[&Section], wanted: usize) -> Result<u32, PeError> {
        let table = self.coff + COFF_LEN + self.optional_len;
        let first = kept.iter().map(|section| section.virtual_address).min();
        let limit = first.and_then(|first| usize::try_from(first).ok()).unwrap_or(table);
        let needed = u32::try_from(table + wanted * SECTION_LEN)
            .ok()
            .and_then(|len| bytes::align(len, self.file_alignment))
            .ok_or(PeError::TooLarge)?;
        let now = u32::try_from(self.headers_len).map_err(|_| PeError::TooLarge)?;
        let len = bytes::align(now, self.file_alignment).ok_or(PeError::TooLarge)?.max(needed);
        // A section header cannot be counted beyond 16 bits, and the loader maps headers first.
        if wanted > usize::from(u16::MAX) || usize::try_from(len).is_ok_and(|len| len > limit) {
            return Err(PeError::NoRoom {
                wanted,
                room: limit.saturating_sub(table) / SECTION_LEN,
            });
        }
        Ok(len)
    }

    fn assemble(
        &self,
        layout: &Layout,
        headers_len: u32,
        image_len: u32,
        added_len: u32,
    ) -> Result<Vec<u8>, PeError> {
        let table = self.coff + COFF_LEN + self.optional_len;
        let optional = self.coff + COFF_LEN;
        let mut file = self.bytes.get(..table).ok_or(CUT)?.to_vec();
        file.extend(layout.headers.iter().flat_map(|header| header.to_bytes()));
        file.resize(usize::try_from(headers_len).map_err(|_| PeError::TooLarge)?, 0);
        file.extend(&layout.body);
        let data_len = bytes::u32(&file, optional + 8).ok_or(CUT)?;
        let count = u16::try_from(layout.headers.len()).map_err(|_| PeError::TooLarge)?;
        let mut done = bytes::put(&mut file, self.coff + 6, &count.to_le_bytes());
        // Place and number of symbols.
        done &= bytes::put(&mut file, self.coff + 12, &[0; 8]);
        let numbers = [(8, data_len.wrapping_add(added_len)), (56, image_len), (60, headers_len)];
        for (field, value) in numbers {
            done &= bytes::put(&mut file, optional + field, &value.to_le_bytes());
        }
        for directory in [CERTIFICATES, DEBUG] {
            if directory < self.directories {
                done &= bytes::put(&mut file, self.directory_at(directory), &[0; 8]);
            }
        }
        done &= set_checksum(&mut file, self.checksum_at());
        if done { Ok(file) } else { Err(CUT) }
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

/// Sections of an image that is being written.
struct Layout {
    headers: Vec<Section>,
    body: Vec<u8>,
    raw_end: u32,
    file_alignment: u32,
}

impl Layout {
    /// Appends a section with this content, and gives its length in the file.
    fn add(&mut self, section: Section, content: &[u8]) -> Result<u32, PeError> {
        let len = u32::try_from(content.len()).map_err(|_| PeError::TooLarge)?;
        let raw_size = bytes::align(len, self.file_alignment).ok_or(PeError::TooLarge)?;
        let raw_offset = if raw_size == 0 { 0 } else { self.raw_end };
        let padding = raw_size.abs_diff(len);
        self.headers.push(Section { raw_size, raw_offset, ..section });
        self.body.extend(content);
        self.body.extend((0..padding).map(|_| 0));
        self.raw_end = self.raw_end.checked_add(raw_size).ok_or(PeError::TooLarge)?;
        Ok(raw_size)
    }
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

/// Computes the checksum of an image and writes it where it belongs. Says whether there was room.
pub(crate) fn set_checksum(file: &mut [u8], at: usize) -> bool {
    bytes::put(file, at, &[0; 4]) && {
        let sum = checksum(file);
        bytes::put(file, at, &sum.to_le_bytes())
    }
}

/// The PE checksum of a file whose checksum field is zero: the sum of its 16-bit words with end
/// around carry, plus its length.
fn checksum(file: &[u8]) -> u32 {
    let (words, rest) = file.as_chunks::<2>();
    let sum: u64 = words.iter().map(|&word| u64::from(u16::from_le_bytes(word))).sum();
    let mut sum = sum + rest.first().map_or(0, |&byte| u64::from(byte));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let len = u64::try_from(file.len()).unwrap_or(u64::MAX);
    u32::try_from(sum.saturating_add(len)).unwrap_or(u32::MAX)
}
