use proptest::proptest;
use report::Code;
use report::Coded;
use sigsum_log::Party;

use super::COSIGNED;
use super::World;
use crate::PolicyError;
use crate::PolicyFiles;
use crate::Sha256Digest;
use crate::SigsumPolicy;
use crate::SigsumPolicyError;
use crate::TrustPolicy;
use crate::sigsum::MAX_SIGSUM_POLICY_LEN;

fn parse(text: &str) -> Result<SigsumPolicy, SigsumPolicyError> {
    SigsumPolicy::parse(text.as_bytes())
}

fn key(name: &str) -> String {
    sigsum_log::hex(&Party::new(name).public())
}

#[test]
fn a_policy_is_read_whole() {
    let (log, one, two) = (key("log"), key("w1"), key("w2").to_uppercase());
    let text = format!(
        "# A comment, ünd such things\n\n  \t\n\
         log {log} https://log.example/\n\
         \twitness  one\t{one}   \n\
         witness two {two} https://witness.example/#fragment\n\
         # group nothing\n\
         group both all one two\n\
         group either any one two\n\
         group nested 1 both either\n\
         quorum nested"
    );
    let policy = parse(&text).unwrap();
    assert_eq!(policy.digest(), Sha256Digest::of(text.as_bytes()));
    assert_eq!(policy.logs().next().unwrap().as_bytes(), &Party::new("log").key_hash());
    assert_eq!(policy.witnesses().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(policy.fewest_witnesses(), 1);
    assert!(policy.needs_witnesses() && policy.warnings().is_empty());
}

#[test]
fn every_line_that_cannot_be_used_is_named() {
    let (log, one, two) = (key("log"), key("w1"), key("w2"));
    let start = format!("log {log}\nwitness one {one}\n");
    let off_curve = "95fbfdc65f4a1c92469440b3fb23cefefe9f26d86057b805243c607ec7eb4f7b";
    for (line, problem) in [
        ("log".to_owned(), "it must be `log KEY [URL]`"),
        (format!("log {two} url more"), "it must be `log KEY [URL]`"),
        (format!("log {two} # comment"), "a comment must have a line of its own"),
        (format!("log {log}"), "a log before has the same key"),
        (format!("log {}", log.to_uppercase()), "a log before has the same key"),
        (format!("log {}", &two[1..]), "the key must be 64 hexadecimal digits"),
        (format!("log 0x{}", &two[2..]), "the key must be 64 hexadecimal digits"),
        (format!("log {off_curve}"), "the Ed25519 key is no point of the curve"),
        (format!("log {}01", "0".repeat(62)), "the Ed25519 key is"),
        (format!("witness {two}"), "it must be `witness NAME KEY [URL]`"),
        (format!("witness two {two} url more"), "it must be `witness NAME KEY [URL]`"),
        (format!("witness two {one}"), "a witness before has the same key; it would count twice"),
        (format!("witness one {two}"), "the name \"one\" is taken by a line before"),
        (format!("witness none {two}"), "the name none means that no witness is needed"),
        ("witness two key".to_owned(), "the key must be 64 hexadecimal digits"),
        ("group g any".to_owned(), "it must be `group NAME all|any|NUMBER MEMBER...`"),
        ("group one any one".to_owned(), "the name \"one\" is taken by a line before"),
        ("group none any one".to_owned(), "the name none means that no witness is needed"),
        ("group g any g".to_owned(), "no witness or group before this line is called \"g\""),
        ("group g any none".to_owned(), "no witness or group before this line is called \"none\""),
        ("group g 2 one one".to_owned(), "\"one\" is named twice; it would count twice"),
        ("group g 0 one".to_owned(), "\"0\" must be any, all or a number from 1 to 1"),
        ("group g 2 one".to_owned(), "\"2\" must be any, all or a number from 1 to 1"),
        ("group g 01 one".to_owned(), "\"01\" must be any, all or a number from 1 to 1"),
        ("group g +1 one".to_owned(), "\"+1\" must be any, all or a number from 1 to 1"),
        ("group g -1 one".to_owned(), "\"-1\" must be any, all or a number from 1 to 1"),
        ("group g ANY one".to_owned(), "\"ANY\" must be any, all or a number from 1 to 1"),
        ("quorum".to_owned(), "it must be `quorum NAME` or `quorum none`"),
        ("quorum one two".to_owned(), "it must be `quorum NAME` or `quorum none`"),
        ("quorum two".to_owned(), "no witness or group before this line is called \"two\""),
        ("quorum one\nquorum one".to_owned(), "there was a quorum line before"),
        ("quorum none\nquorum none".to_owned(), "there was a quorum line before"),
        ("Log x".to_owned(), "it begins with \"Log\", not with log, witness, group or quorum"),
        ("logs".to_owned(), "it begins with \"logs\""),
        ("wit\u{0}ness".to_owned(), "it has a control character"),
        ("group\u{b}g any one".to_owned(), "it has a control character"),
        ("group\u{a0}g any one".to_owned(), "it begins with \"group\\u{a0}g\""),
        ("quorum one\r".to_owned(), "it ends with a carriage return"),
    ] {
        let error = parse(&format!("{start}{line}\n")).unwrap_err();
        let at = 3 + line.matches('\n').count();
        let expected = format!("line {at}: {problem}");
        assert!(error.to_string().starts_with(&expected), "{line}: {error}");
    }
    let error = SigsumPolicy::parse(b"# one\nlog \xff\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: it is not UTF-8");
}

#[test]
fn a_policy_without_log_or_quorum_or_end_is_refused() {
    let (log, one) = (Party::new("log").log_line(), Party::new("w1").witness_line());
    for (text, problem) in [
        (String::new(), "there is no log line, so that no proof counts"),
        (format!("{one}quorum w1\n"), "there is no log line, so that no proof counts"),
        (log.clone() + &one, "there is no quorum line; `quorum none` asks for no witness"),
        (log + "#".repeat(MAX_SIGSUM_POLICY_LEN).as_str(), "longer than 65536 bytes"),
    ] {
        assert_eq!(parse(&text).unwrap_err().to_string(), problem);
    }
}

#[test]
fn a_policy_that_cannot_be_used_refuses_the_trust_policy() {
    let world = World::new();
    let load = |sigsum: &[u8], keys: &str| {
        let json =
            format!(r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"{keys}}}"#);
        TrustPolicy::load(&PolicyFiles {
            trust_policy_json: json.as_bytes(),
            signing_root_pem: Some(world.root.pem().as_bytes()),
            sigsum_policy: Some(sigsum).filter(|file| *file != b"absent"),
            ..PolicyFiles::default()
        })
    };
    let error = load(b"", "").unwrap_err();
    assert_eq!(error.code(), Code::SigsumPolicyInvalid);
    assert!(error.to_string().starts_with("ospkg_trust_policy: there is no log line"), "{error}");

    let (none, one) = (world.rules("quorum none\n"), world.rules("quorum w1\n"));
    let policy = load(none.as_bytes(), "").unwrap();
    assert!(policy.warnings()[0].starts_with("ospkg_trust_policy: the quorum is none"));
    let digest = Sha256Digest::of(none.as_bytes()).to_string();
    assert_eq!(policy.report().sigsum_sha256, Some(digest));

    let age = r#", "max_cosignature_age": 60"#;
    assert_eq!(load(one.as_bytes(), age).unwrap().document().max_cosignature_age(), Some(60));
    for without in [none.as_bytes(), b"absent"] {
        let error = load(without, age).unwrap_err();
        assert!(matches!(error, PolicyError::Field { key: "max_cosignature_age", .. }), "{error}");
        assert_eq!(error.code(), Code::TrustPolicyInvalid);
    }
    for value in ["0", "-1", "1.5", "\"60\"", "[]"] {
        let error = load(one.as_bytes(), &format!(r#", "max_cosignature_age": {value}"#));
        assert_eq!(error.unwrap_err().code(), Code::TrustPolicyInvalid, "{value}");
    }
}

#[test]
fn an_operator_is_told_what_a_policy_does_not_promise() {
    let world = World::new();
    let policy = parse(&world.rules("quorum w2\n")).unwrap();
    assert_eq!(
        policy.warnings(),
        ["the quorum does not ask witness w1", "the quorum does not ask witness w3"]
    );
    let own = format!("{0}witness own {1}\nquorum own\n", world.log.party().log_line(), key("log"));
    let warnings = parse(&own).unwrap().warnings();
    assert_eq!(warnings, ["witness own has the key of a log, which thereby watches itself"]);
}

/// Quorums by every set of witnesses that has cosigned, against what a person would say.
#[test]
fn quorums_mean_what_they_say() {
    let world = World::new();
    type Rule = fn(bool, bool, bool) -> bool;
    let table: &[(&str, Rule)] = &[
        ("quorum none\n", |_, _, _| true),
        ("quorum w2\n", |_, two, _| two),
        ("group g any w1 w2 w3\nquorum g\n", |one, two, three| one || two || three),
        ("group g 1 w1 w2\nquorum g\n", |one, two, _| one || two),
        ("group g all w1 w2 w3\nquorum g\n", |one, two, three| one && two && three),
        ("group g 2 w1 w2 w3\nquorum g\n", |one, two, three| {
            u8::from(one) + u8::from(two) + u8::from(three) >= 2
        }),
        ("group g any w1 w2\ngroup h all g w3\nquorum h\n", |one, two, three| {
            (one || two) && three
        }),
        ("group g all w1 w2\ngroup h any g w3\nquorum h\n", |one, two, three| {
            (one && two) || three
        }),
        // One witness in two groups acts in both.
        ("group g any w1 w2\ngroup h any w1 w3\ngroup k all g h\nquorum k\n", |one, two, three| {
            one || (two && three)
        }),
        // Neither the order of lines nor a group that nobody asks matters.
        ("group g all w3\ngroup h all w1 w2 w3\nquorum g\n", |_, _, three| three),
    ];
    for (lines, rule) in table {
        let policy = world.policy_with(&world.rules(lines), "");
        for set in 0..8_u8 {
            let acts = |index: usize| set & (1 << index) != 0;
            let mut proof = world.proof();
            proof.cosignatures.clear();
            for (index, witness) in world.witnesses.iter().enumerate().rev() {
                if acts(index) {
                    proof.cosign(witness, COSIGNED);
                }
            }
            let judged = super::on(&super::clock(), &policy, world.endorse(proof.text()));
            assert_eq!(judged.is_ok(), rule(acts(0), acts(1), acts(2)), "{lines}{set:03b}");
            if judged.is_err() {
                assert_eq!(super::reason(judged).0, Code::SigsumQuorum);
            }
        }
    }
}

/// Groups of groups of groups: deciding takes one step for each member that is named, not for each
/// way from the quorum to a witness.
#[test]
fn groups_of_groups_are_decided_at_once() {
    let world = World::new();
    let mut lines = "group a0 any w1\ngroup b0 any w1\n".to_owned();
    for level in 1..500 {
        let below = level - 1;
        lines.push_str(&format!("group a{level} all a{below} b{below}\n"));
        lines.push_str(&format!("group b{level} all a{below} b{below}\n"));
    }
    lines.push_str("group top all a499 b499\nquorum top\n");
    let policy = world.policy_with(&world.rules(&lines), "");
    assert!(super::on(&super::clock(), &policy, world.endorse(world.proof().text())).is_ok());
    assert_eq!(policy.sigsum().unwrap().witnesses().collect::<Vec<_>>(), ["w1"]);
    assert!(policy.sigsum().unwrap().fewest_witnesses() >= 1);
}

#[test]
fn names_are_fit_for_a_console() {
    let world = World::new();
    let witness = key("w4");
    let name = format!("w\u{202e}{}", "x".repeat(500));
    let rules = world.rules(&format!("witness {name} {witness}\nquorum {name}\n"));
    let policy = world.policy_with(&rules, "");
    let judged = super::on(&super::clock(), &policy, world.endorse(world.proof().text()));
    let (_, reason) = super::reason(judged);
    assert!(!reason.contains('\u{202e}') && reason.len() < 500, "{reason}");
}

proptest! {
    #[test]
    fn reading_never_panics(text in "(log|witness|group|quorum|none|any|all|[0-9a-f]{64}|[ \t\n#ab01]|\\PC){0,40}") {
        let _ = parse(&text);
    }
}
