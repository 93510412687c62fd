use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use report::Code;
use report::Coded;
use sigsum_log::Log;
use sigsum_log::Party;
use sigsum_log::ProofParts;

use super::COSIGNED;
use super::World;
use super::reason;
use super::submit;
use crate::Endorsement;
use crate::Sha256Digest;
use crate::Timestamp;
use crate::authorize;
use crate::sigsum::MAX_PROOF_LEN;
use crate::sigsum::Proof;
use crate::test_certificates::RawKey;
use crate::test_certificates::archive;
use crate::test_certificates::clock;
use crate::test_certificates::ed25519;
use crate::test_certificates::endorsement;
use crate::test_certificates::leaf_params;

#[test]
fn a_proof_counts_and_says_where_it_is_from() {
    let world = World::new();
    for version in [1, 2] {
        let text = world.proof().version(version).text();
        let authorized = world.judge(text).unwrap();
        let logged = authorized.signers()[0].sigsum().unwrap();
        assert_eq!(logged.log().as_bytes(), &world.log.party().key_hash());
        assert_eq!((logged.size(), logged.leaf_index()), (7, 4));
        assert_eq!(logged.time(), Some(Timestamp::from_unix(COSIGNED as i64)));
        let report = authorized.signer_reports()[0].sigsum.clone().unwrap();
        assert_eq!(report.witnesses, ["w1", "w2", "w3"]);
        assert_eq!(report.time.as_deref(), Some("2026-06-30T23:00:00Z"));
    }
}

#[test]
fn proofs_from_trees_of_every_size_count() {
    for (index, size) in (1..=20).flat_map(|size| (0..size).map(move |index| (index, size))) {
        let world = World::with(index, size);
        let [one, two, _] = &world.witnesses;
        let proof = world.log.prove(&world.leaf, size, &[(one, COSIGNED), (two, COSIGNED)]);
        for version in [1, 2] {
            let text = proof.clone().version(version).text();
            assert!(world.judge(text).is_ok(), "{index} of {size}, version {version}");
        }
    }
}

#[test]
fn hexadecimal_digits_may_be_of_either_case() {
    let world = World::new();
    let text = world.proof().text();
    let upper: String = text
        .split_inclusive('=')
        .map(|part| {
            // The keys of the lines stay as they are.
            let (value, key) = part.rsplit_once('\n').unwrap_or((part, ""));
            value.to_uppercase() + if part.contains('\n') { "\n" } else { "" } + key
        })
        .collect();
    let upper = upper.replacen("VERSION", "version", 1);
    assert_ne!(upper, text);
    world.judge(upper).unwrap();
}

/// Every line of both versions, broken in every way that a line of its kind can be: the code and the
/// words that must come.
#[test]
fn a_proof_that_is_broken_in_any_line_is_refused() {
    let world = World::new();
    let malformed = Code::SigsumProofMalformed;
    type Change = fn(&str) -> String;
    let cut: Change = |line| line[..line.len() - 1].to_owned();
    let longer: Change = |line| format!("{line}0");
    let no_hex: Change = |line| line[..line.len() - 1].to_owned() + "g";
    let two_spaces: Change = |line| line.replacen(' ', "  ", 1);
    let trailing_space: Change = |line| format!("{line} ");
    let carriage_return: Change = |line| format!("{line}\r");
    let other_key: Change = |line| format!("x{line}");
    let gone: Change = |_| "\0".to_owned();
    let twice: Change = |line| format!("{line}\n{line}");
    let everywhere: &[Change] =
        &[other_key, gone, trailing_space, carriage_return, |line| line.replacen('=', " = ", 1)];
    let numbers: &[Change] = &[
        |line| line.replacen('=', "=0", 1),
        |line| line.replacen('=', "=+", 1),
        |line| line.replacen('=', "=-", 1),
        |line| line.replacen('=', "= ", 1),
        |line| line.split_once('=').unwrap().0.to_owned() + "=",
        |line| line.split_once('=').unwrap().0.to_owned() + "=9223372036854775808",
        |line| line.split_once('=').unwrap().0.to_owned() + "=99999999999999999999",
        |line| line.split_once('=').unwrap().0.to_owned() + "=0x7",
        |line| line.split_once('=').unwrap().0.to_owned() + "=7.0",
    ];
    let digits: &[Change] = &[cut, longer, no_hex];
    let pairs: &[Change] =
        &[two_spaces, |line| line.replacen(' ', "\t", 1), |line| line.replacen(' ', "", 1)];
    for version in [1, 2] {
        let text = world.proof().version(version).text();
        let lines: Vec<&str> = text.lines().collect();
        let table: &[(&str, &[&[Change]])] = &[
            ("version=", &[everywhere, numbers, &[twice, |_| "version=3".into()]]),
            ("log=", &[everywhere, digits, &[twice]]),
            ("leaf=", &[everywhere, digits, pairs, &[twice]]),
            ("", &[&[gone, twice, |_| " ".into()]]),
            ("size=", &[everywhere, numbers, &[twice, |_| "size=0".into(), |_| "size=1".into()]]),
            ("root_hash=", &[everywhere, digits, &[twice]]),
            ("signature=", &[everywhere, digits, &[twice]]),
            ("cosignature=", &[everywhere, digits, pairs, &[twice]]),
            ("leaf_index=", &[everywhere, numbers, &[twice, |_| "leaf_index=7".into()]]),
            ("node_hash=", &[everywhere, digits]),
        ];
        for (number, line) in lines.iter().enumerate() {
            let kind = line.split_once('=').map_or("", |(key, _)| &line[..key.len() + 1]);
            let (_, changes) = table.iter().find(|(key, _)| *key == kind).unwrap();
            for change in changes.iter().copied().flatten() {
                let mut changed: Vec<String> = lines.iter().map(|it| (*it).to_owned()).collect();
                changed[number] = change(line);
                let mut text = changed.join("\n") + "\n";
                text = text.replace("\0\n", "");
                // A line that is missing may leave a good proof, or one that is not true.
                if kind == "cosignature=" && changed[number] == "\0" {
                    assert!(world.judge(text).is_ok());
                    continue;
                }
                let (code, reason) = world.skipped(text.clone());
                let expected = match (kind, changed[number].as_str()) {
                    ("node_hash=", "\0") => Code::SigsumLogWrong,
                    _ => malformed,
                };
                let what = format!("version {version}, line {}:\n{text}{reason}", number + 1);
                assert_eq!(code, expected, "{what}");
                // Of a tree of size 1, it is the rest that is too much.
                if expected == malformed && changed[number] != "size=1" {
                    let at = if changed[number].contains('\n') { 2 } else { 1 };
                    let said: usize = reason
                        .strip_prefix("not a Sigsum proof: line ")
                        .and_then(|rest| rest.split(':').next())
                        .and_then(|number| number.parse().ok())
                        .unwrap_or_else(|| panic!("{what}"));
                    // The broken line, or the one behind it, which is not what must come there.
                    assert!((number + 1..=number + 1 + at).contains(&said), "{what}");
                }
            }
        }
    }
}

/// Proofs that can be read but say what is not so.
#[test]
fn a_proof_that_is_not_true_is_refused() {
    let world = World::new();
    let stranger = Party::new("stranger");
    let other_log = Log::new("other log");
    type Change<'a> = Box<dyn Fn(&mut ProofParts) + 'a>;
    let table: Vec<(&str, Change<'_>, Code, &str)> = vec![
        (
            "signed by another key",
            Box::new(|it| it.leaf_key_hash = stranger.key_hash()),
            Code::SignatureWrong,
            "the Sigsum proof is for a signature by another key (key hash ",
        ),
        (
            "leaf signature",
            Box::new(|it| it.leaf_signature[0] ^= 1),
            Code::SignatureWrong,
            "the signature in the Sigsum proof is not over this archive (SHA-256 ",
        ),
        (
            "another log",
            Box::new(|it| it.log = other_log.party().key_hash()),
            Code::SigsumLogWrong,
            "the Sigsum proof is from a log that the policy does not list (key hash ",
        ),
        (
            "tree head of another size",
            Box::new(|it| it.size = 8),
            Code::SigsumLogWrong,
            "the tree head in the Sigsum proof is not signed by its log",
        ),
        (
            "tree head with another root",
            Box::new(|it| it.root[31] ^= 128),
            Code::SigsumLogWrong,
            "the tree head in the Sigsum proof is not signed by its log",
        ),
        (
            "signature of the log",
            Box::new(|it| it.log_signature[63] ^= 1),
            Code::SigsumLogWrong,
            "the tree head in the Sigsum proof is not signed by its log",
        ),
        (
            "tree head signed by a witness",
            Box::new(|it| it.sign_head(&world.witnesses[0])),
            Code::SigsumLogWrong,
            "the tree head in the Sigsum proof is not signed by its log",
        ),
        (
            "place of another leaf",
            Box::new(|it| it.leaf_index = 3),
            Code::SigsumLogWrong,
            "the Sigsum proof's path does not lead from the signature to the log's tree head",
        ),
        (
            "hash on the path",
            Box::new(|it| it.path[1][5] ^= 4),
            Code::SigsumLogWrong,
            "the Sigsum proof's path does not lead",
        ),
        (
            "path too long",
            Box::new(|it| it.path.push([0; 32])),
            Code::SigsumLogWrong,
            "the Sigsum proof's path does not lead",
        ),
        (
            "path in the other order",
            Box::new(|it| it.path.reverse()),
            Code::SigsumLogWrong,
            "the Sigsum proof's path does not lead",
        ),
        (
            "no cosignatures",
            Box::new(|it| it.cosignatures.clear()),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by nobody; missing: w1, w2, w3",
        ),
        (
            "one cosignature of two",
            Box::new(|it| it.cosignatures.truncate(1)),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by w1; missing: w2, w3",
        ),
        (
            "wrong cosignatures",
            Box::new(|it| it.cosignatures.iter_mut().skip(1).for_each(|it| it.signature[9] ^= 2)),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by w1; missing: nobody; wrong: w2, w3",
        ),
        (
            "times that the witnesses did not sign",
            Box::new(|it| it.cosignatures.iter_mut().for_each(|it| it.time += 1)),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by nobody; missing: nobody; wrong: w1, w2, w3",
        ),
        (
            "cosignatures in the name of another",
            Box::new(|it| {
                it.cosignatures.truncate(2);
                it.cosignatures[0].key_hash = world.witnesses[2].key_hash();
            }),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by w2; missing: w1; wrong: w3",
        ),
        (
            "the log as witness of itself",
            Box::new(|it| {
                it.cosignatures.truncate(1);
                it.cosign(world.log.party(), COSIGNED);
            }),
            Code::SigsumQuorum,
            "the quorum of Sigsum witnesses is not reached: cosigned by w1",
        ),
    ];
    for (what, change, code, words) in &table {
        for version in [1, 2] {
            let mut proof = world.proof().version(version);
            change(&mut proof);
            let (found, reason) = world.skipped(proof.text());
            assert_eq!(found, *code, "{what}: {reason}");
            assert!(reason.starts_with(words), "{what}: {reason}");
        }
    }
}

#[test]
fn the_short_checksum_of_version_1_is_held_against_the_archive() {
    let world = World::new();
    let mut proof = world.proof().version(1);
    proof.short_checksum[1] ^= 1;
    assert_eq!(world.skipped(proof.text()).0, Code::SignatureWrong);
    assert!(world.judge(proof.version(2).text()).is_ok());
}

#[test]
fn a_tree_of_one_leaf_has_no_place_in_it() {
    let world = World::with(0, 1);
    let [one, two, _] = &world.witnesses;
    let text = world.log.prove(&world.leaf, 1, &[(one, COSIGNED), (two, COSIGNED)]).text();
    assert!(world.judge(text.clone()).is_ok());
    for more in ["\n", "\nleaf_index=0\n", "leaf_index=0\n"] {
        let (code, reason) = world.skipped(text.clone() + more);
        assert_eq!(code, Code::SigsumProofMalformed);
        assert!(reason.contains("nothing may follow the head of a tree of size 1"), "{reason}");
    }
}

#[test]
fn what_is_around_a_proof_is_refused() {
    let world = World::new();
    let text = world.proof().text();
    for (bad, words) in [
        (text.clone() + "\n", "it must be `node_hash="),
        (text.clone() + "node_hash=00", "the line does not end with a line feed"),
        (text.trim_end().to_owned(), "the line does not end with a line feed"),
        (format!("\n{text}"), "line 1: it must be `version="),
        (format!("\u{feff}{text}"), "line 1: it must be `version="),
        (text.replace('\n', "\r\n"), "line 1: proofs of this version are not known"),
        (String::new(), "line 1: the line does not end"),
        ("\n".to_owned(), "line 1: it must be `version="),
        (text.clone() + &"node_hash=".repeat(MAX_PROOF_LEN), "longer than 65536 bytes"),
        (
            text.clone() + &format!("node_hash={}\n", "0".repeat(64)).repeat(61),
            "no tree has a path of so many hashes",
        ),
    ] {
        let (code, reason) = world.skipped(bad);
        assert_eq!(code, Code::SigsumProofMalformed);
        assert!(reason.contains(words), "{reason}");
    }
    let (code, reason) = world.skipped([b"version=2\nlog=".as_slice(), &[0xff], b"\n"].concat());
    assert_eq!(code, Code::SigsumProofMalformed);
    assert_eq!(reason, "not a Sigsum proof: line 2: it is not text");
}

#[test]
fn cosignatures_that_nobody_asked_for_do_no_harm() {
    let world = World::new();
    let mut proof = world.proof();
    proof.cosignatures.truncate(2);
    proof.cosign(&Party::new("unknown"), u64::MAX >> 1);
    let mut wrong = proof.clone();
    wrong.cosign(&world.witnesses[2], COSIGNED);
    wrong.cosignatures[3].signature = [0xff; 64];
    wrong.cosignatures.reverse();
    for proof in [proof, wrong] {
        let authorized = world.judge(proof.text()).unwrap();
        let logged = authorized.signers()[0].sigsum().unwrap();
        let names: Vec<&str> = logged.witnesses().iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["w1", "w2"]);
        assert_eq!(logged.time(), Some(Timestamp::from_unix(COSIGNED as i64)));
    }
}

#[test]
fn plain_signatures_and_proofs_never_stand_in_for_each_other() {
    let world = World::new();
    let plain = endorsement(world.certificate.clone(), &world.key);
    let (code, words) =
        reason(authorize(&world.policy(), core::slice::from_ref(&plain), archive(), &clock()));
    assert_eq!(code, Code::SigsumKind);
    assert!(words.starts_with("a plain signature, but this trust policy wants"), "{words}");

    let proof = world.endorse(world.proof().text());
    let (code, words) = reason(authorize(
        &world.root.policy(1),
        core::slice::from_ref(&proof),
        archive(),
        &clock(),
    ));
    assert_eq!(code, Code::SigsumKind);
    assert_eq!(words, "a Sigsum proof, but this trust policy has no ospkg_trust_policy");

    // Both in one descriptor: it boots under either policy.
    let both = [plain, proof];
    assert!(authorize(&world.policy(), &both, archive(), &clock()).is_ok());
    assert!(authorize(&world.root.policy(1), &both, archive(), &clock()).is_ok());
}

#[test]
fn the_threshold_counts_distinct_keys_with_proofs() {
    let mut world = World::new();
    let other = ed25519();
    let leaf = submit(&mut world.log, &other);
    let certificate = world.root.issue(&leaf_params("other"), &other);
    let again = world.root.issue(&leaf_params("signer, again"), &world.key);
    let [one, two, _] = &world.witnesses;
    let cosigned = [(one, COSIGNED), (two, COSIGNED + 60)];
    let proof = world.endorse(world.proof().text());
    let same_key = Endorsement { certificate_der: again, ..proof.clone() };
    let second = Endorsement {
        certificate_der: certificate,
        signature: world.log.prove(&leaf, 8, &cosigned).text().into(),
    };
    let rules = world.rules("group g 2 w1 w2 w3\nquorum g\n");
    let json = br#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#;
    let policy = crate::TrustPolicy::load(&crate::PolicyFiles {
        trust_policy_json: json,
        signing_root_pem: Some(world.root.pem().as_bytes()),
        sigsum_policy: Some(rules.as_bytes()),
        ..Default::default()
    })
    .unwrap();
    let judge = |list: &[Endorsement]| authorize(&policy, list, archive(), &clock());
    assert_eq!(judge(&[proof.clone(), same_key]).unwrap_err().valid(), 1);
    let authorized = judge(&[proof, second]).unwrap();
    assert_eq!(authorized.signers().len(), 2);
    assert_eq!(authorized.signer_reports()[1].sigsum.as_ref().unwrap().witnesses, ["w1", "w2"]);
}

#[test]
fn chains_and_denied_keys_hold_and_are_judged_before_the_proof_is_read() {
    let world = World::new();
    let key = crate::Certificate::parse(&world.certificate).unwrap().spki_sha256();
    let rules = world.rules("quorum w1\n");
    let denied = world.policy_with(&rules, &format!(r#", "denied_keys": ["{key}"]"#));
    let judge = |policy, signature: Vec<u8>| {
        reason(authorize(policy, &[world.endorse(signature)], archive(), &clock())).0
    };
    assert_eq!(judge(&denied, world.proof().text().into()), Code::SignerDenied);
    assert_eq!(judge(&denied, b"version=2\n".to_vec()), Code::SignerDenied);

    let other = World::new();
    let policy = world.policy();
    let judge = |signature: String| {
        reason(authorize(&policy, &[other.endorse(signature)], archive(), &clock())).0
    };
    assert_eq!(judge(other.proof().text()), Code::SignerUntrusted);
    assert_eq!(judge("version=9\n".to_owned()), Code::SignerUntrusted);
}

#[test]
fn a_proof_is_for_one_archive() {
    let world = World::new();
    let other = Sha256Digest::of(b"another archive");
    let refusal =
        authorize(&world.policy(), &[world.endorse(world.proof().text())], other, &clock())
            .unwrap_err();
    assert_eq!(refusal.code(), Code::SignatureWrong);
    let proof = Proof::parse(world.proof().text().as_bytes()).unwrap();
    let certificate = crate::Certificate::parse(&world.certificate).unwrap();
    assert!(proof.check_leaf(&certificate, archive()).is_ok());
    assert!(proof.check_leaf(&certificate, other).is_err());
}

/// A leaf whose R is the neutral element, by the key of nobody: a lenient verifier accepts it for
/// whoever has the key, and `verify_strict` does not. Here the key itself is weak.
#[test]
fn weak_keys_are_no_logs_and_no_witnesses() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let hex = sigsum_log::hex(&identity);
    for policy in [
        format!("log {hex}\nquorum none\n"),
        format!("{}witness w {hex}\nquorum w\n", Party::new("log").log_line()),
    ] {
        let error = crate::SigsumPolicy::parse(policy.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("the Ed25519 key is weak"), "{error}");
    }
    let world = World::new();
    let weak = world.root.issue(&leaf_params("weak"), &RawKey(identity));
    let endorsement = Endorsement { certificate_der: weak, signature: world.proof().text().into() };
    let judged = authorize(&world.policy(), &[endorsement], archive(), &clock());
    assert_eq!(reason(judged).0, Code::SignerAlgorithm);
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in vec(any::<u8>(), 0..512)) {
        let _ = Proof::parse(&bytes);
    }

    /// No byte of a proof can be changed without being noticed, but for the case of digits and for
    /// what belongs to a witness that is not needed.
    #[test]
    fn no_byte_can_be_changed(at: proptest::sample::Index, to in any::<u8>()) {
        let world = World::new();
        let mut proof = world.proof();
        proof.cosignatures.truncate(2);
        let text = proof.text().into_bytes();
        let mut changed = text.clone();
        let at = at.index(changed.len());
        changed[at] = to;
        let same = changed.eq_ignore_ascii_case(&text)
            && changed.iter().zip(&text).all(|(new, old)| new == old || old.is_ascii_hexdigit());
        let accepted = world.judge(changed).is_ok();
        proptest::prop_assert!(!accepted || same);
        if to == text[at] {
            proptest::prop_assert!(accepted);
        }
    }
}
