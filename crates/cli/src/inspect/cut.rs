//! Images that end too early: how much is there, and of how much their own headers speak.

use bootmedia::pe;
use bootmedia::pe::PeError;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::BzImageError;

use crate::Error;

const SECTOR: u64 = 512;
const ISO_SECTOR: u64 = 2048;

/// Length of an ISO or disk image by its own volume descriptor and partition table, in bytes.
pub(super) fn medium_len(image: &[u8]) -> u64 {
    let mut least = 0;
    if image.get(0x8001..0x8006) == Some(b"CD001") {
        let sectors = image.get(0x8050..).and_then(<[u8]>::first_chunk);
        least = u64::from(sectors.map_or(0, |it| u32::from_le_bytes(*it))) * ISO_SECTOR;
    }
    if image.get(512..520) == Some(b"EFI PART") {
        // Where the second partition table is: in the last sector.
        let last = image.get(512 + 32..).and_then(<[u8]>::first_chunk);
        let last = last.map_or(0, |it| u64::from_le_bytes(*it));
        least = least.max(last.saturating_add(1).saturating_mul(SECTOR));
    }
    least
}

/// That this image (`what` it is) has fewer bytes than it should have, if it has.
pub(super) fn short(what: &str, image: &[u8], least: u64) -> Option<Error> {
    let len = image.len() as u64;
    (len < least).then(|| {
        remedied(Error::new(format!(
            "{what} is cut short: it has {len} bytes, and its own headers speak of {least}"
        )))
    })
}

/// Why this is not a whole kernel, if it is cut short.
pub(super) fn kernel(image: &[u8]) -> Option<Error> {
    match BzImage::parse_whole(image) {
        Err(BzImageError::Cut { least, .. }) => short("the kernel (bzImage)", image, least),
        Err(BzImageError::TooShort) => Some(within_headers("a kernel", image)),
        _ => None,
    }
}

/// Why this file, which begins as a UEFI executable does, is none that could be read.
pub(super) fn executable(image: &[u8], error: &PeError) -> Error {
    match pe::claimed_len(image) {
        None => within_headers("a UEFI executable or a kernel", image),
        Some(least) => short("the UEFI executable", image, least).unwrap_or_else(|| {
            Error::new(format!("a UEFI executable that cannot be read: {error}"))
                .remedy("the file is damaged: build it again, or get it anew")
        }),
    }
}

fn within_headers(what: &str, image: &[u8]) -> Error {
    let len = image.len();
    remedied(Error::new(format!("it begins as {what}, and ends after {len} bytes, in its headers")))
}

fn remedied(error: Error) -> Error {
    error
        .remedy("copy or download it again, whole, and compare its SHA-256 with that of the origin")
}
