//! Files of an ISO 9660 image, by bounded code. Source: ECMA-119.

const SECTOR: usize = 2048;
const DIRECTORY: u8 = 2;

/// The content of the file at `path` (`/` between names): names are compared as ISO 9660 has them,
/// without version and without regard to case.
pub(super) fn file<'a>(image: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let volume = image.get(16 * SECTOR..17 * SECTOR)?;
    if volume.get(..6)? != b"\x01CD001" {
        return None;
    }
    let (mut content, mut is_directory) = extent(image, volume.get(156..190)?)?;
    for name in path.split('/') {
        if !is_directory {
            return None;
        }
        let record = records(content).find(|record| is_named(record, name))?;
        (content, is_directory) = extent(image, record)?;
    }
    (!is_directory).then_some(content)
}

/// Records of a directory. None crosses the end of a sector: the rest of one is filled with zeros.
fn records(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    directory.chunks(SECTOR).flat_map(|sector| {
        let mut rest = sector;
        core::iter::from_fn(move || {
            let length = usize::from(*rest.first()?);
            let record = rest.get(..length).filter(|record| record.len() >= 34)?;
            rest = rest.get(length..)?;
            Some(record)
        })
    })
}

fn is_named(record: &[u8], name: &str) -> bool {
    let length = record.get(32).copied().map_or(0, usize::from);
    let Some(found) = record.get(33..33 + length) else { return false };
    let found = found.split(|byte| *byte == b';').next().unwrap_or_default();
    let found = found.strip_suffix(b".").unwrap_or(found);
    found.eq_ignore_ascii_case(name.as_bytes())
}

fn extent<'a>(image: &'a [u8], record: &[u8]) -> Option<(&'a [u8], bool)> {
    let word = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = record.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let start = word(2)?.checked_mul(SECTOR)?;
    let content = image.get(start..start.checked_add(word(10)?)?)?;
    Some((content, record.get(25)? & DIRECTORY != 0))
}
