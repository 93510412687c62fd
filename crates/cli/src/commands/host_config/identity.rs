//! Whether the client certificates of mirrors are of any use, judged as a machine does it.

use hostcfg::ClientIdentity;
use hostcfg::HostConfig;
use hostcfg::Mirror;
use report::Code;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;

use crate::Error;
use crate::Result;
use crate::output::Output;

/// Warns of every mirror that a machine can never ask, because it has nothing to prove itself with.
///
/// # Errors
///
/// [`Code::HostConfigInvalid`] if there is no other way to an OS package.
pub(super) fn check(config: &HostConfig, name: &str, output: &mut Output) -> Result<()> {
    let unusable: Vec<(&Mirror, String)> = config
        .mirrors
        .iter()
        .filter(|mirror| mirror.url.is_https())
        .filter_map(|mirror| {
            let why = problem(mirror.client_identity.as_ref()?)?;
            Some((mirror, why))
        })
        .collect();
    if let [(mirror, why), ..] = unusable.as_slice()
        && unusable.len() == config.mirrors.len()
        && config.package.is_none()
    {
        let message = format!("no mirror can be asked: {}: {why}", mirror.url);
        return Err(Error::with_code(Code::HostConfigInvalid, message).on(name).in_check());
    }
    for (mirror, why) in unusable {
        output.warning(format!("mirrors: {} can never be asked: {why}", mirror.url));
    }
    Ok(())
}

/// What is wrong with an identity. What is wrong inside of a key is not told: that could repeat it.
pub(super) fn problem(identity: &ClientIdentity) -> Option<String> {
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let Ok(chain) = chain else {
        return Some("client_certificate is no certificate in PEM".to_owned());
    };
    let Ok(key) = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes()) else {
        return Some("client_key is no key in PEM".to_owned());
    };
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(_) => None,
        Err(rustls::Error::InconsistentKeys(_)) => {
            Some("client_key is not the key of client_certificate".to_owned())
        }
        Err(_) => Some(
            "client_certificate and client_key are not a certificate and a key that TLS can use"
                .to_owned(),
        ),
    }
}
