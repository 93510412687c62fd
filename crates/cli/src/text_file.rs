//! Files that should be text and are not what they look like: saved by an editor in another encoding,
//! cut on the way, or of another kind altogether.

/// Why a file cannot be read as the text that it should be, and what turns it into that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Oddity {
    /// In words that follow the file's name.
    pub(crate) what: &'static str,
    /// What to do.
    pub(crate) remedy: &'static str,
}

/// What is odd about a file that should be text in UTF-8: JSON, or PEM. None if nothing is.
///
/// Asked only when reading has failed: nothing is refused for it alone.
pub(crate) fn oddity(bytes: &[u8]) -> Option<Oddity> {
    let odd = |what, remedy| Some(Oddity { what, remedy });
    match bytes {
        _ if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) => odd(
            "the file is empty",
            "get it anew from where it was made: was it written to its end?",
        ),
        [0xff, 0xfe, ..]
        | [0xfe, 0xff, ..]
        | [b'\r' | b'\n' | 0x20..0x7f, 0, ..]
        | [0, b'\r' | b'\n' | 0x20..0x7f, ..] => odd(
            "the file is text in UTF-16, not UTF-8",
            "write it anew in UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`",
        ),
        [0xef, 0xbb, 0xbf, ..] => odd(
            "the file begins with a byte order mark, as some editors write it",
            "take the mark away: `tail -c +4 FILE > NEW`, or save it as UTF-8 without one",
        ),
        [b'P', b'K', 3, 4, ..] => {
            odd("the file is a ZIP archive", "give the text file: the archive is a file of its own")
        }
        [0x1f, 0x8b, ..] => {
            odd("the file is compressed with gzip", "unpack it first: `gunzip < FILE > NEW`")
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            odd("the file is compressed with zstd", "unpack it first: `zstd -d < FILE > NEW`")
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            odd("the file is compressed with xz", "unpack it first: `xz -d < FILE > NEW`")
        }
        [7, 0, 0, 0, b'{', ..] => odd(
            "the file is an EFI variable as Linux shows it, with 4 bytes of attributes in front",
            "take these away: `tail -c +5 FILE > NEW`",
        ),
        _ if agefile::is_age_file(bytes) => odd(
            "the file is encrypted with age",
            "decrypt it first: `age -d -i IDENTITY FILE > NEW`",
        ),
        // A SEQUENCE of more than 127 bytes: no text begins like this.
        [0x30, 0x81..=0x83, ..] => odd(
            "the file is DER, not PEM",
            "turn it into PEM: `openssl x509 -inform DER -in FILE -out NEW` for a certificate, \
             `openssl pkey -inform DER -in FILE -out NEW` for a key",
        ),
        _ => None,
    }
}

/// The label of the first PEM block, whose end need not be there.
pub(crate) fn pem_label(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    rest.split_once("-----").map(|(label, _)| label).filter(|label| !label.contains('\n'))
}

/// Whether there is a PEM block that begins and does not end.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    let Some(label) = pem_label(bytes) else { return false };
    let end = format!("-----END {label}-----");
    !bytes.windows(end.len()).any(|window| window == end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_told_by_the_first_bytes() {
        for (bytes, what) in [
            (&b""[..], "empty"),
            (b" \n\0\0", "empty"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"\xfe\xff\0{", "UTF-16"),
            (b"-\0-\0", "UTF-16"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b"{\0}\0", "UTF-16"),
            (b"\0\n\0{", "UTF-16"),
            (b"PK\x03\x04", "ZIP"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"\xfd7zXZ\0", "xz"),
            (b"age-encryption.org/v1\n", "age"),
            (b"\x07\0\0\0{}", "EFI variable"),
            (b"\x30\x82\x01\x02", "DER"),
        ] {
            let odd = oddity(bytes).unwrap();
            assert!(odd.what.contains(what) && !odd.remedy.is_empty(), "{odd:?}");
        }
        for plain in [&b"{}"[..], b" {", b"\n{}\0", b"[]", b"-----BEGIN X-----\r\n", b"0", b"a"] {
            assert_eq!(oddity(plain), None);
        }
    }

    #[test]
    fn a_block_that_does_not_end_is_cut() {
        let whole = b"text\n-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----";
        assert_eq!(pem_label(whole), Some("PRIVATE KEY"));
        assert!(!is_cut(whole) && is_cut(&whole[..50]) && !is_cut(b"text"));
        assert_eq!(pem_label(b"-----BEGIN \n\n-----"), None);
    }
}
