//! Virtual time of the guest from the start of `/init` to kexec, by stage, and what a megabyte of
//! package costs.
//!
//! QEMU counts instructions (`-icount shift=0,sleep=off`): one takes one virtual nanosecond, and
//! waiting takes next to no time. So a millisecond is a million instructions, and the figures are
//! the same on a fast and on a busy host. Only `connect` is not: it waits for QEMU's network, and QEMU
//! skips idle time to whatever timer the guest has next. It has nothing to do with the package, so
//! the least value seen is what sums are made with.

use std::time::Duration;

use anyhow::Result;
use anyhow::bail;
use report::BootReport;
use report::Stage;
use serde_json::Value;
use serde_json::json;

use super::Kernels;
use super::aim;
use super::fit::Line;
use super::peer;
use super::table::Table;
use super::table::ratio;
use crate::harness;
use crate::harness::BootOptions;
use crate::harness::Status;
use crate::kernels::Kernel;
use crate::lab::Lab;
use crate::progress;

/// Lengths of packages in MB. The first is the peer's; with a kernel that is longer alone, the
/// smallest package there is takes its place.
const LENGTHS: [u64; 3] = [12, 20, 100];

/// Which of them is measured twice, to show that figures repeat.
const REPEATED: usize = 1;

/// The peer's package. Where the kernel does not fit in, its value comes from the fit.
const REFERENCE_MB: f64 = 12.0;

/// How far a package may be off that and still be it, in MB.
const CLOSE: f64 = 0.2;

/// Name of the last line.
const TOTAL: &str = "/init to kexec";

/// Boots of one package before its time is given up on.
const TRIES: usize = 3;

/// Counting instructions is slow.
const TIMEOUT: Duration = Duration::from_secs(900);

/// One boot; times in virtual milliseconds.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    megabytes: f64,
    /// In the order of [`Stage::ALL`].
    stages: [f64; Stage::ALL.len()],
    /// From the start of `/init` to its last word before the jump.
    total: f64,
    /// From the start of the kernel to the start of `/init`.
    kernel: f64,
}

impl Sample {
    fn of(megabytes: f64, report: &BootReport) -> Self {
        let stages = Stage::ALL.map(|stage| {
            // A stage that ran more than once counts with all its runs.
            let runs = report.stages.iter().filter(|timing| timing.stage == stage);
            milliseconds(runs.map(|timing| timing.duration_us).sum())
        });
        Self {
            megabytes,
            stages,
            total: milliseconds(report.total_us),
            kernel: milliseconds(report.kernel_us),
        }
    }

    /// The same with another time for connecting.
    fn connected_in(&self, connect: f64) -> Self {
        let [read, waited, fetch, verify, kexec] = self.stages;
        let stages = [read, connect, fetch, verify, kexec];
        Self { stages, total: self.total - waited + connect, ..self.clone() }
    }

    fn connect(&self) -> f64 {
        let [_, connect, ..] = self.stages;
        connect
    }

    /// The lines of the table: what they are called, and what they are for this boot.
    fn lines(&self) -> [(&'static str, f64); Stage::ALL.len() + 2] {
        let [a, b, c, d, e] = Stage::ALL.map(Stage::name);
        let [read, connect, fetch, verify, kexec] = self.stages;
        let rest = self.total - self.stages.iter().sum::<f64>();
        [
            (a, read),
            (b, connect),
            (c, fetch),
            (d, verify),
            (e, kexec),
            ("between stages", rest),
            (TOTAL, self.total),
        ]
    }

    fn json(&self) -> Value {
        let stages: serde_json::Map<String, Value> = Stage::ALL
            .into_iter()
            .zip(self.stages)
            .map(|(stage, ms)| (stage.name().to_owned(), ms.into()))
            .collect();
        json!({
            "megabytes": self.megabytes,
            "stages_ms": stages,
            "total_ms": self.total,
            "kernel_ms": self.kernel,
        })
    }
}

pub(super) fn measure(kernels: &Kernels) -> Result<(String, Value)> {
    let mut samples = Vec::new();
    let mut again = None;
    for (index, length) in LENGTHS.into_iter().enumerate() {
        let lab = super::lab(&kernels.os, length)?;
        samples.push(sample(&kernels.boot, &lab)?);
        if index == REPEATED {
            again = Some(sample(&kernels.boot, &lab)?);
        }
    }
    let repeat = samples.get(REPEATED).zip(again.as_ref());
    let text = format!("{}.\n\n{}", kernels.describe(), text(&samples, repeat));
    Ok((text, json(&samples, repeat)))
}

fn sample(kernel: &Kernel, lab: &Lab) -> Result<Sample> {
    let megabytes = super::megabytes(lab);
    let options =
        BootOptions { icount: Some(0), timeout: TIMEOUT, ..lab.boot_options(kernel.clone()) };
    let label = format!("boot a package of {megabytes:.1} MB with counted instructions");
    for _ in 0..TRIES {
        let result = progress::step(&label, |_| harness::boot(&options))?;
        match &result.report {
            Some(report) if result.status == Status::Booted => {
                if undisturbed(report) {
                    return Ok(Sample::of(megabytes, report));
                }
                eprintln!("  the host was too busy to answer the guest in time: once more");
            }
            report => {
                let failure = report.as_ref().and_then(|report| report.failure.as_ref());
                let why =
                    failure.map_or_else(|| format!("{:?}", result.ended), ToString::to_string);
                bail!("the machine did not boot ({why}); its console:\n{}", result.serial)
            }
        }
    }
    bail!("the host is too busy: {TRIES} boots were all disturbed by time-outs")
}

/// Whether every stage ran once and the download in one piece. On a host that does not get round to
/// answering, idle time is skipped up to the guest's time-outs, and it tries again.
fn undisturbed(report: &BootReport) -> bool {
    let ran = report.stages.iter().map(|timing| timing.stage);
    let resumed = report.mirrors.iter().any(|mirror| mirror.resumed > 0);
    ran.eq(Stage::ALL) && report.stages.iter().all(|timing| timing.ok) && !resumed
}

/// A line of the table over all samples.
struct Row {
    name: &'static str,
    values: Vec<f64>,
    fit: Line,
}

fn rows(samples: &[Sample]) -> Vec<Row> {
    let least = samples.iter().map(Sample::connect).reduce(f64::min).unwrap_or_default();
    let settled: Vec<_> = samples.iter().map(|sample| sample.connected_in(least).lines()).collect();
    let columns: Vec<_> = samples.iter().map(Sample::lines).collect();
    let names = columns.first().map_or(&[][..], |lines| lines);
    let row = |(index, &(name, _)): (usize, &(&'static str, f64))| {
        let of = |lines: &[(&str, f64)]| lines.get(index).map_or(0.0, |(_, value)| *value);
        let values = columns.iter().map(|lines| of(lines)).collect();
        let lengths = samples.iter().map(|sample| sample.megabytes);
        let points: Vec<(f64, f64)> = lengths.zip(settled.iter().map(|lines| of(lines))).collect();
        Row { name, values, fit: Line::through(&points) }
    };
    names.iter().enumerate().map(row).collect()
}

/// What the peer's package took, if there was one of its length.
fn reference(samples: &[Sample]) -> Option<f64> {
    let least = samples.iter().map(Sample::connect).reduce(f64::min)?;
    let close = |sample: &&Sample| (sample.megabytes - REFERENCE_MB).abs() < CLOSE;
    samples.iter().find(close).map(|sample| sample.connected_in(least).total)
}

fn text(samples: &[Sample], repeat: Option<(&Sample, &Sample)>) -> String {
    let mut head = vec!["virtual ms".to_owned()];
    head.extend(samples.iter().map(|sample| format!("{:.1} MB", sample.megabytes)));
    let repeats = repeat.map(|(first, _)| format!("{:.1} MB again", first.megabytes));
    head.extend(repeats);
    head.extend(["constant", "per MB", "12 MB by the line", "stboot per MB"].map(str::to_owned));
    let mut table = Table::new(head);
    let rows = rows(samples);
    let again = repeat.map(|(_, again)| again.lines());
    for (index, row) in rows.iter().enumerate() {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(row.values.iter().map(|value| format!("{value:.0}")));
        let repeated = again.as_ref().and_then(|lines| lines.get(index));
        cells.extend(repeated.map(|(_, value)| format!("{value:.0}")));
        cells.push(format!("{:.0}", row.fit.constant));
        cells.push(format!("{:.1}", row.fit.slope));
        cells.push(format!("{:.0}", row.fit.at(REFERENCE_MB)));
        cells.push(match row.name {
            "fetch" => format!("{:.0}", peer::FETCH_MS_PER_MB),
            "kexec" => format!("{:.0}", peer::KEXEC_MS_PER_MB),
            TOTAL => format!("{:.0}", peer::MS_PER_MB),
            _ => String::new(),
        });
        table.row(cells);
    }
    let fit = rows.last().map_or(Line { constant: 0.0, slope: 0.0 }, |row| row.fit);
    let (reference, how) = match reference(samples) {
        Some(total) => (total / 1000.0, "measured, with the least `connect`"),
        None => (fit.at(REFERENCE_MB) / 1000.0, "computed by the fit: the kernel alone is larger"),
    };
    let mut out = format!(
        "{}\nOne virtual ms is a million instructions. {REFERENCE_MB:.0} MB: {reference:.2} s ({how}); \
         aim {:.1} s; stboot, on Debian's cloud kernel, {:.2} s: {} of it. Per MB: {} of stboot's.\n",
        table.render(),
        aim::SECONDS_12_MB,
        peer::SECONDS_12_MB,
        ratio(reference, peer::SECONDS_12_MB),
        ratio(fit.slope, peer::MS_PER_MB),
    );
    if let Some((first, second)) = repeat {
        out.push_str(&format!(
            "The same package again differs by {:.2} % in what is computed, all but `connect`; \
             that one waits for the network, and its least value is in the fit.\n",
            difference(first, second)
        ));
    }
    out
}

fn json(samples: &[Sample], repeat: Option<(&Sample, &Sample)>) -> Value {
    let fits: serde_json::Map<String, Value> = rows(samples)
        .into_iter()
        .map(|Row { name, fit, .. }| {
            let fit = json!({
                "constant_ms": fit.constant,
                "ms_per_megabyte": fit.slope,
                "million_instructions_per_megabyte": fit.slope,
                "computed_12_megabytes_ms": fit.at(REFERENCE_MB),
            });
            (name.to_owned(), fit)
        })
        .collect();
    json!({
        "clock": "virtual, -icount shift=0,sleep=off: 1 instruction = 1 ns",
        "packages": samples.iter().map(Sample::json).collect::<Vec<_>>(),
        "repeated": repeat.map(|(first, second)| json!({
            "package": second.json(),
            "difference_percent_beside_connect": difference(first, second),
        })),
        "measured_12_megabytes_ms": reference(samples),
        "fit": fits,
        "aim": { "seconds_12_megabytes": aim::SECONDS_12_MB },
        "stboot": {
            "seconds_12_megabytes": peer::SECONDS_12_MB,
            "ms_per_megabyte": peer::MS_PER_MB,
        },
    })
}

/// How much the second is off the first in all but connecting, in percent.
fn difference(first: &Sample, second: &Sample) -> f64 {
    let [first, second] = [first, second].map(|sample| sample.connected_in(0.0).total);
    (second - first).abs() / first.max(f64::MIN_POSITIVE) * 100.0
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use super::text;

    fn sample(megabytes: f64, connect: f64, fetch: f64) -> Sample {
        let stages = [400.0, connect, fetch, 20.0, 500.0];
        Sample { megabytes, stages, total: stages.iter().sum::<f64>() + 5.0, kernel: 3000.0 }
    }

    #[test]
    fn the_table_has_slopes_and_says_what_is_computed() {
        let samples = [sample(15.0, 100.0, 600.0), sample(100.0, 350.0, 4000.0)];
        assert_eq!(samples[0].lines()[5], ("between stages", 5.0));
        let text = text(&samples, Some((&samples[0], &sample(15.0, 9.0, 600.0))));
        let fetch = text.lines().find(|line| line.starts_with("| fetch")).unwrap();
        assert!(fetch.contains(" 40.0 ") && fetch.contains(" 480 "), "{fetch}");
        let connect = text.lines().find(|line| line.starts_with("| connect")).unwrap();
        assert!(connect.contains(" 350 ") && connect.contains(" 0.0 "), "{connect}");
        assert!(text.contains("12 MB: 1.50 s (computed by"), "{text}");
        assert!(text.contains("differs by 0.00 %"), "{text}");
    }

    #[test]
    fn what_can_be_measured_is_not_computed() {
        let text = text(&[sample(12.1, 100.0, 600.0), sample(100.0, 9.0, 4000.0)], None);
        assert!(text.contains("12 MB: 1.53 s (measured, "), "{text}");
    }
}
