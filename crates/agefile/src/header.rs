//! The header of an age file: to whom it is encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead;
use ring::hkdf;
use ring::hmac;
use zeroize::Zeroizing;

use crate::error::AgeError;
use crate::identity::Identities;
use crate::identity::Identity;

/// Longest header that is read, in bytes: some hundred recipients.
pub const MAX_HEADER_LEN: usize = 64 * 1024;

/// Most stanzas (recipients) in a header.
pub const MAX_STANZAS: usize = 128;

/// The first line.
const VERSION: &[u8] = b"age-encryption.org/v1\n";

const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Columns of a full line of a stanza's body.
const COLUMNS: usize = 64;

const KEY_LEN: usize = 16;
const TAG_LEN: usize = 16;

/// The key that everything of one file is derived from.
pub(crate) type FileKey = Zeroizing<[u8; KEY_LEN]>;

/// Whether these are the first bytes of an age file, be it one that is armored, which is refused as
/// [`AgeError::Armored`].
#[must_use]
pub fn is_age_file(bytes: &[u8]) -> bool {
    bytes.starts_with(VERSION) || is_armored(bytes)
}

/// Whether these are the first bytes of an age file that is armored.
#[must_use]
pub fn is_armored(bytes: &[u8]) -> bool {
    bytes.starts_with(ARMOR)
}

/// Judges the first bytes of a file, as far as there are any.
pub(crate) fn check_start(bytes: &[u8]) -> Result<(), AgeError> {
    let common = |expected: &[u8]| bytes.iter().zip(expected).all(|(one, other)| one == other);
    if common(VERSION) {
        Ok(())
    } else if common(ARMOR) && bytes.len() >= ARMOR.len() {
        Err(AgeError::Armored)
    } else if common(ARMOR) {
        // Not enough to tell.
        Ok(())
    } else if common(b"age-encryption.org/") {
        Err(AgeError::Header("another version of age than v1"))
    } else {
        Err(AgeError::NotEncrypted)
    }
}

/// Where the header ends, if it does: behind the line that begins with `---`. `from` is where to
/// begin to look.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mark = b"\n---";
    let rest = bytes.get(from..)?;
    let at = from + rest.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let line = bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
    Some(at + line + 1)
}

/// A recipient, as the header has it.
#[derive(Debug)]
struct Stanza<'a> {
    kind: &'a str,
    arguments: Vec<&'a str>,
    body: Vec<u8>,
}

/// A header that was parsed; nothing of it is authenticated.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    stanzas: Vec<Stanza<'a>>,
    mac: [u8; 32],
    /// What the MAC is over.
    covered: &'a [u8],
}

impl<'a> Header<'a> {
    /// Parses a header, all of it and nothing behind it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, AgeError> {
        let refuse = AgeError::Header;
        check_start(bytes)?;
        let text = core::str::from_utf8(bytes).map_err(|_| refuse("it is no text"))?;
        let mut lines = text.split('\n');
        lines.next();
        let mut stanzas = Vec::new();
        let mut line = lines.next();
        while let Some(arguments) = line.and_then(|line| line.strip_prefix("-> ")) {
            if stanzas.len() == MAX_STANZAS {
                return Err(refuse("too many recipients"));
            }
            stanzas.push(Stanza::parse(arguments, &mut lines)?);
            line = lines.next();
        }
        if stanzas.is_empty() {
            return Err(refuse("it names no recipient"));
        }
        let mac = line
            .and_then(|line| line.strip_prefix("--- "))
            .filter(|mac| mac.len() == 43)
            .and_then(|mac| STANDARD_NO_PAD.decode(mac).ok()?.try_into().ok())
            .ok_or_else(|| refuse("its last line is not \"---\" and a MAC"))?;
        if (lines.next(), lines.next()) != (Some(""), None) {
            return Err(refuse("it does not end where it should"));
        }
        if stanzas.len() > 1 && stanzas.iter().any(|stanza| stanza.kind == "scrypt") {
            return Err(refuse("a passphrase beside other recipients"));
        }
        // Up to and with the three dashes.
        let covered = bytes.len().checked_sub(" ".len() + 43 + "\n".len());
        let covered = covered.and_then(|len| bytes.get(..len)).unwrap_or_default();
        Ok(Self { stanzas, mac, covered })
    }

    /// The file's key, by the first identity that is one of the recipients; then the header is
    /// what that recipient was sent.
    pub(crate) fn file_key(&self, identities: &Identities) -> Result<FileKey, AgeError> {
        for stanza in self.stanzas.iter().filter(|stanza| stanza.kind == "X25519") {
            let share = stanza.share()?;
            for identity in identities.iter() {
                let Some(key) = stanza.unwrap(share, identity)? else { continue };
                let mac_key = derive(&[], key.as_ref(), b"header");
                let mac_key = hmac::Key::new(hmac::HMAC_SHA256, mac_key.as_ref());
                return match hmac::verify(&mac_key, self.covered, &self.mac) {
                    Ok(()) => Ok(key),
                    Err(_) => Err(AgeError::HeaderMac),
                };
            }
        }
        Err(AgeError::NoMatch {
            recipients: self.stanzas.len(),
            identities: identities.len(),
            passphrase: self.stanzas.iter().any(|stanza| stanza.kind == "scrypt"),
        })
    }
}

impl<'a> Stanza<'a> {
    fn parse(
        arguments: &'a str,
        lines: &mut impl Iterator<Item = &'a str>,
    ) -> Result<Self, AgeError> {
        let visible = |word: &str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_graphic());
        let mut words = arguments.split(' ');
        if !arguments.split(' ').all(visible) {
            return Err(AgeError::Header("a recipient that is not words with one blank between"));
        }
        let kind = words.next().unwrap_or_default();
        let mut body = String::new();
        loop {
            // Without a newline behind it, it is not a line.
            let line = lines.next().unwrap_or("-");
            body.push_str(line);
            match line.len() {
                COLUMNS => {}
                0..COLUMNS => break,
                _ => return Err(AgeError::Header("a line of more than 64 columns")),
            }
        }
        let body = STANDARD_NO_PAD
            .decode(body)
            .map_err(|_| AgeError::Header("a recipient's body is not base64 without padding"))?;
        Ok(Self { kind, arguments: words.collect(), body })
    }

    /// The sender's half of the agreement.
    fn share(&self) -> Result<[u8; 32], AgeError> {
        let [share] = self.arguments.as_slice() else {
            return Err(AgeError::Header("an X25519 recipient with other than one argument"));
        };
        let share = STANDARD_NO_PAD.decode(share).ok().and_then(|share| share.try_into().ok());
        if self.body.len() != KEY_LEN + TAG_LEN {
            return Err(AgeError::Header("an X25519 recipient's body is not of 32 bytes"));
        }
        share.ok_or(AgeError::Header("an X25519 recipient's share is not of 32 bytes"))
    }

    /// The file's key, if it is for this identity.
    fn unwrap(&self, share: [u8; 32], identity: &Identity) -> Result<Option<FileKey>, AgeError> {
        let shared = identity
            .agree(share)
            .ok_or(AgeError::Header("an X25519 recipient's share is of low order"))?;
        let salt = [share, identity.share].concat();
        let key = derive(&salt, shared.as_ref(), b"age-encryption.org/v1/X25519");
        let Some(key) = cipher(&key) else { return Ok(None) };
        let nonce = aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN]);
        let mut body = Zeroizing::new(self.body.clone());
        let Ok(plain) = key.open_in_place(nonce, aead::Aad::empty(), &mut body) else {
            return Ok(None);
        };
        let mut file_key = Zeroizing::new([0; KEY_LEN]);
        for (to, from) in file_key.iter_mut().zip(plain.iter()) {
            *to = *from;
        }
        Ok(Some(file_key))
    }
}

/// HKDF with SHA-256 (RFC 5869), 32 bytes.
pub(crate) fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let random = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let filled =
        random.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
    debug_assert!(filled.is_ok(), "32 bytes are never too many");
    key
}

/// ChaCha20-Poly1305 with this key. It is always one.
pub(crate) fn cipher(key: &[u8; 32]) -> Option<aead::LessSafeKey> {
    aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key).ok().map(aead::LessSafeKey::new)
}
