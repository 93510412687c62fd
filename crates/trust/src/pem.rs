//! Certificates in PEM: bundles of roots, and the single certificates of a descriptor.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Longest PEM file that is read, in bytes.
pub const MAX_PEM_LEN: usize = 1024 * 1024;

const CERTIFICATE: &[u8] = b"CERTIFICATE";
const DASHES: &[u8] = b"-----";

/// Why PEM text yields no certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PemError {
    /// Longer than [`MAX_PEM_LEN`].
    #[error("more than {MAX_PEM_LEN} bytes of PEM")]
    TooLong,
    /// There is no block of type `CERTIFICATE`.
    #[error("no PEM block of type CERTIFICATE")]
    NoCertificate,
    /// The block that should be a certificate has another type.
    #[error("the PEM block is not of type CERTIFICATE")]
    OtherType,
    /// More than one block where one certificate is expected.
    #[error("more than one PEM block")]
    SecondBlock,
    /// A certificate with PEM headers, such as `Proc-Type`.
    #[error("PEM block {0} has headers")]
    Headers(usize),
    /// A block without its END line.
    #[error("PEM block {0} has no END line that fits its BEGIN line")]
    Unterminated(usize),
    /// The text between BEGIN and END is not base64.
    #[error("PEM block {0} is not base64")]
    Base64(usize),
}

/// The DER of the one certificate in a PEM text. Text before and after the block is skipped.
///
/// # Errors
///
/// [`PemError`], also for a block of another type, for PEM headers and for a second block.
pub fn decode_certificate_pem(pem: &[u8]) -> Result<Vec<u8>, PemError> {
    let blocks = blocks(pem)?;
    match blocks.as_slice() {
        [] => Err(PemError::NoCertificate),
        [block] if block.label != CERTIFICATE => Err(PemError::OtherType),
        [block] => block.decode(),
        _ => Err(PemError::SecondBlock),
    }
}

/// The DER of every certificate in a PEM file, at least one. Other text and other blocks, such as
/// private keys, are skipped.
pub(crate) fn decode_bundle(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let certificates = blocks(pem)?
        .iter()
        .filter(|block| block.label == CERTIFICATE)
        .map(Block::decode)
        .collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(PemError::NoCertificate) } else { Ok(certificates) }
}

/// One block: what stands between a BEGIN line and its END line.
struct Block<'a> {
    /// Position in the file, from 1.
    number: usize,
    label: &'a [u8],
    lines: Vec<&'a [u8]>,
}

impl Block<'_> {
    fn decode(&self) -> Result<Vec<u8>, PemError> {
        // A colon occurs in headers only: it is no character of base64.
        if self.lines.iter().any(|line| line.contains(&b':')) {
            return Err(PemError::Headers(self.number));
        }
        let text: Vec<u8> =
            self.lines.concat().into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64_STANDARD.decode(text).map_err(|_| PemError::Base64(self.number))
    }
}

fn blocks(pem: &[u8]) -> Result<Vec<Block<'_>>, PemError> {
    if pem.len() > MAX_PEM_LEN {
        return Err(PemError::TooLong);
    }
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end) {
        let Some(mut block) = open.take() else {
            let number = blocks.len().saturating_add(1);
            open =
                boundary(line, b"BEGIN ").map(|label| Block { number, label, lines: Vec::new() });
            continue;
        };
        if boundary(line, b"END ") == Some(block.label) {
            blocks.push(block);
        } else if line.starts_with(DASHES) {
            return Err(PemError::Unterminated(block.number));
        } else {
            block.lines.push(line);
            open = Some(block);
        }
    }
    match open {
        Some(block) => Err(PemError::Unterminated(block.number)),
        None => Ok(blocks),
    }
}

/// The label of a line such as `-----BEGIN label-----`.
fn boundary<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(DASHES)?.strip_prefix(word)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::MAX_PEM_LEN;
    use super::PemError;
    use super::decode_bundle;
    use super::decode_certificate_pem;
    use crate::test_certificates::pem;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn one_certificate_with_text_around_it() {
        let block = pem(b"certificate");
        for text in [
            block.clone(),
            block.replace('\n', "\r\n"),
            block.replace('\n', " \n"),
            format!("subject=/CN=x\n{block}some text"),
            block.trim_end().to_owned(),
        ] {
            assert_eq!(
                decode_certificate_pem(text.as_bytes()),
                Ok(b"certificate".to_vec()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_descriptors_entry_is_one_plain_certificate() {
        let block = pem(b"certificate");
        let decode = |text: &str| decode_certificate_pem(text.as_bytes());
        assert_eq!(decode(""), Err(PemError::NoCertificate));
        assert_eq!(decode(KEY), Err(PemError::OtherType));
        assert_eq!(
            decode(&block.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            Err(PemError::OtherType)
        );
        assert_eq!(decode(&format!("{block}{block}")), Err(PemError::SecondBlock));
        assert_eq!(decode(&format!("{block}{KEY}")), Err(PemError::SecondBlock));
        assert_eq!(decode(&format!("{KEY}{block}")), Err(PemError::SecondBlock));
        let with_headers = block.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1);
        assert_eq!(decode(&with_headers), Err(PemError::Headers(1)));
    }

    #[test]
    fn bundles_skip_other_blocks_and_refuse_broken_ones() {
        let block = pem(b"certificate");
        let decode = |text: &str| decode_bundle(text.as_bytes());
        let two = Ok(vec![b"certificate".to_vec(), b"other".to_vec()]);
        assert_eq!(decode(&format!("text\n{block}{KEY}more text\n{}", pem(b"other"))), two);
        assert_eq!(decode(KEY), Err(PemError::NoCertificate));
        assert_eq!(decode(&block.replace("-----END", "----END")), Err(PemError::Unterminated(1)));
        assert_eq!(decode(&block.replace("END CERT", "END DIRT")), Err(PemError::Unterminated(1)));
        assert_eq!(
            decode(&format!("{KEY}-----BEGIN X-----\n{block}")),
            Err(PemError::Unterminated(2))
        );
        let hidden = format!("-----BEGIN X-----\n{block}-----END X-----\n");
        assert_eq!(decode(&hidden), Err(PemError::Unterminated(1)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAA!\n-----END CERTIFICATE-----\n";
        assert_eq!(decode(&format!("{block}{broken}")), Err(PemError::Base64(2)));
        let unpadded = "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(decode(unpadded), Err(PemError::Base64(1)));
    }

    #[test]
    fn length_is_bounded() {
        let mut text = pem(b"certificate");
        text.push_str(&"x".repeat(MAX_PEM_LEN - text.len()));
        assert!(decode_bundle(text.as_bytes()).is_ok());
        text.push('x');
        assert_eq!(decode_bundle(text.as_bytes()), Err(PemError::TooLong));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in vec(any::<u8>(), 0..512)) {
            let _ = decode_bundle(&bytes);
            let _ = decode_certificate_pem(&bytes);
        }

        #[test]
        fn never_panics_on_text_like_pem(
            lines in vec("(-----(BEGIN|END) (CERTIFICATE|KEY)-----|[A-Za-z0-9+/=: -]{0,8})", 0..12)
        ) {
            let text = lines.join("\n");
            let _ = decode_bundle(text.as_bytes());
            let _ = decode_certificate_pem(text.as_bytes());
        }

        #[test]
        fn bundles_round_trip(certificates in vec(vec(any::<u8>(), 1..200), 1..5)) {
            let text: String = certificates.iter().map(|der| pem(der)).collect();
            proptest::prop_assert_eq!(decode_bundle(text.as_bytes()), Ok(certificates));
        }
    }
}
