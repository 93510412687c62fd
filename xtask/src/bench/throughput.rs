//! Download and hash over TLS as `/init` does them, against `curl | sha256sum` from the same server
//! (nginx), and the server's own ceiling: `curl` that throws the bytes away.
//!
//! The ways take turns, so that a neighbour's load falls on all of them, and the median of each
//! counts. The ratio is what can be compared between machines. Processor time is that of the client
//! alone: what is left of the comparison on a host whose processors are busy otherwise.

mod nginx;

use core::mem::MaybeUninit;
use std::io;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use serde_json::json;

use super::aim;
use super::table::Table;
use crate::build;
use crate::progress;
use nginx::Nginx;

/// Bytes that are downloaded.
const LENGTH: usize = 512_000_000;

/// Runs of each way.
const RUNS: usize = 7;

/// A way to download, as a shell command.
struct Way {
    name: &'static str,
    key: &'static str,
    command: String,
    runs: Vec<Cost>,
}

/// Seconds that one run took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: f64,
    /// User and system time of all processes of the way; the server is none of them.
    processor: f64,
}

impl Way {
    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        median(self.runs.iter().map(of).collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    fn rate(&self) -> f64 {
        LENGTH as f64 / 1e6 / self.median(|cost| cost.wall)
    }

    #[expect(clippy::cast_precision_loss, reason = "gigabytes")]
    fn processor_per_gigabyte(&self) -> f64 {
        self.median(|cost| cost.processor) / (LENGTH as f64 / 1e9)
    }
}

pub(super) fn measure() -> Result<(String, Value)> {
    let client = build::throughput()?;
    let server = progress::step("start nginx with a file of random data", |_| {
        Nginx::start(LENGTH, &super::dir())
    })?;
    let (url, roots) = (server.url(), server.roots().display());
    let way = |name, key, command| Way { name, key, command, runs: Vec::new() };
    let mut ways = [
        way(
            "ramstrap: download, hash, keep in memory",
            "ramstrap",
            format!("{} {url} {roots}", client.display()),
        ),
        way(
            "curl -s piped into sha256sum",
            "curl_sha256sum",
            format!("curl -sS --fail --cacert {roots} {url} | sha256sum"),
        ),
        way(
            "curl -o /dev/null (the server's ceiling)",
            "ceiling",
            format!("curl -sS --fail --cacert {roots} -o /dev/null {url}"),
        ),
    ];
    progress::step("download, taking turns", |step| {
        for run in 0..RUNS {
            for way in &mut ways {
                step.at(&format!("{} of {RUNS}: {}", run + 1, way.name));
                way.runs.push(time(&way.command)?);
            }
        }
        Ok(())
    })?;
    drop(server);
    let [ours, curl, ceiling] = &ways;
    let percent = ours.rate() / curl.rate() * 100.0;
    let of_ceiling = ours.rate() / ceiling.rate() * 100.0;
    let mut table =
        Table::new(["way", "median MB/s", "of curl with sha256sum", "processor s per GB"]);
    for way in &ways {
        table.row([
            way.name.to_owned(),
            format!("{:.0}", way.rate()),
            format!("{:.0} %", way.rate() / curl.rate() * 100.0),
            format!("{:.2}", way.processor_per_gigabyte()),
        ]);
    }
    let text = format!(
        "{}\n{RUNS} runs each, taking turns, {} MB over TLS from nginx on loopback. Aim: {:.0} % of \
         curl with sha256sum; here {percent:.0} %, and {of_ceiling:.0} % of the ceiling.\n",
        table.render(),
        LENGTH / 1_000_000,
        aim::PERCENT_OF_CURL,
    );
    let results: serde_json::Map<String, Value> = ways
        .iter()
        .map(|way| {
            let figures = json!({
                "median_mb_per_s": way.rate(),
                "median_s": way.median(|cost| cost.wall),
                "processor_s_per_gb": way.processor_per_gigabyte(),
                "seconds": way.runs.iter().map(|cost| cost.wall).collect::<Vec<_>>(),
            });
            (way.key.to_owned(), figures)
        })
        .collect();
    let json = json!({
        "bytes": LENGTH,
        "runs": RUNS,
        "ways": results,
        "percent_of_curl_sha256sum": percent,
        "percent_of_ceiling": of_ceiling,
        "aim_percent_of_curl_sha256sum": aim::PERCENT_OF_CURL,
    });
    Ok((text, json))
}

/// What a shell command takes.
fn time(command: &str) -> Result<Cost> {
    let before = processor_time_of_children()?;
    let started = Instant::now();
    let output = Command::new("sh").args(["-c", command]).output().context("cannot run sh")?;
    let wall = started.elapsed().as_secs_f64();
    // A pipe ends well even if its first command fails, but that one complains.
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("`{command}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(Cost { wall, processor: processor_time_of_children()? - before })
}

/// Seconds of user and system time of all child processes that have ended, and of theirs.
fn processor_time_of_children() -> Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to memory of the right size and alignment, which the call fills.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error()).context("getrusage");
    }
    // SAFETY: the call succeeded and has filled it.
    let usage = unsafe { usage.assume_init() };
    #[expect(clippy::cast_precision_loss, reason = "seconds of a benchmark")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|index| values.get(index)).copied();
    lower.map_or(upper, |lower| f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::median;
    use super::time;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in
            [(&[3.0, 1.0, 100.0][..], 3.0), (&[4.0, 2.0], 3.0), (&[5.0], 5.0), (&[], 0.0)]
        {
            assert!((median(values.to_vec()) - expected).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn a_failure_within_a_pipe_is_seen() {
        let cost = time("true").unwrap();
        assert!(cost.wall > 0.0 && cost.processor >= 0.0, "{cost:?}");
        time("false").unwrap_err();
        time("{ echo broken >&2; false; } | cat").unwrap_err();
    }
}
