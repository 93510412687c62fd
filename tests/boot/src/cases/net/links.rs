//! VLANs and bonds, with the lab VM as the switch at their far ends.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use serde_json::json;

use super::bond;
use super::plain;
use super::used;
use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;

/// An LACP partner on the first two cables, with a VLAN.
const LACP_AND_VLAN: &str = "
    bond bond0 eth1 eth2 -- mode 802.3ad miimon 100 lacp_rate fast
    vlan bond0 100
    up bond0.100 192.0.2.1/24
    dhcp bond0.100 192.0.2.100 192.0.2.150
    web
    watch_bond bond0 2
";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::reaches_in(
            "net_vlan",
            // What comes untagged gets a lease, too: one that leads nowhere.
            "trunk eth1 100
             up lan 198.51.100.1/24
             dhcp lan 198.51.100.100 198.51.100.150
             up lan.100 192.0.2.1/24
             dhcp lan.100 192.0.2.100 192.0.2.150
             nginx_serves 'listen 192.0.2.1:443 ssl;'",
            |bench| Ok(plain(bench)?.host_config("vlan", json!(100))),
        )
        .checked(|run| {
            let untagged = run.logged("dhcp", "DHCPACK(lan) ").len();
            ensure!(untagged == 0, "a lease was taken outside of the VLAN");
            used_address(run, "192.0.2.1")
        }),
        Case::boots_in("net_vlan_on_an_lacp_bond", LACP_AND_VLAN, |bench| {
            let vlan = lacp(bench)?.host_config("vlan", json!(100));
            Ok(vlan.host_config("bond_options", json!({ "lacp_rate": "fast", "miimon": 100 })))
        })
        .quick()
        .checked(|run| {
            aggregated(run)?;
            used_address(run, "192.0.2.1")
        }),
        Case::reaches_in(
            "net_lacp_bond_with_one_dead_member",
            // At the far end of the second cable nobody speaks LACP, or anything else.
            "bond bond0 eth1 -- mode 802.3ad miimon 100
             up bond0 192.0.2.1/24
             dhcp bond0 192.0.2.100 192.0.2.150
             web
             up eth2
             watch_bond bond0 1",
            lacp,
        )
        .checked(|run| {
            aggregated(run)?;
            used(run, "bond0", "192.0.2.1")
        }),
        Case::reaches_in(
            "net_lacp_partner_comes_40_s_late",
            // A switch that starts: its ports have a carrier long before it speaks.
            "up eth1
             up eth2
             later eth1 40 'bond bond0 eth1 eth2 -- mode 802.3ad miimon 100
                up bond0 192.0.2.1/24
                dhcp bond0 192.0.2.100 192.0.2.150
                web
                watch_bond bond0 2'",
            lacp,
        )
        .checked(|run| {
            aggregated(run)?;
            used(run, "bond0", "192.0.2.1")
        }),
        Case::reaches_in(
            "net_active_backup_bond_loses_a_member",
            "switch br0 eth1 eth2
             up br0 192.0.2.1/24
             dhcp br0 192.0.2.100 192.0.2.150
             web 'location /os.zip { limit_rate 500k; }'",
            |bench| {
                let options = json!({ "miimon": 100, "primary": "eth0" });
                // The lab serves slowly: this is while it downloads, or before.
                let bond = bond(plain(bench)?.lab_cables(2), "active-backup");
                let bond = bond.host_config("bond_options", options);
                Ok(bond.link_change(0, Duration::from_secs(20), false))
            },
        )
        .checked(|run| used(run, "bond0", "192.0.2.1")),
        Case::reaches_in(
            "net_lacp_bond_waits_for_all_its_links",
            "bond bond0 eth1 eth2 -- mode 802.3ad miimon 100
             up bond0 192.0.2.1/24
             dhcp bond0 192.0.2.100 192.0.2.150
             web
             watch_bond bond0 2",
            |bench| {
                let options = json!({
                    "miimon": 100, "lacp_rate": "slow", "min_links": 2,
                    "xmit_hash_policy": "layer2+3", "updelay": 200, "downdelay": 200,
                });
                let bond = lacp(bench)?.host_config("bond_options", options);
                Ok(bond.link_change(1, Duration::from_secs(20), true))
            },
        )
        .checked(|run| {
            aggregated(run)?;
            used(run, "bond0", "192.0.2.1")
        }),
        mode("net_bond_balance_rr", STATIC, |bench| of_mode(bench, "balance-rr")),
        mode("net_bond_balance_xor", STATIC, |bench| {
            let options = json!({ "miimon": 100, "xmit_hash_policy": "layer3+4" });
            Ok(of_mode(bench, "balance-xor")?.host_config("bond_options", options))
        }),
        mode("net_bond_broadcast", STATIC, |bench| of_mode(bench, "broadcast")),
        mode("net_bond_balance_tlb", SWITCH, |bench| of_mode(bench, "balance-tlb")),
        mode("net_bond_balance_alb", SWITCH, |bench| of_mode(bench, "balance-alb")),
    ]
}

/// Two ports that a switch takes for one, without asking.
const STATIC: &str = "
    bond bond0 eth1 eth2 -- mode balance-xor miimon 100
    up bond0 192.0.2.1/24
    dhcp bond0 192.0.2.100 192.0.2.150
    web
";

/// Two ports of a switch that knows nothing of bonds.
const SWITCH: &str = "
    switch br0 eth1 eth2
    up br0 192.0.2.1/24
    dhcp br0 192.0.2.100 192.0.2.150
    web
";

/// A bond in a mode that asks nothing of its far end, or that it be one link.
fn mode(name: &'static str, network: &'static str, of: fn(&Bench) -> Result<Scenario>) -> Case {
    Case::reaches_in(name, network, of).checked(|run| used(run, "bond0", "192.0.2.1"))
}

fn of_mode(bench: &Bench, mode: &str) -> Result<Scenario> {
    Ok(bond(plain(bench)?.lab_cables(2), mode))
}

fn lacp(bench: &Bench) -> Result<Scenario> {
    Ok(bond(plain(bench)?.lab_cables(2), "802.3ad"))
}

/// Whether the lab's end of the bond has found the machine's.
fn aggregated(run: &Run) -> Result<()> {
    let found = !run.logged("bond", "Partner Mac Address: 52:54:00:12:34:").is_empty();
    ensure!(found, "the lab's bond never had the machine as its partner on all ports");
    Ok(())
}

/// As [`used`], whatever the interface is called.
fn used_address(run: &Run, address: &str) -> Result<()> {
    let nic = run.used()?;
    ensure!(nic.addresses.iter().any(|it| it.starts_with(address)), "no {address} at {nic:?}");
    Ok(())
}
