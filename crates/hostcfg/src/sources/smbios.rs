//! OEM strings: SMBIOS 3.7.0, section 7.12 (structure of type 11), section 6.1 (structures and
//! their strings).

/// Longest table that is read, in bytes. The 64-bit entry point allows 4 GiB; real ones have a few
/// thousand.
pub const MAX_TABLE_LEN: usize = 256 * 1024;

/// Most strings that are taken.
const MAX_STRINGS: usize = 1024;

const OEM_STRINGS: u8 = 11;
const END_OF_TABLE: u8 = 127;

/// Length of type, length and handle, in bytes.
const HEADER_LEN: usize = 4;

/// The OEM strings of a table (the content of `/sys/firmware/dmi/tables/DMI`), in its order.
///
/// Total: whatever is malformed ends the list, and what stands before it is returned. A string that
/// is not UTF-8 is left out. At most the first [`MAX_TABLE_LEN`] bytes are looked at.
#[must_use]
pub fn oem_strings(table: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = table.get(..table.len().min(MAX_TABLE_LEN)).unwrap_or_default();
    while let Some(structure) = Structure::take(&mut rest) {
        match structure.kind {
            END_OF_TABLE => break,
            OEM_STRINGS => {
                let room = MAX_STRINGS.saturating_sub(found.len());
                let count = structure.count.min(room);
                let texts = structure.strings.split(|byte| *byte == 0).take(count);
                found.extend(texts.filter_map(|text| String::from_utf8(text.to_vec()).ok()));
            }
            _ => {}
        }
    }
    found
}

/// One structure with its strings, which lie behind it.
struct Structure<'a> {
    kind: u8,
    /// How many strings it says to have; only with type 11.
    count: usize,
    /// Between NULs, none at the ends.
    strings: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Takes the first structure off the table; `None` at its end or where it is malformed.
    fn take(table: &mut &'a [u8]) -> Option<Self> {
        let kind = *table.first()?;
        let len = usize::from(*table.get(1)?);
        if len < HEADER_LEN {
            return None;
        }
        let count = table.get(HEADER_LEN..len)?.first().copied().unwrap_or_default();
        let behind = table.get(len..)?;
        // Without strings there are two NULs all the same.
        let end = behind.windows(2).position(|pair| pair == [0, 0])?;
        *table = behind.get(end.checked_add(2)?..)?;
        Some(Self { kind, count: usize::from(count), strings: behind.get(..end)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::oem_strings;

    fn structure(kind: u8, count: u8, strings: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, 5, 0, 0, count];
        for string in strings {
            bytes.extend(string.as_bytes());
            bytes.push(0);
        }
        bytes.extend(if strings.is_empty() { &[0, 0][..] } else { &[0][..] });
        bytes
    }

    #[test]
    fn strings_of_all_structures_of_the_type_are_found_in_their_order() {
        let table = [
            structure(1, 1, &["maker", "ramstrap.url=no"]),
            structure(11, 2, &["a", "ramstrap.url=https://a/x"]),
            structure(11, 0, &[]),
            structure(11, 1, &["b", "c"]),
            structure(127, 0, &[]),
            structure(11, 1, &["behind the end"]),
        ]
        .concat();
        assert_eq!(oem_strings(&table), ["a", "ramstrap.url=https://a/x", "b"]);
    }

    #[test]
    fn what_is_malformed_ends_the_list() {
        let good = structure(11, 1, &["a"]);
        for bad in [
            vec![11, 3, 0],
            vec![11, 0, 0, 0, 1, b'b', 0, 0],
            vec![11, 200, 0, 0, 1, b'b', 0, 0],
            vec![11, 5, 0, 0, 1, b'b', 0],
            vec![11],
            vec![],
        ] {
            assert_eq!(oem_strings(&[good.clone(), bad].concat()), ["a"]);
        }
        let not_text = [vec![11, 5, 0, 0, 2, 0xff, 0], b"b\0\0".to_vec()].concat();
        assert_eq!(oem_strings(&not_text), ["b"]);
        // A structure of its header alone has no count.
        assert!(oem_strings(&[11, 4, 0, 0, b'a', 0, 0]).is_empty());
    }

    proptest! {
        #[test]
        fn any_table_is_read(table in prop::collection::vec(prop_oneof![
            Just(0_u8), Just(4), Just(5), Just(11), Just(127), any::<u8>()
        ], 0..400)) {
            let strings = oem_strings(&table);
            let length: usize = strings.iter().map(String::len).sum();
            prop_assert!(length <= table.len());
        }
    }
}
