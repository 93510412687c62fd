//! A short run of every fuzz target on the stable compiler: the committed corpora as they are, and
//! some thousands of inputs that are made of them. The same inputs every time.
//!
//! `FUZZ_ITERATIONS=1000000` runs for longer, `FUZZ_SEED=7` with other inputs, `UPDATE_CORPORA=1`
//! writes the seeds anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod mutate;
mod seeds;

use std::fmt::Write as _;
use std::fs;
use std::panic;
use std::path::PathBuf;

use fuzz::TARGETS;
use fuzz::Target;

use self::mutate::Mutator;

/// Inputs per target, divided by what one costs.
const ITERATIONS: u32 = 20_000;
/// Longest input that is kept in the repository.
const MAX_COMMITTED: u64 = 4096;

/// Targets whose inputs are authenticated, every byte: that a seed is believed is all that can be.
const SEALED: [&str; 1] = ["age_file"];

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpora").join(target.name)
}

/// The committed inputs of a target, by their file names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder(target))
        .unwrap_or_else(|error| panic!("{}: {error}", folder(target).display()))
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one input; a panic names it.
fn run(target: &Target, bytes: &[u8], origin: &str) -> bool {
    panic::catch_unwind(|| (target.run)(bytes)).unwrap_or_else(|_| {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        panic!("{} panics on {origin}: {hex}", target.name);
    })
}

#[test]
fn seeds_are_what_the_encoders_write_and_are_believed() {
    let update = std::env::var_os("UPDATE_CORPORA").is_some();
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(!seeds.is_empty(), "{}: no seeds", target.name);
        for (name, bytes) in seeds {
            let file = folder(target).join(format!("seed-{name}"));
            if update {
                fs::create_dir_all(folder(target)).unwrap();
                fs::write(&file, &bytes).unwrap();
            }
            let committed = fs::read(&file)
                .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_CORPORA=1", file.display()));
            assert!(committed == bytes, "{}: UPDATE_CORPORA=1 writes it anew", file.display());
            assert!(run(target, &bytes, name), "{}/{name} is not believed", target.name);
        }
    }
}

#[test]
fn every_target_is_there_for_libfuzzer_and_in_the_docs() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("libfuzzer/Cargo.toml")).unwrap();
    let docs = fs::read_to_string(root.join("../docs/fuzzing.md")).unwrap();
    for target in TARGETS {
        let name = target.name;
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "libfuzzer: {name}");
        assert!(docs.contains(&format!("`{name}`")), "docs/fuzzing.md: {name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

#[test]
fn committed_inputs_are_small_and_harmless() {
    for target in TARGETS {
        for (name, bytes) in corpus(target) {
            assert!(bytes.len() as u64 <= MAX_COMMITTED, "{}/{name} is large", target.name);
            run(target, &bytes, &name);
        }
    }
}

/// A corpus as a pool: three seeds for each input that a fuzzer has found, few of which are believed.
fn pool(corpus: Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    let (seeds, found): (Vec<_>, Vec<_>) =
        corpus.into_iter().partition(|(name, _)| name.starts_with("seed-"));
    let many = seeds.len().max(3 * found.len());
    let seeds = seeds.into_iter().cycle().take(many);
    seeds.chain(found).map(|(_, bytes)| bytes).collect()
}

#[test]
fn arbitrary_inputs_are_harmless() {
    let iterations = number("FUZZ_ITERATIONS").unwrap_or(ITERATIONS);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    for target in TARGETS {
        let mut mutator = Mutator::new(u64::from(seed), pool(corpus(target)));
        let runs = (iterations / target.cost).max(1);
        let mut believed = 0_u32;
        for round in 0..runs {
            let bytes = mutator.next();
            let good = run(target, &bytes, &format!("input {round} of seed {seed}"));
            believed += u32::from(good);
            if good {
                mutator.keep(bytes);
            }
        }
        println!("{}: {believed} of {runs} inputs were believed", target.name);
        // Otherwise the inputs are all noise, and this test sees the first check only.
        let sealed = SEALED.contains(&target.name);
        assert!(believed > 0 || sealed, "{}: no input gets anywhere", target.name);
        assert!(believed < runs, "{}: everything is believed", target.name);
    }
}
