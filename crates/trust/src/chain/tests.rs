use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::DistinguishedName;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::NameConstraints;
use rcgen::date_time_ymd;
use report::Code;

use super::check;
use super::check_root;
use crate::Certificate;
use crate::TrustPolicy;
use crate::test_certificates::RawKey;
use crate::test_certificates::Root;
use crate::test_certificates::clock;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;
use crate::test_certificates::parse;
use crate::test_certificates::policy;
use crate::test_certificates::root_params;

const RSA_KEY: &str = include_str!("../../../../tests/vectors/keys/rsa.key.pem");

fn trusting(roots: &[&Root]) -> TrustPolicy {
    policy(roots, r#""ospkg_signature_threshold": 1"#)
}

fn leaf(root: &Root, params: &CertificateParams) -> Certificate {
    parse(&root.issue(params, &ed25519()))
}

fn verdict(leaf: &Certificate, roots: &[&Root]) -> Result<(), Code> {
    check(leaf, &trusting(roots), &clock()).map_err(|error| error.code)
}

fn reason(leaf: &Certificate, roots: &[&Root]) -> String {
    check(leaf, &trusting(roots), &clock()).unwrap_err().reason
}

/// Parameters with one extension more.
fn with_extension(mut params: CertificateParams, critical: bool) -> CertificateParams {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(critical);
    params.custom_extensions.push(extension);
    params
}

#[test]
fn a_certificate_with_name_and_key_of_a_root_is_not_that_root() {
    let root = Root::new("root");
    let mut params = root_params("root");
    params.serial_number = Some(7_u64.into());
    let twin = parse(&root.issue(&params, &root.key));
    assert!(twin.der() != root.der && parse(&root.der).names_as_issuer(&twin));
    assert_eq!(verdict(&twin, &[&root]), Err(Code::SignerUntrusted));
    assert!(reason(&twin, &[&root]).contains("is another"));
    assert_eq!(verdict(&parse(&root.der), &[&root]), Ok(()));
}

#[test]
fn a_signer_with_name_constraints_does_not_count() {
    let root = Root::new("root");
    let mut params = leaf_params("signer");
    // permittedSubtrees with the DNS name x
    let constraints = b"\x30\x07\xa0\x05\x30\x03\x82\x01x".to_vec();
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[2, 5, 29, 30], constraints)];
    assert!(reason(&leaf(&root, &params), &[&root]).contains("nameConstraints"));
}

#[test]
fn roots_of_all_supported_algorithms_issue_signers() {
    let keys = [
        ed25519(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::from_pem_and_sign_algo(RSA_KEY, &rcgen::PKCS_RSA_SHA256).unwrap(),
        KeyPair::from_pem_and_sign_algo(RSA_KEY, &rcgen::PKCS_RSA_SHA384).unwrap(),
        KeyPair::from_pem_and_sign_algo(RSA_KEY, &rcgen::PKCS_RSA_SHA512).unwrap(),
    ];
    for key in keys {
        let algorithm = format!("{:?}", key.algorithm());
        let root = Root::with(root_params("root"), key);
        let mut certificate = root.issue(&leaf_params("signer"), &ed25519());
        assert_eq!(verdict(&parse(&certificate), &[&root]), Ok(()), "{algorithm}");

        let last = certificate.len() - 1;
        certificate[last] ^= 1;
        let changed = parse(&certificate);
        assert_eq!(verdict(&changed, &[&root]), Err(Code::SignerUntrusted), "{algorithm}");
        assert_eq!(
            reason(&changed, &[&root]),
            "certificate is not issued by CN=root: its signature is not by the issuer's key"
        );
    }
}

#[test]
fn an_algorithm_that_is_not_one_for_the_roots_key_is_refused() {
    // Same name, but a key of another kind than the one that signed.
    let ecdsa = Root::with(root_params("root"), KeyPair::generate().unwrap());
    let signer = leaf(&Root::new("root"), &leaf_params("signer"));
    assert_eq!(
        reason(&signer, &[&ecdsa]),
        "certificate is not issued by CN=root: \
         its signature algorithm is not supported, or not one for the issuer's key"
    );
}

#[test]
fn names_must_match_byte_for_byte() {
    let root = Root::new("root");
    let renamed =
        Root::with(root_params("Root"), KeyPair::from_pem(&root.key.serialize_pem()).unwrap());
    let signer = leaf(&renamed, &leaf_params("signer"));
    assert_eq!(verdict(&signer, &[&root]), Err(Code::SignerUntrusted));
    assert_eq!(
        reason(&signer, &[&root]),
        "certificate is issued by CN=Root, which is no signing root"
    );
    assert_eq!(verdict(&signer, &[&renamed]), Ok(()));
}

#[test]
fn empty_names_match_each_other() {
    let nameless = |mut params: CertificateParams| {
        params.distinguished_name = DistinguishedName::new();
        params
    };
    let root = Root::with(nameless(root_params("")), ed25519());
    assert_eq!(verdict(&leaf(&root, &nameless(leaf_params(""))), &[&root]), Ok(()));
    let other = Root::new("other");
    assert_eq!(
        reason(&leaf(&root, &leaf_params("signer")), &[&other]),
        "certificate names no issuer that is a signing root"
    );
}

#[test]
fn there_are_no_intermediates() {
    let root = Root::new("root");
    let key = ed25519();
    let der = root.issue(&root_params("intermediate"), &key);
    let intermediate = Root { params: root_params("intermediate"), key, der };
    let signer = leaf(&intermediate, &leaf_params("signer"));
    assert_eq!(verdict(&signer, &[&root]), Err(Code::SignerUntrusted));
    assert_eq!(verdict(&signer, &[&root, &intermediate]), Ok(()), "made a root of its own");
}

#[test]
fn a_self_signed_certificate_and_another_one_of_a_roots_key_are_strangers() {
    let root = Root::new("root");
    let stranger = Root::new("root");
    assert_eq!(verdict(&parse(&stranger.der), &[&root]), Err(Code::SignerUntrusted));
    let mut params = root_params("another name");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "x");
    let same_key = params.self_signed(&root.key).unwrap();
    assert_eq!(verdict(&parse(same_key.der()), &[&root]), Err(Code::SignerUntrusted));
}

#[test]
fn unknown_extensions_are_refused_if_critical() {
    let root = Root::new("root");
    let critical = leaf(&root, &with_extension(leaf_params("signer"), true));
    assert_eq!(verdict(&critical, &[&root]), Err(Code::SignerUntrusted));
    assert_eq!(
        reason(&critical, &[&root]),
        "certificate has the unknown critical extension 1.3.6.1.4.1.99999.1"
    );
    let harmless = leaf(&root, &with_extension(leaf_params("signer"), false));
    assert_eq!(verdict(&harmless, &[&root]), Ok(()));
}

#[test]
fn known_extensions_may_be_critical() {
    let root = Root::new("root");
    let mut params = leaf_params("signer");
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    // GeneralNames with the one dNSName "x"
    let content = vec![0x30, 3, 0x82, 1, b'x'];
    let mut alternative_name = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
    alternative_name.set_criticality(true);
    params.custom_extensions.push(alternative_name);
    assert_eq!(verdict(&leaf(&root, &params), &[&root]), Ok(()));
}

#[test]
fn extended_key_usage_is_absent_or_allows_code_signing() {
    use ExtendedKeyUsagePurpose::Any;
    use ExtendedKeyUsagePurpose::ClientAuth;
    use ExtendedKeyUsagePurpose::CodeSigning;
    use ExtendedKeyUsagePurpose::ServerAuth;

    for (usages, expected) in [
        (vec![], Ok(())),
        (vec![CodeSigning], Ok(())),
        (vec![Any], Ok(())),
        (vec![ServerAuth, CodeSigning], Ok(())),
        (vec![ServerAuth], Err(Code::SignerUsage)),
        (vec![ClientAuth, ServerAuth], Err(Code::SignerUsage)),
    ] {
        let mut params = leaf_params("signer");
        params.extended_key_usages = usages.clone();
        let root = Root::new("root");
        assert_eq!(verdict(&leaf(&root, &params), &[&root]), expected, "signer {usages:?}");

        let mut params = root_params("root");
        params.extended_key_usages = usages.clone();
        let root = Root::with(params, ed25519());
        let signer = leaf(&root, &leaf_params("signer"));
        assert_eq!(verdict(&signer, &[&root]), expected, "root {usages:?}");
        assert_eq!(verdict(&parse(&root.der), &[&root]), expected, "root itself {usages:?}");
    }
}

#[test]
fn the_dates_of_the_whole_chain_count() {
    let mut params = root_params("old root");
    params.not_after = date_time_ymd(2026, 2, 1);
    let expired = Root::with(params, ed25519());
    let signer = leaf(&expired, &leaf_params("signer"));
    assert_eq!(verdict(&signer, &[&expired]), Err(Code::SignerExpired));
    assert_eq!(
        reason(&signer, &[&expired]),
        "signing root CN=old root expired 2026-02-01T00:00:00Z"
    );
    assert_eq!(
        reason(&parse(&expired.der), &[&expired]),
        "certificate expired 2026-02-01T00:00:00Z"
    );

    let mut params = root_params("new root");
    params.not_before = date_time_ymd(2026, 12, 1);
    let new = Root::with(params, ed25519());
    let signer = leaf(&new, &leaf_params("signer"));
    assert_eq!(verdict(&signer, &[&new]), Err(Code::SignerNotYetValid));
    assert_eq!(
        reason(&signer, &[&new]),
        "signing root CN=new root is not valid before 2026-12-01T00:00:00Z"
    );
}

#[test]
fn of_roots_with_one_name_any_that_fits_will_do() {
    let current = Root::new("root");
    let mut params = root_params("root");
    params.not_after = date_time_ymd(2026, 2, 1);
    let expired = Root::with(params, KeyPair::from_pem(&current.key.serialize_pem()).unwrap());
    let stranger = Root::new("root");
    let signer = leaf(&current, &leaf_params("signer"));
    for roots in [[&expired, &stranger, &current], [&current, &expired, &stranger]] {
        assert_eq!(verdict(&signer, &roots), Ok(()));
    }
    for roots in [[&expired, &stranger], [&stranger, &expired]] {
        assert_eq!(verdict(&signer, &roots), Err(Code::SignerExpired));
    }
}

#[test]
fn what_cannot_be_a_root() {
    let refused = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = root_params("root");
        change(&mut params);
        check_root(&parse(&Root::with(params, ed25519()).der)).err().map(|error| error.0)
    };
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(refused(&|params| params.key_usages.clear()), None);
    assert_eq!(refused(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))), None);
    for no_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let problem = refused(&|params| params.is_ca = no_ca).unwrap();
        assert_eq!(problem, "it is not a CA certificate (basicConstraints CA:TRUE)");
    }
    let problem =
        refused(&|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]).unwrap();
    assert_eq!(problem, "its keyUsage does not include keyCertSign");
    let problem = refused(&|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    assert_eq!(problem.unwrap(), "it has nameConstraints, which are not supported");
    let problem = refused(&|params| *params = with_extension(params.clone(), true)).unwrap();
    assert_eq!(problem, "it has the unknown critical extension 1.3.6.1.4.1.99999.1");
}

#[test]
fn a_root_with_a_weak_key_is_refused() {
    let mut weak = [0; 32];
    weak[0] = 1;
    let der = Root::new("root").issue(&root_params("weak"), &RawKey(weak));
    let problem = check_root(&parse(&der)).unwrap_err().0;
    assert_eq!(problem, "the Ed25519 key is weak: anybody can make signatures that it accepts");
}
