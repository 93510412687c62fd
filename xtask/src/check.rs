//! `cargo xtask test`: formatting, lints, tests, boot tests, and a table of what came of them.

use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use crate::accel;
use crate::again;
use crate::bench;
use crate::build;
use crate::installed;
use crate::kernel_build;
use crate::kernel_build::reproduce;
use crate::kernel_build::reproduce::Extent;
use crate::kernels;
use crate::kernels::Choice;
use crate::kernels::Which;
use crate::progress;
use crate::setup;

/// Set for the boot tests when the whole matrix is to run.
const ALL: &str = "RAMSTRAP_TEST_ALL";

/// What came of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    /// Not tried, for this reason.
    NotRun(&'static str),
}

/// A line of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Line {
    name: &'static str,
    outcome: Outcome,
}

impl Line {
    const fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// Runs the tests: those that every change must pass, or all. Returns whether all passed.
///
/// # Errors
///
/// The tests could not be started: a tool is missing and cannot be installed.
pub fn run(all: bool) -> Result<bool> {
    let started = Instant::now();
    // Before anything else: a test whose tool is missing is left out.
    setup::ensure(&setup::for_tests())?;
    let mut lines = vec![timed("formatting", cargo(&["fmt", "--all", "--check"]))?];
    lines.push(timed(
        "clippy",
        cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?);
    lines.push(timed(
        "unit, property and interop tests",
        cargo(&["test", "--locked", "--no-fail-fast", "--workspace", "--exclude", "boot-tests"]),
    )?);
    let failed = lines.last().is_some_and(Line::failed);
    // Beside the tests and not among them: it may have to download a kernel's source.
    lines.push(measured("kernel objects, built twice", || {
        let proof = reproduce::run(Which::Boot, Extent::Quick, &kernel_build::Settings::default())?;
        println!("{proof}");
        Ok(())
    }));
    if !failed {
        lines.push(measured("our kernels", kernel_build::ensure));
    }
    let failed = failed || lines.last().is_some_and(Line::failed);
    if all {
        lines.push(measured("the tool, installed", installed::check));
        lines.extend(built_again(failed));
    }
    if !failed {
        lines.push(measured("size of /init", bench::hold_init));
    }
    let boot = if failed {
        Line { name: "boot tests", outcome: Outcome::NotRun("what comes before them failed") }
    } else {
        prepare_boot_tests()?;
        let mut command = cargo(&["test", "--locked", "--package", "boot-tests"]);
        if all {
            command.env(ALL, "1");
        } else {
            command.env_remove(ALL);
        }
        timed("boot tests", command)?
    };
    lines.push(boot);
    println!("\n{}", table(&lines, started.elapsed()));
    if !all {
        println!(
            "This was the quick tier; `cargo xtask test --all` boots the whole matrix, and builds \
             packages twice."
        );
    }
    Ok(lines.iter().all(|line| matches!(line.outcome, Outcome::Passed(_))))
}

/// Real packages, built twice.
fn built_again(failed: bool) -> [Line; 2] {
    let line = |name, package, locked| match (failed, again::is_possible()) {
        (true, _) => Line { name, outcome: Outcome::NotRun("what comes before it failed") },
        (_, false) => Line { name, outcome: Outcome::NotRun("there are uncommitted changes") },
        _ => measured(name, || again::package(package, locked)),
    };
    [
        line("the VPN package, built twice", "vpn", false),
        line("a package in the locked root, twice", "base", true),
    ]
}

/// What the boot tests need is made here, with progress, and not in the first of them.
fn prepare_boot_tests() -> Result<()> {
    let kernel = kernels::select(&Choice::Ours, &["virtio-net-pci".to_owned()])?;
    build::init()?;
    build::minimal_os()?;
    accel::choose(&kernel)?;
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = build::cargo();
    cargo.args(args);
    cargo
}

/// Runs a step with its output where it is, so that its own closing lines are seen.
fn timed(name: &'static str, mut command: Command) -> Result<Line> {
    eprintln!("\n== {name}: {}", progress::shown(&command));
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot run the step {name}"))?;
    let took = started.elapsed();
    let outcome = if status.success() { Outcome::Passed(took) } else { Outcome::Failed(took) };
    Ok(Line { name, outcome })
}

/// A step of this process's own.
fn measured(name: &'static str, step: impl FnOnce() -> Result<()>) -> Line {
    eprintln!("\n== {name}");
    let started = Instant::now();
    let result = step();
    let took = started.elapsed();
    let outcome = match result {
        Ok(()) => Outcome::Passed(took),
        Err(error) => {
            eprintln!("error: {error:#}");
            Outcome::Failed(took)
        }
    };
    Line { name, outcome }
}

fn table(lines: &[Line], total: Duration) -> String {
    let mut out = String::new();
    for line in lines {
        let (verdict, time) = match &line.outcome {
            Outcome::Passed(took) => ("passed".to_owned(), Some(took)),
            Outcome::Failed(took) => ("FAILED".to_owned(), Some(took)),
            Outcome::NotRun(why) => (format!("not run: {why}"), None),
        };
        let time = time.map(|took| format!("{:>8.1} s", took.as_secs_f64())).unwrap_or_default();
        out.push_str(format!("{:<34} {time:>10}  {verdict}\n", line.name).trim_end());
        out.push('\n');
    }
    out.push_str(&format!("{:<34} {:>8.1} s\n", "total", total.as_secs_f64()));
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Line;
    use super::Outcome;
    use super::table;

    #[test]
    fn the_table_says_what_was_not_run() {
        let second = Duration::from_secs(1);
        let lines = [
            Line { name: "clippy", outcome: Outcome::Passed(second) },
            Line { name: "tests", outcome: Outcome::Failed(second) },
            Line { name: "boot tests", outcome: Outcome::NotRun("because") },
        ];
        let text = table(&lines, second * 2);
        assert!(text.contains("1.0 s  passed") && text.contains("1.0 s  FAILED"), "{text}");
        assert!(text.contains("not run: because") && text.contains("2.0 s"), "{text}");
    }
}
