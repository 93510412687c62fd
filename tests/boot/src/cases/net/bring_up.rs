//! Carrier, switches, DHCP servers, and the choice among NICs.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use serde_json::json;

use super::MIRROR;
use super::machine;
use super::plain;
use super::used;
use crate::bench::Bench;
use crate::case::Case;
use crate::scenario::Scenario;

/// A mirror behind the lab VM as a router: on none of the networks that the machine is on.
const FAR_MIRROR: &str = "https://203.0.113.1/os.json";

/// A switch whose port swallows everything for half a minute.
const STP: &str = "
    good
    wire eth1 'udp dst port 67'
    blocks eth1 30
";

/// What a DHCP server calls what it was asked for.
const CAME: &str = "available DHCP range";

/// Two DHCP servers on one network. The wrong one is quick; all that it leads to is itself.
const ROGUE: &str = "
    switch br0 eth1
    box good br0 192.0.2.1/24
    box rogue br0 198.51.100.66/24
    on good dhcp lan 192.0.2.100 192.0.2.150 --dhcp-reply-delay=2
    on good web
    on rogue dhcp lan 198.51.100.100 198.51.100.150
";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots_in("net_good", "good", plain).checked(|run| used(run, "eth0", "192.0.2.1")),
        Case::boots_in("net_carrier_after_30_s", "good", |bench| {
            Ok(plain(bench)?.link_change(0, Duration::from_secs(30), true))
        })
        .checked(|run| used(run, "eth0", "192.0.2.1")),
        Case::reaches_in("net_cable_pulled_and_plugged", "good", |bench| {
            // While DHCP runs, or the kernel starts: in both cases all begins anew.
            let pulled = plain(bench)?.link_change(0, Duration::from_secs(2), false);
            Ok(pulled.link_change(0, Duration::from_secs(20), true))
        }),
        Case::reaches_in("net_switch_port_swallows_for_30_s", STP, plain).checked(|run| {
            let (sent, came) = (run.logged("wire-eth1", "DHCP").len(), run.logged("dhcp", CAME).len());
            ensure!(sent > came && came > 0, "{sent} DHCP messages were sent, {came} came");
            used(run, "eth0", "192.0.2.1")
        }),
        Case::boots_in("net_rogue_dhcp_server", ROGUE, plain).quick().checked(|run| {
            let offers = run.logged("dhcp", "DHCPOFFER");
            let rogue = offers.iter().filter(|it| it.contains(" 198.51.100.")).count();
            ensure!(rogue > 0, "the rogue server never offered anything: {offers:?}");
            used(run, "eth0", "192.0.2.1")
        }),
        Case::reaches_in(
            "net_two_nics_one_without_dhcp",
            "up eth2 192.0.2.1/24
             dhcp eth2 192.0.2.100 192.0.2.150
             web
             up eth1",
            two_nics,
        )
        .checked(|run| used(run, "eth1", "192.0.2.1")),
        Case::reaches_in(
            "net_two_nics_first_lease_is_useless",
            "up eth1 198.51.100.1/24
             dhcp eth1 198.51.100.100 198.51.100.150
             up eth2 192.0.2.1/24
             web
             later eth2 10 dhcp eth2 192.0.2.100 192.0.2.150
             # The mirror is the same machine, and must not answer on the first cable.
             nft add table inet apart
             nft 'add chain inet apart in { type filter hook input priority 0 ; }'
             nft add rule inet apart in iifname eth1 tcp dport 443 drop",
            two_nics,
        )
        .checked(|run| {
            let given = run.logged("dhcp", "DHCPACK(eth1)").len();
            ensure!(given > 0, "the first NIC never had a lease");
            used(run, "eth1", "192.0.2.1")
        }),
        Case::reaches_in(
            "net_dhcp_server_starts_late",
            "up eth1 192.0.2.1/24
             web
             later eth1 20 dhcp eth1 192.0.2.100 192.0.2.150",
            plain,
        ),
        Case::reaches_in("net_dhcp_answers_slowly", "good --dhcp-reply-delay=8", plain),
        Case::reaches_in(
            "net_lease_is_renewed_while_downloading",
            // A lease of two minutes is dnsmasq's shortest: it is to be renewed after one.
            "up eth1 192.0.2.1/24
             dhcp eth1 192.0.2.100 192.0.2.150 --dhcp-option=58,20 --dhcp-option=59,40
             web 'location /os.zip { limit_rate 200k; }'",
            plain,
        )
        .checked(|run| {
            let requests = run.logged("dhcp", "DHCPREQUEST").len();
            ensure!(requests >= 2, "the lease was asked for {requests} times");
            Ok(())
        }),
        Case::reaches_in(
            "net_static_behind_a_router",
            "up eth1 192.0.2.1/24 203.0.113.1/32
             wire eth1 'udp dst port 67'
             web",
            |bench| {
                Ok(machine(bench, FAR_MIRROR)
                    .host_config("network_mode", json!("static"))
                    .host_config("host_ip", json!("192.0.2.77/24"))
                    .host_config("gateway", json!("192.0.2.1")))
            },
        )
        .checked(|run| {
            let asked = run.logged("wire-eth1", "DHCP").len();
            ensure!(asked == 0, "{asked} DHCP messages with a static address");
            used(run, "eth0", "192.0.2.77/24")
        }),
        Case::reaches_in(
            "net_static_gateway_outside_of_the_subnet",
            "up eth1 198.51.100.1/32 203.0.113.1/32
             ip route add 192.0.2.77/32 dev eth1
             web",
            |bench| {
                Ok(machine(bench, FAR_MIRROR)
                    .host_config("network_mode", json!("static"))
                    .host_config("host_ip", json!("192.0.2.77/32"))
                    .host_config("gateway", json!("198.51.100.1")))
            },
        ),
        Case::reaches_in(
            "net_dhcp_gateway_outside_of_the_subnet",
            "up eth1 192.0.2.1/24 198.51.100.1/32 203.0.113.1/32
             dhcp eth1 192.0.2.100 192.0.2.150 --dhcp-option=1,255.255.255.255 --dhcp-option=3,198.51.100.1
             web",
            far,
        )
        .checked(|run| used(run, "eth0", "192.0.2.1")),
        Case::reaches_in(
            "net_dhcp_classless_routes",
            // With these, the gateway of the older option does not count (RFC 3442): nobody is there.
            "up eth1 192.0.2.1/24 203.0.113.1/32
             dhcp eth1 192.0.2.100 192.0.2.150 --dhcp-option=3,192.0.2.66 \\
                --dhcp-option=121,203.0.113.0/24,192.0.2.1
             web",
            far,
        ),
        Case::reaches_in(
            "net_bond_active_backup_with_one_dead_member",
            "up eth2 192.0.2.1/24
             dhcp eth2 192.0.2.100 192.0.2.150
             web",
            |bench| {
                // The first has a carrier at first, and nobody is there; then its cable is pulled.
                Ok(super::bond(two_nics(bench)?, "active-backup")
                    .link_change(0, Duration::from_secs(15), false))
            },
        )
        .checked(|run| used(run, "bond0", "192.0.2.1")),
    ]
}

/// A machine with NICs on the first two cables.
fn two_nics(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, MIRROR).lab_cables(2))
}

/// A machine whose mirror is behind a router.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn far(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, FAR_MIRROR))
}
