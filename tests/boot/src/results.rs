//! The table of results: one row a case, written as Markdown for people, and each row by itself for
//! [`crate::page`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use report::BootReport;
use serde::Deserialize;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Head of the table.
pub(crate) const HEAD: &str =
    "| Case | Expected | Outcome | Stages | Whole | Run |\n|---|---|---|---|---|---|\n";

/// What stands before the outcome of a case that came out as expected.
pub(crate) const PASSED: &str = "✓";

/// Where rows are kept by themselves, beside the table.
const ROWS: &str = "rows";

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// One row of the table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Row {
    /// Name of the case.
    pub case: String,
    /// What was to come of it.
    pub expected: String,
    /// What came of it; the reason if it was not what was expected.
    pub outcome: String,
    /// Whether it was.
    pub passed: bool,
    /// Stages with the time that each took by the guest's clock.
    pub stages: String,
    /// From power-on to the end, by the host's clock.
    pub wall: Duration,
    /// When it was run: the day in UTC.
    pub day: String,
}

impl Row {
    /// The row as Markdown has it, with the end of the line.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "| {} | {} | {} {} | {} | {:.1} | {} |\n",
            cell(&self.case),
            cell(&self.expected),
            if self.passed { PASSED } else { "✗" },
            cell(&self.outcome),
            cell(&self.stages),
            self.wall.as_secs_f64(),
            self.day,
        )
    }
}

/// The day in UTC, as rows have it.
#[must_use]
pub fn today() -> String {
    OffsetDateTime::now_utc().format(DAY).unwrap_or_default()
}

/// The rows that runs have left below this directory, each of the last time that its case was run.
///
/// # Errors
/// If one cannot be read.
pub fn kept(output: &Path) -> Result<Vec<Row>> {
    let directory = output.join(ROWS);
    let Ok(entries) = fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let read = |file: PathBuf| {
        let row = fs::read(&file)?;
        serde_json::from_slice(&row).with_context(|| format!("not a row: {}", file.display()))
    };
    entries.map(|entry| read(entry?.path())).collect()
}

/// Stages of a boot in one line, such as `read 0.21 · connect 0.48`. A stage that ran more than
/// once is summed up.
#[must_use]
pub fn stages(report: &BootReport) -> String {
    let total = |stage| {
        let of_stage = report.stages.iter().filter(|timing| timing.stage == stage);
        of_stage.map(|timing| timing.duration_us).reduce(|sum, next| sum + next)
    };
    report::Stage::ALL
        .into_iter()
        .filter_map(|stage| {
            let seconds = Duration::from_micros(total(stage)?).as_secs_f64();
            Some(format!("{} {seconds:.2}", stage.name()))
        })
        .collect::<Vec<_>>()
        .join(" · ")
}

/// Collects rows and keeps the file up to date, so that it is there even if a run is broken off.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    left_out: Vec<String>,
    rows: Mutex<Vec<Row>>,
}

impl Table {
    /// A table that is written to `path`; `left_out` names the cases that are not run.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, left_out: Vec<String>) -> Self {
        Self { path: path.into(), left_out, rows: Mutex::default() }
    }

    /// Adds a row and writes the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&self, row: Row) -> Result<()> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(output) = self.path.parent() {
            let file = output.join(ROWS).join(format!("{}.json", row.case));
            write(&file, &serde_json::to_string_pretty(&row)?)?;
        }
        rows.push(row);
        rows.sort_by(|a, b| a.case.cmp(&b.case));
        write(&self.path, &markdown(&rows, &self.left_out))
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn markdown(rows: &[Row], left_out: &[String]) -> String {
    let passed = rows.iter().filter(|row| row.passed).count();
    let mut text = format!(
        "# Boot tests\n\n{passed} of {} cases as expected.\n\n\
         Times in seconds: stages by the guest's own clock, the whole by the host's.\n\n\
         {HEAD}",
        rows.len(),
    );
    text.extend(rows.iter().map(Row::line));
    if !left_out.is_empty() {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "\nLeft out of this run: {}.", left_out.join(", "));
    }
    text
}

/// Text that stays within one cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_on_one_line_and_failures_stand_out() {
        let row = Row { case: "a".into(), outcome: "x|y\nz".into(), ..Row::default() };
        let text = markdown(&[row], &["b".into()]);
        assert!(text.contains("| a |  | ✗ x\\|y z |  | 0.0 |  |\n"), "{text}");
        assert!(text.contains("0 of 1"), "{text}");
        assert!(text.ends_with("Left out of this run: b.\n"), "{text}");
    }

    #[test]
    fn a_row_is_kept_until_its_case_is_run_again() {
        let output = tempfile::tempdir().unwrap();
        let row = |case: &str, passed| Row { case: case.into(), passed, ..Row::default() };
        let results = |run: &[Row]| {
            let table = Table::new(output.path().join("results.md"), Vec::new());
            run.iter().try_for_each(|row| table.push(row.clone())).unwrap();
            let mut rows = kept(output.path()).unwrap();
            rows.sort_by(|a, b| a.case.cmp(&b.case));
            rows.into_iter().map(|row| (row.case, row.passed)).collect::<Vec<_>>()
        };
        assert_eq!(results(&[]), []);
        let both = [("a".to_owned(), true), ("b".to_owned(), true)];
        assert_eq!(results(&[row("b", true), row("a", true)]), both);
        assert_eq!(results(&[row("b", false)]), [both[0].clone(), ("b".to_owned(), false)]);
    }
}
