use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use rcgen::CustomExtension;
use rcgen::PublicKeyData;

use super::Certificate;
use super::CertificateError;
use super::validity;
use crate::Sha256Digest;
use crate::test_certificates::Root;
use crate::test_certificates::day;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;
use crate::test_certificates::parse;
use crate::test_certificates::root_params;

#[test]
fn facts_are_read() {
    let root = Root::new("the root");
    let key = ed25519();
    let certificate = parse(&root.issue(&leaf_params("signer, 1"), &key));
    assert_eq!(certificate.subject(), "CN=signer\\, 1");
    assert_eq!(certificate.issuer(), "CN=the root");
    assert_eq!(certificate.not_before(), day(2026, 1, 1));
    assert_eq!(certificate.not_after(), day(2027, 1, 1));
    assert_eq!(certificate.spki_sha256(), Sha256Digest::of(&key.subject_public_key_info()));
    assert_eq!(certificate.ed25519_public_key().unwrap()[..], *key.public_key_raw());
    assert!(!certificate.is_ca() && parse(&root.der).is_ca());
    assert_eq!(validity(certificate.der()), Ok((day(2026, 1, 1), day(2027, 1, 1))));
}

#[test]
fn times_after_2049_are_read() {
    let mut params = root_params("root");
    params.not_after = rcgen::date_time_ymd(2060, 1, 2);
    assert_eq!(parse(&Root::with(params, ed25519()).der).not_after(), day(2060, 1, 2));
}

#[test]
fn names_are_fit_for_a_console() {
    let subject = |name: &str| parse(&Root::new(name).der).subject().to_owned();
    assert_eq!(subject("a\u{1b}[31mb\nc"), "CN=a\\1b[31mb\\0ac");
    assert_eq!(subject("\u{202e}reversed\u{9b}"), "CN=\u{fffd}reversed\u{fffd}");
    assert_eq!(subject("Zoë"), "CN=Zoë");
    assert_eq!(subject(&"x".repeat(200)).chars().count(), 129);
}

#[test]
fn a_certificate_without_a_name_is_called_by_its_key() {
    let mut params = root_params("");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let root = parse(&Root::with(params, ed25519()).der);
    assert_eq!(root.subject(), "");
    assert_eq!(root.label(), format!("key {}", root.spki_sha256()));
}

#[test]
fn names_are_text_of_their_type() {
    let mut der = Root::new("root").der;
    // UTF8String to VisibleString, which nobody reads in names.
    for at in 0..der.len() - 6 {
        if der[at..].starts_with(b"\x0c\x04root") {
            der[at] = 0x1a;
        }
    }
    assert_eq!(Certificate::parse(&der).unwrap_err(), CertificateError::Name("issuer"));
    assert_eq!(Certificate::parse_leniently(&der).unwrap_err(), CertificateError::Name("issuer"));
}

#[test]
fn a_malformed_key_makes_the_certificate_unreadable() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let good = Root::with(root_params("root"), key).der;
    let curve = good.windows(8).position(|window| window == b"\x2a\x86\x48\xce\x3d\x03\x01\x07");
    let curve = curve.unwrap();
    assert!(Certificate::parse(&good).unwrap().key().is_ok());
    // A curve that nobody knows, and a compressed point.
    for (at, byte) in [(curve + 7, 9), (curve + 11, 2)] {
        let mut der = good.clone();
        der[at] = byte;
        assert_eq!(Certificate::parse(&der).unwrap_err(), CertificateError::Key);
    }
}

#[test]
fn two_different_signature_algorithms_are_refused() {
    let mut der = Root::new("root").der;
    // The last of its two occurrences is the one beside the signature; + 1 makes it Ed448.
    let ed25519 = [6, 3, 0x2b, 0x65, 0x70];
    let outside = der.windows(5).rposition(|window| window == ed25519).unwrap();
    der[outside + 4] += 1;
    assert_eq!(Certificate::parse(&der).unwrap_err(), CertificateError::Algorithms);
}

#[test]
fn extensions_that_matter_must_decode_and_appear_once() {
    let with = |extensions: &[(&[u64], &[u8])]| {
        let mut params = leaf_params("signer");
        params.key_usages.clear();
        params.custom_extensions = extensions
            .iter()
            .map(|(oid, content)| CustomExtension::from_oid_content(oid, content.to_vec()))
            .collect();
        Certificate::parse(&Root::new("root").issue(&params, &ed25519()))
    };
    // Also those that decide nothing here, because others refuse them.
    for last in [14, 15, 17, 19, 30, 31, 32, 35, 37] {
        let error = with(&[(&[2, 5, 29, last], b"garbage")]).unwrap_err();
        assert!(matches!(error, CertificateError::Extension(_)), "2.5.29.{last}: {error}");
    }
    let error = with(&[(&[1, 3, 6, 1, 5, 5, 7, 1, 1], b"garbage")]).unwrap_err();
    assert!(matches!(error, CertificateError::Extension(_)), "{error}");
    assert!(with(&[(&[1, 2, 3], b"garbage")]).is_ok());
    let error = with(&[(&[1, 2, 3], b"x"), (&[1, 2, 3], b"x")]).unwrap_err();
    assert_eq!(error, CertificateError::RepeatedExtension("1.2.3".to_owned()));
}

#[test]
fn der_that_would_be_written_differently_is_refused() {
    // notBefore as GeneralizedTime, which before 2050 must be UTCTime: two bytes more in the
    // certificate, the part that is signed, and the validity.
    let mut der = Root::new("root").der;
    assert_eq!((der[1], der[5]), (0x82, 0x81), "lengths of two bytes and of one");
    let validity_at = der.windows(4).position(|window| window == [0x30, 0x1e, 0x17, 0x0d]).unwrap();
    der[3] += 2;
    der[6] += 2;
    der[validity_at + 1] += 2;
    der.splice(validity_at + 2..validity_at + 4, *b"\x18\x0f20");

    assert_eq!(validity(&der), Ok((day(2020, 1, 1), day(2040, 1, 1))));
    let error = Certificate::parse(&der).unwrap_err();
    assert_eq!(error, CertificateError::Der("it is not encoded canonically".to_owned()));
}

#[test]
fn only_version_3_has_extensions() {
    let mut der = Root::new("root").der;
    let version = der.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).unwrap();
    der[version + 4] = 1;
    assert_eq!(Certificate::parse(&der).unwrap_err(), CertificateError::Version);
}

#[test]
fn trailing_bytes_are_refused() {
    let mut der = Root::new("root").der;
    der.push(0);
    assert!(Certificate::parse(&der).is_err() && validity(&der).is_err());
}

proptest! {
    #[test]
    fn never_panics(bytes in vec(any::<u8>(), 0..512)) {
        let _ = Certificate::parse(&bytes);
        let _ = validity(&bytes);
    }

    #[test]
    fn never_panics_on_a_damaged_certificate(
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut der = include_bytes!("../../../../tests/vectors/keys/root.cert.pem").to_vec();
        der = crate::decode_certificate_pem(&der)?;
        for (position, byte) in changes {
            let position = position.index(der.len());
            der[position] = byte;
        }
        if let Ok(certificate) = Certificate::parse(&der) {
            proptest::prop_assert_eq!(certificate.der(), &der[..]);
        }
        let _ = Certificate::parse(&der[..cut.index(der.len())]);
    }
}
