//! The operator's tool as `cargo install --path crates/cli` leaves it: one static executable.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::build;

/// Installs the tool into a directory of its own and looks at what is there.
///
/// # Errors
///
/// It cannot be built, needs an interpreter or a library, or does not run.
pub fn check() -> Result<()> {
    let place = tempfile::Builder::new().prefix("installed-").tempdir()?;
    let mut cargo = build::cargo();
    cargo
        .args(["install", "--debug", "--locked", "--path", "crates/cli", "--root"])
        .arg(place.path())
        .arg("--target-dir")
        .arg(build::target_dir().join("installed"))
        // Flags of the environment would take the place of those that are tested.
        .env_remove("RUSTFLAGS")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    ensure!(cargo.status()?.success(), "cargo install failed");
    let tool = place.path().join("bin/ramstrap");
    is_static(&tool)?;
    let version = Command::new(&tool).arg("--version").output().context("it does not run")?;
    ensure!(version.status.success(), "`ramstrap --version` failed");
    println!("{} is one static executable", String::from_utf8_lossy(&version.stdout).trim());
    Ok(())
}

/// As the loader of the C library sees it, which has nothing to do for a static executable.
fn is_static(tool: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(tool).output().context("cannot run ldd")?;
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    let none = ["statically linked", "not a dynamic executable"];
    if none.iter().any(|it| words.contains(it)) {
        return Ok(());
    }
    bail!("the tool needs libraries:\n{words}")
}
