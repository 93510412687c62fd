//! Every way that a machine starts, and every kind of machine. Each row ends in the OS, which then
//! finds its NICs, the firmware's tables and its console at work.

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use xtask::harness::Display;
use xtask::harness::Firmware;
use xtask::harness::Machine;

use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::case::Case;
use crate::case::Run;
use crate::facts::Facts;
use crate::medium::Medium;
use crate::scenario::Scenario;
use crate::site::Mirror;

const BIOS: Firmware = Firmware::Bios;
const UEFI: Firmware = Firmware::Uefi;

pub(super) fn cases() -> Vec<Case> {
    [media(), machines(), nics(), displays()].concat()
}

/// What a machine starts from.
fn media() -> Vec<Case> {
    vec![
        row("bios_ipxe_tftp", |bench| Ok(good(bench)?.medium(Medium::Tftp).firmware(BIOS))),
        row("bios_ipxe_http", |bench| Ok(good(bench)?.medium(Medium::Http).firmware(BIOS))).slow(),
        uefi("uefi_pxe", |bench| Ok(good(bench)?.medium(Medium::Tftp).firmware(UEFI))).slow(),
        // The boot ROMs of QEMU's NICs are iPXE under UEFI, too; OVMF itself drives virtio only.
        uefi("uefi_ipxe_tftp", |bench| {
            Ok(good(bench)?.medium(Medium::IpxeByTftp).firmware(UEFI).nic_model("e1000e"))
        })
        .slow()
        .checked(|run| {
            run.says("ramstrap: loading kernel and initramfs")?;
            all_works(run, UEFI).map(drop)
        }),
        uefi("uefi_http_boot", |bench| Ok(good(bench)?.medium(Medium::Http).firmware(UEFI))),
        uefi("uefi_esp", |bench| Ok(good(bench)?.medium(Medium::Disk).firmware(UEFI))).slow(),
        row("iso_cd_bios", |bench| Ok(good(bench)?.medium(Medium::IsoInDrive).firmware(BIOS))),
        uefi("iso_cd_uefi", |bench| Ok(good(bench)?.medium(Medium::IsoInDrive).firmware(UEFI)))
            .slow(),
        row("iso_usb_bios", |bench| Ok(good(bench)?.medium(Medium::IsoOnStick).firmware(BIOS)))
            .slow(),
        uefi("iso_usb_uefi", |bench| Ok(good(bench)?.medium(Medium::IsoOnStick).firmware(UEFI))),
    ]
}

/// Chipsets and processors. Everything else runs on q35 with one processor.
fn machines() -> Vec<Case> {
    vec![
        row("machine_pc", |bench| Ok(good(bench)?.machine(Machine::Pc))),
        row("machine_pc_iso_cd", |bench| {
            Ok(good(bench)?.machine(Machine::Pc).medium(Medium::IsoInDrive))
        })
        .slow(),
        uefi("machine_pc_uefi", |bench| Ok(good(bench)?.machine(Machine::Pc).firmware(UEFI)))
            .slow(),
        row("four_cpus", |bench| Ok(good(bench)?.cpus(4))).checked(|run| four_cpus(run, BIOS)),
        uefi("four_cpus_uefi", |bench| Ok(good(bench)?.cpus(4).firmware(UEFI)))
            .slow()
            .checked(|run| four_cpus(run, UEFI)),
    ]
}

/// NICs. Everything else has virtio-net.
fn nics() -> Vec<Case> {
    vec![
        row("nic_e1000", |bench| Ok(good(bench)?.nic_model("e1000")))
            .slow()
            .checked(|run| driver(run, "e1000")),
        row("nic_e1000e", |bench| Ok(good(bench)?.nic_model("e1000e")))
            .checked(|run| driver(run, "e1000e")),
        row("nic_igb", |bench| Ok(good(bench)?.nic_model("igb")))
            .needs("igb")
            .slow()
            .checked(|run| driver(run, "igb")),
        row("nic_rtl8139", |bench| Ok(good(bench)?.nic_model("rtl8139")))
            .slow()
            .checked(|run| driver(run, "8139cp")),
        row("nic_vmxnet3", |bench| Ok(good(bench)?.nic_model("vmxnet3")))
            .slow()
            .checked(|run| driver(run, "vmxnet3")),
    ]
}

/// What a machine shows itself on. Everything else has a serial port and no screen.
fn displays() -> Vec<Case> {
    vec![
        Case::boots("vga_only_bios", |bench| Ok(on_screen(bench)?.display(Display::Vga)))
            .checked(screen_has_text),
        Case::boots("vga_only_uefi", |bench| {
            Ok(on_screen(bench)?.display(Display::Vga).firmware(UEFI))
        })
        .slow()
        .checked(screen_has_picture),
        Case::boots("vga_only_iso_cd", |bench| {
            Ok(on_screen(bench)?.display(Display::Vga).medium(Medium::IsoInDrive))
        })
        .slow()
        .checked(screen_has_text),
        // No console at all: nothing may wait for one.
        row("no_console", |bench| Ok(good(bench)?.display(Display::Mute))),
        row("serial_and_vga", |bench| Ok(good(bench)?.display(Display::Both))).slow(),
    ]
}

/// A machine that a BIOS starts.
const fn row(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Case {
    Case::boots(name, scenario).checked(|run| all_works(run, BIOS).map(drop))
}

/// A machine that UEFI starts.
const fn uefi(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Case {
    Case::boots(name, scenario).checked(|run| all_works(run, UEFI).map(drop))
}

fn good(bench: &Bench) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}

/// An OS whose console is the screen.
fn on_screen(bench: &Bench) -> Result<Scenario> {
    let os = bench.os(&OsPackage { cmdline: "console=tty0", ..OsPackage::default() })?;
    let descriptor = os.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &os)]))
}

/// NICs, the firmware's tables and the console work after kexec.
pub(super) fn all_works(run: &Run, firmware: Firmware) -> Result<Facts> {
    let facts = run.facts()?;
    works(&facts, firmware, "ttyS0")?;
    Ok(facts)
}

fn works(facts: &Facts, firmware: Firmware, console: &str) -> Result<()> {
    ensure!(!facts.nics.is_empty(), "the OS finds no NIC");
    if let Some(nic) = facts.nics.iter().find(|nic| !nic.works) {
        bail!("a NIC does not work any more: {nic:?}");
    }
    ensure!(facts.acpi.facp && facts.acpi.apic, "ACPI tables are missing: {:?}", facts.acpi);
    let efi = facts.efi.as_ref();
    ensure!(efi.is_some() == firmware.is_uefi(), "of UEFI the OS finds {efi:?}");
    if let Some(efi) = efi {
        ensure!(efi.runtime_services && efi.runtime_map > 0, "UEFI does not work: {efi:?}");
    }
    let consoles = &facts.consoles;
    let works = consoles.iter().any(|it| it.name == console && it.written);
    ensure!(works, "the console does not work: {consoles:?}");
    Ok(())
}

fn four_cpus(run: &Run, firmware: Firmware) -> Result<()> {
    let running = all_works(run, firmware)?.cpus_online;
    ensure!(running == 4, "{running} processors run after kexec");
    run.says("Brought up 1 node, 4 CPUs")
}

fn driver(run: &Run, name: &str) -> Result<()> {
    let nics = all_works(run, BIOS)?.nics;
    let drivers: Vec<&str> = nics.iter().filter_map(|nic| nic.driver.as_deref()).collect();
    ensure!(drivers == [name], "drivers of the NICs: {drivers:?}");
    Ok(())
}

/// The screen is in text mode, and the OS's words are on it.
fn screen_has_text(run: &Run) -> Result<()> {
    let text = run.result.screen.as_deref().unwrap_or_default();
    works(&Facts::on_screen(text)?, BIOS, "tty0")?;
    ensure!(
        text.contains("minimal OS: poweroff"),
        "the OS's last line is not on the screen:\n{text}"
    );
    screen_has_picture(run)
}

/// There is a picture, and it is not of one colour: PNG makes next to nothing of such.
fn screen_has_picture(run: &Run) -> Result<()> {
    let Some(picture) = &run.picture else { bail!("there is no picture of the screen") };
    let len = std::fs::metadata(picture)?.len();
    ensure!(len > 4096, "the screen is empty: its picture has {len} bytes");
    Ok(())
}
