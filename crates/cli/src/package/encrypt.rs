//! Encrypting the files of a package with age, for mirrors that are not to read them.
//!
//! What comes out is what [`agefile`] reads: not armored, to X25519 recipients only.

use std::io::Read;
use std::io::Write;

use age::Encryptor;
use age::x25519::Recipient;
use agefile::Decryptor;
use agefile::Identities;
use agefile::Identity;
use sha2::Digest;
use sha2::Sha256;
use trust::Sha256Digest;

use crate::Error;
use crate::Result;

/// Most recipients of a file: headers of more than [`agefile::MAX_STANZAS`] are refused, and those that
/// age itself makes up to fill them count.
pub const MAX_RECIPIENTS: usize = 100;

/// How many bytes are read at once.
const BLOCK: usize = 256 << 10;

/// To whom files are encrypted: at least one, each once.
#[derive(Clone)]
pub struct Recipients(Vec<Recipient>);

impl core::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.texts()).finish()
    }
}

impl Recipients {
    /// From texts `age1…`, and from the public halves of identities. Those that are there twice count
    /// once.
    ///
    /// # Errors
    /// If a text is none, without repeating it: it may be a secret. If there is none, or more than
    /// [`MAX_RECIPIENTS`].
    pub fn new<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        identities: Option<&Identities>,
    ) -> Result<Self> {
        let mut all: Vec<Recipient> = Vec::new();
        let public = identities.into_iter().flat_map(Identities::iter).map(Identity::recipient);
        let texts = texts.into_iter().map(|text| parse(text.trim()));
        for recipient in texts.chain(public.map(|text| parse(&text))) {
            let recipient = recipient?;
            if !all.contains(&recipient) {
                all.push(recipient);
            }
        }
        match all.len() {
            0 => Err(Error::usage("there is no recipient")
                .remedy("give --recipient age1…, or --trust-policy with decryption_identities")),
            1..=MAX_RECIPIENTS => Ok(Self(all)),
            many => Err(Error::new(format!("{many} recipients are too many for machines"))
                .remedy(format!("give {MAX_RECIPIENTS} at most; several machines may share one"))),
        }
    }

    /// All of them as `age1…`.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Encrypts what `plain` has, and says what its SHA-256 is.
    ///
    /// # Errors
    /// If it cannot be read or `out` cannot be written.
    pub fn seal(&self, mut plain: impl Read, out: impl Write) -> std::io::Result<Sha256Digest> {
        let recipients = self.0.iter().map(|it| it as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(std::io::Error::other)?;
        let mut sealed = encryptor.wrap_output(out)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK];
        loop {
            let read = plain.read(&mut block)?;
            let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hash.update(bytes);
            sealed.write_all(bytes)?;
        }
        sealed.finish()?.flush()?;
        Ok(Sha256Digest::from_bytes(hash.finalize().into()))
    }
}

/// SHA-256 of what a machine with these identities gets out of an encrypted file.
///
/// # Errors
/// If it gets nothing ([`agefile::AgeError`] inside), or the file cannot be read.
pub fn opened(identities: &Identities, mut sealed: impl Read) -> std::io::Result<Sha256Digest> {
    let mut hash = Sha256::new();
    let mut take = |bytes: &[u8]| {
        hash.update(bytes);
        Ok::<_, std::io::Error>(())
    };
    let mut decryptor = Decryptor::new(identities.clone());
    let mut block = vec![0; BLOCK];
    loop {
        let read = sealed.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        decryptor.push(bytes, &mut take)?;
    }
    decryptor.finish(&mut take)?;
    Ok(Sha256Digest::from_bytes(hash.finalize().into()))
}

fn parse(text: &str) -> Result<Recipient> {
    let starts = |prefix: &str| text.to_ascii_lowercase().starts_with(prefix);
    let (what, remedy) = if starts("age-secret-key-") {
        (
            "this is an identity, the secret half of a key",
            "give its public half age1…, which `age-keygen -y FILE` prints; who sees your command \
             line has seen the identity",
        )
    } else if starts("age1pq1") {
        ("this is a post-quantum recipient", "machines know X25519 only: make one of `age-keygen`")
    } else if starts("ssh-") {
        ("this is an SSH key", "machines know X25519 only: `ramstrap keygen age` makes a key")
    } else if let Ok(recipient) = text.parse() {
        return Ok(recipient);
    } else if starts("age1") {
        (
            "this is no whole X25519 recipient: of another kind, or a character is missing or mistyped",
            "copy the line `# public key: age1…` of the identity anew",
        )
    } else {
        ("this is no recipient", "a recipient begins with age1: `age-keygen -y FILE` prints it")
    };
    Err(Error::usage(format!("--recipient: {what}")).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn each_counts_once_wherever_it_comes_from() {
        let identities = Identities::parse(IDENTITY.as_bytes()).unwrap();
        let all = Recipients::new([RECIPIENT, RECIPIENT], Some(&identities)).unwrap();
        assert_eq!(all.texts().collect::<Vec<_>>(), [RECIPIENT]);
        assert!(Recipients::new([], None).is_err());
    }

    #[test]
    fn what_is_no_recipient_is_told_without_repeating_it() {
        for (text, says) in [
            (IDENTITY, "an identity"),
            ("age1pq1abc", "post-quantum"),
            ("ssh-ed25519 AAAA", "an SSH key"),
            ("age1yubikey1qqqq", "of another kind"),
            (RECIPIENT.get(..60).unwrap(), "missing or mistyped"),
            ("alice", "no recipient"),
        ] {
            let error = Recipients::new([text], None).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
            let told = format!("{error}{:?}", error.remedy_text());
            assert!(!told.contains(text), "{told}");
        }
    }

    #[test]
    fn the_most_recipients_are_within_what_machines_read() {
        let identities: Vec<_> =
            (0..=MAX_RECIPIENTS).map(|_| age::x25519::Identity::generate()).collect();
        let texts: Vec<String> = identities.iter().map(|it| it.to_public().to_string()).collect();
        let all = || texts.iter().map(String::as_str);
        assert!(Recipients::new(all(), None).is_err());
        let most = Recipients::new(all().skip(1), None).unwrap();
        let mut sealed = Vec::new();
        let plain = most.seal(&b"plain"[..], &mut sealed).unwrap();
        let last =
            age::secrecy::ExposeSecret::expose_secret(&identities.last().unwrap().to_string())
                .to_owned();
        let last = Identities::parse(last.as_bytes()).unwrap();
        assert_eq!(opened(&last, sealed.as_slice()).unwrap(), plain);
    }
}
