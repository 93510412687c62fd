//! The table of results: one row a case, written as Markdown for people and for docs/.

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

/// One row of the table.
#[derive(Clone, Debug, Default)]
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
         | Case | Expected | Outcome | Stages | Whole |\n|---|---|---|---|---|\n",
        rows.len(),
    );
    for row in rows {
        let mark = if row.passed { "✓" } else { "✗" };
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {mark} {} | {} | {:.1} |",
            cell(&row.case),
            cell(&row.expected),
            cell(&row.outcome),
            cell(&row.stages),
            row.wall.as_secs_f64(),
        );
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "\nLeft out of this run: {}.", left_out.join(", "));
    }
    text
}

/// Text that stays within one cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_on_one_line_and_failures_stand_out() {
        let row = Row { case: "a".into(), outcome: "x|y\nz".into(), ..Row::default() };
        let text = markdown(&[row], &["b".into()]);
        assert!(text.contains("| a |  | ✗ x\\|y z |  | 0.0 |\n"), "{text}");
        assert!(text.contains("0 of 1"), "{text}");
        assert!(text.ends_with("Left out of this run: b.\n"), "{text}");
    }
}
