//! The URL that the firmware has loaded the boot image from (UEFI HTTP boot).
//!
//! Two places tell it. A `systemd-stub` of version 258 or later stores it in the EFI variables
//! `StubDeviceURL` and `LoaderDeviceURL`. Without one, the boot option that the firmware followed
//! (`BootCurrent` names `Boot####`) holds a URI in its device path (UEFI 2.10, sections 3.1.3 and
//! 10.3.4.23), but only where somebody has entered it: where DHCP gave the URL, it is empty.

use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::settings::Document;
use crate::error::HostConfigError;
use crate::provisioning_url::ProvisioningUrl;

/// Longest variable that is read, in bytes, without its attributes.
pub const MAX_VARIABLE_LEN: usize = 16 * 1024;

/// Type and subtype of a device path's node that is a URI, and of its last one.
const URI_NODE: (u8, u8) = (3, 24);
const END_NODE: (u8, u8) = (0x7f, 0xff);

/// Length of type, subtype and length of a node, in bytes.
const NODE_HEADER_LEN: usize = 4;

/// Length of what stands before the content in the file of a variable, in bytes.
const ATTRIBUTES_LEN: usize = 4;

/// Attributes and length of the device path, before the description of a boot option.
const OPTION_HEADER_LEN: usize = 6;

/// What an EFI variable holds: what a file of the kernel's `efivarfs` has behind the four bytes of
/// attributes. `None` if there is nothing.
#[must_use]
pub fn variable_content(file: &[u8]) -> Option<&[u8]> {
    file.get(ATTRIBUTES_LEN..).filter(|content| !content.is_empty())
}

/// The text of a variable that a boot stub has stored: UTF-16, little endian, with a NUL behind.
#[must_use]
pub fn url_of_variable(content: &[u8]) -> Option<String> {
    let units = utf16(content.get(..content.len().min(MAX_VARIABLE_LEN))?);
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16(&text).ok().filter(|text| !text.is_empty())
}

/// The URI in the device path of a boot option, the content of a variable `Boot####`.
#[must_use]
pub fn boot_option_url(option: &[u8]) -> Option<String> {
    let option = option.get(..option.len().min(MAX_VARIABLE_LEN))?;
    let path_len = usize::from(u16::from_le_bytes([*option.get(4)?, *option.get(5)?]));
    let behind = option.get(OPTION_HEADER_LEN..)?;
    let description = utf16(behind).position(|unit| unit == 0)?;
    let start = description.checked_add(1)?.checked_mul(2)?;
    let mut path = behind.get(start..start.checked_add(path_len)?)?;
    loop {
        let header = (*path.first()?, *path.get(1)?);
        let len = usize::from(u16::from_le_bytes([*path.get(2)?, *path.get(3)?]));
        let body = path.get(NODE_HEADER_LEN..len)?;
        match header {
            URI_NODE if !body.is_empty() => return String::from_utf8(body.to_vec()).ok(),
            END_NODE => return None,
            _ => path = path.get(len..)?,
        }
    }
}

fn utf16(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| match *pair {
        [low, high] => u16::from_le_bytes([low, high]),
        _ => 0,
    })
}

/// The host configuration of a machine that knows nothing but where its boot image came from:
/// addresses by whatever the network has, and the descriptor that lies beside the image under its
/// name, with `.json` in the place of the last `.` and what follows. `https://host/a/boot.efi` gives
/// `https://host/a/boot.json`. User name and password go along; query and fragment do not.
///
/// # Errors
///
/// [`HostConfigError::Invalid`] if this is no `http://` or `https://` URL of a file.
pub fn document_for(boot_url: &str) -> Result<Document, HostConfigError> {
    let refused = |found: String| HostConfigError::Invalid {
        field: "URL of the boot image".to_owned(),
        found,
        expected: "an http:// or https:// URL of a file",
    };
    // Judged before it is changed: what browsers repair is refused.
    ProvisioningUrl::parse(boot_url).map_err(|error| refused(format!("\"***\" ({error})")))?;
    let mut url = Url::parse(boot_url).map_err(|_| refused("\"***\"".to_owned()))?;
    url.set_query(None);
    url.set_fragment(None);
    let file = url.path_segments().and_then(|mut segments| segments.next_back());
    let file = file.filter(|name| !name.is_empty()).map(str::to_owned);
    let Some(file) = file else {
        return Err(refused("a URL without the name of a file".to_owned()));
    };
    let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
    let stem = if stem.is_empty() { file.as_str() } else { stem };
    let descriptor = format!("{stem}.json");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop();
    }
    let base = url.path().trim_end_matches('/').to_owned();
    // Percent signs of the name stay as they are, which pushing a segment would not do.
    url.set_path(&format!("{base}/{descriptor}"));
    let document = json!({ "network_mode": "auto", "mirrors": [{ "url": url.as_str() }] });
    let json = Zeroizing::new(document.to_string().into_bytes());
    Ok(Document { json, warnings: Vec::new() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::boot_option_url;
    use super::document_for;
    use super::url_of_variable;
    use crate::config::HostConfig;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    fn node(kind: u8, subtype: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len() + 4).unwrap().to_le_bytes();
        [&[kind, subtype], len.as_slice(), body].concat()
    }

    fn option(path: &[u8]) -> Vec<u8> {
        let len = u16::try_from(path.len()).unwrap().to_le_bytes();
        [&[1, 0, 0, 0], len.as_slice(), &wide("UEFI HTTPv4"), path, b"optional data"].concat()
    }

    #[test]
    fn the_url_of_a_stub_is_read() {
        let url = "http://boot.example/ramstrap.efi";
        assert_eq!(url_of_variable(&wide(url)).as_deref(), Some(url));
        for nothing in [&[][..], &[0, 0], b"a", &[0, 0xd8, 0, 0]] {
            assert_eq!(url_of_variable(nothing), None);
        }
    }

    #[test]
    fn the_uri_of_a_boot_option_is_read() {
        let nic = node(3, 11, &[0; 33]);
        let uri = node(3, 24, b"https://boot.example/a.efi");
        let end = node(0x7f, 0xff, &[]);
        let whole = option(&[nic.clone(), uri.clone(), end.clone()].concat());
        assert_eq!(boot_option_url(&whole).as_deref(), Some("https://boot.example/a.efi"));
        let by_dhcp = option(&[nic.clone(), node(3, 24, &[]), end.clone()].concat());
        assert_eq!(boot_option_url(&by_dhcp), None);
        assert_eq!(boot_option_url(&option(&[nic, end, uri].concat())), None);
        // Lengths that lie.
        assert_eq!(boot_option_url(&option(&[3, 11, 0, 0])), None);
        assert_eq!(boot_option_url(&option(&[3, 24, 255, 255, b'h'])), None);
        for cut in 0..whole.len() - 17 {
            assert_eq!(boot_option_url(whole.get(..cut).unwrap()), None, "{cut}");
        }
    }

    #[test]
    fn the_descriptor_lies_beside_the_image() {
        for (image, descriptor) in [
            ("http://boot.example/a/ramstrap.efi", "http://boot.example/a/ramstrap.json"),
            ("https://boot.example:8443/x.y.efi?token=1#f", "https://boot.example:8443/x.y.json"),
            ("http://[2001:db8::1]/boot", "http://[2001:db8::1]/boot.json"),
            ("http://boot.example/a%20b/c%2Fd.efi", "http://boot.example/a%20b/c%2Fd.json"),
            ("http://boot.example/.efi", "http://boot.example/.efi.json"),
        ] {
            let document = document_for(image).unwrap();
            let config = HostConfig::parse(&document.json).unwrap();
            assert_eq!(config.mirrors[0].url.url_without_userinfo().as_str(), descriptor);
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
        for image in
            ["http://boot.example/", "http://boot.example", "tftp://boot.example/a", "", "x"]
        {
            assert!(document_for(image).is_err(), "{image}");
        }
    }

    #[test]
    fn credentials_go_along_and_are_not_printed() {
        let document = document_for("https://u:canary@boot.example/a.efi").unwrap();
        let config = HostConfig::parse(&document.json).unwrap();
        assert!(config.mirrors[0].url.credentials().is_some());
        let printed = format!("{document:?} {config:?} {}", config.redacted_json());
        assert!(!printed.contains("canary"), "{printed}");
        let error = document_for("ftp://u:canary@boot.example/a.efi").unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
            let _ = url_of_variable(&bytes);
            let _ = boot_option_url(&bytes);
            let _ = boot_option_url(&option(&bytes));
            let _ = document_for(&text);
            let _ = document_for(&format!("http://{text}"));
        }
    }
}
