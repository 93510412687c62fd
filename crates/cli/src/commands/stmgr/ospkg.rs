//! `stmgr ospkg`.

use std::path::Path;
use std::path::PathBuf;

use super::Flag;
use super::Flags;
use super::Run;
use super::Words;
use crate::Error;
use crate::Result;
use crate::package::Names;

/// Name of a package that is given none.
const DEFAULT_NAME: &str = "system-transparency-os-package";

pub(super) const CREATE: &[Flag] = &[
    Flag::value(
        "out",
        "NAME",
        "name of the package, or a directory (default system-transparency-os-package)",
    ),
    Flag::value("label", "TEXT", "name for people"),
    Flag::value(
        "url",
        "URL",
        "where machines find the archive: absolute, or relative to the descriptor",
    ),
    Flag::value("kernel", "FILE", "kernel of the OS"),
    Flag::value("initramfs", "FILE", "initramfs of the OS"),
    Flag::value("cmdline", "TEXT", "kernel command line of the OS"),
];

pub(super) const SIGN: &[Flag] = &[
    Flag::value(
        "key",
        "FILE",
        "private key; a public one (ssh-ed25519 …) is looked for in the ssh-agent",
    ),
    Flag::value("cert", "FILE", "certificate of that key"),
    Flag::value("ospkg", "NAME", "the package: archive or descriptor"),
];

pub(super) const SIGSUM: &[Flag] = &[
    Flag::value("proof", "FILE", "Sigsum proof of the archive"),
    Flag::value("cert", "FILE", "certificate of the key that submitted it"),
    Flag::value("ospkg", "NAME", "the package: archive or descriptor"),
];

pub(super) const VERIFY: &[Flag] = &[
    Flag::value("trustPolicy", "DIR", "trust policy directory"),
    Flag::value(
        "rootCerts",
        "FILE",
        "signing roots; every signature must be valid, and there must be one",
    ),
    Flag::value("ospkg", "NAME", "the package: archive or descriptor"),
];

pub(super) fn create(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let out = flags.path("out").unwrap_or_else(|| PathBuf::from(DEFAULT_NAME));
    let names = names(&out)?;
    // A new descriptor without signatures, as scripts that go on to sign it expect.
    let words = Words::new(&["ospkg", "create", "--any-kernel", "--unsigned"])
        .option("kernel", Some(flags.required("kernel")?))
        .option("initramfs", Some(flags.required("initramfs")?))
        .option("cmdline", flags.get("cmdline"))
        .option("label", flags.get("label"))
        .option("url", flags.get("url"))
        .option("out", Some(names.descriptor));
    run.ours(words)
}

pub(super) fn sign(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let words = Words::new(&["ospkg", "sign"])
        .option("key", Some(flags.required("key")?))
        .option("cert", Some(flags.required("cert")?))
        .file(package(flags)?.descriptor);
    run.ours(words)
}

pub(super) fn sigsum(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let words = Words::new(&["ospkg", "sigsum", "attach"])
        .option("proof", Some(flags.required("proof")?))
        .option("cert", Some(flags.required("cert")?))
        .file(package(flags)?.descriptor);
    run.ours(words)
}

pub(super) fn verify(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let words = Words::new(&["ospkg", "verify", "--as-stmgr"]);
    let words = match (flags.path("trustPolicy"), flags.path("rootCerts")) {
        (Some(directory), None) => {
            words.option("trust-policy", Some(directory)).file(package(flags)?.descriptor)
        }
        (None, Some(roots)) => {
            let names = package(flags)?;
            // All must be valid, and one at least: stmgr lets a package pass that nobody signed.
            let all = names.read_descriptor()?.endorsements().len().max(1);
            words
                .option("signing-root", Some(roots))
                .option("threshold", Some(all.to_string()))
                .file(names.descriptor)
        }
        _ => {
            return Err(Error::new("exactly one of trustPolicy and rootCerts is needed")
                .remedy("-trustPolicy DIR judges as a machine does"));
        }
    };
    run.ours(words)
}

fn package(flags: &Flags) -> Result<Names> {
    names(&flags.required("ospkg")?)
}

/// The files that stmgr means by a name: `NAME`, `NAME.zip`, `NAME.json`, or a directory.
fn names(name: &Path) -> Result<Names> {
    let ends_as_directory = name.as_os_str().as_encoded_bytes().ends_with(b"/");
    if ends_as_directory || name.is_dir() {
        return Ok(Names::new(&name.join(DEFAULT_NAME)));
    }
    match name.extension() {
        Some(extension) if extension != "zip" && extension != "json" => {
            let name = name.display();
            Err(Error::new(format!("{name}: wrong file extension"))
                .remedy("give the name without one, or with .zip or .json"))
        }
        _ => Ok(Names::new(name)),
    }
}
