//! The file that the UEFI firmware of a virtual machine keeps its variables in.
//!
//! Such a file is a firmware volume (UEFI Platform Initialization specification, volume 3) that
//! starts with a variable store in the authenticated format of EDK II: a header, then variables one
//! behind the other, then erased flash. All numbers are little-endian.

use thiserror::Error;

use crate::bytes;
use crate::secure_boot::ATTRIBUTES;
use crate::secure_boot::Guid;

/// What a firmware volume has at [`VOLUME_SIGNATURE_AT`].
const VOLUME_SIGNATURE: &[u8] = b"_FVH";
const VOLUME_SIGNATURE_AT: usize = 40;
/// Where a firmware volume says how long its header is; behind it is the variable store.
const VOLUME_HEADER_LEN_AT: usize = 48;
/// `aaf32c78-947b-439a-a180-2e144ec37792`: a store of authenticated variables. Its length follows.
const STORE_TYPE: [u8; 16] = [
    0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92,
];
const STORE_HEADER_LEN: usize = 28;
/// First two bytes of each variable.
const VARIABLE_START: u16 = 0x55aa;
const VARIABLE_HEADER_LEN: usize = 60;
/// In a variable: its state, the lengths of its name and of its data, and its vendor.
const STATE_AT: usize = 2;
const NAME_LEN_AT: usize = 36;
const DATA_LEN_AT: usize = 40;
const VENDOR_AT: usize = 44;
/// Variables start at multiples of this.
const ALIGNMENT: usize = 4;
/// State of a variable that is completely written and neither replaced nor deleted.
const ADDED: u8 = 0x3f;

/// Why a variable could not be put into a store.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is something else.
    #[error("it is no variable store of UEFI firmware: {0}")]
    NotStore(&'static str),
    /// The variable is there.
    #[error("the variable {0} exists in it already")]
    Exists(String),
    /// The flash is full.
    #[error("it has no room for the variable {0}")]
    NoRoom(String),
}

/// There is less than its headers say.
const CUT: StoreError = StoreError::NotStore("it ends in the middle of a header");

/// A variable to write.
#[derive(Clone, Copy, Debug)]
pub struct NewVariable<'a> {
    /// Name.
    pub name: &'a str,
    /// Who gave the name.
    pub vendor: Guid,
    /// Attributes, such as 7 (kept without power, seen by boot services and by the OS).
    pub attributes: u32,
    /// Time of the last signed update (`EFI_TIME`); zeros for variables without signatures.
    pub time: [u8; 16],
    /// Content.
    pub content: &'a [u8],
}

impl<'a> NewVariable<'a> {
    /// One of Secure Boot's variables, with a signature list as its content.
    #[must_use]
    pub fn key(variable: crate::secure_boot::Variable, time: [u8; 16], list: &'a [u8]) -> Self {
        Self {
            name: variable.name(),
            vendor: variable.vendor(),
            attributes: ATTRIBUTES,
            time,
            content: list,
        }
    }
}

/// The store with this variable as its last one.
///
/// # Errors
/// If it is no store of authenticated variables, there is no room in it, or the variable exists.
pub fn with_variable(store: &[u8], variable: &NewVariable<'_>) -> Result<Vec<u8>, StoreError> {
    let name: Vec<u8> =
        variable.name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let no_room = || StoreError::NoRoom(variable.name.to_owned());
    let mut record = Vec::new();
    record.extend(VARIABLE_START.to_le_bytes());
    record.extend([ADDED, 0]);
    record.extend(variable.attributes.to_le_bytes());
    // A counter, for a kind of signature that is not in use any more.
    record.extend([0; 8]);
    record.extend(variable.time);
    // Index of a key, likewise.
    record.extend([0; 4]);
    for len in [name.len(), variable.content.len()] {
        record.extend(u32::try_from(len).map_err(|_| no_room())?.to_le_bytes());
    }
    record.extend(variable.vendor.0);
    record.extend(&name);
    record.extend(variable.content);

    let (free, end) = free_space(store, variable, &name)?;
    let mut store = store.to_vec();
    let place = store.get_mut(free..end).and_then(|room| room.get_mut(..record.len()));
    place.ok_or_else(no_room)?.copy_from_slice(&record);
    Ok(store)
}

/// Where the next variable belongs, and where the store ends.
fn free_space(
    store: &[u8],
    wanted: &NewVariable<'_>,
    wanted_name: &[u8],
) -> Result<(usize, usize), StoreError> {
    let len_at = |at| {
        let len = bytes::u32(store, at).and_then(|len| usize::try_from(len).ok());
        len.ok_or(CUT)
    };
    let signature = store.get(VOLUME_SIGNATURE_AT..).unwrap_or_default();
    if !signature.starts_with(VOLUME_SIGNATURE) {
        return Err(StoreError::NotStore("it is no firmware volume"));
    }
    let start = usize::from(bytes::u16(store, VOLUME_HEADER_LEN_AT).ok_or(CUT)?);
    if !store.get(start..).unwrap_or_default().starts_with(&STORE_TYPE) {
        return Err(StoreError::NotStore("it has no authenticated variables"));
    }
    let end = start.saturating_add(len_at(start + STORE_TYPE.len())?);
    if end > store.len() {
        return Err(StoreError::NotStore("it is longer than its file"));
    }
    let mut at = (start + STORE_HEADER_LEN).next_multiple_of(ALIGNMENT);
    while at < end && bytes::u16(store, at) == Some(VARIABLE_START) {
        let name_len = len_at(at + NAME_LEN_AT)?;
        let name_at = at + VARIABLE_HEADER_LEN;
        let name = store.get(name_at..name_at.saturating_add(name_len)).ok_or(CUT)?;
        if name == wanted_name
            && bytes::array(store, at + VENDOR_AT) == Some(wanted.vendor.0)
            && store.get(at + STATE_AT) == Some(&ADDED)
        {
            return Err(StoreError::Exists(wanted.name.to_owned()));
        }
        let next = name_at.saturating_add(name_len).saturating_add(len_at(at + DATA_LEN_AT)?);
        at = next.checked_next_multiple_of(ALIGNMENT).ok_or(CUT)?;
    }
    if at > end {
        return Err(StoreError::NotStore("a variable reaches beyond its end"));
    }
    Ok((at, end))
}
