//! Many seeds: what must hold in every world.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::BTreeSet;
use std::env;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use simulator::Outcome;
use simulator::Packages;
use simulator::Promise;
use simulator::Scenario;
use simulator::boot;
use tracing::Level;

/// Worlds that are tried; `RAMSTRAP_SEEDS=N` tries another number, `RAMSTRAP_SEED=N` one.
const SEEDS: u64 = 10_000;

/// Packets, requests and changes to links that one NIC may cause in a second. A machine that asks
/// by DHCP, router discovery and ARP at once and starts a download needs about twenty.
const BUSY: usize = 60;

/// The same on average over a whole boot, or over its first [`START`] seconds: what waits does so with
/// pauses that grow. The busiest of these worlds needs about 0.6.
const CALM: f64 = 1.0;

/// Seconds that a beginning lasts.
const START: f64 = 30.0;

/// After so many worlds that went wrong, no more are tried.
const MOST_WRONG: usize = 20;

/// How much later than its deadline a boot may end: what cleaning up links may take.
const GRACE: Duration = Duration::from_secs(1);

/// What must have happened somewhere in so many worlds: proxies that fail and that want other
/// credentials, and a package that was replaced while it was fetched.
const MUST_OCCUR: (u64, [&str; 3]) = (1000, ["E0320", "E0321", "E0330"]);

/// What is wrong with an outcome.
fn judge(scenario: &Scenario, outcome: &Outcome, packages: &Packages) -> Option<String> {
    match (&outcome.end, scenario.promise) {
        (None, _) => return Some("it did not end".to_owned()),
        (Some(Ok(booted)), _) if !packages.may_run(booted) => {
            return Some("it booted what nobody signed".to_owned());
        }
        (Some(Err(failure)), Promise::Boots { nic, mirror, since }) => {
            return Some(format!(
                "it did not boot, although eth{nic} and mirror {mirror} are good since {since:?}: {}",
                failure.headline()
            ));
        }
        (Some(_), _) => {}
    }
    if outcome.took > scenario.patience + GRACE {
        return Some(format!("it took {:?}", outcome.took));
    }
    let limit = BUSY * scenario.nics.len();
    if outcome.busiest_second > limit {
        return Some(format!("{} actions in one second", outcome.busiest_second));
    }
    let pace = pace(scenario, outcome);
    (pace > CALM).then(|| format!("{pace:.2} actions a second for each NIC, all the time"))
}

/// Actions of one NIC in a second, on average.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn pace(scenario: &Scenario, outcome: &Outcome) -> f64 {
    let seconds = outcome.took.as_secs_f64().max(START);
    outcome.actions as f64 / seconds / scenario.nics.len() as f64
}

fn try_seed(seed: u64, packages: &Arc<Packages>) -> Result<Outcome, String> {
    let scenario = Scenario::from_seed(seed);
    let outcome = boot(&scenario, packages).map_err(|error| format!("seed {seed}: {error}"))?;
    match judge(&scenario, &outcome, packages) {
        None => Ok(outcome),
        Some(wrong) => Err(format!(
            "seed {seed}: {wrong}\n{scenario:#?}\n{}\nagain: RAMSTRAP_SEED={seed} cargo test -p \
             simulator",
            outcome.story.join("\n")
        )),
    }
}

#[test]
fn every_world_is_survived() {
    let packages = Arc::new(Packages::make().unwrap());
    if let Some(seed) = env::var("RAMSTRAP_SEED").ok().and_then(|seed| seed.parse().ok()) {
        tracing_subscriber::fmt().without_time().with_max_level(Level::DEBUG).init();
        match try_seed(seed, &packages) {
            Ok(outcome) => println!("{outcome:#?}"),
            Err(error) => panic!("{error}"),
        }
        return;
    }
    let seeds = env::var("RAMSTRAP_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds = seeds.unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let wrong = Mutex::new(Vec::new());
    let (booted, refused, busiest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let occurred = Mutex::new(BTreeSet::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || wrong.lock().unwrap().len() >= MOST_WRONG {
                        return;
                    }
                    let tried = try_seed(seed, &packages);
                    if let Ok(Outcome { story, .. }) = &tried {
                        let seen = |code: &&str| story.iter().any(|line| line.contains(code));
                        occurred.lock().unwrap().extend(MUST_OCCUR.1.into_iter().filter(seen));
                    }
                    match tried {
                        Ok(Outcome { end: Some(Ok(_)), busiest_second, .. }) => {
                            booted.fetch_add(1, Ordering::Relaxed);
                            busiest.fetch_max(busiest_second as u64, Ordering::Relaxed);
                        }
                        Ok(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => wrong.lock().unwrap().push(error),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let (booted, refused) = (booted.into_inner(), refused.into_inner());
    for error in &wrong {
        println!("{}", error.lines().next().unwrap_or_default());
    }
    println!("{booted} booted, {refused} ended without; busiest second: {busiest:?} actions");
    assert!(wrong.is_empty(), "{} worlds went wrong; the first: {}", wrong.len(), wrong[0]);
    let (enough, codes) = MUST_OCCUR;
    let occurred = occurred.into_inner().unwrap();
    assert!(seeds < enough || occurred.len() == codes.len(), "only {occurred:?} occurred");
    // Scenarios that all end in the same way would test nothing.
    assert!(booted > seeds / 2 && refused > seeds / 100, "{booted} booted, {refused} did not");
}

#[test]
fn the_same_seed_is_the_same_boot() {
    let packages = Arc::new(Packages::make().unwrap());
    for seed in 0..20 {
        let scenario = Scenario::from_seed(seed);
        let (first, second) =
            (boot(&scenario, &packages).unwrap(), boot(&scenario, &packages).unwrap());
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!((first.took, first.actions), (second.took, second.actions), "seed {seed}");
    }
}
