//! Which of two NICs of different makes is taken, by its place on the PCI bus and by its driver.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::Value;
use serde_json::json;

use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;
use crate::site::Mirror;
use crate::wire::Faults;
use crate::wire::Message;

/// The two, and where they are: QEMU would give them other places on another chipset.
const FIRST: &str = "virtio-net-pci,addr=0x10";
const SECOND: &str = "e1000e,addr=0x11";
const FIRST_PLACE: &str = "0000:00:10.0";
const SECOND_PLACE: &str = "0000:00:11.0";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::dry_run("nic_by_pci_path", |bench| {
            Ok(two_nics(bench, &json!({ "pci_path": SECOND_PLACE }))?.argument("--dryrun"))
        })
        .slow()
        .checked(only_second),
        Case::dry_run("nic_by_driver", |bench| {
            Ok(two_nics(bench, &json!({ "driver": "e1000e" }))?.argument("--dryrun"))
        })
        .slow()
        .checked(only_second),
        // Neither is excluded: this one only begins earlier.
        Case::dry_run("nic_by_bootif", |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)])
                .cable(Faults::default())
                .and_cable(Faults::default())
                .parameters("BOOTIF=01-52-54-00-12-34-57")
                .argument("--dryrun"))
        })
        .slow()
        .checked(second_begins),
        // Both are there, but not in one NIC.
        Case::refused("nic_by_pci_path_and_driver_of_another", Code::InterfaceNotFound, |bench| {
            let entry = json!({ "pci_path": FIRST_PLACE, "driver": "e1000e" });
            Ok(two_nics(bench, &entry)?.argument("--deadline=20s"))
        })
        .slow()
        .checked(says_which_there_are),
    ]
}

/// A machine with two NICs, either of which would do.
fn two_nics(bench: &Bench, entry: &Value) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)])
        .nic_model(FIRST)
        .later_nic_model(SECOND)
        .cable(Faults::default())
        .and_cable(Faults::default())
        .host_config("network_interfaces", json!([entry])))
}

fn only_second(run: &Run) -> Result<()> {
    let used = run.used()?;
    ensure!(used.mac == "52:54:00:12:34:57", "used was {used:?}");
    ensure!(used.pci_path.as_deref() == Some(SECOND_PLACE), "used was {used:?}");
    ensure!(used.driver.as_deref() == Some("e1000e"), "used was {used:?}");
    let [first, second] = &run.cables[..] else { anyhow::bail!("not two cables") };
    ensure!(first.dhcp.is_empty(), "the first asked as well: {:?}", first.dhcp);
    ensure!(!second.dhcp.is_empty(), "the second never asked");
    Ok(())
}

fn second_begins(run: &Run) -> Result<()> {
    run.says("BOOTIF: the interface 52:54:00:12:34:57 goes first")?;
    let [first, second] = &run.cables[..] else { anyhow::bail!("not two cables") };
    let began = *second.sent(Message::Discover).first().context("the second never asked")?;
    let earlier = first.sent(Message::Discover).into_iter().find(|at| *at < began);
    ensure!(earlier.is_none(), "the first asked at {earlier:?}, the second at {began:?}");
    Ok(())
}

fn says_which_there_are(run: &Run) -> Result<()> {
    let failure = run.report()?.failure.as_ref().context("no failure")?;
    let wanted = format!("PCI {FIRST_PLACE}, driver e1000e");
    let first = format!("52:54:00:12:34:56, PCI {FIRST_PLACE}, driver virtio_net");
    let second = format!("52:54:00:12:34:57, PCI {SECOND_PLACE}, driver e1000e");
    for words in [wanted, first, second] {
        ensure!(failure.detail.contains(&words), "no {words:?} in {:?}", failure.detail);
    }
    let asked = run.cables.iter().filter(|cable| !cable.dhcp.is_empty()).count();
    ensure!(asked == 0, "{asked} NICs asked for an address that were not meant");
    Ok(())
}
