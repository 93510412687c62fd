//! `cargo xtask bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use xtask::bench;
use xtask::kernels::Choice;

/// Measure size, time, memory, throughput, distance, and how long customers wait
///
/// Prints tables in Markdown, each figure beside its aim and its reference. Takes about half an hour.
/// docs/benchmarks.md explains them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure only these, separated by commas
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// Measure time and memory with these kernels: ours, or the distribution's cloud kernel [default:
    /// ours if they are built]
    #[arg(long, value_name = "KERNEL", value_parser = ["ours", "cloud"])]
    kernel: Option<String>,

    /// Write the figures to this file in place of target/bench/bench.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// [`bench::Part`] on the command line.
#[derive(Clone, Copy, Debug)]
struct Part(bench::Part);

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: [Part; bench::Part::ALL.len()] = {
            let [a, b, c, d, e, f, g] = bench::Part::ALL;
            [Part(a), Part(b), Part(c), Part(d), Part(e), Part(f), Part(g)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let parts: Vec<bench::Part> = args.only.iter().map(|part| part.0).collect();
    let parts = if parts.is_empty() { &bench::Part::ALL[..] } else { &parts };
    let file = args.json.clone().unwrap_or_else(bench::default_file);
    let choice = Choice::from_args(args.kernel.as_deref(), None)?;
    bench::run(parts, &choice, &file)?;
    Ok(ExitCode::SUCCESS)
}
