//! The writer: an image with other sections.

use super::CERTIFICATES;
use super::COFF_LEN;
use super::CUT;
use super::Image;
use super::PeError;
use super::SECTION_LEN;
use super::Section;
use crate::bytes;

/// Index of the debug directory, which holds offsets into the file.
const DEBUG: u32 = 6;

/// Initialised data that is read: the characteristics of a section with content.
pub const READABLE_DATA: u32 = 0x4000_0040;

/// Sections are appended at multiples of the page size, whatever the image's own alignment is.
const PAGE: u32 = 4096;

/// Content of a section that is to be appended.
#[derive(Clone, Copy, Debug)]
pub struct NewSection<'a> {
    /// At most 8 bytes.
    pub name: &'static str,
    /// Its content.
    pub content: &'a [u8],
}

impl Image<'_> {
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
}

impl Section {
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
