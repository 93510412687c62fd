use report::Code;
use report::Coded;

use super::Endorsement;
use super::MAX_ENDORSEMENTS;
use super::authorize;
use crate::Clock;
use crate::Refusal;
use crate::Sha256Digest;
use crate::TrustPolicy;
use crate::test_certificates::RawKey;
use crate::test_certificates::Root;
use crate::test_certificates::archive;
use crate::test_certificates::clock;
use crate::test_certificates::day;
use crate::test_certificates::ed25519;
use crate::test_certificates::endorsement;
use crate::test_certificates::leaf_params;
use crate::test_certificates::lenient_signature;
use crate::test_certificates::parse;
use crate::test_certificates::policy;

fn refuse(policy: &TrustPolicy, endorsements: &[Endorsement]) -> Refusal {
    authorize(policy, endorsements, archive(), &clock()).unwrap_err()
}

fn accepts(policy: &TrustPolicy, endorsements: &[Endorsement]) -> bool {
    authorize(policy, endorsements, archive(), &clock()).is_ok()
}

fn code(policy: &TrustPolicy, endorsement: Endorsement) -> Code {
    refuse(policy, &[endorsement]).skipped()[0].code
}

#[test]
fn the_threshold_is_met_or_it_is_not() {
    let root = Root::new("root");
    let endorsements: Vec<_> =
        (1..=3).map(|number| root.endorse(&leaf_params(&format!("signer {number}")))).collect();
    for threshold in 1..=4 {
        for found in 0..=3 {
            let result =
                authorize(&root.policy(threshold), &endorsements[..found], archive(), &clock());
            assert_eq!(result.is_ok(), found as u64 >= threshold, "{found} of {threshold}");
        }
    }
}

#[test]
fn the_proof_names_archive_threshold_and_signers() {
    let root = Root::new("root");
    let [one, two] = ["one", "two"].map(|name| root.endorse(&leaf_params(name)));
    let wrong = Endorsement { signature: vec![0; 64], ..one.clone() };
    let endorsements = [wrong, one.clone(), two];
    let authorized = authorize(&root.policy(2), &endorsements, archive(), &clock()).unwrap();

    assert_eq!(authorized.archive_digest(), archive());
    assert_eq!(authorized.threshold(), 2);
    let signers = authorized.signer_reports();
    assert_eq!(signers[0].subject, "CN=one");
    assert_eq!(signers[0].key, parse(&one.certificate_der).spki_sha256().to_string());
    assert_eq!(signers[0].not_after, "2027-01-01T00:00:00Z");
    assert_eq!(authorized.signers()[1].entry(), 3);
    let skipped = authorized.skipped_reports();
    assert_eq!((skipped[0].entry, skipped[0].code), (1, Code::SignatureWrong));
    assert!(skipped[0].reason.starts_with("CN=one: signature is not over this archive"));
}

#[test]
fn keys_are_counted_and_not_certificates() {
    let root = Root::new("root");
    let key = ed25519();
    let endorsements: Vec<_> = (0..5)
        .map(|number| endorsement(root.issue(&leaf_params(&format!("name {number}")), &key), &key))
        .collect();
    let refusal = refuse(&root.policy(2), &endorsements);
    assert_eq!((refusal.found(), refusal.valid(), refusal.required()), (5, 1, 2));
    assert_eq!(refusal.code(), Code::SignerRepeated);
    assert!(accepts(&root.policy(1), &endorsements));

    let other = root.endorse(&leaf_params("other"));
    assert!(accepts(&root.policy(2), &[&endorsements[..], &[other]].concat()));
}

#[test]
fn one_key_under_two_roots_counts_once() {
    let (one, two) = (Root::new("one"), Root::new("two"));
    let key = ed25519();
    let endorsements =
        [&one, &two].map(|root| endorsement(root.issue(&leaf_params("signer"), &key), &key));
    let refusal =
        refuse(&policy(&[&one, &two], r#""ospkg_signature_threshold": 2"#), &endorsements);
    assert_eq!(refusal.valid(), 1);
}

#[test]
fn a_bad_copy_does_not_shadow_a_good_one() {
    let root = Root::new("root");
    let good = root.endorse(&leaf_params("signer"));
    let bad = Endorsement { signature: vec![7; 64], ..good.clone() };
    assert!(accepts(&root.policy(1), &[bad, good]));
}

#[test]
fn a_root_may_sign_itself_and_a_ca_below_it_may_too() {
    let root = Root::new("root");
    assert!(accepts(&root.policy(1), &[endorsement(root.der.clone(), &root.key)]));

    let mut params = leaf_params("ca");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert!(accepts(&root.policy(1), &[root.endorse(&params)]));
}

#[test]
fn the_first_failing_check_gives_the_code() {
    let root = Root::new("root");
    let policy = root.policy(1);
    let good = root.endorse(&leaf_params("signer"));

    let ecdsa = rcgen::KeyPair::generate().unwrap();
    let by_ecdsa = endorsement(root.issue(&leaf_params("ecdsa"), &ecdsa), &ecdsa);
    assert_eq!(code(&policy, by_ecdsa), Code::SignerAlgorithm);

    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = root.issue(&leaf_params("weak"), &RawKey(identity));
    let by_weak =
        Endorsement { certificate_der: weak, signature: [&identity[..], &[0; 32]].concat() };
    assert_eq!(code(&policy, by_weak), Code::SignerAlgorithm);

    for length in [0, 63, 65] {
        let short = Endorsement { signature: vec![0; length], ..good.clone() };
        assert_eq!(code(&policy, short), Code::SignatureLength);
    }

    // Wrong signature and not issued by the root: the chain is judged first.
    let stranger =
        Endorsement { signature: vec![0; 64], ..Root::new("root").endorse(&leaf_params("signer")) };
    assert_eq!(code(&policy, stranger), Code::SignerUntrusted);

    let mut params = leaf_params("server");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    assert_eq!(code(&policy, root.endorse(&params)), Code::SignerUsage);

    let mut params = leaf_params("old");
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    assert_eq!(code(&policy, root.endorse(&params)), Code::SignerExpired);

    let mut params = leaf_params("new");
    params.not_before = rcgen::date_time_ymd(2026, 12, 1);
    assert_eq!(code(&policy, root.endorse(&params)), Code::SignerNotYetValid);

    let wrong = Endorsement { signature: vec![0; 64], ..good };
    assert_eq!(code(&policy, wrong), Code::SignatureWrong);

    let garbage = Endorsement { certificate_der: b"garbage".to_vec(), signature: vec![0; 64] };
    assert_eq!(code(&policy, garbage), Code::DescriptorEntryInvalid);
}

#[test]
fn a_denied_key_never_counts() {
    let root = Root::new("root");
    let denied = root.endorse(&leaf_params("denied"));
    let good = root.endorse(&leaf_params("good"));
    let hex = parse(&denied.certificate_der).spki_sha256().to_string().to_uppercase();
    let keys = format!(r#""ospkg_signature_threshold": 1, "denied_keys": ["{hex}"]"#);
    let policy = policy(&[&root], &keys);
    assert_eq!(code(&policy, denied.clone()), Code::SignerDenied);
    let authorized = authorize(&policy, &[denied, good], archive(), &clock()).unwrap();
    assert_eq!(authorized.signers().len(), 1);
    assert_eq!(authorized.signers()[0].subject(), "CN=good");
}

#[test]
fn a_denied_root_makes_no_signers() {
    let root = Root::new("root");
    let hex = parse(&root.der).spki_sha256();
    let keys = format!(r#""ospkg_signature_threshold": 1, "denied_keys": ["{hex}"]"#);
    let policy = policy(&[&root], &keys);
    assert_eq!(code(&policy, root.endorse(&leaf_params("signer"))), Code::SignerDenied);
    assert_eq!(code(&policy, endorsement(root.der.clone(), &root.key)), Code::SignerDenied);
}

#[test]
fn a_signature_is_over_the_raw_digest_of_this_archive() {
    let root = Root::new("root");
    let endorsement = root.endorse(&leaf_params("signer"));
    let other = Sha256Digest::of(b"another archive");
    let refusal = authorize(&root.policy(1), &[endorsement], other, &clock()).unwrap_err();
    assert_eq!(refusal.code(), Code::SignatureWrong);
}

#[test]
fn signatures_are_verified_strictly() {
    use ed25519_dalek::Verifier as _;

    let (key, bytes) = lenient_signature();
    let lenient = ed25519_dalek::VerifyingKey::from_bytes(&key.0).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&bytes).unwrap();
    assert!(lenient.verify(archive().as_bytes(), &signature).is_ok());

    let root = Root::new("root");
    let certificate_der = root.issue(&leaf_params("signer"), &key);
    let endorsement = Endorsement { certificate_der, signature: bytes };
    assert_eq!(code(&root.policy(1), endorsement), Code::SignatureWrong);
}

#[test]
fn no_bit_of_certificate_or_signature_can_be_changed() {
    let root = Root::new("root");
    let policy = root.policy(1);
    let good = root.endorse(&leaf_params("signer"));
    assert!(accepts(&policy, core::slice::from_ref(&good)));
    for bit in 0..good.certificate_der.len() * 8 {
        let mut changed = good.clone();
        changed.certificate_der[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&policy, &[changed]), "bit {bit} of the certificate");
    }
    for bit in 0..512 {
        let mut changed = good.clone();
        changed.signature[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&policy, &[changed]), "bit {bit} of the signature");
    }
}

#[test]
fn too_many_signatures_are_refused_unread() {
    let root = Root::new("root");
    let policy = root.policy(1);
    let good = root.endorse(&leaf_params("signer"));
    assert!(accepts(&policy, &vec![good.clone(); MAX_ENDORSEMENTS]));
    let refusal = refuse(&policy, &vec![good; MAX_ENDORSEMENTS + 1]);
    assert_eq!(refusal.code(), Code::DescriptorMalformed);
    assert_eq!(refusal.to_string(), "257 signatures, more than the 256 that are read");
}

#[test]
fn a_refusal_says_why_each_signature_does_not_count() {
    let root = Root::new("root");
    let good = root.endorse(&leaf_params("one"));
    let mut params = leaf_params("two");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let expired = root.endorse(&params);
    let short = Endorsement { signature: vec![0; 3], ..good.clone() };
    let refusal = refuse(&root.policy(2), &[good, expired, short]);
    assert_eq!(refusal.counts(), "1 of 2 required signatures are valid (3 found)");
    assert_eq!(
        refusal.to_string(),
        "1 of 2 required signatures are valid (3 found): \
         signature 2 by CN=two: certificate expired 2021-01-01T00:00:00Z; \
         signature 3 by CN=one: signature is 3 bytes long, not 64"
    );
    assert_eq!(refusal.code(), Code::BelowThreshold);
}

#[test]
fn the_code_is_the_reason_only_if_it_alone_stood_in_the_way() {
    let root = Root::new("root");
    let good = root.endorse(&leaf_params("one"));
    let wrong = Endorsement { signature: vec![0; 64], ..root.endorse(&leaf_params("two")) };
    let codes = |endorsements: &[Endorsement]| refuse(&root.policy(2), endorsements).code();
    assert_eq!(codes(&[]), Code::BelowThreshold);
    assert_eq!(codes(core::slice::from_ref(&good)), Code::BelowThreshold);
    assert_eq!(codes(core::slice::from_ref(&wrong)), Code::BelowThreshold);
    assert_eq!(codes(&[good.clone(), wrong.clone()]), Code::SignatureWrong);
    assert_eq!(codes(&[good.clone(), wrong, good]), Code::BelowThreshold);
}

/// Rules of time from end to end: which clocks let which signer pass, on a boot image built on
/// 2026-06-01 whose policy believes the clock for ten years from then.
#[test]
fn a_dead_clock_bricks_nothing_and_revives_nothing() {
    let root = Root::new("root");
    let policy = root.policy(1);
    let floor = day(2026, 6, 1);
    let signer = |from: (i32, u8, u8), until: (i32, u8, u8)| {
        let mut params = leaf_params("signer");
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        root.endorse(&params)
    };
    let current = signer((2026, 1, 1), (2027, 1, 1));
    let newer = signer((2026, 9, 1), (2026, 9, 4));
    let expired_before_floor = signer((2026, 1, 1), (2026, 5, 31));

    let verdict = |endorsement: &Endorsement, rtc| {
        let clock = Clock::from_rtc(rtc, floor, policy.document().max_clock_skew());
        authorize(&policy, core::slice::from_ref(endorsement), archive(), &clock)
            .map(|_| clock.is_trusted())
            .map_err(|refusal| refusal.code())
    };
    for dead in [day(1970, 1, 1), day(2001, 1, 1), day(2026, 5, 31), day(2099, 1, 1)] {
        assert_eq!(verdict(&current, dead), Ok(false));
        assert_eq!(verdict(&newer, dead), Ok(false), "made after the boot image");
        assert_eq!(verdict(&expired_before_floor, dead), Err(Code::SignerExpired));
    }
    assert_eq!(verdict(&current, day(2026, 6, 2)), Ok(true));
    assert_eq!(verdict(&current, day(2028, 1, 1)), Err(Code::SignerExpired));
    assert_eq!(verdict(&newer, day(2026, 6, 2)), Err(Code::SignerNotYetValid));
    assert_eq!(verdict(&newer, day(2026, 9, 2)), Ok(true));
    assert_eq!(verdict(&newer, day(2026, 9, 5)), Err(Code::SignerExpired));
    assert_eq!(verdict(&expired_before_floor, day(2026, 6, 2)), Err(Code::SignerExpired));
}
