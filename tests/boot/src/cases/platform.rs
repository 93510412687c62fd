//! Disks that an OS of ours cannot see, watchdogs, and kernels of the distribution.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;
use report::WatchdogState;
use xtask::harness::Bus;
use xtask::harness::Disk;
use xtask::harness::Firmware;
use xtask::kernels::Flavour;
use xtask::minimal;

use super::matrix::all_works;
use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::case::Case;
use crate::case::Run;
use crate::package::Archive;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// Bytes of a disk: more than what a kernel reads to find out what is on it.
const DISK_LEN: usize = 16 << 20;

const BUSES: [Bus; 4] = [Bus::Nvme, Bus::Ahci, Bus::Virtio, Bus::Usb];

/// What the four disks are called on a kernel that has drivers for all.
const DISKS: [&str; 4] = ["nvme0n1", "sda", "sdb", "vda"];

/// How long a machine whose OS hangs is watched: well over the time-out that `/init` sets.
const HANGS_FOR: Duration = Duration::from_secs(150);

/// Longer than the 60 s that `/init` sets the watchdog to.
const DELAY_SECONDS: u32 = 80;

/// Bytes whose download keeps `/init` busy for seconds.
const HANGING_BYTES: u64 = 100 << 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("ram_only_os_sees_no_disk", |bench| {
            Ok(serving(bench, &bench.minimal)?.disks(disks(bench, "ram-only")?))
        })
        .checked(sees_no_disk),
        // The control: the same OS sees all of them on a kernel that has drivers.
        Case::boots("distribution_os_sees_all_disks", |bench| {
            let os = distribution_os(bench, Flavour::Generic)?;
            Ok(serving(bench, &os)?.disks(disks(bench, "distribution")?))
        })
        .checked(sees_all_disks),
        Case::boots("distribution_kernels", |bench| {
            let os = distribution_os(bench, Flavour::Cloud)?;
            let kernel = bench.distribution_kernel(Flavour::Cloud)?;
            Ok(serving(bench, &os)?.kernel(&kernel))
        })
        .checked(|run| {
            let facts = all_works(run, Firmware::Bios)?;
            ensure!(facts.modules.iter().any(|it| it == "virtio_net"), "{:?}", facts.modules);
            Ok(())
        }),
        Case::boots("distribution_os_reads_efi_variables", |bench| {
            let os = distribution_os(bench, Flavour::Cloud)?;
            Ok(serving(bench, &os)?.firmware(Firmware::Uefi))
        })
        .slow()
        .checked(|run| {
            let efi = all_works(run, Firmware::Uefi)?.efi.context("no UEFI")?;
            ensure!(efi.variables.is_some_and(|count| count > 10), "{efi:?}");
            Ok(())
        }),
        Case::hangs("watchdog_resets_an_os_that_took_it_over", true, |bench| {
            hanging(bench, Some(30))
        })
        .slow()
        .checked(|run| watchdog(run, WatchdogState::Running)),
        // The same machine and the same OS, but its manifest says nothing.
        Case::hangs("watchdog_is_stopped_before_the_jump", false, |bench| hanging(bench, None))
            .slow()
            .checked(|run| watchdog(run, WatchdogState::Disarmed)),
        // A refusal is followed by minutes of waiting, which must not be taken for a hang.
        Case::refused("watchdog_is_petted_through_the_delay", Code::BelowThreshold, |bench| {
            let descriptor = bench.minimal.descriptor(&[&bench.keys.signers[0]])?;
            let mirror = Mirror::serving(&descriptor, &bench.minimal);
            Ok(Scenario::new(bench, [mirror]).watchdog().reboot_delay(DELAY_SECONDS))
        })
        .slow()
        .checked(rebooted_by_itself),
        Case::init_hangs("watchdog_resets_an_init_that_hangs", |bench| {
            let os = bench.os_with_ballast(HANGING_BYTES)?;
            Ok(serving(bench, &os)?.watchdog().hangs())
        })
        .slow()
        .checked(|run| run.says("i6300ESB timer at /dev/watchdog0, 60 s")),
        Case::boots("watchdog_in_the_machine", |bench| {
            Ok(serving(bench, &bench.minimal)?.watchdog())
        })
        .checked(|run| watchdog(run, WatchdogState::Disarmed)),
    ]
}

fn serving(bench: &Bench, os: &Archive) -> Result<Scenario> {
    let descriptor = os.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, os)]))
}

/// The minimal OS on a kernel of the distribution, with that kernel's modules.
fn distribution_os(bench: &Bench, flavour: Flavour) -> Result<Archive> {
    let kernel = bench.distribution_kernel(flavour)?;
    let modules = kernel.modules.as_deref().context("a distribution kernel without modules")?;
    let initramfs = minimal::initramfs_with_drivers(modules)?;
    let package =
        OsPackage { kernel: Some(&kernel), initramfs: Some(&initramfs), ..OsPackage::default() };
    bench.os(&package)
}

/// An OS that hangs, on a kernel that has no driver for the watchdog: one that has stops it when it
/// finds it.
fn hanging(bench: &Bench, watchdog_seconds: Option<u32>) -> Result<Scenario> {
    let kernel = bench.distribution_kernel(Flavour::Cloud)?;
    let os = bench.os(&OsPackage {
        kernel: Some(&kernel),
        cmdline: "minimal.after=hang minimal.network=0",
        watchdog_seconds,
        ..OsPackage::default()
    })?;
    Ok(serving(bench, &os)?.watchdog().timeout(HANGS_FOR))
}

/// One disk on each bus, full of bytes.
fn disks(bench: &Bench, name: &str) -> Result<Vec<Disk>> {
    let directory = bench.output.join(format!("disks-{name}"));
    fs::create_dir_all(&directory)?;
    let bytes = minimal::noise(DISK_LEN);
    let disk = |bus: Bus| {
        let file = directory.join(format!("{bus:?}").to_lowercase());
        fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Disk { file, bus })
    };
    BUSES.into_iter().map(disk).collect()
}

fn sees_no_disk(run: &Run) -> Result<()> {
    let facts = all_works(run, Firmware::Bios)?;
    // The disks are there to be seen: three of them are on PCI themselves.
    let on_pci = facts.storage.iter().filter(|it| it.bus == "pci").count();
    ensure!(on_pci >= 3, "the machine has {on_pci} storage controllers: {:?}", facts.storage);
    let driven = |it: &&crate::facts::Storage| {
        it.driver.as_deref().is_some_and(|driver| driver != "virtio-pci")
    };
    let driven: Vec<_> = facts.storage.iter().filter(driven).collect();
    ensure!(driven.is_empty(), "these have drivers: {driven:?}");
    let disks = &facts.block_devices;
    ensure!(disks.is_empty(), "block devices: {disks:?}");
    ensure!(run.disks_changed == 0, "{} disks were written to", run.disks_changed);
    Ok(())
}

fn sees_all_disks(run: &Run) -> Result<()> {
    let disks = all_works(run, Firmware::Bios)?.block_devices;
    let missing: Vec<_> =
        DISKS.iter().filter(|&&it| !disks.iter().any(|seen| seen == it)).collect();
    ensure!(missing.is_empty(), "not seen: {missing:?}, of {disks:?}");
    ensure!(run.disks_changed == 0, "{} disks were written to", run.disks_changed);
    Ok(())
}

fn rebooted_by_itself(run: &Run) -> Result<()> {
    watchdog(run, WatchdogState::Armed)?;
    let mark = |name: &str| run.result.mark(name).with_context(|| format!("no mark {name}"));
    ensure!(mark("watchdog").is_err(), "the watchdog ran out");
    let waited = mark("end")?.saturating_sub(mark("report")?);
    let asked = Duration::from_secs(DELAY_SECONDS.into());
    ensure!(waited >= asked, "the machine ended after {waited:?}, and was to wait {asked:?}");
    Ok(())
}

fn watchdog(run: &Run, state: WatchdogState) -> Result<()> {
    let watchdog = run.report()?.watchdog.as_ref().context("no watchdog is reported")?;
    ensure!(watchdog.state == state, "the watchdog: {watchdog:?}");
    ensure!(watchdog.identity.contains("i6300ESB"), "the watchdog: {watchdog:?}");
    Ok(())
}
