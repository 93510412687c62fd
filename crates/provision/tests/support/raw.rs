//! A client of its own, made of the TLS library's own parts, that says whatever a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type Stream = TlsStream<TcpStream>;

const DEADLINE: Duration = Duration::from_secs(5);

/// Takes any key.
#[derive(Debug)]
pub struct Anybody {
    pub raw: bool,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

/// The key that claims to be `claimed` and signs with `seed`.
pub fn key(seed: &[u8; 32], claimed: &[u8; 32]) -> Arc<CertifiedKey> {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = [&prefix[..], seed].concat();
    let signer =
        rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    let spki = provision::Identity::from_seed(claimed).public().to_spki();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signer))
}

pub async fn connect_as(
    address: SocketAddr,
    key: Arc<CertifiedKey>,
) -> Result<Stream, std::io::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody { raw: true }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.enable_sni = false;
    handshake(address, config).await
}

pub async fn connect(address: SocketAddr, seed: &[u8; 32]) -> Result<Stream, std::io::Error> {
    connect_as(address, key(seed, seed)).await
}

pub async fn handshake(
    address: SocketAddr,
    config: ClientConfig,
) -> Result<Stream, std::io::Error> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("machine.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

pub async fn hear(stream: &mut Stream) -> Result<Value, provision::wire::WireError> {
    let bytes = provision::wire::read(stream, DEADLINE).await?;
    Ok(serde_json::from_slice(&bytes).unwrap())
}

pub async fn say(stream: &mut Stream, message: &Value) {
    let bytes = message.to_string();
    provision::wire::write(stream, bytes.as_bytes(), DEADLINE).await.unwrap();
}

/// A request that answers this hello.
pub fn request(hello: &Value, request: Value) -> Value {
    let hello = &hello["hello"];
    serde_json::json!({
        "version": 1,
        "nonce": hello["nonce"],
        "identity": hello["identity"],
        "package_sha256": hello["package_sha256"],
        "request": request,
    })
}

/// Takes any client's key.
#[derive(Debug)]
pub struct AnyClient;

impl rustls::server::danger::ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
