//! A CA and a server certificate for a lab.

use std::path::Path;
use std::path::PathBuf;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use time::Duration;
use time::OffsetDateTime;

use super::TlsFiles;
use crate::Error;
use crate::Result;
use crate::files;

const CA_CERTIFICATE: &str = "tls_roots.pem";
const CA_KEY: &str = "lab-ca-key.pem";
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 365;

/// TLS for a lab: the CA is kept in a directory, the server's certificate is new every time.
#[derive(Debug)]
pub struct LabTls {
    /// The CA's certificate: this file belongs into a trust policy, under this very name.
    pub roots: PathBuf,
    /// For the server.
    pub server: TlsFiles,
}

impl LabTls {
    /// Takes the CA from this directory, or makes one there; then issues a certificate for these
    /// host names and addresses.
    ///
    /// # Errors
    /// If the directory cannot be written, or holds half a CA, or a name cannot be used.
    pub fn open(directory: &Path, names: &[String]) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .map_err(|error| Error::io("create", directory, &error))?;
        let roots = directory.join(CA_CERTIFICATE);
        let key_file = directory.join(CA_KEY);
        let ca = ca_params()?;
        let key = match (roots.exists(), key_file.exists()) {
            (true, true) => {
                let pem = String::from_utf8(files::read(&key_file)?).map_err(|_| {
                    Error::new(format!("{} is no PEM file", key_file.display()))
                        .remedy("remove the lab's directory: a new CA is made then")
                })?;
                KeyPair::from_pem(&pem).map_err(|error| failed(&error).on(key_file.display()))?
            }
            (false, false) => {
                let key = KeyPair::generate().map_err(|error| failed(&error))?;
                let certificate = ca.self_signed(&key).map_err(|error| failed(&error))?;
                files::write(&key_file, key.serialize_pem().as_bytes(), files::SECRET, false)?;
                files::write(&roots, certificate.pem().as_bytes(), files::PUBLIC, false)?;
                key
            }
            _ => {
                return Err(Error::new(format!(
                    "{} has only one of {CA_CERTIFICATE} and {CA_KEY}",
                    directory.display()
                ))
                .remedy("remove it to get a new lab CA, or give another directory"));
            }
        };
        let server = issue(&Issuer::from_params(&ca, &key), names)?;
        Ok(Self { roots, server })
    }
}

fn ca_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(|error| failed(&error))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ramstrap lab CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    between(&mut params, CA_DAYS);
    Ok(params)
}

fn issue(issuer: &Issuer<'_, &KeyPair>, names: &[String]) -> Result<TlsFiles> {
    let mut params = CertificateParams::new(names)
        .map_err(|error| failed(&error).remedy("give --name a host name or an IP address"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ramstrap lab server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    between(&mut params, SERVER_DAYS);
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.signed_by(&key, issuer).map_err(|error| failed(&error))?;
    Ok(TlsFiles {
        certificates: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    })
}

/// From a day ago, so that a machine whose clock is somewhat slow can be booted.
fn between(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::DAY);
    params.not_after = now.saturating_add(Duration::days(days));
}

fn failed(error: &rcgen::Error) -> Error {
    Error::new(format!("the lab's TLS certificate: {error}"))
}
