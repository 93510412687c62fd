//! `stmgr uki`.

use std::path::Path;
use std::path::PathBuf;

use super::Flag;
use super::Flags;
use super::Run;
use super::Words;
use crate::Error;
use crate::Result;
use crate::files;

pub(super) const CREATE: &[Flag] = &[
    Flag::value("out", "NAME", "NAME.iso and NAME.uki are made (default stmgr)"),
    Flag::value("initramfs", "FILE", "initramfs"),
    Flag::value("kernel", "FILE", "kernel"),
    Flag::value("cmdline", "TEXT", "kernel command line"),
    Flag::value("osrelease", "FILE", "os-release (default: ours)"),
    Flag::switch("force", "replace files that exist"),
    Flag::value("format", "LIST", "iso, uki or both: iso,uki (default iso)"),
    Flag::value("stub", "FILE", "UEFI stub (default: that of the package systemd-boot-efi)"),
    Flag::value("sbat", "FILE", "what .sbat is"),
    Flag::value("append-sbat", "FILE", "what .sbat has beside the stub's own lines"),
    Flag::value("signcert", "FILE", "certificate for Secure Boot"),
    Flag::value("signkey", "FILE", "its RSA key"),
];

pub(super) const TO_ISO: &[Flag] = &[
    Flag::value("in", "FILE", "the UKI"),
    Flag::value("out", "FILE", "the image (default: -in with .iso in place of .uki)"),
];

pub(super) fn create(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    if flags.get("signcert").is_some() != flags.get("signkey").is_some() {
        return Err(Error::new("signing needs both signcert and signkey")
            .remedy("give -signcert FILE and -signkey FILE, or neither"));
    }
    let words = Words::new(&["uki", "create"])
        .option("kernel", Some(flags.required("kernel")?))
        .option("initramfs", Some(flags.required("initramfs")?))
        .option("cmdline", flags.get("cmdline"))
        .option("os-release", flags.get("osrelease"))
        .option("stub", flags.get("stub"))
        .option("sbat", flags.get("sbat"))
        .option("append-sbat", flags.get("append-sbat"))
        .option("secure-boot-cert", flags.get("signcert"))
        .option("secure-boot-key", flags.get("signkey"))
        .option("format", Some(flags.get("format").unwrap_or_else(|| "iso".as_ref())))
        .option("out", Some(flags.path("out").unwrap_or_else(|| PathBuf::from("stmgr"))))
        .switch("force", flags.is_on("force"));
    run.ours(words)
}

pub(super) fn to_iso(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let uki = flags.required("in")?;
    let out = flags.path("out").unwrap_or_else(|| beside(&uki));
    files::refuse_existing(&[&out])
        .map_err(|error| error.remedy("remove it, or give another -out"))?;
    let words = Words::new(&["boot-image", "build"])
        .option("uki", Some(uki))
        .option("format", Some("iso"))
        .option("out", Some(out));
    run.ours(words)
}

/// `NAME.iso` of `NAME.uki`; of another name, that and `.iso`.
fn beside(uki: &Path) -> PathBuf {
    if uki.extension().is_some_and(|it| it == "uki") {
        return uki.with_extension("iso");
    }
    let mut name = uki.as_os_str().to_owned();
    name.push(".iso");
    PathBuf::from(name)
}
