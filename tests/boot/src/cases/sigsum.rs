//! Machines that want signatures to be public: a policy with `ospkg_trust_policy`. Proofs that are
//! broken in every line are in the tests of the crate `trust`, which judges here as there.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;
use sigsum_log::Log;
use sigsum_log::Party;
use trust::Sha256Digest;

use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// How old cosignatures may be, in seconds.
const WEEK: i64 = 604_800;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("sigsum_proofs", |bench| public(bench, &["w1", "w3"], 60)).checked(reported),
        Case::refused("sigsum_plain_signatures", Code::SigsumKind, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let scenario = Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]);
            Ok(wanting_proofs(scenario))
        })
        .slow(),
        Case::refused("sigsum_proofs_without_policy", Code::SigsumKind, |bench| {
            Ok(public(bench, &["w1", "w2", "w3"], 60)?.policy_file(POLICY, None).threshold(2))
        })
        .slow(),
        Case::refused("sigsum_proof_malformed", Code::SigsumProofMalformed, |bench| {
            changed(bench, |proof| proof.replace("leaf_index=", "leaf_index=0"))
        })
        .slow(),
        Case::refused("sigsum_log_unknown", Code::SigsumLogWrong, |bench| {
            let scenario = public(bench, &["w1", "w2"], 60)?;
            Ok(scenario.policy_file(POLICY, Some(rules("another log").as_bytes())))
        })
        .slow(),
        Case::refused("sigsum_quorum_not_reached", Code::SigsumQuorum, |bench| {
            public(bench, &["w2", "stranger"], 60)
        })
        .slow(),
        Case::refused("sigsum_cosignatures_too_old", Code::SigsumTooOld, |bench| {
            public(bench, &["w1", "w2", "w3"], WEEK + 86_400)
        })
        .slow(),
        Case::boots("sigsum_witnesses_tell_a_dead_clock_the_time", |bench| {
            // After the boot image was built, which is now.
            Ok(public(bench, &["w1", "w2"], -3600)?.rtc("2001-01-01"))
        })
        .slow()
        .checked(|run| {
            let clock = &run.report()?.clock;
            ensure!(clock.state == "untrusted", "the clock is {}", clock.state);
            let time = sigsum(run, 0)?.time.clone().context("a time")?;
            ensure!(clock.floor == time, "the floor is {}, the witnesses said {time}", clock.floor);
            run.says("by the Sigsum witnesses it is 20")?;
            run.says("max_cosignature_age was held against")
        }),
    ]
}

const POLICY: &str = "ospkg_trust_policy";

/// A log, and a quorum of two of three witnesses.
fn rules(log: &str) -> String {
    let witnesses: String = ["w1", "w2", "w3"].map(|name| Party::new(name).witness_line()).concat();
    let log = Party::new(log).log_line();
    format!("# for tests\n{log}{witnesses}group most 2 w1 w2 w3\nquorum most\n")
}

fn wanting_proofs(scenario: Scenario) -> Scenario {
    let document = json!({
        "ospkg_signature_threshold": 2,
        "ospkg_fetch_method": "network",
        "max_cosignature_age": WEEK,
    });
    scenario
        .policy_file("trust_policy.json", Some(document.to_string().as_bytes()))
        .policy_file(POLICY, Some(rules("log").as_bytes()))
}

/// The minimal OS with the proofs of two signers, which these witnesses have cosigned so many seconds
/// ago.
fn public(bench: &Bench, witnesses: &[&str], age: i64) -> Result<Scenario> {
    with(bench, witnesses, age, |proof| proof)
}

/// The same with a change in both proofs.
fn changed(bench: &Bench, change: impl Fn(String) -> String) -> Result<Scenario> {
    with(bench, &["w1", "w2", "w3"], 60, change)
}

fn with(
    bench: &Bench,
    witnesses: &[&str],
    age: i64,
    change: impl Fn(String) -> String,
) -> Result<Scenario> {
    let digest = Sha256Digest::of(&bench.minimal.bytes);
    let signers = bench.keys.two();
    let mut log = Log::new("log");
    log.grow(21);
    let leaves = signers
        .iter()
        .map(|signer| signer.publish(&mut log, digest.as_bytes()))
        .collect::<Result<Vec<_>>>()?;
    log.grow(27);
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let time = time.saturating_add_signed(-age);
    let parties: Vec<Party> = witnesses.iter().map(|name| Party::new(name)).collect();
    let cosigned: Vec<(&Party, u64)> = parties.iter().map(|witness| (witness, time)).collect();
    let proof = |leaf| change(log.prove(leaf, 27, &cosigned).text()).into_bytes();
    let descriptor = bench
        .minimal
        .descriptor(&signers)?
        .changed(|descriptor| descriptor.signatures = leaves.iter().map(proof).collect());
    Ok(wanting_proofs(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)])))
}

/// What the report has of the place where a signature is public.
fn sigsum(run: &Run, signer: usize) -> Result<&report::SigsumReport> {
    let package = run.report()?.package.as_ref().context("no package was authorised")?;
    let signer = package.signers.get(signer).context("too few signers counted")?;
    signer.sigsum.as_ref().context("its signature is not public")
}

fn reported(run: &Run) -> Result<()> {
    let report = run.report()?;
    let policy = report.trust_policy.as_ref().context("no policy is reported")?;
    let digest = Sha256Digest::of(rules("log").as_bytes()).to_string();
    ensure!(policy.sigsum_sha256 == Some(digest), "the Sigsum policy: {policy:?}");
    for signer in 0..2 {
        let sigsum = sigsum(run, signer)?;
        ensure!(sigsum.size == 27, "a tree of {}", sigsum.size);
        ensure!(sigsum.witnesses == ["w1", "w3"], "witnesses: {:?}", sigsum.witnesses);
        ensure!(sigsum.time.is_some(), "no time");
    }
    run.says("is public: log ")
}
