//! TLS as the trust policy has it: its roots alone, on [`trust::Clock`]'s time.

use core::time::Duration;
use std::sync::Arc;

use hostcfg::ClientIdentity;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::VerifierBuilderError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::TrustAnchor;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject;
use trust::Clock;
use trust::Timestamp;

use crate::error::ErrorKind;
use crate::handshake;

/// The configuration of TLS connections. Without roots no certificate is accepted; `identity` is
/// shown to servers that ask for one.
pub(crate) fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &[Vec<u8>],
    clock: Clock,
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, ErrorKind> {
    let roots = roots
        .iter()
        .enumerate()
        .map(|(index, der)| {
            Root::from_der(der).map_err(|reason| ErrorKind::TlsRoot { position: index + 1, reason })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let verifier = PolicyVerifier { roots, clock, provider: Arc::clone(provider) };
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ErrorKind::Setup(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| ErrorKind::ClientIdentity(error.to_string()))?;
            // What is wrong with a key is not repeated: it may hold parts of it.
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
                .map_err(|_| ErrorKind::ClientIdentity("the key is not one in PEM".to_owned()))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| ErrorKind::ClientIdentity(error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A TLS root of the trust policy.
#[derive(Debug)]
struct Root {
    anchor: TrustAnchor<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Root {
    fn from_der(der: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from(der)).map_err(|error| error.to_string())?;
        let anchor = store.roots.pop().ok_or("not a certificate")?;
        let (not_before, not_after) = trust::validity(der).map_err(|error| error.to_string())?;
        Ok(Self { anchor, not_before, not_after })
    }
}

/// Judges a server's chain by the policy's roots at the time that the clock gives for that chain.
///
/// Path building, names, usages and signatures are rustls' own verifier's business; this one only
/// chooses the time, and leaves out roots that are not valid at it, which webpki does not look at.
#[derive(Debug)]
struct PolicyVerifier {
    roots: Vec<Root>,
    clock: Clock,
    provider: Arc<CryptoProvider>,
}

impl PolicyVerifier {
    /// rustls' verifier over some of the roots; `None` if there are none.
    fn verifier_for<'a>(
        &self,
        roots: impl Iterator<Item = &'a Root>,
    ) -> Result<Option<Arc<WebPkiServerVerifier>>, Error> {
        let store: RootCertStore = roots.map(|root| root.anchor.clone()).collect();
        let provider = Arc::clone(&self.provider);
        match WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build() {
            Ok(verifier) => Ok(Some(verifier)),
            Err(VerifierBuilderError::NoRootAnchors) => Ok(None),
            Err(error) => Err(Error::General(error.to_string())),
        }
    }

    /// The start of a root's validity is judged by itself: where the time is not known, or only to
    /// some hours, `now` is made up from the chain, which may be older than a root issued anew.
    fn is_valid(&self, root: &Root, now: Timestamp) -> bool {
        now <= root.not_after && root.not_before <= self.clock.now_for(root.not_before)
    }
}

impl ServerCertVerifier for PolicyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        handshake::answered();
        let not_before = latest_not_before(end_entity, intermediates)
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let now = self.clock.now_for(not_before);
        let unix = UnixTime::since_unix_epoch(Duration::from_secs(
            u64::try_from(now.unix()).unwrap_or_default(),
        ));
        let judge = |verifier: Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, unix)
        };
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let verdict =
            match self.verifier_for(self.roots.iter().filter(|r| self.is_valid(r, now)))? {
                Some(verifier) => judge(verifier),
                None => Err(unknown.clone()),
            };
        // A chain under a root that has expired is told apart from one under a stranger's root.
        if verdict.as_ref().err() == Some(&unknown)
            && let Some(all) = self.verifier_for(self.roots.iter())?
            && judge(all).is_ok()
        {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    /// Asked for when the first message of a handshake is made.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        handshake::begun();
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The moment from which on the whole presented chain may be valid; `None` if a certificate in it
/// does not decode.
fn latest_not_before(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Option<Timestamp> {
    let mut latest = trust::validity(end_entity).ok()?.0;
    for certificate in intermediates {
        latest = latest.max(trust::validity(certificate).ok()?.0);
    }
    Some(latest)
}

/// What a failed handshake means for the mirror.
pub(crate) fn classify(error: &Error) -> ErrorKind {
    let Error::InvalidCertificate(certificate) = error else {
        return ErrorKind::TlsFailed(error.to_string());
    };
    match certificate {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            ErrorKind::TlsUntrusted("certificate by an unknown CA".to_owned())
        }
        CertificateError::Expired => ErrorKind::TlsExpired("certificate expired".to_owned()),
        CertificateError::NotValidYet => {
            ErrorKind::TlsExpired("certificate not valid yet".to_owned())
        }
        CertificateError::ExpiredContext { time, not_after } => ErrorKind::TlsExpired(format!(
            "certificate expired on {}, judged as of {}",
            rfc3339(*not_after),
            rfc3339(*time)
        )),
        CertificateError::NotValidYetContext { time, not_before } => {
            ErrorKind::TlsExpired(format!(
                "certificate valid from {}, judged as of {}",
                rfc3339(*not_before),
                rfc3339(*time)
            ))
        }
        CertificateError::NotValidForName => {
            ErrorKind::TlsWrongName("certificate for another name".to_owned())
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            ErrorKind::TlsWrongName(format!("certificate for {}", names(presented)))
        }
        _ => ErrorKind::TlsFailed(error.to_string()),
    }
}

/// The names in a certificate, as many as fit on a line.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut list = presented
        .iter()
        .take(SHOWN)
        .map(|name| name.escape_default().take(80).collect::<String>())
        .collect::<Vec<_>>()
        .join(", ");
    match presented.len() {
        0 => list.push_str("no name at all"),
        count if count > SHOWN => list.push_str(" and others"),
        _ => {}
    }
    list
}

fn rfc3339(time: UnixTime) -> Timestamp {
    Timestamp::from_unix(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
