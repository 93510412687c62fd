//! docs/formats.md says what the code does: its limits are the constants, and what it lists as parsed
//! before authorisation is there, and no longer than it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The rows of the tables below a heading of the page, up to the next one.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(repository().join("docs/formats.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    section.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands in the cell between back ticks, first and only.
fn quoted(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

#[test]
fn limits_are_the_constants() {
    let constants: BTreeMap<&str, u64> = [
        ("trust::MAX_POLICY_LEN", trust::MAX_POLICY_LEN as u64),
        ("trust::MAX_PEM_LEN", trust::MAX_PEM_LEN as u64),
        ("trust::MAX_SIGNING_ROOTS", trust::MAX_SIGNING_ROOTS as u64),
        ("trust::MAX_TLS_ROOTS", trust::MAX_TLS_ROOTS as u64),
        ("trust::MAX_CHANNEL_LEN", trust::MAX_CHANNEL_LEN as u64),
        ("trust::MAX_ENDORSEMENTS", trust::MAX_ENDORSEMENTS as u64),
        ("trust::DEFAULT_MAX_CLOCK_SKEW", trust::DEFAULT_MAX_CLOCK_SKEW),
        ("trust::LOCAL_TIME_SECONDS", u64::from(trust::LOCAL_TIME_SECONDS)),
        ("trust::sigsum::MAX_SIGSUM_POLICY_LEN", trust::sigsum::MAX_SIGSUM_POLICY_LEN as u64),
        ("trust::sigsum::MAX_PROOF_LEN", trust::sigsum::MAX_PROOF_LEN as u64),
        ("ospkg::MAX_DESCRIPTOR_LEN", ospkg::MAX_DESCRIPTOR_LEN as u64),
        ("ospkg::MAX_MANIFEST_LEN", ospkg::MAX_MANIFEST_LEN),
        ("ospkg::MAX_MEMBER_LEN", ospkg::MAX_MEMBER_LEN),
        ("ospkg::MAX_DIRECTORY_LEN", ospkg::MAX_DIRECTORY_LEN),
        ("ospkg::MAX_ENTRIES", ospkg::MAX_ENTRIES),
        ("ospkg::MAX_ENTRY_NAME_LEN", ospkg::MAX_ENTRY_NAME_LEN as u64),
        ("ospkg::WATCHDOG_SECONDS.end", u64::from(*ospkg::WATCHDOG_SECONDS.end())),
        ("hostcfg::MAX_LEN", hostcfg::MAX_LEN as u64),
        ("rebuild::build::MAX_LEN", rebuild::build::MAX_LEN),
    ]
    .into();
    let written: BTreeMap<String, u64> = rows("Limits")
        .iter()
        .filter_map(|row| Some((quoted(&row[3])?.to_owned(), row[2].parse().unwrap())))
        .collect();
    let written: BTreeMap<&str, u64> =
        written.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
    assert_eq!(written, constants);
}

#[test]
fn what_is_parsed_before_authorisation_is_as_small_as_it_is_said_to_be() {
    let mut files = 0;
    for row in rows("What is parsed before authorisation") {
        let Some(path) = quoted(&row[2]).filter(|path| path.ends_with(".rs")) else { continue };
        let source = fs::read_to_string(repository().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let Ok(said) = row[3].parse::<usize>() else { continue };
        let lines = source.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let rounded = lines.next_multiple_of(50);
        assert!(lines <= said, "{path} has {lines} lines: write {rounded}, or cut it");
        files += 1;
    }
    assert!(files >= 9, "only {files} files");
}

#[test]
fn every_reader_that_is_listed_has_a_fuzz_target() {
    let targets = fs::read_to_string(repository().join("fuzz/src/lib.rs")).unwrap();
    let mut named = 0;
    for row in rows("What is parsed before authorisation") {
        // Rows of both tables end with the targets.
        let cell = &row[row.len() - 2];
        for target in cell.split('`').skip(1).step_by(2) {
            let line = format!("target(\"{target}\"");
            assert!(targets.contains(&line), "there is no fuzz target {target}");
            named += 1;
        }
    }
    assert!(named >= 12, "only {named} targets");
}
