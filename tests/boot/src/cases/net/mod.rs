//! Networks of real servers, switches and faults in the lab VM: one lab VM, a boot for each case.

mod bring_up;
mod fetch;
mod ipv6;
mod links;
mod proxy;
mod remote_log;
mod services;

use anyhow::Result;
use anyhow::ensure;
use serde_json::json;

use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;

/// The lab's mirror as a network on the first cable has it.
const MIRROR: &str = "https://192.0.2.1/os.json";

pub(super) fn cases() -> Vec<Case> {
    [
        bring_up::cases(),
        fetch::cases(),
        ipv6::cases(),
        links::cases(),
        proxy::cases(),
        remote_log::cases(),
        services::cases(),
    ]
    .concat()
}

/// The same, asked for by its name.
const NAMED_MIRROR: &str = "https://mirror.lab.example/os.json";

/// A machine with a NIC on the first cable, that asks this mirror in the lab.
fn machine(bench: &Bench, url: &str) -> Scenario {
    Scenario::new(bench, []).lab_cables(1).host_config("ospkg_pointer", json!(url))
}

/// The same with the mirror of a good network.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn plain(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, MIRROR))
}

/// Asserts that this interface was used, with an address that begins like this.
fn used(run: &Run, interface: &str, address: &str) -> Result<()> {
    let nic = run.used()?;
    ensure!(nic.interface == interface, "used was {nic:?}");
    ensure!(nic.addresses.iter().any(|it| it.starts_with(address)), "no {address} at {nic:?}");
    Ok(())
}

/// A machine whose first two NICs are to be one.
fn bond(scenario: Scenario, mode: &str) -> Scenario {
    let members = json!([
        { "mac_address": "52:54:00:12:34:56" },
        { "mac_address": "52:54:00:12:34:57" },
    ]);
    scenario
        .host_config("bonding_mode", json!(mode))
        .host_config("bond_name", json!("bond0"))
        .host_config("network_interfaces", members)
}
