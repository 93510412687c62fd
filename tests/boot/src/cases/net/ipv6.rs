//! IPv6 alone and beside IPv4, and addresses that somebody else has.

use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;

use super::MIRROR;
use super::NAMED_MIRROR;
use super::machine;
use super::used;
use crate::bench::Bench;
use crate::case::Case;
use crate::scenario::Scenario;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots_in(
            "net_ipv6_only_by_router_advertisement",
            "up eth1 2001:db8::1/64
             ra eth1 'prefix 2001:db8::/64 { }; RDNSS 2001:db8::1 { };'
             dns 2001:db8::1 /mirror.lab.example/2001:db8::1
             web",
            automatic,
        )
        .quick()
        .checked(|run| {
            ensure!(run.used()?.method == "slaac", "{:?}", run.used()?);
            used(run, "eth0", "2001:db8:")
        }),
        Case::reaches_in(
            "net_ipv6_only_by_dhcpv6",
            "up eth1 2001:db8::1/64
             dhcp6 eth1 2001:db8::100,2001:db8::1ff,64,1h '--dhcp-option=option6:dns-server,[2001:db8::1]'
             dns 2001:db8::1 /mirror.lab.example/2001:db8::1
             web",
            automatic,
        )
        .checked(|run| {
            ensure!(!run.logged("dhcp6", "DHCPREPLY").is_empty(), "no lease was given");
            ensure!(run.used()?.method == "dhcp6", "{:?}", run.used()?);
            used(run, "eth0", "2001:db8::1")
        }),
        Case::reaches_in("net_auto_with_ipv4_only", "named eth1 192.0.2", automatic)
            .checked(|run| used(run, "eth0", "192.0.2.1")),
        Case::reaches_in(
            "net_dual_stack_ipv4_broken",
            // There is a lease and an address of the mirror for IPv4, and nobody answers there.
            "up eth1 2001:db8::1/64 198.51.100.1/24
             dhcp eth1 198.51.100.100 198.51.100.150 --dhcp-option=6,198.51.100.1
             ra eth1 'prefix 2001:db8::/64 { }; RDNSS 2001:db8::1 { };'
             dns 2001:db8::1,198.51.100.1 /mirror.lab.example/2001:db8::1 /mirror.lab.example/203.0.113.66
             web",
            automatic,
        ),
        Case::reaches_in(
            "net_dual_stack_ipv6_broken",
            "up eth1 2001:db8::1/64 192.0.2.1/24
             dhcp eth1 192.0.2.100 192.0.2.150 --dhcp-option=6,192.0.2.1
             ra eth1 'prefix 2001:db8::/64 { };'
             dns 192.0.2.1 /mirror.lab.example/2001:db8:ffff::1 /mirror.lab.example/192.0.2.1
             web",
            automatic,
        ),
        Case::reaches_in(
            "net_ipv4_address_is_taken",
            "switch br0 eth1
             up br0 192.0.2.1/24
             box squatter br0 192.0.2.100/24
             dhcp br0 192.0.2.101 192.0.2.150 --dhcp-host=52:54:00:12:34:56,192.0.2.100
             web",
            |bench| Ok(machine(bench, MIRROR)),
        )
        .checked(|run| {
            ensure!(!run.logged("dhcp", "DHCPDECLINE").is_empty(), "nothing was declined");
            let taken = run.used()?.addresses.iter().any(|it| it.starts_with("192.0.2.100/"));
            ensure!(!taken, "the address of another machine was used: {:?}", run.used()?);
            used(run, "eth0", "192.0.2.1")
        }),
        Case::refused_in(
            "net_static_address_is_taken",
            Code::AddressConflict,
            "switch br0 eth1
             up br0 192.0.2.1/24
             box squatter br0 192.0.2.77/24
             web",
            |bench| {
                Ok(machine(bench, MIRROR)
                    .host_config("network_mode", json!("static"))
                    .host_config("host_ip", json!("192.0.2.77/24"))
                    .host_config("gateway", json!("192.0.2.1"))
                    .argument("--deadline=60s"))
            },
        ),
        Case::reaches_in(
            "net_ipv6_address_is_taken",
            // What the machine makes of its MAC address. It has IPv4 besides.
            "switch br0 eth1
             up br0 192.0.2.1/24 2001:db8::1/64
             box squatter br0 2001:db8::5054:ff:fe12:3456/64
             ra br0 'prefix 2001:db8::/64 { };'
             dhcp br0 192.0.2.100 192.0.2.150 --dhcp-option=6,192.0.2.1
             dns 192.0.2.1 /mirror.lab.example/2001:db8::1 /mirror.lab.example/192.0.2.1
             web",
            automatic,
        )
        .checked(|run| {
            let taken = |it: &String| it.starts_with("2001:db8::5054:ff:fe12:3456/");
            let nic = run.used()?;
            ensure!(!nic.addresses.iter().any(taken), "another machine's address: {nic:?}");
            Ok(())
        }),
    ]
}

/// A machine that takes whatever there is, and asks a mirror by its name.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn automatic(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, NAMED_MIRROR).host_config("network_mode", json!("auto")))
}
