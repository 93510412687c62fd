//! Keys of a relay, in the form of the files that Tor keeps them in (Tor's `cert-spec.txt`, and
//! what Tor writes itself).

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use provision::wireguard;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::OsRng;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha512;
use xtask::harness::Needle;

/// Length of a relay's RSA key: Tor takes no other.
const RSA_BITS: usize = 1024;

/// Days until the signing key's certificate ends.
const DAYS: u64 = 30;

/// A new relay's keys.
#[derive(Debug)]
pub struct Keys {
    master: SigningKey,
    /// The key that signs for the master key.
    pub signing: SigningKey,
    /// What Tor computes with: hash of the seed, clamped.
    signing_expanded: [u8; 64],
    /// The certificate of the signing key by the master key.
    pub certificate: Vec<u8>,
    /// The older identity.
    pub rsa: RsaPrivateKey,
    rsa_pem: String,
}

impl Keys {
    /// New keys.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn generate() -> Result<Self> {
        let (master, signing) = (new_key()?, new_key()?);
        let mut signing_expanded: [u8; 64] = Sha512::digest(signing.as_bytes()).into();
        signing_expanded[0] &= 0xf8;
        signing_expanded[31] &= 0x3f;
        signing_expanded[31] |= 0x40;
        let rsa = RsaPrivateKey::new(&mut OsRng, RSA_BITS)?;
        let der = STANDARD.encode(rsa.to_pkcs1_der()?.as_bytes());
        let lines = der.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>();
        let rsa_pem = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
            lines.join("\n")
        );
        let certificate = certificate(&master, &signing)?;
        Ok(Self { master, signing, signing_expanded, certificate, rsa, rsa_pem })
    }

    /// The public key by which the network knows the relay.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.master.verifying_key().to_bytes()
    }

    /// The field `keys` of the relay's configuration. The master key's secret stays here.
    #[must_use]
    pub fn configuration(&self) -> Value {
        json!({
            "ed25519_master_id_public_key": file("public: type0", &self.identity()),
            "ed25519_signing_secret_key": file("secret: type4", &self.signing_expanded),
            "ed25519_signing_cert": file("cert: type4", &self.certificate),
            "secret_id_key": self.rsa_pem,
        })
    }

    /// What must not be found on a relay that has forgotten.
    ///
    /// # Errors
    /// Never: the key has lines.
    pub fn needles(&self) -> Result<Vec<Needle>> {
        let line = self.rsa_pem.lines().nth(4).context("a short RSA key")?;
        Ok(vec![
            Needle::secret("signing key", &self.signing_expanded),
            Needle::bytes("RSA key", line.as_bytes()),
        ])
    }
}

fn new_key() -> Result<SigningKey> {
    // 32 random bytes as well.
    let seed = STANDARD.decode(wireguard::generate()?.expose())?;
    Ok(SigningKey::from_bytes(seed.first_chunk().context("a short key")?))
}

/// Says that the signing key speaks for the master key for some days.
fn certificate(master: &SigningKey, signing: &SigningKey) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let hours = u32::try_from(now / 3600 + DAYS * 24)?;
    // Version 1; type 4: a signing key by an identity.
    let mut bytes = vec![1, 4];
    bytes.extend(hours.to_be_bytes());
    // The key is an Ed25519 key.
    bytes.push(1);
    bytes.extend(signing.verifying_key().as_bytes());
    // One extension of 32 bytes, type 4: the key that it is signed with.
    bytes.extend([1, 0, 32, 4, 0]);
    bytes.extend(master.verifying_key().as_bytes());
    let signature = master.sign(&bytes).to_bytes();
    bytes.extend(signature);
    Ok(bytes)
}

/// A key file of Tor, in base64: a line of text, zeros up to 32 bytes, and the key.
fn file(tag: &str, content: &[u8]) -> String {
    let mut bytes = format!("== ed25519v1-{tag} ==").into_bytes();
    bytes.resize(32, 0);
    bytes.extend(content);
    STANDARD.encode(bytes)
}
