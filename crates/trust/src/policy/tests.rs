use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use rcgen::CustomExtension;
use report::Code;
use report::Coded;

use super::MAX_SIGNING_ROOTS;
use super::PolicyError;
use super::PolicyFiles;
use super::TrustPolicy;
use crate::Sha256Digest;
use crate::test_certificates::Root;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;
use crate::test_certificates::pem;
use crate::test_certificates::root_params;

const JSON: &[u8] = br#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#;

fn load(signing: Option<&str>, tls: Option<&str>) -> Result<TrustPolicy, PolicyError> {
    TrustPolicy::load(&PolicyFiles {
        trust_policy_json: JSON,
        signing_root_pem: signing.map(str::as_bytes),
        tls_roots_pem: tls.map(str::as_bytes),
        ..PolicyFiles::default()
    })
}

#[test]
fn a_policy_is_loaded_whole() {
    let (one, two) = (Root::new("one"), Root::new("two"));
    let signing = one.pem() + &two.pem();
    let policy = load(Some(&signing), Some(&two.pem())).unwrap();
    assert_eq!(policy.document().threshold(), 2);
    assert_eq!(policy.digest(), Sha256Digest::of(JSON));
    assert_eq!(policy.signing_roots()[1].subject(), "CN=two");
    assert_eq!(policy.tls_roots(), core::slice::from_ref(&two.der));
    let report = policy.report();
    assert_eq!(report.sha256, Sha256Digest::of(JSON).to_string());
    assert_eq!(report.threshold, 2);
    assert_eq!(report.signing_roots[1], Sha256Digest::of(&two.der).to_string());
    assert!(load(Some(&signing), None).unwrap().tls_roots().is_empty());
}

#[test]
fn files_that_narrow_trust_are_never_ignored() {
    let root = Root::new("root").pem();
    let files = PolicyFiles {
        trust_policy_json: JSON,
        signing_root_pem: Some(root.as_bytes()),
        ..PolicyFiles::default()
    };
    let files = PolicyFiles { sigsum_policy: Some(b""), ..files };
    let error = TrustPolicy::load(&files).unwrap_err();
    assert_eq!(error.code(), Code::SigsumPolicyInvalid);
    assert!(error.to_string().contains("ospkg_trust_policy"));
}

#[test]
fn identities_are_loaded_or_refuse_the_policy() {
    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let root = Root::new("root").pem();
    let load = |identities: Option<&str>| {
        TrustPolicy::load(&PolicyFiles {
            trust_policy_json: JSON,
            signing_root_pem: Some(root.as_bytes()),
            decryption_identities: identities.map(str::as_bytes),
            ..PolicyFiles::default()
        })
    };
    assert!(load(None).unwrap().decryption_identities().is_none());
    let policy = load(Some(&format!("# mirrors\n{IDENTITY}\n"))).unwrap();
    assert_eq!(policy.decryption_identities().unwrap().len(), 1);
    let printed = format!("{policy:?}");
    assert!(!printed.contains("GFPYY") && printed.contains("***"), "{printed}");
    // An empty file would let plain packages in, or none: nobody knows what was meant.
    for file in ["", "# nothing\n", &IDENTITY[..60], &format!("{IDENTITY}\nage1x")] {
        let error = load(Some(file)).unwrap_err();
        assert_eq!(error.code(), Code::IdentitiesInvalid);
        assert!(!error.to_string().contains("GFPYY"), "{error}");
    }
}

#[test]
fn one_bad_signing_root_refuses_the_policy() {
    let root = Root::new("root");
    let signer = root.issue(&leaf_params("signer"), &ed25519());
    let not_a_ca = root.pem() + &pem(&signer);
    for (file, message) in [
        (None, "ospkg_signing_root.pem is missing"),
        (Some(String::new()), "ospkg_signing_root.pem: no PEM block of type CERTIFICATE"),
        (
            Some(not_a_ca),
            "ospkg_signing_root.pem: certificate 2: CN=signer: \
             it is not a CA certificate (basicConstraints CA:TRUE)",
        ),
        (
            Some(root.pem().repeat(MAX_SIGNING_ROOTS + 1)),
            "ospkg_signing_root.pem: more than 64 certificates",
        ),
    ] {
        let error = load(file.as_deref(), None).unwrap_err();
        assert_eq!((error.code(), &*error.to_string()), (Code::SigningRootInvalid, message));
    }
    let error = load(Some(&(root.pem() + &pem(b"garbage"))), None).unwrap_err();
    assert_eq!(error.code(), Code::SigningRootInvalid);
    assert!(load(Some(&root.pem().repeat(MAX_SIGNING_ROOTS)), None).is_ok());
}

#[test]
fn one_bad_tls_root_refuses_the_policy() {
    let root = Root::new("root").pem();
    for file in [String::new(), root.clone() + &pem(b"garbage"), root.repeat(1025)] {
        let error = load(Some(&root), Some(&file)).unwrap_err();
        assert_eq!(error.code(), Code::TlsRootsInvalid, "{error}");
    }
    // DER, but not of a certificate that anybody reads.
    let mut params = root_params("root");
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[2, 5, 29, 31], b"garbage".to_vec())];
    let broken = Root::with(params, ed25519()).pem();
    let error = load(Some(&root), Some(&broken)).unwrap_err();
    assert_eq!(error.code(), Code::TlsRootsInvalid, "{error}");
}

#[test]
fn a_policy_from_the_command_line() {
    let root = Root::new("root").pem();
    let policy = TrustPolicy::for_roots(root.as_bytes(), 3).unwrap();
    assert_eq!(policy.document().threshold(), 3);
    let json = br#"{"ospkg_signature_threshold":3,"ospkg_fetch_method":"network"}"#;
    assert_eq!(policy.digest(), Sha256Digest::of(json));
    let error = TrustPolicy::for_roots(root.as_bytes(), 0).unwrap_err();
    assert_eq!(error.code(), Code::TrustPolicyInvalid);
}

proptest! {
    #[test]
    fn never_panics(
        json in vec(any::<u8>(), 0..64),
        signing in vec(any::<u8>(), 0..64),
        tls in vec(any::<u8>(), 0..64),
    ) {
        let _ = TrustPolicy::load(&PolicyFiles {
            trust_policy_json: &json,
            signing_root_pem: Some(&signing),
            tls_roots_pem: Some(&tls),
            ..PolicyFiles::default()
        });
        let _ = TrustPolicy::for_roots(&signing, 1);
    }
}
