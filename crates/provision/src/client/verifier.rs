//! Judges the key that a machine shows.

use std::io;
use std::io::ErrorKind;
use std::sync::OnceLock;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;

use crate::Fingerprint;
use crate::PublicKey;
use crate::client::ClientError;
use crate::client::Target;
use crate::tls;

/// Takes the one key with this fingerprint, and remembers another that came in its place.
#[derive(Debug)]
pub(crate) struct Expected {
    expected: Fingerprint,
    found: OnceLock<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Expected {
    pub(crate) fn new(expected: Fingerprint) -> Self {
        let algorithms = tls::provider().signature_verification_algorithms;
        Self { expected, found: OnceLock::new(), algorithms }
    }

    /// What a failed handshake means.
    pub(crate) fn explain(&self, target: &Target, error: &io::Error) -> ClientError {
        if let Some(found) = self.found.get() {
            return ClientError::WrongIdentity { expected: self.expected, found: *found };
        }
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                ClientError::ClosedAtOnce(target.to_string())
            }
            _ => ClientError::NotAHost(target.to_string(), reason(error)),
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(Error::PeerIncompatible(_)) => {
            "it speaks TLS, but not version 1.3 with raw public keys".to_owned()
        }
        Some(Error::AlertReceived(alert)) => format!("it refused the handshake ({alert:?})"),
        _ => error.to_string(),
    }
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = PublicKey::from_spki(end_entity)
            .map_err(|_| CertificateError::BadEncoding)?
            .fingerprint();
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let _ = self.found.set(found);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls::no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls::verify_handshake(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
