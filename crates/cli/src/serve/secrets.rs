//! What is never handed out, though it lies among the files: keys that were left beside a package.

use std::fs::Metadata;
use std::io::SeekFrom;
use std::os::unix::fs::PermissionsExt;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncSeekExt;

/// Keys in files are not longer than this; packages and images are.
const MAX_KEY_FILE: u64 = 1 << 20;

/// Why this file must not be handed out, if so. Reads it only if it is short, and leaves it at its
/// start.
///
/// # Errors
/// If it cannot be read.
pub(super) async fn reason(
    file: &mut File,
    data: &Metadata,
) -> Result<Option<&'static str>, std::io::Error> {
    if data.permissions().mode() & 0o004 == 0 {
        return Ok(Some("its mode keeps others from reading it (chmod o+r FILE, if they may)"));
    }
    if data.len() > MAX_KEY_FILE {
        return Ok(None);
    }
    let mut content = zeroize::Zeroizing::new(Vec::new());
    (&mut *file).take(MAX_KEY_FILE).read_to_end(&mut content).await?;
    file.seek(SeekFrom::Start(0)).await?;
    Ok(holds_key(&content).then_some("it holds a private key: move it out of this directory"))
}

/// Whether a line begins a private key in PEM (RFC 7468 and its likes, encrypted or not), or is an
/// age identity.
fn holds_key(content: &[u8]) -> bool {
    content.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        let line = line.trim_ascii();
        let pem = line.strip_prefix(b"-----BEGIN ").and_then(|line| line.strip_suffix(b"-----"));
        pem.is_some_and(|label| label.ends_with(b"PRIVATE KEY"))
            || line.starts_with(b"AGE-SECRET-KEY-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_lines() {
        for key in [
            "-----BEGIN PRIVATE KEY-----\nAA==",
            "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\r\n-----BEGIN EC PRIVATE KEY-----\r\n",
            "Bag\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "# created: x\n# public key: age1\nAGE-SECRET-KEY-1QQ\n",
            " AGE-SECRET-KEY-1QQ",
        ] {
            assert!(holds_key(key.as_bytes()), "{key}");
        }
        for other in [
            "",
            "-----BEGIN CERTIFICATE-----\n",
            "-----BEGIN PUBLIC KEY-----\n",
            "how to: grep 'BEGIN PRIVATE KEY' or AGE-SECRET-KEY-1",
        ] {
            assert!(!holds_key(other.as_bytes()), "{other}");
        }
    }
}
