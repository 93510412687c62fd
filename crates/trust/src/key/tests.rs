use ed25519_dalek::VerifyingKey;
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use rcgen::SigningKey;
use x509_cert::der::Decode;
use x509_cert::der::asn1::Any;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::ECDSA_SHA256;
use super::ED25519;
use super::KeyError;
use super::PublicKey;
use super::SignatureError;
use super::ed25519;
use super::rsa;
use crate::test_certificates::archive;
use crate::test_certificates::ed25519 as new_key;
use crate::test_certificates::lenient_signature;

/// Encodings of all points of small order, from the smallest order to the largest.
const WEAK: [&str; 7] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
];

fn spki(der: &[u8]) -> SubjectPublicKeyInfoOwned {
    SubjectPublicKeyInfoOwned::from_der(der).unwrap()
}

#[test]
fn weak_ed25519_keys_are_refused() {
    for hex in WEAK {
        // A digest is 32 bytes in hexadecimal too.
        let bytes: crate::Sha256Digest = hex.parse().unwrap();
        assert_eq!(ed25519(bytes.as_bytes()), Err(KeyError::Weak), "{hex}");
    }
}

#[test]
fn an_ed25519_key_has_one_encoding() {
    let mut usable_but_for_their_encoding = 0;
    // The numbers from p = 2^255 - 19 to 2^255 - 1 are second encodings of 0 to 18.
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            assert!(ed25519(&bytes).is_err(), "{bytes:x?}");
            let lenient = VerifyingKey::from_bytes(&bytes);
            usable_but_for_their_encoding += usize::from(lenient.is_ok_and(|key| !key.is_weak()));
        }
    }
    assert!(usable_but_for_their_encoding > 0);
}

#[test]
fn ed25519_keys_of_another_length_are_refused() {
    let key = new_key();
    assert!(ed25519(key.public_key_raw()).is_ok());
    assert_eq!(ed25519(&key.public_key_raw()[..31]), Err(KeyError::Malformed));
    assert_eq!(ed25519(&[key.public_key_raw(), &[0]].concat()), Err(KeyError::Malformed));
}

#[test]
fn ed25519_keys_with_parameters_are_refused() {
    let key = new_key();
    let plain = key.subject_public_key_info();
    assert!(PublicKey::from_spki(&spki(&plain)).is_ok());
    // The same with NULL as parameters: two bytes more in both sequences.
    let mut with_null = plain;
    with_null[1] += 2;
    with_null[3] += 2;
    with_null.splice(9..9, [5, 0]);
    assert_eq!(PublicKey::from_spki(&spki(&with_null)), Err(KeyError::Malformed));
}

#[test]
fn other_algorithms_are_known_but_may_not_sign_packages() {
    for (algorithm, name) in
        [(&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSA"), (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSA")]
    {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let key = PublicKey::from_spki(&spki(&key.subject_public_key_info())).unwrap();
        assert_eq!(key.as_ed25519(), Err(KeyError::NotEd25519(name)));
    }
    let ed25519 = new_key();
    let mut unknown = ed25519.subject_public_key_info();
    unknown[8] += 1; // Ed448
    assert_eq!(PublicKey::from_spki(&spki(&unknown)), Err(KeyError::Unsupported));
}

#[test]
fn signatures_on_certificates_are_verified_strictly() {
    let (key, signature) = lenient_signature();
    let key = PublicKey::Ed25519(ed25519(&key.0).unwrap());
    let algorithm = AlgorithmIdentifierOwned { oid: ED25519, parameters: None };
    let result = key.verify(&algorithm, archive().as_bytes(), &signature);
    assert_eq!(result, Err(SignatureError::Wrong));
}

#[test]
fn signature_algorithms_have_the_parameters_that_are_theirs() {
    for (algorithm, oid) in
        [(&rcgen::PKCS_ECDSA_P256_SHA256, ECDSA_SHA256), (&rcgen::PKCS_ED25519, ED25519)]
    {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let signature = pair.sign(b"message").unwrap();
        let key = PublicKey::from_spki(&spki(&pair.subject_public_key_info())).unwrap();
        let verify = |parameters| {
            key.verify(&AlgorithmIdentifierOwned { oid, parameters }, b"message", &signature)
        };
        assert_eq!(verify(None), Ok(()));
        assert_eq!(verify(Some(Any::null())), Err(SignatureError::Algorithm));
    }
}

#[test]
fn rsa_keys_have_2048_to_8192_bits() {
    let integer = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[2, 0x82], &length[..], bytes].concat()
    };
    let key = |modulus: &[u8]| {
        let content = [&integer(modulus)[..], &[2, 3, 1, 0, 1]].concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], &content].concat()
    };
    // A leading zero byte keeps the integer positive.
    assert_eq!(rsa(&key(&[&[0], &[0xff; 256][..]].concat())), Ok(()));
    assert_eq!(rsa(&key(&[&[0], &[0xff; 1024][..]].concat())), Ok(()));
    assert_eq!(rsa(&key(&[0x7f; 256])), Err(KeyError::RsaLength(2047)));
    assert_eq!(rsa(&key(&[0x01; 1025])), Err(KeyError::RsaLength(8193)));
    assert_eq!(rsa(b"\x30\x00"), Err(KeyError::Malformed));
}
