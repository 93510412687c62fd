//! Entries of the firmware's boot menu.

use anyhow::Result;

use super::GLOBAL;
use super::Variable;

/// An entry that may be started without being chosen.
const ACTIVE: u32 = 1;

/// A device path's node: a URI, of the messaging kind; and its end.
const URI: [u8; 2] = [3, 24];
const END: [u8; 4] = [0x7f, 0xff, 4, 0];

/// Variables that make the machine start what is behind this URL before anything else.
///
/// The entry names the URL only: the firmware tries it on every interface.
///
/// # Errors
///
/// The URL is longer than 64 KiB.
pub fn boot_from_url(url: &str) -> Result<Vec<Variable>> {
    let mut path = URI.to_vec();
    path.extend(u16::try_from(4 + url.len())?.to_le_bytes());
    path.extend(url.bytes());
    path.extend(END);
    let mut entry = ACTIVE.to_le_bytes().to_vec();
    entry.extend(u16::try_from(path.len())?.to_le_bytes());
    entry.extend("HTTP boot".encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    entry.extend(path);
    Ok(vec![
        Variable::new("Boot0001", GLOBAL, &entry),
        Variable::new("BootOrder", GLOBAL, &1_u16.to_le_bytes()),
    ])
}

#[cfg(test)]
mod tests {
    use super::boot_from_url;

    #[test]
    fn the_entry_is_a_load_option_with_one_uri() {
        let [entry, order] = &boot_from_url("http://a/b.efi").unwrap()[..] else { panic!() };
        assert_eq!(order.content, [1, 0]);
        assert_eq!(entry.content[..6], [1, 0, 0, 0, 22, 0]);
        assert_eq!(entry.content[26..30], [3, 24, 18, 0]);
        assert_eq!(entry.content[30..], *b"http://a/b.efi\x7f\xff\x04\x00");
        assert!(boot_from_url(&"x".repeat(1 << 16)).is_err());
    }
}
