//! As much of the ZIP format as OS packages need: reading members by name, and writing archives
//! whose members are stored and aligned.
//!
//! The reader sees an archive only after its digest was authorised, so it guards against mistakes
//! rather than attacks; still it is total and its memory is bounded. Of several entries with one
//! name the first counts. Whatever central directory and local headers disagree about is refused.

mod directory;
mod member;
mod writer;

use std::io;

pub(crate) use directory::Directory;
pub(crate) use directory::Entry;
pub use directory::MAX_DIRECTORY_LEN;
pub use directory::MAX_ENTRIES;
pub use directory::MAX_ENTRY_NAME_LEN;
pub(crate) use member::Member;
pub(crate) use member::copy_member;
pub(crate) use writer::WriteError;
pub(crate) use writer::Writer;

const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const DATA_DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const CENTRAL_HEADER: [u8; 4] = *b"PK\x01\x02";
const END_OF_DIRECTORY: [u8; 4] = *b"PK\x05\x06";
const ZIP64_END_OF_DIRECTORY: [u8; 4] = *b"PK\x06\x06";
const ZIP64_LOCATOR: [u8; 4] = *b"PK\x06\x07";

const LOCAL_HEADER_LEN: u64 = 30;
const CENTRAL_HEADER_LEN: usize = 46;
const END_OF_DIRECTORY_LEN: usize = 22;

const METHOD_STORED: u16 = 0;
const METHOD_DEFLATED: u16 = 8;

/// Why an archive or a member cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZipError {
    /// Not a usable archive; the text says what is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The archive could not be read.
    #[error("reading it failed: {0}")]
    Read(#[source] io::Error),
    /// The copy could not be written.
    #[error("writing the copy failed: {0}")]
    Write(#[source] io::Error),
}

impl ZipError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// An archive that ends too early is invalid; anything else is the fault of what it lies on.
    fn reading(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::invalid("it ends too early")
        } else {
            Self::Read(error)
        }
    }
}

/// Takes little-endian fields off the front of a header.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ZipError> {
        let (head, tail) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| ZipError::invalid("a header is cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ZipError> {
        let bytes = self.take(N)?;
        bytes.first_chunk::<N>().copied().ok_or_else(|| ZipError::invalid("a header is cut short"))
    }

    fn u16(&mut self) -> Result<u16, ZipError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ZipError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ZipError> {
        self.array().map(u64::from_le_bytes)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
