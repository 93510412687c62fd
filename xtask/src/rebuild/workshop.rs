//! Where a rebuild happens: the recorded revision, checked out, and its own `xtask`.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use ramstrap_cli::Error;
use rebuild::checkout::Checkout;
use rebuild::source::Source;
use rebuild::store::Origin;
use serde_json::Value;

use super::Failure;
use super::Options;
use crate::build;
use crate::cache;
use crate::kernel_build::Which;
use crate::kernel_build::product;
use crate::progress;

/// Largest tarball of a kernel's source, in bytes.
const MAX_SOURCE: u64 = 1 << 30;

/// What must not reach the build: settings of this shell that change what comes out, and what cargo
/// says about the program that runs now.
const KEPT_AWAY: [&str; 12] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CC",
    "CFLAGS",
    "LDFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "SOURCE_DATE_EPOCH",
];

/// A kernel that is to be built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Which of the two.
    pub(super) which: Which,
    /// Hash over its inputs, as recorded.
    pub(super) key: &'a str,
    /// SHA-256 of its source, as recorded.
    pub(super) source_sha256: &'a str,
    /// Whether in the locked root.
    pub(super) locked: bool,
}

/// A checkout, and a directory for what is built in it.
#[derive(Debug)]
pub(super) struct Workshop {
    checkout: Checkout,
    out: tempfile::TempDir,
    target: PathBuf,
}

impl Workshop {
    /// Checks out the revision.
    pub(super) fn open(source: &Source, options: &Options) -> Result<Self, Failure> {
        let failed = |error: anyhow::Error| Error::new(format!("{error:#}"));
        let place = cache::subdir("rebuild").map_err(failed)?;
        // A directory of its own: nothing that the builder of the original has compiled is used.
        let target = cache::subdir("rebuild/target").map_err(failed)?;
        let own = build::root().to_string_lossy().into_owned();
        let repository = options.source.clone().unwrap_or(own);
        let mut checkout = Checkout::new(&repository, source, &place)?;
        let mut out = tempfile::Builder::new()
            .prefix("out-")
            .tempdir_in(&place)
            .map_err(|error| Error::new(format!("cannot write in {}: {error}", place.display())))?;
        if options.keep {
            // From now on, so that a build that fails can be looked into, too.
            checkout.leave();
            out.disable_cleanup(true);
            eprintln!("checkout: {}", checkout.path().display());
        }
        Ok(Self { checkout, out, target })
    }

    /// Where results and inputs of the build go.
    pub(super) fn out(&self) -> &Path {
        self.out.path()
    }

    /// `cargo xtask WORDS` in the checkout.
    pub(super) fn xtask(&self, label: &str, words: &[String]) -> Result<(), Failure> {
        progress::run(label, &mut self.command(words)).map_err(|error| failed(label, &error))
    }

    /// Builds a kernel from source, or finds it in this user's cache of kernels that were built here.
    pub(super) fn kernel(
        &self,
        wanted: &Wanted<'_>,
        options: &Options,
        remarks: &mut Vec<String>,
    ) -> Result<PathBuf, Failure> {
        let mut words: Vec<String> =
            ["kernel", "build", wanted.which.name(), "--release", "--json"]
                .map(str::to_owned)
                .into();
        if wanted.locked {
            words.push("--locked".to_owned());
        }
        let there = product::find(wanted.which, wanted.key).ok().flatten().is_some();
        if let (Some(inputs), false) = (&options.inputs, there) {
            let tarball = self.out().join("linux-source.tar.xz");
            let origin = Origin::parse(inputs)?;
            match origin.fetch(wanted.source_sha256, MAX_SOURCE, &tarball) {
                Ok(()) => words.push(format!("--tarball={}", tarball.display())),
                Err(error) => eprintln!("{error}: the distribution is asked for it"),
            }
        }
        let output = self.xtask_output("build its kernel, or find it in the cache", &words)?;
        let made: Value = serde_json::from_str(&output).unwrap_or_default();
        let image = made.pointer("/0/image").and_then(Value::as_str).ok_or_else(|| {
            Error::new("`cargo xtask kernel build` of that revision does not say what it has built")
        })?;
        if made.pointer("/0/build/key").and_then(Value::as_str) != Some(wanted.key) {
            remarks.push(
                "the kernel here has other inputs (source, options or tools) than the recorded one"
                    .to_owned(),
            );
        }
        Ok(PathBuf::from(image))
    }

    /// As [`Self::xtask`]; gives what it prints. Its progress is shown as it comes.
    fn xtask_output(&self, label: &str, words: &[String]) -> Result<String, Failure> {
        let output = self
            .command(words)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| failed(label, &error.into()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(label, &anyhow::anyhow!("it ended with {}", output.status)))
    }

    fn command(&self, words: &[String]) -> Command {
        // Through rustup, so that the checkout's rust-toolchain.toml counts.
        let mut cargo = Command::new("cargo");
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_PROFILE_"];
            if KEPT_AWAY.contains(&name.as_ref()) || about_us.iter().any(|it| name.starts_with(it))
            {
                cargo.env_remove(name.as_ref());
            }
        }
        cargo
            .current_dir(self.checkout.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--"])
            .args(words);
        cargo
    }
}

fn failed(label: &str, error: &anyhow::Error) -> Failure {
    Error::new(format!("{label}: {error:#}"))
        .remedy("see what was said above; --keep leaves the checkout to try it by hand")
}
