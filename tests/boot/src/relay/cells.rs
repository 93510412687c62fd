//! The first words between relays (Tor's `tor-spec.txt`, chapter 4): after a TLS handshake that proves
//! nothing, the one who was called proves its two identities by certificates over the TLS
//! connection's own.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use ed25519_dalek::Signature;
use ed25519_dalek::Verifier;
use rsa::Pkcs1v15Sign;
use rsa::RsaPublicKey;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::SignatureScheme;
use rustls::StreamOwned;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use sha2::Digest;
use sha2::Sha256;

use super::keys::Keys;

const PATIENCE: Duration = Duration::from_secs(20);

/// "I speak versions 4 and 5": a cell of the kind VERSIONS, with a circuit number of two bytes.
const VERSIONS: [u8; 9] = [0, 0, 7, 0, 4, 0, 4, 0, 5];

/// The command of cells that hold certificates.
const CERTS: u8 = 129;

/// Certificates: the signing key by the identity, the TLS certificate by the signing key, and the
/// identity by the older one.
const SIGNING: u8 = 4;
const TLS: u8 = 5;
const CROSS: u8 = 7;

/// What the older identity signs begins with this.
const CROSS_PREFIX: &[u8] = b"Tor TLS RSA/Ed25519 cross-certificate";

/// Connects to a relay, and asserts that it holds these keys.
///
/// # Errors
/// If nobody answers, or not with these keys.
pub fn prove(port: u16, keys: &Keys) -> Result<()> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("www.relay.example")?;
    let connection = ClientConnection::new(Arc::new(anybody()?), name)?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(&VERSIONS).context("no TLS handshake")?;
    let [_, _, command] = read(&mut stream)?;
    ensure!(command == VERSIONS[2], "the relay begins with a cell of the kind {command}");
    let length = u16::from_be_bytes(read(&mut stream)?);
    skip(&mut stream, length)?;
    let certificates = certificates(&mut stream)?;

    let tls = stream.conn.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
    ensure!(one(&certificates, SIGNING)? == keys.certificate, "another signing key");
    by_signing_key(one(&certificates, TLS)?, keys, &Sha256::digest(tls))?;
    by_rsa_key(one(&certificates, CROSS)?, keys)
}

/// Reads up to the cell with certificates, and returns each with its kind.
fn certificates(stream: &mut impl Read) -> Result<Vec<(u8, Vec<u8>)>> {
    let [_, _, _, _, command] = read(stream)?;
    ensure!(command == CERTS, "a cell of the kind {command} in place of certificates");
    let _length: [u8; 2] = read(stream)?;
    let [number] = read(stream)?;
    let mut all = Vec::new();
    for _ in 0..number {
        let [kind] = read(stream)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(read(stream)?))];
        stream.read_exact(&mut bytes)?;
        all.push((kind, bytes));
    }
    Ok(all)
}

fn one(all: &[(u8, Vec<u8>)], kind: u8) -> Result<&[u8]> {
    let found = all.iter().find(|(of, _)| *of == kind);
    let kinds: Vec<u8> = all.iter().map(|(kind, _)| *kind).collect();
    Ok(&found.with_context(|| format!("no certificate of the kind {kind} in {kinds:?}"))?.1)
}

/// Asserts that a certificate is about this digest, by the signing key: its holder is who speaks.
fn by_signing_key(certificate: &[u8], keys: &Keys, digest: &[u8]) -> Result<()> {
    // Version, kind, hours, kind of the key: 7 bytes.
    ensure!(certificate.get(7..39) == Some(digest), "not about this TLS connection");
    let (said, signature) =
        certificate.split_last_chunk::<64>().context("no signature on the TLS certificate's")?;
    let signature = Signature::from_bytes(signature);
    let verified = keys.signing.verifying_key().verify(said, &signature);
    verified.context("the TLS certificate is not by the signing key")
}

/// Asserts that the older identity, too, speaks for the new one.
fn by_rsa_key(certificate: &[u8], keys: &Keys) -> Result<()> {
    // The key and the hours; then a byte for the signature's length.
    let (said, rest) = certificate.split_at_checked(36).context("a short cross-certificate")?;
    ensure!(said.get(..32) == Some(&keys.identity()), "the older identity names another one");
    let digest = Sha256::digest([CROSS_PREFIX, said].concat());
    let signature = rest.get(1..).context("no signature")?;
    let key = RsaPublicKey::from(&keys.rsa);
    let verified = key.verify(Pkcs1v15Sign::new_unprefixed(), &digest, signature);
    verified.context("the cross-certificate is not by the RSA key")
}

fn read<const N: usize>(stream: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).context("the relay says nothing more")?;
    Ok(bytes)
}

fn skip(stream: &mut impl Read, length: u16) -> Result<()> {
    let skipped = std::io::copy(&mut stream.take(u64::from(length)), &mut std::io::sink())?;
    if skipped != u64::from(length) {
        bail!("the relay breaks off");
    }
    Ok(())
}

/// TLS with whoever answers: what proves the relay comes after it.
fn anybody() -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::process::Stdio;
    use std::thread::sleep;
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::prove;
    use crate::relay::keys::Keys;
    use crate::vpn::machine::free_port;

    /// With the Tor of this machine, if there is one; it is told of no other relay.
    #[test]
    fn a_relay_proves_its_own_keys_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::generate().unwrap();
        let files = directory.path().join("keys");
        fs::create_dir(&files).unwrap();
        for path in [directory.path(), &files] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        for (name, text) in keys.configuration().as_object().unwrap() {
            let text = text.as_str().unwrap();
            let bytes = if text.starts_with("-----") {
                text.as_bytes().to_vec()
            } else {
                STANDARD.decode(text).unwrap()
            };
            fs::write(files.join(name), bytes).unwrap();
        }
        fs::write(directory.path().join("torrc"), "").unwrap();
        let port = free_port().unwrap();
        let arguments = format!(
            "--defaults-torrc /dev/null -f {0}/torrc --quiet --DataDirectory {0} --ORPort \
             127.0.0.1:{port} --SocksPort 0 --Nickname test --ContactInfo test --OfflineMasterKey 1 \
             --AssumeReachable 1 --Address 203.0.113.9 --DirAuthority \
             nobody,orport=9,v3ident=0000000000000000000000000000000000000001,127.0.0.1:9,\
             0000000000000000000000000000000000000002",
            directory.path().display(),
        );
        let arguments = arguments.split_whitespace().map(|word| word.replace(',', " "));
        let started = Command::new("/usr/sbin/tor").args(arguments).stdin(Stdio::null()).spawn();
        let Ok(mut tor) = started else {
            println!("skipped: this machine has no Tor");
            return;
        };
        let mut answer = prove(port, &keys);
        for _ in 0..60 {
            if answer.is_ok() || tor.try_wait().unwrap().is_some() {
                break;
            }
            sleep(Duration::from_millis(500));
            answer = prove(port, &keys);
        }
        let other = prove(port, &Keys::generate().unwrap());
        tor.kill().unwrap();
        tor.wait().unwrap();
        answer.unwrap();
        assert!(other.unwrap_err().to_string().contains("another signing key"));
    }
}
