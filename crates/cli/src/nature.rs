//! What a file is that was taken for one of JSON, where that can be told and mended.

use report::Code;

use crate::Error;

/// Adds to an error of reading JSON what the file is in truth, and what to do about it, if that can be
/// told. The error says what a machine says.
pub(crate) fn explained(error: Error, bytes: &[u8]) -> Error {
    match error.code() {
        Some(Code::HostConfigMalformed | Code::TrustPolicyMalformed) => match mistaken(bytes) {
            Some((what, remedy)) => error.detail(what).remedy(remedy),
            None => error,
        },
        _ => error,
    }
}

/// What it is, and what to do about it; `None` if it may be JSON. Machines refuse all of these, too.
fn mistaken(bytes: &[u8]) -> Option<(&'static str, String)> {
    let starts = |start: &[u8]| bytes.starts_with(start);
    let unpack = |program: &str| format!("unpack it first: `{program} < FILE > NEW.json`");
    let text = |from: &str| {
        format!("write it as UTF-8 without a mark: `iconv -f {from} -t UTF-8 < FILE > NEW.json`")
    };
    Some(match bytes {
        _ if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) => (
            "it is empty",
            "was it written to its end? A machine with an empty file refuses it, too".to_owned(),
        ),
        _ if starts(b"\xef\xbb\xbf") => (
            "it is UTF-8 with a byte order mark in front (EF BB BF), which no reader of JSON expects",
            "take the mark away: `tail -c +4 < FILE > NEW.json`".to_owned(),
        ),
        _ if starts(b"\xff\xfe") || starts(b"\xfe\xff") => ("it is UTF-16 text", text("UTF-16")),
        [b'{' | b'[' | b' ' | b'\r' | b'\n', 0, ..] => ("it is UTF-16 text", text("UTF-16LE")),
        [0, b'{' | b'[' | b' ' | b'\r' | b'\n', ..] => ("it is UTF-16 text", text("UTF-16BE")),
        _ if starts(b"\x1f\x8b") => ("it is compressed with gzip", unpack("gunzip")),
        _ if starts(b"\x28\xb5\x2f\xfd") => ("it is compressed with zstd", unpack("zstd -d")),
        _ if starts(b"\xfd7zXZ\0") => ("it is compressed with xz", unpack("xz -d")),
        _ if starts(b"PK\x03\x04") => (
            "it is a ZIP archive",
            "unpack it first, or give the file that it was made of".to_owned(),
        ),
        _ if agefile::is_age_file(bytes) => {
            ("it is encrypted with age", "decrypt it first: `age -d -i IDENTITY`".to_owned())
        }
        [7, 0, 0, 0, b'{', ..] => (
            "it is an EFI variable as Linux shows it, with 4 bytes of attributes in front",
            "take these away: `tail -c +5 < FILE > NEW.json`".to_owned(),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::mistaken;

    #[test]
    fn what_is_no_json_is_told() {
        for (bytes, says) in [
            (&b""[..], "empty"),
            (b" \n\0\0", "empty"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0{\0}", "UTF-16"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"PK\x03\x04", "ZIP"),
            (b"age-encryption.org/v1\n", "age"),
            (b"\x07\0\0\0{}", "EFI variable"),
        ] {
            let (what, remedy) = mistaken(bytes).unwrap();
            assert!(what.contains(says) && !remedy.is_empty(), "{what}");
        }
        for bytes in [&b"{}"[..], b" {", b"\n{}\0", b"nonsense", b"[]"] {
            assert_eq!(mistaken(bytes), None, "{bytes:?}");
        }
    }
}
