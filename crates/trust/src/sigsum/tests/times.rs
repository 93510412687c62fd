//! What witnesses say about the time: the age of proofs, and the floor of the clock.

use report::Code;
use sigsum_log::Party;

use super::World;
use super::on;
use super::reason;
use super::submit;
use crate::Clock;
use crate::ClockSource;
use crate::DEFAULT_MAX_CLOCK_SKEW;
use crate::Endorsement;
use crate::LOCAL_TIME_SECONDS;
use crate::Timestamp;
use crate::TrustPolicy;
use crate::authorize;
use crate::sigsum::quorum::Quorum;
use crate::test_certificates::archive;
use crate::test_certificates::day;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;

const DAY: i64 = 86_400;
const TWO_OF_THREE: &str = "group g 2 w1 w2 w3\nquorum g\n";

/// A proof that the three witnesses cosigned at these times.
fn cosigned(world: &World, times: [Timestamp; 3]) -> Endorsement {
    let mut proof = world.proof();
    proof.cosignatures.clear();
    for (witness, time) in world.witnesses.iter().zip(times) {
        proof.cosign(witness, time.unix().unsigned_abs());
    }
    world.endorse(proof.text())
}

fn plus(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix(time.unix() + seconds)
}

fn week(world: &World) -> TrustPolicy {
    world.policy_with(&world.rules(TWO_OF_THREE), r#", "max_cosignature_age": 604800"#)
}

fn machine(rtc: Timestamp) -> Clock {
    Clock::from_rtc(rtc, day(2026, 6, 1), DEFAULT_MAX_CLOCK_SKEW)
}

#[test]
fn the_time_of_a_proof_is_when_the_quorum_was_reached_backwards() {
    let world = World::new();
    let [early, middle, late] = [day(2026, 6, 1), day(2026, 6, 2), day(2026, 6, 3)];
    for (quorum, expected) in [
        ("quorum w1\n", early),
        ("quorum w3\n", late),
        ("group g any w1 w2 w3\nquorum g\n", late),
        (TWO_OF_THREE, middle),
        ("group g all w1 w2 w3\nquorum g\n", early),
        ("group g any w2 w3\ngroup h all g w1\nquorum h\n", early),
    ] {
        let policy = world.policy_with(&world.rules(quorum), "");
        let endorsement = cosigned(&world, [early, middle, late]);
        let authorized = on(&super::clock(), &policy, endorsement).unwrap();
        let time = authorized.signers()[0].sigsum().unwrap().time();
        assert_eq!(time, Some(expected), "{quorum}");
    }
    let policy = world.policy_with(&world.rules("quorum none\n"), "");
    let authorized = on(&super::clock(), &policy, cosigned(&world, [early, middle, late])).unwrap();
    assert_eq!(authorized.signers()[0].sigsum().unwrap().time(), None);
    assert_eq!(authorized.clock(), &super::clock());
    assert_eq!(Quorum::default().time(&[(0, 1)].into()), None);
}

#[test]
fn a_proof_may_be_as_old_as_the_policy_says() {
    let world = World::new();
    let now = day(2026, 7, 1);
    for (age, fresh) in [(0, true), (7 * DAY - 1, true), (7 * DAY, true), (7 * DAY + 1, false)] {
        let endorsement = cosigned(&world, [plus(now, -age); 3]);
        for clock in [Clock::exactly(now), machine(now)] {
            let judged = on(&clock, &week(&world), endorsement.clone());
            assert_eq!(judged.is_ok(), fresh, "{age}");
            if !fresh {
                let (code, reason) = reason(judged);
                assert_eq!(code, Code::SigsumTooOld);
                assert_eq!(
                    reason,
                    "the witnesses have cosigned on 2026-06-23T23:59:59Z, which is more than the \
                     604800 seconds ago that the policy allows"
                );
            }
        }
        // Without the key any age will do.
        assert!(on(&machine(now), &world.policy(), endorsement).is_ok());
    }
}

#[test]
fn one_witness_that_is_ahead_makes_no_old_proof_new() {
    let world = World::new();
    let now = day(2026, 7, 1);
    let old = plus(now, -8 * DAY);
    let judged = on(&machine(now), &week(&world), cosigned(&world, [old, old, plus(now, DAY)]));
    assert_eq!(reason(judged).0, Code::SigsumTooOld);
    let judged = on(&machine(now), &week(&world), cosigned(&world, [old, now, now]));
    assert!(judged.is_ok());
}

#[test]
fn without_a_clock_the_age_counts_to_the_build_of_the_boot_image_only() {
    let world = World::new();
    let floor = day(2026, 6, 1);
    for dead in [day(1970, 1, 2), day(2026, 5, 31), day(2099, 1, 1)] {
        let clock = machine(dead);
        assert!(!clock.is_trusted());
        for (time, fresh) in [
            (plus(floor, 30 * DAY), true),
            (plus(floor, -7 * DAY), true),
            (plus(floor, -7 * DAY - 1), false),
        ] {
            let judged = on(&clock, &week(&world), cosigned(&world, [time; 3]));
            assert_eq!(judged.is_ok(), fresh);
        }
    }
}

#[test]
fn witnesses_raise_the_floor() {
    let world = World::new();
    let time = day(2026, 8, 1);
    let endorsement = cosigned(&world, [time; 3]);
    let raised = |rtc| {
        let authorized = on(&machine(rtc), &world.policy(), endorsement.clone()).unwrap();
        let clock = *authorized.clock();
        (clock.floor(), clock.source(), clock.now_for(day(2020, 1, 1)))
    };
    // Dead, right, a little behind, and set back.
    assert_eq!(raised(day(1970, 1, 2)), (time, ClockSource::Floor, time));
    let later = day(2026, 9, 1);
    assert_eq!(raised(later), (time, ClockSource::Rtc, later));
    let behind = plus(time, -i64::from(LOCAL_TIME_SECONDS));
    assert_eq!(raised(behind), (time, ClockSource::Rtc, time));
    assert_eq!(raised(plus(behind, -1)), (time, ClockSource::Floor, time));
    // What was before the floor proves nothing; a date that an operator gave stands.
    let old = cosigned(&world, [day(2026, 5, 1); 3]);
    let clock = machine(day(2026, 6, 2));
    assert_eq!(on(&clock, &world.policy(), old).unwrap().clock(), &clock);
    let given = Clock::exactly(day(2026, 7, 1));
    assert_eq!(on(&given, &world.policy(), endorsement.clone()).unwrap().clock(), &given);
}

/// What had expired when the witnesses cosigned does not boot, whatever the clock of the machine says:
/// it was signed after its time, or the clock was set back.
#[test]
fn what_expired_before_the_witnesses_cosigned_never_boots() {
    let world = World::new();
    let mut params = leaf_params("short");
    params.not_after = rcgen::date_time_ymd(2026, 7, 15);
    let certificate_der = world.root.issue(&params, &world.key);
    let short =
        |times| Endorsement { certificate_der: certificate_der.clone(), ..cosigned(&world, times) };
    let clocks = [day(1970, 1, 2), day(2026, 6, 2), day(2026, 7, 14), day(2099, 1, 1)];
    for clock in clocks.map(machine) {
        assert!(on(&clock, &world.policy(), short([day(2026, 7, 14); 3])).is_ok());
        let judged = on(&clock, &world.policy(), short([day(2026, 7, 16); 3]));
        assert_eq!(reason(judged).0, Code::SignerExpired);
        // One witness alone says so: two are needed.
        let one = short([day(2026, 7, 1), day(2026, 7, 1), day(2030, 1, 1)]);
        assert!(on(&clock, &world.policy(), one).is_ok());
    }
}

/// The evidence under one signature holds for all of them.
#[test]
fn the_floor_is_raised_for_all_signers_of_a_package() {
    let mut world = World::new();
    let other = ed25519();
    let mut params = leaf_params("other");
    params.not_after = rcgen::date_time_ymd(2026, 7, 15);
    let certificate_der = world.root.issue(&params, &other);
    let leaf = submit(&mut world.log, &other);
    let at = day(2026, 7, 1).unix().unsigned_abs();
    let cosigned_by: Vec<(&Party, u64)> = world.witnesses.iter().map(|it| (it, at)).collect();
    let signature = world.log.prove(&leaf, 8, &cosigned_by).text().into();
    let early = Endorsement { certificate_der, signature };
    let late = cosigned(&world, [day(2026, 8, 1); 3]);
    let clock = machine(day(1970, 1, 2));
    assert!(on(&clock, &world.policy(), early.clone()).is_ok());
    for both in [[early.clone(), late.clone()], [late, early]] {
        let authorized = authorize(&world.policy(), &both, archive(), &clock).unwrap();
        assert_eq!(authorized.signers().len(), 1);
        assert_eq!(authorized.skipped()[0].code, Code::SignerExpired);
        assert_eq!(authorized.clock().floor(), day(2026, 8, 1));
    }
}

/// A proof that does not count proves no time.
#[test]
fn only_a_quorum_raises_the_floor() {
    let world = World::new();
    let good = cosigned(&world, [day(2026, 6, 10); 3]);
    let mut alone = world.proof();
    alone.cosignatures.clear();
    alone.cosign(&world.witnesses[0], day(2030, 1, 1).unix().unsigned_abs());
    let both = [world.endorse(alone.text()), good];
    let clock = machine(day(2026, 6, 20));
    let authorized = authorize(&world.policy(), &both, archive(), &clock).unwrap();
    assert_eq!(authorized.clock().floor(), day(2026, 6, 10));
}
