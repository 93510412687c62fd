//! A story: a test of many steps, with machines that run while they are talked to.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;
use serde_json::json;
use xtask::harness::Guest;

use crate::bench::Bench;

/// Where a story's figures are kept.
const FIGURES: &str = "figures.json";

/// A story that is being told.
#[derive(Debug)]
pub struct Story<'a> {
    /// What all cases share.
    pub bench: &'a Bench,
    /// Where consoles are written to.
    pub directory: PathBuf,
    began: Instant,
    steps: Vec<(String, Duration)>,
    figures: Vec<(String, Duration)>,
    broke_off: bool,
}

impl<'a> Story<'a> {
    pub(crate) fn begin(bench: &'a Bench, name: &str) -> Result<Self> {
        let directory = bench.output.join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let began = Instant::now();
        Ok(Self {
            bench,
            directory,
            began,
            steps: Vec::new(),
            figures: Vec::new(),
            broke_off: false,
        })
    }

    /// Does a step of the story. Its name says what is true when it has succeeded.
    ///
    /// # Errors
    /// Those of the step, with its name.
    pub fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = step();
        self.steps.push((name.to_owned(), began.elapsed()));
        self.broke_off |= done.is_err();
        println!("{:8.1} s  {name}{}", self.so_far().as_secs_f64(), mark(done.is_ok()));
        done.with_context(|| format!("not shown: {name}"))
    }

    /// Keeps a time that the story has measured.
    pub fn figure(&mut self, name: &str, time: Duration) {
        println!("{:>12}  {name}: {:.1} s", "", time.as_secs_f64());
        self.figures.push((name.to_owned(), time));
    }

    /// Writes the times that were measured, for `cargo xtask bench`.
    pub(crate) fn save_figures(&self) -> Result<()> {
        let figures = self.figures.iter();
        let figures: Vec<Value> = figures
            .map(|(name, time)| json!({ "name": name, "seconds": time.as_secs_f64() }))
            .collect();
        let file = self.directory.join(FIGURES);
        fs::write(&file, json!(figures).to_string())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    pub(crate) fn so_far(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn outcome(&self) -> String {
        let shown = self.steps.len() - usize::from(self.broke_off);
        let figures = self.figures.iter();
        let figures: String =
            figures.map(|(name, time)| format!("; {name} {:.1} s", time.as_secs_f64())).collect();
        format!("{shown} steps{figures}")
    }

    /// The steps with their times, for the table.
    pub(crate) fn steps(&self) -> String {
        let step = |(name, time): &(String, Duration)| format!("{name} {:.1}", time.as_secs_f64());
        self.steps.iter().map(step).collect::<Vec<_>>().join(" · ")
    }
}

const fn mark(shown: bool) -> &'static str {
    if shown { "" } else { ": NO" }
}

/// A machine of a story. What its console said is kept when it ends.
#[derive(Debug)]
pub struct Machine {
    /// The machine.
    pub guest: Guest,
    log: PathBuf,
}

impl Machine {
    /// A machine of this name, whose console is kept in a file of this directory.
    #[must_use]
    pub fn new(guest: Guest, directory: &Path, name: &str) -> Self {
        Self { guest, log: directory.join(format!("{name}.log")) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A story that has failed has something better to say than that its log cannot be kept.
        let _ = fs::write(&self.log, self.guest.console());
    }
}
