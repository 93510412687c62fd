//! The time line of a boot: as a table with bars for a terminal, as JSON, and as a picture.

mod svg;

use std::fmt::Write;
use std::time::Duration;

use report::BootReport;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::harness::BootResult;

/// Columns of the bars in a terminal.
const BAR_COLUMNS: usize = 36;

/// Whose time a span is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Firmware and boot kernel: before `/init` runs.
    Machine,
    /// A stage of ramstrap.
    Ramstrap,
    /// The kernel and processes of the OS.
    Os,
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What it is.
    pub name: String,
    /// Whose time it is.
    pub part: Part,
    /// Since the start of QEMU.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Whether it succeeded.
    pub ok: bool,
    /// One line on what came of it; may be empty.
    pub summary: String,
}

impl Span {
    fn between(name: &str, part: Part, start: Duration, end: Duration) -> Self {
        let duration = end.saturating_sub(start);
        Self { name: name.to_owned(), part, start, duration, ok: true, summary: String::new() }
    }
}

/// The time line of one boot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Title of the picture.
    pub title: String,
    /// Spans in the order of their start.
    pub spans: Vec<Span>,
}

impl Timeline {
    /// The time line of a boot. Spans whose ends were not seen are left out. The stages are timed
    /// by `/init` itself and set in at the moment when the harness heard of its start.
    #[must_use]
    pub fn of(result: &BootResult, title: &str) -> Self {
        let mut spans = Vec::new();
        let mut between = |name, part, start: Option<Duration>, end: Option<Duration>| {
            if let (Some(start), Some(end)) = (start, end) {
                spans.push(Span::between(name, part, start, end));
            }
        };
        let mark = |name| result.mark(name);
        between("firmware", Part::Machine, Some(Duration::ZERO), mark("kernel"));
        between("kernel", Part::Machine, mark("kernel"), mark("init"));
        between("jump", Part::Ramstrap, mark("kexec"), mark("os-kernel"));
        between("OS kernel", Part::Os, mark("os-kernel"), mark("os-up"));
        between("OS", Part::Os, mark("os-up"), mark("end"));
        if let (Some(report), Some(init)) = (&result.report, mark("init")) {
            spans.extend(stages(report, init));
        }
        spans.sort_by_key(|span| span.start);
        Self { title: title.to_owned(), spans }
    }

    /// End of the last span.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.spans.iter().map(|span| span.start + span.duration).max().unwrap_or_default()
    }

    /// A table with bars, for a terminal or a log.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut out = format!("{:<10} {:>8} {:>9}\n", "stage", "from", "took");
        let total = self.total().as_secs_f64().max(f64::MIN_POSITIVE);
        for span in &self.spans {
            let bar = bar(span.start.as_secs_f64() / total, span.duration.as_secs_f64() / total);
            let start = span.start.as_secs_f64();
            let took = span.duration.as_secs_f64();
            let failed = if span.ok { "" } else { "FAILED " };
            let line = format!(
                "{:<10} {start:>6.2} s {took:>7.2} s  {bar}  {failed}{}",
                span.name, span.summary
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let _ = writeln!(out, "{:<10} {:>8} {:>7.2} s", "total", "", self.total().as_secs_f64());
        out
    }

    /// The same for programs. Times are seconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let spans: Vec<Value> = self
            .spans
            .iter()
            .map(|span| {
                json!({
                    "name": span.name,
                    "part": span.part,
                    "start_s": millis(span.start),
                    "duration_s": millis(span.duration),
                    "ok": span.ok,
                    "summary": span.summary,
                })
            })
            .collect();
        json!({
            "version": 1,
            "title": self.title,
            "total_s": millis(self.total()),
            "spans": spans,
        })
    }

    /// The same as a picture, for light and dark pages.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }
}

fn stages(report: &BootReport, init: Duration) -> impl Iterator<Item = Span> {
    report.stages.iter().map(move |timing| Span {
        name: timing.stage.name().to_owned(),
        part: Part::Ramstrap,
        start: init + Duration::from_micros(timing.start_us),
        duration: Duration::from_micros(timing.duration_us),
        ok: timing.ok,
        summary: timing.summary.clone(),
    })
}

/// A bar of these shares of [`BAR_COLUMNS`]; never empty.
fn bar(start: f64, length: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "shares between 0 and 1 of a few columns"
    )]
    let columns = |share: f64| (share.clamp(0.0, 1.0) * BAR_COLUMNS as f64).round() as usize;
    let start = columns(start).min(BAR_COLUMNS - 1);
    let length = columns(length).clamp(1, BAR_COLUMNS - start);
    let rest = BAR_COLUMNS - start - length;
    format!("{}{}{}", "·".repeat(start), "█".repeat(length), "·".repeat(rest))
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::BAR_COLUMNS;
    use super::Part;
    use super::Span;
    use super::Timeline;
    use super::bar;

    pub(crate) fn sample() -> Timeline {
        let seconds = Duration::from_secs_f64;
        let mut spans = vec![
            Span::between("firmware", Part::Machine, seconds(0.0), seconds(0.9)),
            Span::between("fetch", Part::Ramstrap, seconds(3.0), seconds(5.5)),
            Span::between("OS", Part::Os, seconds(9.0), seconds(9.01)),
        ];
        spans[1].summary = "<12 MB> & more".into();
        spans[1].ok = false;
        Timeline { title: "a \"boot\"".into(), spans }
    }

    #[test]
    fn bars_stay_in_their_columns() {
        for (start, length) in [(0.0, 1.0), (1.0, 1.0), (0.5, 0.0), (0.99, 0.5), (-1.0, 9.0)] {
            let bar = bar(start, length);
            assert_eq!(bar.chars().count(), BAR_COLUMNS, "{start} {length}");
            assert!(bar.contains('█'), "{start} {length}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_span() {
        let table = sample().to_table();
        assert_eq!(table.lines().count(), 5);
        assert!(table.contains("FAILED <12 MB> & more"), "{table}");
        assert!(table.contains("9.01 s"), "{table}");
    }

    #[test]
    fn json_has_seconds() {
        let json = sample().to_json();
        assert_eq!(json["total_s"], 9.01);
        assert_eq!(json["spans"][1]["duration_s"], 2.5);
        assert_eq!(json["spans"][1]["part"], "ramstrap");
    }
}
