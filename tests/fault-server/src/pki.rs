//! Certificates for tests: a CA, and servers under it, valid or not.

use anyhow::Context;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

/// A period of validity in Unix seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
}

impl Default for Validity {
    /// From 2020 to 2100.
    fn default() -> Self {
        Self { not_before: 1_577_836_800, not_after: 4_102_444_800 }
    }
}

/// A certificate authority.
pub struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl core::fmt::Debug for Pki {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pki").finish_non_exhaustive()
    }
}

impl Pki {
    /// A CA that is valid from 2020 to 2100.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        Self::with_validity(common_name, Validity::default())
    }

    /// A CA with a validity of its own.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn with_validity(common_name: &str, validity: Validity) -> anyhow::Result<Self> {
        let mut params = params(&[], common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("making a CA certificate")?;
        Ok(Self { issuer })
    }

    /// The CA's certificate as DER.
    #[must_use]
    pub fn ca_der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// The CA's certificate as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's key and certificate for these names (host names or IP addresses).
    ///
    /// # Errors
    /// When a name is neither, or a key or certificate cannot be made.
    pub fn server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        self.server_with_validity(names, Validity::default())
    }

    /// A client's key and certificate.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn client(&self, common_name: &str) -> anyhow::Result<Identity> {
        let mut params = params(&[], common_name, Validity::default())?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// The same with a validity of its own.
    ///
    /// # Errors
    /// When a name is neither, or a key or certificate cannot be made.
    pub fn server_with_validity(
        &self,
        names: &[&str],
        validity: Validity,
    ) -> anyhow::Result<Identity> {
        let mut params = params(names, "fault-server", validity)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate =
            params.clone().signed_by(&key, &self.issuer).context("making a certificate")?;
        Ok(Identity {
            chain: vec![certificate.der().clone()],
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        })
    }
}

fn params(
    names: &[&str],
    common_name: &str,
    validity: Validity,
) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).context("names of a certificate")?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::from_unix_timestamp(validity.not_before)?;
    params.not_after = OffsetDateTime::from_unix_timestamp(validity.not_after)?;
    Ok(params)
}

/// A server's certificate chain and private key. Made for one test, secret to nobody.
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
    key_pem: String,
    key_der: Vec<u8>,
}

impl Identity {
    /// The server's certificate as PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key as PEM (PKCS#8).
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Sends this certificate along, behind the server's own.
    #[must_use]
    pub fn with_intermediate(mut self, der: Vec<u8>) -> Self {
        self.chain.push(CertificateDer::from(der));
        self
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()))
    }
}
