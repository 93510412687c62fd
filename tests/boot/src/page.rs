//! The page of docs/ with the results: how the last run of every case went, or that there was none.
//!
//! A run leaves a row for each of its cases in `target/boot-tests/rows/`, whatever else it leaves out;
//! the page takes them over, each with its day, and keeps the rows that it has of the others:
//! `UPDATE_DOCS=1 cargo test -p boot-tests --lib page`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::Context;
use anyhow::Result;

use crate::case::Case;
use crate::case::Tier;
use crate::results;
use crate::results::HEAD;
use crate::results::PASSED;
use crate::results::Row;
use crate::results::cell;

/// The page, below the root of the repository.
const FILE: &str = "docs/boot-tests.md";

/// Where the part begins that is made here, up to the end of the page.
const SECTION: &str = "\n## All cases\n";

const MADE: &str = "
<!-- Made of the rows in target/boot-tests/rows: UPDATE_DOCS=1 cargo test -p boot-tests --lib page -->

![The screen of a UEFI machine after the jump](images/console-uefi.png)
";

/// The page with these rows in place of the ones that it has of their cases, unless those are of a later
/// day. What is there of a case that is gone, or of which something else is expected now, is dropped.
///
/// # Errors
/// If the page has no place for them.
pub fn renew(page: &str, rows: &[Row], cases: &[Case]) -> Result<String> {
    let (before, section) = split(page)?;
    Ok(format!("{before}{SECTION}{}", text(&lines(section, rows, cases), cases)?))
}

/// The names of the cases that have no row, neither on the page nor among these, or that have failed in their
/// last run: what is left to be run.
///
/// # Errors
/// If the page has no place for rows.
pub fn left(page: &str, rows: &[Row], cases: &[Case]) -> Result<Vec<&'static str>> {
    let lines = lines(split(page)?.1, rows, cases);
    let passed = |name| lines.get(name).is_some_and(|line| nth(line, 2).starts_with(PASSED));
    Ok(cases.iter().map(|case| case.name).filter(|name| !passed(*name)).collect())
}

/// The page as it is.
///
/// # Errors
/// If it cannot be read.
pub fn read() -> Result<String> {
    let file = xtask::build::root().join(FILE);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn split(page: &str) -> Result<(&str, &str)> {
    page.split_once(SECTION).context("no section \"All cases\"")
}

/// The rows as lines, by the names of their cases.
fn lines<'a>(section: &'a str, rows: &'a [Row], cases: &[Case]) -> BTreeMap<&'a str, String> {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| ") && !HEAD.starts_with(*line)) {
        lines.insert(nth(line, 0), format!("{line}\n"));
    }
    for row in rows {
        let newer = |line: &String| day(line) <= row.day.as_str();
        if lines.get(row.case.as_str()).is_none_or(newer) {
            lines.insert(&row.case, row.line());
        }
    }
    lines.retain(|name, line| {
        let case = cases.iter().find(|case| case.name == *name);
        case.is_some_and(|case| nth(line, 1) == cell(&case.expected.to_string()))
    });
    lines
}

fn text(lines: &BTreeMap<&str, String>, cases: &[Case]) -> Result<String> {
    let quick = cases.iter().filter(|case| case.tier == Tier::Quick).count();
    let passed = lines.values().filter(|line| nth(line, 2).starts_with(PASSED)).count();
    let missing: Vec<&Case> = cases.iter().filter(|it| !lines.contains_key(it.name)).collect();
    let mut text = MADE.to_owned();
    write!(
        text,
        "
`cargo xtask test` runs {quick} of the {} cases, `cargo xtask test --all` all. {passed} of {} came out as
expected, each in its last run; {} have no row, and are named below the table.

Times in seconds: stages by the guest's own clock, the whole by the host's.

{HEAD}",
        cases.len(),
        lines.len(),
        missing.len(),
    )?;
    text.extend(lines.values().map(String::as_str));
    if !missing.is_empty() {
        text.push_str("\nNot run since they are as they are now, so without a row:\n\n");
    }
    for case in missing {
        match case.device {
            Some(device) => writeln!(text, "- {} (wants a QEMU with {device})", case.name)?,
            None => writeln!(text, "- {}", case.name)?,
        }
    }
    Ok(text)
}

/// A cell of a row.
fn nth(line: &str, cell: usize) -> &str {
    line.split(" | ").nth(cell).map_or("", |it| it.trim_start_matches("| ").trim())
}

/// The day of a row, in its last cell.
fn day(line: &str) -> &str {
    line.trim_end().trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default()
}

/// The rows that runs have left here.
///
/// # Errors
/// If one cannot be read.
pub fn kept() -> Result<Vec<Row>> {
    results::kept(&xtask::build::target_dir().join("boot-tests"))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::time::Duration;

    use super::FILE;
    use super::kept;
    use super::left;
    use super::read;
    use super::renew;
    use crate::case::Case;
    use crate::cases;
    use crate::results::Row;

    /// The page has a row of every case, or says that there is none; and what is in it went well.
    #[test]
    fn the_page_is_of_these_cases() {
        let page = read().unwrap();
        let update = env::var_os("UPDATE_DOCS").is_some();
        let rows = if update { kept().unwrap() } else { Vec::new() };
        let renewed = renew(&page, &rows, &cases::all()).unwrap();
        if update {
            fs::write(xtask::build::root().join(FILE), &renewed).unwrap();
        }
        let made = "UPDATE_DOCS=1 cargo test -p boot-tests --lib page";
        assert!(update || renewed == page, "docs/boot-tests.md is stale: {made}");
        let failed: Vec<&str> = renewed.lines().filter(|line| line.contains(" | ✗ ")).collect();
        assert!(failed.is_empty(), "not as expected: {failed:#?}");
    }

    fn row(case: &str, day: &str, seconds: u64) -> Row {
        Row {
            case: case.into(),
            expected: "boots".into(),
            outcome: "booted".into(),
            passed: true,
            stages: "read 0.10".into(),
            wall: Duration::from_secs(seconds),
            day: day.into(),
        }
    }

    #[test]
    fn each_row_is_of_the_last_run_of_its_case() {
        let some = |names: &[&'static str]| -> Vec<Case> {
            let case = |name: &&'static str| Case::boots(name, |_| anyhow::bail!("not booted"));
            names.iter().map(case).collect()
        };
        let cases = some(&["one", "two", "three"]);
        let empty = "# Page\n\nWords.\n\n## All cases\n\nOld words.\n";
        let page = renew(empty, &[row("two", "2026-01-02", 2)], &cases).unwrap();
        assert!(page.starts_with("# Page\n\nWords.\n\n## All cases\n"), "{page}");
        assert!(page.contains("runs 3 of the 3 cases") && page.contains(" 1 of 1 came"), "{page}");
        assert!(
            page.contains("| two | boots | ✓ booted | read 0.10 | 2.0 | 2026-01-02 |\n"),
            "{page}"
        );
        assert!(page.ends_with(":\n\n- one\n- three\n"), "{page}");
        assert_eq!(renew(&page, &[], &cases).unwrap(), page, "made of itself");

        // A later run of some; of one it has a later row itself.
        let partial = [row("three", "2026-01-03", 3), row("two", "2026-01-01", 1)];
        let page = renew(&page, &partial, &cases).unwrap();
        assert!(page.contains("| three |") && page.contains("| 2.0 | 2026-01-02 |"), "{page}");

        // A failure counts as what it is; a case that is gone, or another one now, has no row.
        let failed = Row { passed: false, ..row("one", "2026-01-04", 4) };
        let page = renew(&page, &[failed], &some(&["one", "two"])).unwrap();
        assert!(
            page.contains("| one | boots | ✗ booted |") && page.contains(" 1 of 2 came"),
            "{page}"
        );
        assert!(!page.contains("three"), "{page}");
        assert_eq!(left(&page, &[], &some(&["one", "two", "four"])).unwrap(), ["one", "four"]);
        let other = [Case::dry_run("two", |_| anyhow::bail!("not booted"))];
        let page = renew(&page, &[], &other).unwrap();
        assert!(page.ends_with("so without a row:\n\n- two\n"), "{page}");
    }
}
