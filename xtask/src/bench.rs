//! `cargo xtask bench`: size, time, memory, throughput and distance, each beside its aim and beside what the
//! peer needs for the same.
//!
//! Nothing here passes or fails, but for the size of `/init`, which `cargo xtask test` holds against its
//! aim. Figures that a busy host would spoil are avoided: time is counted
//! in instructions, and throughput is a ratio of runs that alternate.

mod aim;
mod distance;
mod fit;
mod kernel;
mod memory;
mod peer;
mod service;
mod size;
mod table;
mod throughput;
mod time;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

pub(crate) use self::size::hold_init;
use crate::build;
use crate::kernels;
use crate::kernels::Choice;
use crate::kernels::Flavour;
use crate::kernels::Kernel;
use crate::kernels::Which;
use crate::lab::Lab;
use crate::setup;

/// Version of the JSON's format. Readers ignore keys that they do not know.
const VERSION: u32 = 1;

/// The kernel that the peer was measured with.
const CLOUD: Choice = Choice::Distribution(Flavour::Cloud);

/// What packages are measured in.
const MEGABYTE: u64 = 1_000_000;

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// Bytes of `/init` and of the initramfs.
    Size,
    /// Our kernels: bytes, virtual time to `/init`, smallest memory.
    Kernel,
    /// Virtual time of the guest from `/init` to kexec, with our kernels if they are built.
    Time,
    /// The smallest memory that boots a package, with our kernels if they are built.
    Memory,
    /// Download and hash against `curl | sha256sum`.
    Throughput,
    /// One connection over long wires, against four at once.
    Distance,
    /// A VPN server: power-on to first handshake, and an upgrade against a restart.
    Service,
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Size,
        Self::Kernel,
        Self::Time,
        Self::Memory,
        Self::Throughput,
        Self::Distance,
        Self::Service,
    ];

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Kernel => "kernel",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Throughput => "throughput",
            Self::Distance => "distance",
            Self::Service => "service",
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Where the results go unless told otherwise: `target/bench/bench.json`.
#[must_use]
pub fn default_file() -> PathBuf {
    dir().join("bench.json")
}

/// The kernels that packages are measured with.
#[derive(Clone, Debug)]
struct Kernels {
    /// Runs `/init`.
    boot: Kernel,
    /// Is in the packages.
    os: Kernel,
}

impl Kernels {
    /// Ours if they are built, else the distribution's cloud kernel for both; or what was asked for.
    fn of(choice: &Choice) -> Result<Self> {
        let choice = match choice {
            Choice::Fitting if !both_built()? => &CLOUD,
            Choice::Fitting => &Choice::Ours,
            other => other,
        };
        Ok(Self { boot: kernels::select(choice, &[])?, os: kernels::select_os(choice)? })
    }

    /// For people.
    fn describe(&self) -> String {
        if self.boot == self.os {
            return format!("kernel of boot image and package: {}", self.boot.release);
        }
        format!("our kernels: boot {}, os {}", self.boot.release, self.os.release)
    }
}

fn both_built() -> Result<bool> {
    Ok(kernels::ours(Which::Boot)?.is_some() && kernels::ours(Which::Os)?.is_some())
}

/// Measures, prints tables (Markdown) and writes JSON. Parts are written as they come, so that
/// nothing is lost if a later one fails.
///
/// # Errors
///
/// A tool is missing, something does not build, or a machine that must boot does not.
pub fn run(parts: &[Part], choice: &Choice, file: &Path) -> Result<()> {
    let started = Instant::now();
    setup::ensure(&setup::for_bench())?;
    let kernels = Kernels::of(choice)?;
    let mut results = header(&kernels);
    println!(
        "ramstrap {} ({}), {}, {}",
        env!("CARGO_PKG_VERSION"),
        revision(),
        today(),
        kernels.describe()
    );
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    parts.dedup();
    for part in parts {
        let (text, json) = match part {
            // With modules, as the peer has them.
            Part::Size => size::measure(&kernels::select(&CLOUD, &[])?)?,
            Part::Kernel => kernel::measure()?,
            Part::Time => time::measure(&kernels)?,
            Part::Memory => memory::measure(&kernels)?,
            Part::Throughput => throughput::measure()?,
            Part::Distance => distance::measure(&kernels)?,
            Part::Service => service::measure()?,
        };
        println!("\n## {}\n\n{}", part.name(), text.trim_end());
        results.insert(part.name().to_owned(), json);
        write(file, &results)?;
    }
    eprintln!("\nWritten: {} ({:.0} s)", file.display(), started.elapsed().as_secs_f64());
    Ok(())
}

fn header(kernels: &Kernels) -> Map<String, Value> {
    let mut header = Map::new();
    for (key, value) in [
        ("version", json!(VERSION)),
        ("ramstrap", json!(env!("CARGO_PKG_VERSION"))),
        ("revision", json!(revision())),
        ("date", json!(today())),
        ("kernel", json!(kernels.boot.release)),
        ("os_kernel", json!(kernels.os.release)),
        ("qemu", json!(first_line(setup::command("qemu-system-x86_64").arg("--version")))),
    ] {
        header.insert(key.to_owned(), value);
    }
    header
}

fn write(file: &Path, results: &Map<String, Value>) -> Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let text = serde_json::to_string_pretty(results)?;
    fs::write(file, format!("{text}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// Where packages and results are kept.
fn dir() -> PathBuf {
    build::target_dir().join("bench")
}

/// A lab whose package has this kernel and this many MB, or the smallest that there is if that is
/// more. It is kept between runs.
fn lab(os_kernel: &Kernel, megabytes: u64) -> Result<Lab> {
    let name = format!("package-{}-{megabytes}", os_kernel.release);
    Lab::open(&dir().join(name), os_kernel, megabytes * MEGABYTE)
}

/// Length of a lab's package in MB.
#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn megabytes(lab: &Lab) -> f64 {
    lab.site().archive_length() as f64 / MEGABYTE as f64
}

/// What is measured, as git names it; `unknown` outside of a checkout.
fn revision() -> String {
    let mut git = Command::new("git");
    first_line(git.current_dir(build::root()).args(["describe", "--always", "--dirty"]))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// First line of a command's output; `None` if it failed.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
