//! Builds the static binaries that run in the guest.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde::Deserialize;

use crate::locked::Locked;
use crate::progress;

/// The target that guests run. Naming it keeps the flags below away from what runs on the host.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Cargo profile of everything that runs as PID 1.
const PROFILE: &str = "small";

/// Builds `/init` and returns the path of the static binary. A process builds it once, so that all
/// its machines boot the same.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn init() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&BUILT, || static_binary("init", "init", "build /init"))
}

/// The same as [`guest_binary`], compiled in the locked builder root.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn locked_binary(locked: &Locked, package: &str, binary: &str) -> Result<PathBuf> {
    let mut command = locked.cargo("build");
    command
        .args(["--package", package, "--bin", binary, "--profile", PROFILE, "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(Locked::flags()).join("\x1f"));
    let label = format!("build {binary} in the locked root");
    progress::run(&label, &mut command).with_context(|| format!("cannot build {package}"))?;
    built(&locked.target_dir().join(TARGET).join(PROFILE).join(binary))
}

/// Builds the minimal OS and returns the path of the static binary. A process builds it once.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn minimal_os() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&BUILT, || static_binary("minimal-os", "minimal-os", "build the minimal OS"))
}

/// Builds the operator's tool as a static binary, for machines that it is to run in, and returns its
/// path. A process builds it once.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn operators_tool() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&BUILT, || static_binary("ramstrap-cli", "ramstrap", "build the operator's tool"))
}

/// Builds the operator's tool for this machine, as somebody who works on it does, and returns its path.
/// A process builds it once.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn operators_tool_here() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&BUILT, || {
        let mut command = cargo();
        command.args(["build", "--locked", "--package", "ramstrap-cli", "--bin", "ramstrap"]);
        progress::run("build the operator's tool for this machine", &mut command)
            .context("cannot build ramstrap-cli")?;
        let path = target_dir().join("debug").join("ramstrap");
        if !path.is_file() {
            bail!("cargo built no {}", path.display());
        }
        Ok(path)
    })
}

/// Builds any binary of the source tree that is to run in a guest, static, and returns its path. A
/// process builds each of them once.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn guest_binary(package: &str, binary: &str) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<(String, String), PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (package.to_owned(), binary.to_owned());
    if let Some(path) = built.get(&key) {
        return Ok(path.clone());
    }
    let path = static_binary(package, binary, &format!("build {binary}"))?;
    built.insert(key, path.clone());
    Ok(path)
}

/// Builds the downloader of the throughput benchmark, with the very flags of `/init`, and returns its
/// path.
///
/// # Errors
///
/// The build failed; what cargo said has been printed.
pub fn throughput() -> Result<PathBuf> {
    static_binary("throughput", "throughput", "build the downloader")
}

/// The root of the source tree.
#[must_use]
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target directory.
#[must_use]
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The cargo that runs this program, at the root of the source tree.
///
/// What cargo tells this program about its own package is kept from it: build scripts of
/// dependencies look at these variables, and `/init` would be built anew whenever it is asked for
/// from another place than the last time.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_this_package(name)) {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether cargo sets this variable to say which package it runs. Settings, such as
/// `CARGO_TARGET_DIR`, are something else.
fn is_about_this_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let exact = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
    ];
    exact.contains(&name.as_ref())
        || ["CARGO_BIN_EXE_", "CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|it| name.starts_with(it))
}

/// Does it the first time, for whichever thread comes first; failures are not remembered.
fn once(done: &Mutex<Option<PathBuf>>, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = done.as_ref() {
        return Ok(path.clone());
    }
    let path = build()?;
    *done = Some(path.clone());
    Ok(path)
}

fn static_binary(package: &str, binary: &str, label: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command
        .args(["build", "--locked", "--package", package, "--bin", binary])
        .args(["--profile", PROFILE, "--target", TARGET])
        // Because the target is named, these reach neither build scripts nor macros.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(places()?).join("\x1f"))
        .env_remove("RUSTFLAGS");
    progress::run(label, &mut command).with_context(|| format!("cannot build {package}"))?;
    built(&target_dir().join(TARGET).join(PROFILE).join(binary))
}

fn built(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("cargo built no {}", path.display());
    }
    Ok(path.to_path_buf())
}

/// Compiler flags of what runs in guests: static, and the same bytes whoever builds it, because
/// panic messages name source files.
fn flags(places: Vec<String>) -> Vec<String> {
    let flags = [
        "-Ctarget-feature=+crt-static",
        // The vector code is as large as the rest, and saves microseconds: a boot verifies a handful
        // of signatures.
        "--cfg=curve25519_dalek_backend=\"serial\"",
    ];
    [flags.map(str::to_owned).to_vec(), places].concat()
}

/// Flags that take the places of this machine out of what is compiled. Of prefixes that fit, the last
/// one counts.
fn places() -> Result<Vec<String>> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let mut places: Vec<(PathBuf, &str)> =
        cargo_home.into_iter().map(|home| (home, "cargo")).collect();
    // Where crates are unpacked has the registry in its name, which may be a mirror; and the name is
    // said again by each file that may panic. In the locked root it is this short, too.
    places.extend(crate_directories()?.into_iter().map(|directory| (directory, "cargo")));
    places.push((root().to_path_buf(), "ramstrap"));
    // What build scripts write is compiled there.
    places.push((target_dir(), "ramstrap/target"));
    let flag = |(from, to): (PathBuf, _)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(places.into_iter().map(flag).collect())
}

/// The directories that cargo has unpacked the dependencies in, which it does now if need be.
fn crate_directories() -> Result<BTreeSet<PathBuf>> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", output.status);
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not understood")?;
    let from_elsewhere = metadata.packages.into_iter().filter(|package| package.source.is_some());
    Ok(from_elsewhere
        .filter_map(|package| Some(package.manifest_path.parent()?.parent()?.to_path_buf()))
        .collect())
}

/// What is read of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    /// The registry; absent for packages of this source tree.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::is_about_this_package;

    #[test]
    fn settings_are_passed_on() {
        let is = |name| is_about_this_package(OsStr::new(name));
        assert!(is("CARGO_MANIFEST_DIR") && is("CARGO_PKG_NAME") && is("OUT_DIR"));
        assert!(!is("CARGO_TARGET_DIR") && !is("CARGO_HOME") && !is("CARGO_BUILD_JOBS"));
    }
}
