//! The extensions of a certificate.

use std::collections::BTreeSet;

use x509_cert::certificate::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::ext::pkix::CertificatePolicies;
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use super::CertificateError;

/// What the extensions say that matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    pub(super) ca: bool,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) extended_key_usage: Option<Vec<ObjectIdentifier>>,
    pub(super) name_constraints: bool,
    pub(super) unknown_critical: Option<ObjectIdentifier>,
}

impl Extensions {
    /// Reads all of them. The common ones must decode, whether they matter here or not: other readers
    /// refuse a certificate in which they do not.
    pub(super) fn read(x509: &X509) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        let mut seen = BTreeSet::new();
        for extension in x509.tbs_certificate().extensions().into_iter().flatten() {
            if !seen.insert(extension.extn_id) {
                return Err(CertificateError::RepeatedExtension(extension.extn_id.to_string()));
            }
            if !read.take(extension)? && extension.critical {
                read.unknown_critical = Some(extension.extn_id);
            }
        }
        Ok(read)
    }

    /// Whether the extension is understood, so that it may be critical.
    fn take(&mut self, extension: &Extension) -> Result<bool, CertificateError> {
        let content = extension.extn_value.as_bytes();
        match extension.extn_id {
            BasicConstraints::OID => {
                self.ca = decode::<BasicConstraints>(content, "basicConstraints")?.ca;
                Ok(true)
            }
            KeyUsage::OID => {
                self.key_usage = Some(key_usage(content)?);
                Ok(true)
            }
            ExtendedKeyUsage::OID => {
                let purposes: ExtendedKeyUsage = decode(content, "extendedKeyUsage")?;
                self.extended_key_usage = Some(purposes.0);
                Ok(true)
            }
            SubjectAltName::OID => has_common_names(content),
            NameConstraints::OID => {
                self.name_constraints = true;
                name_constraints(content).map(|()| false)
            }
            AuthorityInfoAccessSyntax::OID => {
                decode::<AuthorityInfoAccessSyntax>(content, "authorityInfoAccess").map(|_| false)
            }
            AuthorityKeyIdentifier::OID => {
                decode::<AuthorityKeyIdentifier>(content, "authorityKeyIdentifier").map(|_| false)
            }
            CertificatePolicies::OID => {
                decode::<CertificatePolicies>(content, "certificatePolicies").map(|_| false)
            }
            CrlDistributionPoints::OID => {
                decode::<CrlDistributionPoints>(content, "cRLDistributionPoints").map(|_| false)
            }
            SubjectKeyIdentifier::OID => {
                decode::<SubjectKeyIdentifier>(content, "subjectKeyIdentifier").map(|_| false)
            }
            _ => Ok(false),
        }
    }
}

fn decode<'a, T: Decode<'a>>(content: &'a [u8], name: &'static str) -> Result<T, CertificateError> {
    T::from_der(content).map_err(|_| CertificateError::Extension(name))
}

/// The bits behind the last named one must be zero, as DER has it.
fn key_usage(content: &[u8]) -> Result<KeyUsage, CertificateError> {
    const NAME: &str = "keyUsage";
    let usage = decode(content, NAME)?;
    // Behind tag, length and the number of unused bits.
    match content {
        [_, _, unused @ 0..8, .., last] if last & ((1 << unused) - 1) == 0 => Ok(usage),
        [_, _, 0] => Ok(usage),
        _ => Err(CertificateError::Extension(NAME)),
    }
}

/// Whether there is a name among them that others understand as well.
fn has_common_names(content: &[u8]) -> Result<bool, CertificateError> {
    const NAME: &str = "subjectAltName";
    let names: SubjectAltName = decode(content, NAME)?;
    let mut has_common = false;
    for name in &names.0 {
        let (common, well_formed) = match name {
            GeneralName::DnsName(_) | GeneralName::Rfc822Name(_) => (true, true),
            GeneralName::IpAddress(address) => (true, matches!(address.as_bytes().len(), 4 | 16)),
            GeneralName::UniformResourceIdentifier(uri) => (true, is_plain_uri(uri.as_str())),
            _ => (false, true),
        };
        if !well_formed {
            return Err(CertificateError::Extension(NAME));
        }
        has_common |= common;
    }
    Ok(has_common)
}

/// Whether every reader of URIs takes it: an absolute one of plain characters, whose host, if it has
/// one, is a name without empty labels.
fn is_plain_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let scheme_is_plain = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(in_scheme);

    let mut escapes = rest.split('%');
    let before_escapes = escapes.next().unwrap_or_default();
    let is_plain = |text: &str| {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(&byte);
        text.bytes().all(allowed)
    };
    let rest_is_plain = is_plain(before_escapes)
        && escapes.all(|text| {
            let digits = text.as_bytes().get(..2).unwrap_or_default();
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) && is_plain(text)
        });

    scheme_is_plain && rest_is_plain && rest.strip_prefix("//").is_none_or(has_plain_host)
}

fn has_plain_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    authority.is_empty()
        || (port.bytes().all(|byte| byte.is_ascii_digit())
            && host.bytes().all(in_host)
            && host.split('.').all(|label| !label.is_empty()))
}

fn name_constraints(content: &[u8]) -> Result<(), CertificateError> {
    const NAME: &str = "nameConstraints";
    let constraints: NameConstraints = decode(content, NAME)?;
    match (constraints.permitted_subtrees, constraints.excluded_subtrees) {
        (None, None) => Err(CertificateError::Extension(NAME)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::has_common_names;
    use super::is_plain_uri;
    use super::key_usage;
    use super::name_constraints;

    #[test]
    fn bits_that_nobody_named_are_zero() {
        assert!(key_usage(&[3, 2, 2, 0x84]).unwrap().key_cert_sign());
        assert!(key_usage(&[3, 2, 0, 0x84]).is_ok() && key_usage(&[3, 3, 7, 0x84, 0x80]).is_ok());
        for dirty in [&[3, 2, 2, 0x87][..], &[3, 2, 7, 0xff], &[3, 2, 8, 0], &[3, 0], b"x"] {
            assert!(key_usage(dirty).is_err(), "{dirty:?}");
        }
    }

    #[test]
    fn alternative_names_are_well_formed() {
        let names = |tag: u8, name: &[u8]| {
            let mut content = vec![0x30, u8::try_from(name.len()).unwrap() + 2, tag];
            content.push(u8::try_from(name.len()).unwrap());
            content.extend(name);
            has_common_names(&content).ok()
        };
        assert_eq!(names(0x82, b"example.org"), Some(true));
        assert_eq!(names(0x82, "Zoë".as_bytes()), None);
        assert_eq!(names(0x87, &[1, 2, 3, 4]), Some(true));
        assert_eq!(names(0x87, &[1, 2, 3]), None);
        assert_eq!(names(0x86, b"https://example.org/x"), Some(true));
        assert_eq!(names(0x86, b"http://[x"), None);
        assert_eq!(names(0x88, &[0x2a, 3]), Some(false), "a registered identifier");
        assert_eq!(has_common_names(&[0x30, 0]).ok(), Some(false), "no name at all");
    }

    #[test]
    fn only_plain_uris() {
        for uri in ["urn:x:y", "http://x", "https://a.example:8443/b?c#d%20e", "file:///x", "a:"] {
            assert!(is_plain_uri(uri), "{uri}");
        }
        for uri in [
            "",
            "x",
            "//x",
            ":x",
            "1a:x",
            "http://[::1]/",
            "http://a..b/",
            "http://a./",
            "http://x:y/",
            "http://u@x/",
            "http://x/%zz",
            "http://x/%a",
            "http://%41/",
            "http://x/a b",
            "http://x/<",
        ] {
            assert!(!is_plain_uri(uri), "{uri}");
        }
    }

    #[test]
    fn name_constraints_constrain_something() {
        assert!(name_constraints(&[0x30, 0]).is_err());
        assert!(name_constraints(b"\x30\x07\xa0\x05\x30\x03\x82\x01x").is_ok());
        assert!(name_constraints(b"\x01").is_err());
    }
}
