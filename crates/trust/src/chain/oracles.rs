//! What rustls-webpki and OpenSSL say of the same chains. Where one of them disagrees with us, the
//! reason is in a list, and every reason of the list is needed.

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use proptest::prelude::any;
use proptest::prop_assert;
use proptest::proptest;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::date_time_ymd;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;

use super::check;
use super::check_root;
use crate::Certificate;
use crate::test_certificates::NOW;
use crate::test_certificates::Root;
use crate::test_certificates::clock;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;
use crate::test_certificates::pem;
use crate::test_certificates::policy;
use crate::test_certificates::root_params;

/// Extended key usage codeSigning, without tag and length.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// One deviation each from a certificate that is as it should be.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Twist {
    Nothing,
    Expired,
    NotYet,
    /// basicConstraints says that it is a CA.
    Ca,
    /// A CA that may have no CA below it.
    CaPathLength0,
    CaPathLength1,
    /// basicConstraints says that it is no CA.
    NoCa,
    WithoutBasicConstraints,
    WithoutKeyUsage,
    /// digitalSignature alone.
    SignsOnly,
    /// keyCertSign alone.
    SignsCertificatesOnly,
    CodeSigning,
    AnyUsage,
    ServerAuth,
    UnknownExtension,
    UnknownCriticalExtension,
    CriticalKeyIdentifier,
    NameConstraints,
    /// Of a root, one more part of its name; of a leaf, an issuer whose name differs in case.
    OtherName,
    OtherKey,
    FlippedSignature,
}

use Twist::*;

const TWISTS: [Twist; 21] = [
    Nothing,
    Expired,
    NotYet,
    Ca,
    CaPathLength0,
    CaPathLength1,
    NoCa,
    WithoutBasicConstraints,
    WithoutKeyUsage,
    SignsOnly,
    SignsCertificatesOnly,
    CodeSigning,
    AnyUsage,
    ServerAuth,
    UnknownExtension,
    UnknownCriticalExtension,
    CriticalKeyIdentifier,
    NameConstraints,
    OtherName,
    OtherKey,
    FlippedSignature,
];

/// What a chain is made of.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Position in [`KEYS`].
    key: usize,
    root: Twist,
    leaf: Twist,
}

/// A root and what it has issued, in DER.
struct Chain {
    root: Vec<u8>,
    leaf: Vec<u8>,
}

const RSA_KEY: &str = include_str!("../../../../tests/vectors/keys/rsa.key.pem");

const KEYS: [fn() -> KeyPair; 4] = [
    ed25519,
    || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
    || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
    || KeyPair::from_pem_and_sign_algo(RSA_KEY, &rcgen::PKCS_RSA_SHA256).unwrap(),
];

fn twist(params: &mut CertificateParams, twist: Twist) {
    let extension = |oid: &[u64], content: &[u8], critical| {
        let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
        extension.set_criticality(critical);
        extension
    };
    match twist {
        Nothing | OtherKey | FlippedSignature => {}
        Expired => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2026, 6, 30);
        }
        NotYet => {
            params.not_before = date_time_ymd(2026, 7, 2);
            params.not_after = date_time_ymd(2027, 1, 1);
        }
        Ca => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        CaPathLength0 => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
        CaPathLength1 => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
        NoCa => params.is_ca = IsCa::ExplicitNoCa,
        WithoutBasicConstraints => params.is_ca = IsCa::NoCa,
        WithoutKeyUsage => params.key_usages.clear(),
        SignsOnly => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        SignsCertificatesOnly => params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
        CodeSigning => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
        AnyUsage => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
        ServerAuth => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        UnknownExtension => {
            let unknown = extension(&[1, 3, 6, 1, 4, 1, 99_999, 1], &[5, 0], false);
            params.custom_extensions.push(unknown);
        }
        UnknownCriticalExtension => {
            let unknown = extension(&[1, 3, 6, 1, 4, 1, 99_999, 1], &[5, 0], true);
            params.custom_extensions.push(unknown);
        }
        CriticalKeyIdentifier => {
            params.custom_extensions.push(extension(&[2, 5, 29, 14], &[4, 1, 7], true));
        }
        NameConstraints => {
            // permittedSubtrees with the DNS name x
            let content = b"\x30\x07\xa0\x05\x30\x03\x82\x01x";
            params.custom_extensions.push(extension(&[2, 5, 29, 30], content, true));
        }
        OtherName => params.distinguished_name.push(rcgen::DnType::OrganizationName, "other"),
    }
}

/// The root as it is trusted is twisted; the leaf is issued by a root of name and key as they should be.
fn make(case: Case) -> Chain {
    let issuer = Root::with(root_params("root"), KEYS[case.key]());
    let mut params = root_params("root");
    twist(&mut params, case.root);
    // rcgen writes a key identifier of its own into CA certificates.
    if case.root == CriticalKeyIdentifier {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let fresh;
    let root_key = if case.root == OtherKey && case.key != 3 {
        fresh = KEYS[case.key]();
        &fresh
    } else {
        &issuer.key
    };
    let mut root = params.self_signed(root_key).unwrap().der().to_vec();
    let mut params = leaf_params("signer");
    twist(&mut params, case.leaf);
    let mut leaf = if case.leaf == OtherKey {
        // Issued by somebody of the same name.
        Root::new("root").issue(&params, &ed25519())
    } else if case.leaf == OtherName {
        Root::with(root_params("Root"), KeyPair::from_pem(&issuer.key.serialize_pem()).unwrap())
            .issue(&params, &ed25519())
    } else {
        issuer.issue(&params, &ed25519())
    };
    for (der, twist) in [(&mut root, case.root), (&mut leaf, case.leaf)] {
        if twist == FlippedSignature {
            *der.last_mut().unwrap() ^= 1;
        }
    }
    Chain { root, leaf }
}

fn ours(chain: &Chain) -> Result<(), String> {
    let root = Certificate::parse(&chain.root).map_err(|error| error.to_string())?;
    let leaf = Certificate::parse(&chain.leaf).map_err(|error| error.to_string())?;
    check_root(&root).map_err(|error| error.0)?;
    let root = Root { params: root_params("root"), key: ed25519(), der: chain.root.clone() };
    let policy = policy(&[&root], r#""ospkg_signature_threshold": 1"#);
    check(&leaf, &policy, &clock()).map_err(|error| error.reason)
}

fn webpki(chain: &Chain) -> Result<(), String> {
    let (root, leaf) =
        (CertificateDer::from(&chain.root[..]), CertificateDer::from(&chain.leaf[..]));
    let anchor = webpki::anchor_from_trusted_cert(&root).map_err(|error| error.to_string())?;
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|error| error.to_string())?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(NOW.unix().unsigned_abs())),
        webpki::KeyUsage::required_if_present(CODE_SIGNING),
        None,
        None,
    )
    .map(|_| ())
    .map_err(|error| error.to_string())
}

/// `None` where there is no OpenSSL.
fn openssl(chain: &Chain) -> Option<Result<(), String>> {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str, der: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, pem(der)).unwrap();
        path
    };
    let output = Command::new("openssl")
        .args([
            "verify",
            "-no-CApath",
            "-no-CAstore",
            "-attime",
            &NOW.unix().to_string(),
            "-CAfile",
        ])
        .args([place("root.pem", &chain.root), place("leaf.pem", &chain.leaf)])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(()) } else { Err(said) })
}

/// Why an oracle may say otherwise: a name, whether we are the ones who accept, and the chains.
type Exception = (&'static str, bool, fn(Case) -> bool);

const WEBPKI: &[Exception] = &[
    ("roots are keys with names for it, nothing else of them is judged", false, |case| {
        matches!(
            case.root,
            Expired
                | NotYet
                | NoCa
                | WithoutBasicConstraints
                | SignsOnly
                | ServerAuth
                | UnknownCriticalExtension
                | CriticalKeyIdentifier
                | NameConstraints
        )
    }),
    ("it knows anyExtendedKeyUsage for no purpose", true, |case| case.leaf == AnyUsage),
    ("a CA is no end of a chain for it; stmgr's roots sign, and so may other CAs", true, |case| {
        matches!(case.leaf, Ca | CaPathLength0 | CaPathLength1)
    }),
    ("nameConstraints of a leaf constrain nothing for it", false, |case| {
        case.leaf == NameConstraints
    }),
];

const OPENSSL: &[Exception] = &[
    ("extended key usage is judged for its own purposes only", false, |case| {
        case.leaf == ServerAuth || case.root == ServerAuth
    }),
    ("it can judge nameConstraints, which we refuse", false, |case| {
        case.leaf == NameConstraints || case.root == NameConstraints
    }),
    ("names that differ in case alone are one name for it (RFC 5280, 7.1)", false, |case| {
        case.leaf == OtherName
    }),
    ("version 3 with keyCertSign and without basicConstraints is a CA for it", false, |case| {
        case.root == WithoutBasicConstraints
    }),
];

/// The disagreement, if there is one that is in no list; else what of the list was needed.
fn compare(
    case: Case,
    ours: &Result<(), String>,
    other: &Result<(), String>,
    exceptions: &[Exception],
    used: &mut BTreeSet<&'static str>,
) -> Option<String> {
    if ours.is_ok() == other.is_ok() {
        return None;
    }
    let listed = exceptions
        .iter()
        .find(|(_, we_accept, applies)| *we_accept == ours.is_ok() && applies(case));
    match listed {
        Some((name, ..)) => {
            used.insert(name);
            None
        }
        None => Some(format!("{case:?}: we say {ours:?}, the other {other:?}")),
    }
}

fn every_single_twist() -> impl Iterator<Item = Case> {
    let with = |key| {
        TWISTS
            .into_iter()
            .map(move |root| Case { key, root, leaf: Nothing })
            .chain(TWISTS.into_iter().map(move |leaf| Case { key, root: Nothing, leaf }))
    };
    (0..KEYS.len()).flat_map(with)
}

#[test]
fn every_single_twist_is_judged_as_webpki_judges_it_or_for_a_reason() {
    let mut used = BTreeSet::new();
    let wrong: Vec<String> = every_single_twist()
        .filter_map(|case| {
            let chain = make(case);
            compare(case, &ours(&chain), &webpki(&chain), WEBPKI, &mut used)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(used.len(), WEBPKI.len(), "only {used:?} are needed");
}

#[test]
fn every_single_twist_is_judged_as_openssl_judges_it_or_for_a_reason() {
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in every_single_twist().filter(|case| case.key < 2) {
        let chain = make(case);
        let Some(other) = openssl(&chain) else {
            eprintln!("skipped: there is no openssl on PATH");
            return;
        };
        wrong.extend(compare(case, &ours(&chain), &other, OPENSSL, &mut used));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(used.len(), OPENSSL.len(), "only {used:?} are needed");
}

/// What the twists come to, so that two oracles that are wrong together are not enough.
#[test]
fn what_counts_is_as_it_is_written_down() {
    for case in every_single_twist() {
        let root_is_good = matches!(
            case.root,
            Nothing
                | Ca
                | CaPathLength0
                | CaPathLength1
                | WithoutKeyUsage
                | SignsCertificatesOnly
                | CodeSigning
                | AnyUsage
                | UnknownExtension
                // Nobody needs a root's own signature.
                | FlippedSignature
        );
        // The one RSA key there is cannot be another.
        let root_is_good = root_is_good || (case.root == OtherKey && case.key == 3);
        let leaf_is_good = matches!(
            case.leaf,
            Nothing
                | Ca
                | CaPathLength0
                | CaPathLength1
                | NoCa
                | WithoutBasicConstraints
                | WithoutKeyUsage
                | SignsOnly
                | SignsCertificatesOnly
                | CodeSigning
                | AnyUsage
                | UnknownExtension
        );
        let verdict = ours(&make(case));
        assert_eq!(verdict.is_ok(), root_is_good && leaf_is_good, "{case:?}: {verdict:?}");
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Two twists at once are no better than either.
    #[test]
    fn two_twists_are_judged_alike(
        key in 0..3_usize, root in any::<proptest::sample::Index>(), leaf in any::<proptest::sample::Index>(),
    ) {
        let case = Case { key, root: TWISTS[root.index(21)], leaf: TWISTS[leaf.index(21)] };
        let chain = make(case);
        let ours = ours(&chain);
        let alone = |case| self::ours(&make(case)).is_ok();
        let parts = alone(Case { leaf: Nothing, ..case }) && alone(Case { root: Nothing, ..case });
        prop_assert!(ours.is_ok() == parts, "{case:?}: {ours:?}");
        let wrong = compare(case, &ours, &webpki(&chain), WEBPKI, &mut BTreeSet::new());
        prop_assert!(wrong.is_none(), "{wrong:?}");
    }
}
