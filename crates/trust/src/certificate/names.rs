//! Distinguished names whose values are what they say they are.

use x509_cert::der::Tag;
use x509_cert::der::Tagged;
use x509_cert::name::Name;

use super::CertificateError;

/// Refuses a name with a value that is no text, or has characters that its type has not. Others that
/// read certificates do so too, and what they cannot read must not be trusted here.
pub(super) fn check(which: &'static str, name: &Name) -> Result<(), CertificateError> {
    let plain =
        name.iter().all(|attribute| is_text(attribute.value.tag(), attribute.value.value()));
    if plain { Ok(()) } else { Err(CertificateError::Name(which)) }
}

fn is_text(tag: Tag, value: &[u8]) -> bool {
    match tag {
        Tag::Utf8String => core::str::from_utf8(value).is_ok(),
        Tag::PrintableString => value.iter().all(|byte| is_printable(*byte)),
        Tag::Ia5String => value.is_ascii(),
        Tag::NumericString => value.iter().all(|byte| byte.is_ascii_digit() || *byte == b' '),
        Tag::BmpString => value.len().is_multiple_of(2),
        // Of many character sets, so that no byte is wrong.
        Tag::TeletexString => true,
        _ => false,
    }
}

/// The characters of PrintableString, and `*` and `&`, which certificates of CAs often have.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

#[cfg(test)]
mod tests {
    use x509_cert::der::Tag;

    use super::is_text;

    #[test]
    fn values_are_text_of_their_type() {
        for (tag, value, is) in [
            (Tag::Utf8String, &b"Zo\xc3\xab"[..], true),
            (Tag::Utf8String, b"\xff", false),
            (Tag::PrintableString, b"Root CA (1), *.x & y?", true),
            (Tag::PrintableString, b"a@b", false),
            (Tag::PrintableString, b"a_b", false),
            (Tag::Ia5String, b"a@b", true),
            (Tag::Ia5String, b"\xc3\xab", false),
            (Tag::NumericString, b"12 3", true),
            (Tag::NumericString, b"12a", false),
            (Tag::BmpString, b"\0x", true),
            (Tag::BmpString, b"\0x\0", false),
            (Tag::TeletexString, b"\xe9", true),
            (Tag::VisibleString, b"x", false),
            (Tag::Integer, b"\x05", false),
        ] {
            assert_eq!(is_text(tag, value), is, "{tag:?} {}", value.escape_ascii());
        }
    }
}
