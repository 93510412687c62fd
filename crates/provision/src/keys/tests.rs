use proptest::prelude::any;
use proptest::proptest;

use super::Fingerprint;
use super::Identity;
use super::KeyError;
use super::PublicKey;

#[test]
fn a_key_is_the_same_key_after_a_file() {
    let key = Identity::from_seed(&[1; 32]).public();
    assert_eq!(PublicKey::from_pem(key.to_pem().as_bytes()), Ok(key));
    assert_eq!(key.to_spki().len(), 44);
    let text = format!("a name\n{}\n", key.to_pem());
    assert_eq!(PublicKey::from_pem(text.as_bytes()), Ok(key));
}

/// `openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64` of the same key.
#[test]
fn fingerprints_are_those_that_other_tools_compute() {
    let fingerprint = Identity::from_seed(&[1; 32]).fingerprint();
    assert_eq!(fingerprint.to_string(), "SHA256:/RENMB0vB33hQUuPmfRBsUA/qyB7IFL70sBl5O6OfcI");
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
}

#[test]
fn what_is_no_public_key_is_refused() {
    let key = Identity::from_seed(&[1; 32]).public();
    let twice = key.to_pem().repeat(2);
    let private = key.to_pem().replace("PUBLIC", "PRIVATE");
    for (pem, error) in [
        ("", KeyError::NotPem),
        (twice.as_str(), KeyError::NotPem),
        (private.as_str(), KeyError::Private),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", KeyError::NotEd25519),
    ] {
        assert_eq!(PublicKey::from_pem(pem.as_bytes()), Err(error), "{pem}");
    }
    // The neutral element signs everything.
    let mut weak = key.to_spki();
    weak[12..].copy_from_slice(&{
        let mut one = [0; 32];
        one[0] = 1;
        one
    });
    assert_eq!(PublicKey::from_spki(&weak), Err(KeyError::Weak));
}

#[test]
fn identities_are_new_each_time_and_do_not_print() {
    let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(format!("{one:?}"), format!("Identity({})", one.fingerprint()));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = text.parse::<Fingerprint>();
        let _ = PublicKey::from_pem(&bytes);
        let _ = PublicKey::from_pem(format!("-----BEGIN PUBLIC KEY-----{text}-----END PUBLIC KEY-----").as_bytes());
        let _ = PublicKey::from_spki(&bytes);
    }
}
