//! Our verdicts beside those of the crate `sigsum`, on proofs and policies that both can read.

use rcgen::PublicKeyData;
use sigsum::Hash;
use sigsum::Policy;
use sigsum::PublicKey;
use sigsum::SigsumSignature;
use sigsum_log::Party;

use super::COSIGNED;
use super::World;
use super::on;
use crate::SigsumPolicy;
use crate::test_certificates::archive;
use crate::test_certificates::clock;

/// The other library's verdict.
fn other(world: &World, rules: &str, proof: &str) -> Result<(), String> {
    let policy = Policy::parse(rules).map_err(|error| error.to_string())?;
    let signature = SigsumSignature::from_ascii(proof).map_err(|error| error.to_string())?;
    let key: [u8; 32] = world.key.der_bytes().try_into().unwrap();
    let message = Hash::from(*archive().as_bytes());
    sigsum::verify(&message, &signature, &[PublicKey::from(key)], &policy)
        .map_err(|error| error.to_string())
}

fn ours(world: &World, rules: &str, proof: &str) -> Result<(), String> {
    let policy = world.policy_with(rules, "");
    match on(&clock(), &policy, world.endorse(proof)) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn good_proofs_are_good_to_both() {
    for size in 2..=24 {
        for index in [0, size / 2, size - 1] {
            let world = World::with(index, size);
            let [one, two, _] = &world.witnesses;
            let proof = world.log.prove(&world.leaf, size, &[(one, COSIGNED), (two, COSIGNED)]);
            let rules = world.rules("group g 2 w1 w2 w3\nquorum g\n");
            assert_eq!(ours(&world, &rules, &proof.text()), Ok(()), "{index} of {size}");
            assert_eq!(other(&world, &rules, &proof.text()), Ok(()), "{index} of {size}");
        }
    }
}

#[test]
fn quorums_mean_the_same_to_both() {
    let world = World::new();
    for quorum in [
        "quorum none\n",
        "quorum w1\n",
        "group g any w1 w2 w3\nquorum g\n",
        "group g all w1 w2 w3\nquorum g\n",
        "group g 2 w1 w2 w3\nquorum g\n",
        "group g any w1 w2\ngroup h all g w3\nquorum h\n",
        "group g any w1 w2\ngroup h any w1 w3\ngroup k 2 g h\nquorum k\n",
    ] {
        let rules = world.rules(quorum);
        for set in 0..8_u8 {
            let mut proof = world.proof();
            proof.cosignatures.clear();
            for (index, witness) in world.witnesses.iter().enumerate() {
                if set & (1 << index) != 0 {
                    proof.cosign(witness, COSIGNED + u64::from(set));
                }
            }
            proof.cosign(&Party::new("unknown"), 1);
            let text = proof.text();
            let (ours, other) = (ours(&world, &rules, &text), other(&world, &rules, &text));
            assert_eq!(ours.is_ok(), other.is_ok(), "{quorum}{set:03b}: {ours:?}, {other:?}");
        }
    }
}

/// One character of a proof changed at a time, into three others. Whatever we accept, the other accepts; what it accepts
/// beyond that is listed in the module's documentation.
#[test]
fn we_are_never_laxer() {
    let world = World::new();
    let rules = world.rules("quorum w1\n");
    let text = world.proof().text();
    let mut differences = Vec::new();
    for at in 0..text.len() {
        let others = ["", "0", "1", "f", "F", " ", "\n", "\r\n", "+", "x"];
        for to in others.into_iter().cycle().skip(at * 3 % others.len()).take(3) {
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            let (ours, other) = (ours(&world, &rules, &changed), other(&world, &rules, &changed));
            match (ours, other) {
                // The other refuses a wrong cosignature that nobody needs; its own tools do not.
                (Ok(()), Err(why)) if why.contains("bad witness cosignature") => {}
                (Ok(()), Err(why)) => panic!("{changed}\n{why}"),
                (Err(why), Ok(())) => differences.push((why, changed)),
                _ => {}
            }
        }
    }
    for (why, changed) in differences {
        let known = changed.contains("\r\n") || !changed.ends_with('\n');
        assert!(known, "{why}\n{changed}");
    }
}

#[test]
fn what_the_other_takes_and_we_do_not() {
    let world = World::new();
    let mut alone = world.proof();
    alone.cosignatures.truncate(1);
    for quorum in ["group g 0 w2 w3\nquorum g\n", "group g 2 w1 w1\nquorum g\n"] {
        let rules = world.rules(quorum);
        assert_eq!(other(&world, &rules, &alone.text()), Ok(()));
        assert!(SigsumPolicy::parse(rules.as_bytes()).is_err());
    }
    let rules = world.rules("quorum w1\n");
    let text = world.proof().text();
    let first = text.lines().find(|line| line.starts_with("cosignature=")).unwrap();
    for lenient in [
        text.replacen("size=7", "size=+7", 1),
        text.replacen("leaf_index=4", "leaf_index=004", 1),
        text.replacen(first, &format!("{first}\n{first}"), 1),
        text.replacen(&format!("{first}\n"), &format!("{first}\r\n"), 1),
    ] {
        assert_eq!(other(&world, &rules, &lenient), Ok(()));
        assert!(ours(&world, &rules, &lenient).is_err());
    }
}

#[test]
fn what_we_take_and_the_other_does_not() {
    let rules = |world: &World| world.rules("quorum w1\n");
    let world = World::new();
    let text = world.proof().version(1).text();
    assert_eq!(ours(&world, &rules(&world), &text), Ok(()));
    assert!(other(&world, &rules(&world), &text).is_err());

    let mut wrong = world.proof();
    wrong.cosignatures[1].signature = [0xff; 64];
    assert_eq!(ours(&world, &rules(&world), &wrong.text()), Ok(()));
    assert!(other(&world, &rules(&world), &wrong.text()).is_err());

    let world = World::with(0, 1);
    let text = world.log.prove(&world.leaf, 1, &[(&world.witnesses[0], COSIGNED)]).text();
    assert_eq!(ours(&world, &rules(&world), &text), Ok(()));
    assert!(other(&world, &rules(&world), &text).is_err());
}
