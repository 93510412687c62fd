//! Where a rebuild happens: the recorded revision, checked out, and its own `xtask`.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use ramstrap_cli::Error;
use rebuild::checkout::Checkout;
use rebuild::source::Source;
use rebuild::toolchain;
use rebuild::toolchain::Toolchain;

use super::Failure;
use super::Options;
use crate::build;
use crate::cache;
use crate::progress;

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

    /// What the checkout is built with on this machine.
    pub(super) fn toolchain(&self) -> Result<Toolchain, Failure> {
        Ok(toolchain::of_this_host(self.checkout.path())?)
    }

    /// `cargo xtask WORDS` in the checkout.
    pub(super) fn xtask(&self, label: &str, words: &[String]) -> Result<(), Failure> {
        progress::run(label, &mut self.command(words)).map_err(|error| failed(label, &error))
    }

    /// The same; gives what it prints. Its progress is shown as it comes.
    pub(super) fn xtask_output(&self, label: &str, words: &[String]) -> Result<String, Failure> {
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
