//! Runs the boot tests: `cargo test -p boot-tests --test boot [FILTER]`.
//!
//! Two guests at a time unless `--test-threads` says otherwise. `RAMSTRAP_TEST_ALL=1` adds the
//! cases that a quick run leaves out; `RAMSTRAP_TEST_LEFT=1` runs those, quick or not, that have no good
//! row yet in docs/boot-tests.md or in `target/boot-tests/`, where consoles and results go.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use boot_tests::bench::Bench;
use boot_tests::bench::GUESTS;
use boot_tests::case::Case;
use boot_tests::case::Tier;
use boot_tests::cases;
use boot_tests::page;
use boot_tests::results::Table;
use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;
use xtask::setup;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(GUESTS);
    let all = arguments.include_ignored || env::var("RAMSTRAP_TEST_ALL").is_ok_and(|it| it == "1");
    let cases = cases::all();
    let left = match left(&cases) {
        Ok(left) => left,
        Err(error) => {
            eprintln!("error: what is left to be run is not known: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let wanted = |case: &Case| match &left {
        Some(names) => names.contains(&case.name),
        None => all || case.tier == Tier::Quick,
    };
    let left_out: Vec<String> = cases
        .iter()
        .filter_map(|case| match case.device.filter(|device| !setup::qemu_has(device)) {
            Some(device) => Some(format!("{} (this QEMU has no {device})", case.name)),
            None => (!wanted(case)).then(|| case.name.to_owned()),
        })
        .collect();
    if arguments.list {
        let trials = cases.iter().map(|case| Trial::test(case.name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }

    let output = xtask::build::target_dir().join("boot-tests");
    // A run of a few cases must not replace the table of a whole one.
    let whole = left.is_none() && arguments.filter.is_none() && arguments.skip.is_empty();
    let results = output.join(if whole { "results.md" } else { "results-partial.md" });
    let bench = match Bench::set_up(&output, Table::new(&results, left_out.clone())) {
        Ok(bench) => Arc::new(bench),
        Err(error) => {
            eprintln!("error: the boot tests cannot be set up: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trials = cases
        .into_iter()
        .map(|case| {
            let wanted = wanted(&case);
            trial(case, &bench, wanted)
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !left_out.is_empty() {
        println!("left out: {}", left_out.join(", "));
        if !all && left.is_none() {
            println!("RAMSTRAP_TEST_ALL=1 runs all that is possible here");
        }
    }
    println!("results: {}", results.display());
    conclusion.exit_code()
}

/// The names of the cases that have no good row yet, if those are asked for.
fn left(cases: &[Case]) -> Result<Option<Vec<&'static str>>> {
    if env::var("RAMSTRAP_TEST_LEFT").is_ok_and(|it| it == "1") {
        return page::left(&page::read()?, &page::kept()?, cases).map(Some);
    }
    Ok(None)
}

fn trial(case: Case, bench: &Arc<Bench>, wanted: bool) -> Trial {
    let bench = Arc::clone(bench);
    let lacking = case.device.filter(|device| !setup::qemu_has(device));
    if let Some(device) = lacking {
        eprintln!("not possible here: {}: this QEMU has no {device}", case.name);
    }
    let ignored = lacking.is_some() || !wanted;
    Trial::test(case.name, move || {
        case.run(&bench).map_err(|error| Failed::from(format!("{error:#}")))
    })
    .with_ignored_flag(ignored)
}
