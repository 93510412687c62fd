//! Little-endian fields of a byte string, without panics.

/// `N` bytes at `offset`.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

pub(crate) fn u16(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

pub(crate) fn u32(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// Writes `value` at `offset`. Says whether there was room.
#[must_use]
pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) -> bool {
    let end = offset.checked_add(value.len());
    match end.and_then(|end| bytes.get_mut(offset..end)) {
        Some(place) => {
            place.copy_from_slice(value);
            true
        }
        None => false,
    }
}

/// The next multiple of `alignment`, which is a power of two.
pub(crate) fn align(value: u32, alignment: u32) -> Option<u32> {
    value.checked_next_multiple_of(alignment)
}
