//! The host configuration in an EFI variable, without a machine to write it: the variable is put
//! into the file that UEFI firmware of a virtual machine keeps its variables in.
//!
//! Such a file is a firmware volume (UEFI Platform Initialization specification, volume 3) that
//! starts with a variable store in the authenticated format of EDK II: a header, then variables one
//! behind the other, then erased flash. All numbers are little-endian.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

/// Name of the variable.
const NAME: &str = "STHostConfig";

/// `f401f2c1-b005-4be0-8cee-f2e5945bcbe7`: who gave the name.
const VENDOR: [u8; 16] = [
    0xc1, 0xf2, 0x01, 0xf4, 0x05, 0xb0, 0xe0, 0x4b, 0x8c, 0xee, 0xf2, 0xe5, 0x94, 0x5b, 0xcb, 0xe7,
];

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

/// In a variable: the lengths of its name and of its data.
const NAME_LEN_AT: usize = 36;
const DATA_LEN_AT: usize = 40;

/// Variables start at multiples of this.
const ALIGNMENT: usize = 4;

/// State of a variable that is completely written and neither replaced nor deleted.
const ADDED: u8 = 0x3f;

/// Kept without power; seen by boot services; seen by the OS.
const ATTRIBUTES: u32 = 0x7;

/// The store with this host configuration as its last variable.
///
/// # Errors
/// It is no store of authenticated variables, or there is no room in it.
pub fn with_host_config(store: &[u8], content: &[u8]) -> Result<Vec<u8>> {
    let (free, end) = free_space(store)?;
    let variable = variable(content)?;
    let mut store = store.to_vec();
    let place = store.get_mut(free..end).and_then(|room| room.get_mut(..variable.len()));
    place.context("no room for the variable")?.copy_from_slice(&variable);
    Ok(store)
}

/// Where the next variable belongs, and where the store ends.
fn free_space(store: &[u8]) -> Result<(usize, usize)> {
    let signature = store.get(VOLUME_SIGNATURE_AT..).unwrap_or_default();
    ensure!(signature.starts_with(VOLUME_SIGNATURE), "no firmware volume");
    let start = usize::from(u16_at(store, VOLUME_HEADER_LEN_AT)?);
    let header = store.get(start..).unwrap_or_default();
    ensure!(header.starts_with(&STORE_TYPE), "no store of authenticated variables");
    let end = start + len_at(store, start + STORE_TYPE.len())?;
    ensure!(end <= store.len(), "the store is longer than its file");
    let mut at = (start + STORE_HEADER_LEN).next_multiple_of(ALIGNMENT);
    while at < end && u16_at(store, at)? == VARIABLE_START {
        let len = len_at(store, at + NAME_LEN_AT)? + len_at(store, at + DATA_LEN_AT)?;
        at = (at + VARIABLE_HEADER_LEN + len).next_multiple_of(ALIGNMENT);
    }
    if at > end {
        bail!("a variable reaches beyond the end of the store");
    }
    Ok((at, end))
}

fn variable(content: &[u8]) -> Result<Vec<u8>> {
    let name: Vec<u8> =
        NAME.encode_utf16().chain([0]).flat_map(|unit| unit.to_le_bytes()).collect();
    let mut variable = Vec::new();
    variable.extend(VARIABLE_START.to_le_bytes());
    variable.extend([ADDED, 0]);
    variable.extend(ATTRIBUTES.to_le_bytes());
    // Counter, time stamp and index of the key: only variables that are written with a signature
    // have them.
    variable.extend([0; 8 + 16 + 4]);
    variable.extend(u32::try_from(name.len())?.to_le_bytes());
    variable.extend(u32::try_from(content.len())?.to_le_bytes());
    variable.extend(VENDOR);
    variable.extend(name);
    variable.extend(content);
    Ok(variable)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(array_at(bytes, at)?))
}

fn len_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(u32::from_le_bytes(array_at(bytes, at)?))?)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let array = bytes.get(at..).and_then(|rest| rest.first_chunk());
    array.copied().context("the store ends in the middle of a header")
}

#[cfg(test)]
mod tests {
    use super::STORE_TYPE;
    use super::with_host_config;

    const FIRST: usize = 100;

    /// An empty store with room for `room` bytes of variables, and other things behind it.
    fn empty(room: u32) -> Vec<u8> {
        let mut store = vec![0; 72];
        store[40..44].copy_from_slice(b"_FVH");
        store[48] = 72;
        store.extend(STORE_TYPE);
        store.extend((28 + room).to_le_bytes());
        store.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        store.extend(vec![0xff; room as usize + 512]);
        store
    }

    #[test]
    fn a_variable_has_every_field() {
        let store = with_host_config(&empty(200), b"{}").unwrap();
        let variable = &store[FIRST..FIRST + 88];
        assert_eq!(variable[..8], [0xaa, 0x55, 0x3f, 0, 7, 0, 0, 0]);
        assert_eq!(variable[8..36], [0; 28]);
        assert_eq!(variable[36..44], [26, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(variable[44..48], [0xc1, 0xf2, 0x01, 0xf4]);
        assert_eq!(variable[60..64], *b"S\0T\0");
        assert_eq!(variable[82..], *b"g\0\0\0{}");
        assert_eq!(store.len(), empty(200).len());
        assert_eq!(store[FIRST + 88..], empty(200)[FIRST + 88..]);
    }

    #[test]
    fn variables_follow_each_other_aligned() {
        let first = with_host_config(&empty(200), b"{ }").unwrap();
        let both = with_host_config(&first, b"[]").unwrap();
        assert_eq!(both[..FIRST + 92], first[..FIRST + 92]);
        assert_eq!(both[FIRST + 92..FIRST + 95], [0xaa, 0x55, 0x3f]);
    }

    #[test]
    fn it_must_fit_and_the_store_must_be_one() {
        assert!(with_host_config(&empty(88), b"{}").is_ok());
        assert!(with_host_config(&empty(87), b"{}").is_err());
        let mut other = empty(200);
        other[72] ^= 1;
        assert!(with_host_config(&other, b"{}").is_err());
        assert!(with_host_config(&[], b"{}").is_err());
        assert!(with_host_config(&empty(200)[..150], b"{}").is_err());
    }
}
