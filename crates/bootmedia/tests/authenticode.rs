//! Authenticode: digests and signatures, compared with what other tools make of them.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;
use std::process::Command;

use bootmedia::authenticode;
use bootmedia::authenticode::SignError;
use bootmedia::authenticode::Signer;
use proptest::prelude::*;
use sha2::Digest;
use sha2::Sha256;
use support::CERTIFICATE;
use support::KEY;
use support::OTHER_CERTIFICATE;
use support::OTHER_KEY;
use support::put;
use support::stub;
use tempfile::TempDir;

/// Where the checksum and the entry for the certificate table of [`stub`] are.
const CHECKSUM: usize = 0x80 + 24 + 64;
const ENTRY: usize = 0x80 + 24 + 112 + 32;

fn signer() -> Signer {
    Signer::from_pem(KEY, CERTIFICATE).unwrap()
}

#[test]
fn the_digest_leaves_out_checksum_and_signatures() {
    let image = stub();
    let by_hand = Sha256::new()
        .chain_update(&image[..CHECKSUM])
        .chain_update(&image[CHECKSUM + 4..ENTRY])
        .chain_update(&image[ENTRY + 8..]);
    let digest = authenticode::digest(&image).unwrap();
    assert_eq!(digest.as_slice(), by_hand.finalize().as_slice());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex, "6987a80b89bbfedfbcbe4941fcb8147e720d7fcf2d7fb9d276140f8d1e5e9e37",
        "as osslsigncode computes it"
    );
    let mut other = image.clone();
    put(&mut other, CHECKSUM, &[1, 2, 3, 4]);
    assert_eq!(authenticode::digest(&other), Ok(digest));
    assert_eq!(authenticode::digest(&signer().sign(&image).unwrap()), Ok(digest));
    put(&mut other, 0x500, &[1]);
    assert_ne!(authenticode::digest(&other), Ok(digest));
}

#[test]
fn a_signature_says_who_and_what() {
    let image = stub();
    let signed = signer().sign(&image).unwrap();
    assert_eq!(signed, signer().sign(&image).unwrap(), "not deterministic");
    assert!(authenticode::signatures(&image).unwrap().is_empty());
    let signatures = authenticode::signatures(&signed).unwrap();
    let [signature] = signatures.as_slice() else { unreachable!("one signature") };
    assert_eq!(signature.subject, "CN=bootmedia test signer");
    assert_eq!(signature.digest, authenticode::digest(&image).unwrap());
    assert!(signature.digest_matches && signature.is_valid);
    assert_eq!(signature.accepted_by(CERTIFICATE), Ok(true));
    assert_eq!(signature.accepted_by(OTHER_CERTIFICATE), Ok(false));
    assert!(matches!(signature.accepted_by(b"no"), Err(SignError::NotCertificate(_))));
}

#[test]
fn a_changed_image_or_signature_is_noticed() {
    let signed = signer().sign(&stub()).unwrap();
    let judge = |at: usize| {
        let mut image = signed.clone();
        image[at] ^= 1;
        authenticode::signatures(&image).map(|it| (it[0].digest_matches, it[0].is_valid))
    };
    assert_eq!(judge(0x500), Ok((false, true)));
    // The last bytes of the entry are the RSA signature, but for the padding.
    assert_eq!(judge(signed.len() - 20), Ok((true, false)));
    let digest = authenticode::digest(&signed).unwrap();
    let at = signed.windows(32).rposition(|window| window == digest).unwrap();
    assert_eq!(judge(at), Ok((false, false)));
}

#[test]
fn signatures_can_be_moved_to_an_equal_image() {
    let signed = signer().sign(&stub()).unwrap();
    let image = bootmedia::pe::Image::parse(&signed).unwrap();
    let table = image.certificates().to_vec();
    assert_eq!(authenticode::with_signatures(&stub(), &table).unwrap(), signed);
    let without = authenticode::with_signatures(&signed, &[]).unwrap();
    assert!(authenticode::signatures(&without).unwrap().is_empty());
    assert_eq!(authenticode::digest(&without), authenticode::digest(&stub()));
    // They count for what they are over, and for nothing else.
    let mut other = stub();
    put(&mut other, 0x500, &[1]);
    let moved = authenticode::with_signatures(&other, &table).unwrap();
    assert!(!authenticode::signatures(&moved).unwrap()[0].digest_matches);
}

#[test]
fn signatures_stand_side_by_side() {
    let other = Signer::from_pem(OTHER_KEY, OTHER_CERTIFICATE).unwrap();
    let twice = other.sign(&signer().sign(&stub()).unwrap()).unwrap();
    let signatures = authenticode::signatures(&twice).unwrap();
    let accepted: Vec<bool> =
        signatures.iter().map(|it| it.accepted_by(OTHER_CERTIFICATE).unwrap()).collect();
    assert_eq!(accepted, [false, true]);
    assert!(signatures.iter().all(|it| it.is_valid && it.digest_matches));
}

#[test]
fn a_certificate_that_the_trusted_one_issued_is_accepted() {
    let leaf = include_bytes!("data/leaf.crt");
    let signed = Signer::from_pem(OTHER_KEY, leaf).unwrap().sign(&stub()).unwrap();
    let signatures = authenticode::signatures(&signed).unwrap();
    assert_eq!(signatures[0].issuer, "CN=bootmedia test signer");
    assert_eq!(signatures[0].accepted_by(CERTIFICATE), Ok(true));
    assert_eq!(signatures[0].accepted_by(OTHER_CERTIFICATE), Ok(false));
}

#[test]
fn images_of_odd_length_are_filled_up() {
    let mut image = stub();
    image.push(1);
    let signed = signer().sign(&image).unwrap();
    let signature = &authenticode::signatures(&signed).unwrap()[0];
    assert!(signature.digest_matches && signature.is_valid);
}

#[test]
fn keys_that_cannot_work_are_named() {
    let refused = |key: &[u8], certificate: &[u8]| Signer::from_pem(key, certificate).unwrap_err();
    assert!(Signer::from_pem(include_bytes!("data/signer-pkcs1.key"), CERTIFICATE).is_ok());
    assert_eq!(
        refused(OTHER_KEY, CERTIFICATE).to_string(),
        "the key does not match its certificate, which is for another key: \
         CN=bootmedia test signer"
    );
    assert_eq!(refused(include_bytes!("data/encrypted.key"), CERTIFICATE), SignError::Encrypted);
    let old_form = include_bytes!("data/encrypted-pkcs1.key");
    assert_eq!(refused(old_form, CERTIFICATE), SignError::Encrypted);
    assert_eq!(refused(include_bytes!("data/ed25519.key"), CERTIFICATE), SignError::NotRsa);
    assert_eq!(refused(include_bytes!("data/ec.key"), CERTIFICATE), SignError::NotRsa);
    let small = refused(include_bytes!("data/small.key"), CERTIFICATE).to_string();
    assert!(small.contains("2048 to 4096 bits"), "{small}");
    let swapped = refused(CERTIFICATE, KEY).to_string();
    assert!(swapped.contains("a CERTIFICATE, not a private key"), "{swapped}");
    assert!(matches!(refused(KEY, KEY), SignError::NotCertificate(_)));
    assert!(matches!(refused(b"", CERTIFICATE), SignError::NotKey(_)));
}

#[test]
fn sbsigntool_agrees() {
    let lab = TempDir::new().unwrap();
    let path = |name: &str| lab.path().join(name).display().to_string();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output.map(|output| output.status.success())
    };
    if run("sbverify", &["--version"]).is_err() {
        eprintln!("skipped: sbverify is missing (package sbsigntool)");
        return;
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let data = |name: &str| data.join(name).display().to_string();
    std::fs::write(path("image"), stub()).unwrap();
    std::fs::write(path("ours"), signer().sign(&stub()).unwrap()).unwrap();
    assert!(run("sbverify", &["--cert", &data("signer.crt"), &path("ours")]).unwrap());
    assert!(!run("sbverify", &["--cert", &data("other.crt"), &path("ours")]).unwrap());
    let (key, certificate) = (data("signer.key"), data("signer.crt"));
    let args = ["--key", &key, "--cert", &certificate, "--output", &path("theirs"), &path("image")];
    assert!(run("sbsign", &args).unwrap());
    let theirs = std::fs::read(path("theirs")).unwrap();
    let signature = &authenticode::signatures(&theirs).unwrap()[0];
    assert!(signature.digest_matches && signature.is_valid);
    assert_eq!(signature.accepted_by(CERTIFICATE), Ok(true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_signatures_never_panic_and_never_count(
        at in 0_usize..2000,
        change in 1_u8..=255,
    ) {
        let signed = signer().sign(&stub()).unwrap();
        let unsigned_len = stub().len();
        let at = unsigned_len + at % (signed.len() - unsigned_len);
        let mut image = signed;
        image[at] ^= change;
        if let Ok(signatures) = authenticode::signatures(&image) {
            for signature in signatures {
                // Bytes that no signature covers may change: the padding, for one. What is signed
                // stays the same then.
                let accepted = signature.accepted_by(CERTIFICATE) == Ok(true);
                prop_assert!(!accepted || signature.digest == authenticode::digest(&stub()).unwrap());
            }
        }
    }
}
