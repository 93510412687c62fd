//! Secure Boot with own keys: what is signed starts, and nothing else does.

use std::fs;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use ramstrap_cli::boot_image;
use ramstrap_cli::boot_image::Base;
use ramstrap_cli::boot_image::Config;
use ramstrap_cli::files;
use ramstrap_cli::media;
use ramstrap_cli::media::Loaders;
use ramstrap_cli::media::Parts;
use tempfile::NamedTempFile;
use tempfile::TempPath;
use xtask::build;
use xtask::harness;
use xtask::harness::BootOptions;
use xtask::harness::Ended;
use xtask::harness::Firmware;
use xtask::harness::MEDIUM_PARAMETERS;
use xtask::harness::Start;

use super::matrix::all_works;
use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::medium::Medium;
use crate::medium::Signature;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// What the operator's tool is told in a machine whose keys it is to enter.
const ENROL: &str = "secure-boot enroll --dir /keys --efivars /efivars --mount --restart";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("secure_boot_signed", |bench| machine(bench, Signature::Good))
            .checked(enforced),
        Case::denied("secure_boot_unsigned", |bench| machine(bench, Signature::None)),
        Case::denied("secure_boot_tampered", |bench| machine(bench, Signature::Broken)).slow(),
        Case::boots("secure_boot_keys_entered_in_a_guest", |bench| {
            Ok(start(bench, Signature::Good)?.uefi_store(enter_keys(bench)?))
        })
        .slow()
        .checked(enforced),
    ]
}

/// A machine with our keys.
fn machine(bench: &Bench, signature: Signature) -> Result<Scenario> {
    Ok(start(bench, signature)?.uefi_variables(bench.secure_boot()?.variables()?))
}

fn start(bench: &Bench, signature: Signature) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    let scenario = Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]);
    Ok(scenario.firmware(Firmware::UefiSecureBoot).medium(Medium::Disk).signed(signature))
}

fn enforced(run: &Run) -> Result<()> {
    run.says("Secure boot enabled")?;
    all_works(run, Firmware::UefiSecureBoot).map(drop)
}

/// Starts a machine in setup mode, enters the keys with the operator's tool, and returns its
/// variables.
fn enter_keys(bench: &Bench) -> Result<TempPath> {
    let keys = bench.secure_boot()?;
    let tool = build::operators_tool()?;
    let base = Base { init: fs::read(tool)?, modules: None }.pack()?;
    let mut config = Config::default();
    for name in ["PK.auth", "KEK.auth", "db.auth"] {
        config.extra.insert(format!("keys/{name}"), (keys.file(name)?, files::PUBLIC));
    }
    let initramfs = boot_image::assemble(&base, &config)?;
    let directory = tempfile::tempdir()?;
    let disk = directory.path().join("disk");
    fs::write(&disk, enrolment_disk(bench, initramfs)?)?;
    let store = NamedTempFile::new()?.into_temp_path();
    // Made by the machine, from what a machine has that was never switched on.
    fs::remove_file(&store)?;
    let options = BootOptions {
        firmware: Firmware::UefiSecureBoot,
        start: Start::Disk(disk),
        uefi_store: Some(store.to_path_buf()),
        nics: Vec::new(),
        ..BootOptions::new(bench.kernel.clone(), "")
    };
    let result = harness::boot(&options)?;
    let said = result.serial;
    fs::create_dir_all(&bench.output)?;
    fs::write(bench.output.join("enter-keys.log"), &said).context("cannot keep the log")?;
    let done = said.contains("Secure Boot is on after the next start");
    ensure!(done && result.ended == Ended::Reboot, "the keys were not entered: enter-keys.log");
    Ok(store)
}

/// A disk with the tool as the only program of its initramfs. It restarts the machine.
fn enrolment_disk(bench: &Bench, initramfs: Vec<u8>) -> Result<Vec<u8>> {
    let kernel = fs::read(&bench.kernel.image)?;
    let words = format!("{MEDIUM_PARAMETERS} loglevel=7 -- {ENROL}");
    let parts = Parts::new(kernel, initramfs, Some(&words), 0)?;
    Ok(media::disk(&media::uki(&parts, &Loaders::default(), None)?)?)
}
