//! Names, weather and portals: what is between a machine with an address and its package.

use anyhow::Result;
use anyhow::ensure;
use report::Code;

use super::NAMED_MIRROR;
use super::machine;
use super::plain;
use super::used;
use crate::bench::Bench;
use crate::case::Case;
use crate::scenario::Scenario;

/// A mirror that must be asked for by its name.
const PLAIN_MIRROR: &str = "http://mirror.lab.example/os.json";

/// A portal, which answers everything in its own way, whatever it is asked for.
const PORTAL: &str = "portal eth1 198.51.100";

/// A portal on the first cable, and a good network with names on the second.
const BESIDE_PORTAL: &str = "
    portal eth1 198.51.100
    named eth2 192.0.2
";

/// A name server that says that every name is the machine itself.
const LIES: &str = "
    up eth1 198.51.100.1/24
    dhcp eth1 198.51.100.100 198.51.100.150 --dhcp-option=6,198.51.100.1
    dns 198.51.100.1 /#/127.0.0.1
";

/// The same, beside a good network with names.
const BESIDE_LIES: &str = "
    up eth1 198.51.100.1/24
    dhcp eth1 198.51.100.100 198.51.100.150 --dhcp-option=6,198.51.100.1
    dns 198.51.100.1 /#/127.0.0.1
    named eth2 192.0.2
";

/// A router whose way to the mirror takes packets of 1400 bytes, drops longer ones, and tells nobody.
/// The mirror's kernel, as ours, looks for what comes through.
const BLACK_HOLE: &str = "
    black_hole
    on far sysctl -q -w net.ipv4.tcp_mtu_probing=1
    on far web
";

/// The same, but the mirror's kernel looks for nothing, and its certificates alone are longer than what
/// comes through: nothing of the TLS handshake does.
const BLACK_HOLE_IN_THE_HANDSHAKE: &str = "
    black_hole
    on far sysctl -q -w net.ipv4.tcp_mtu_probing=0
    for copy in 1 2 3 4 5 6; do cat /etc/lab/tls.pem; done > /run/chain.pem
    on far 'chain=/run/chain.pem web'
";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::reaches_in(
            "net_mirror_by_name",
            "good --dhcp-option=6,192.0.2.1
             dns 192.0.2.1 /mirror.lab.example/192.0.2.1",
            named,
        )
        .checked(|run| {
            let asked = run.logged("dns", "mirror.lab.example").len();
            ensure!(asked > 0, "the lab's name server was never asked");
            Ok(())
        }),
        Case::reaches_in(
            "net_one_packet_in_ten_is_lost",
            "good
             tc qdisc add dev eth1 root netem loss 10%
             nft add table netdev lossy
             nft 'add chain netdev lossy in { type filter hook ingress device eth1 priority 0 ; }'
             nft add rule netdev lossy in numgen random mod 10 0 drop",
            plain,
        ),
        Case::reaches_in(
            "net_delay_150_ms",
            "good
             tc qdisc add dev eth1 root netem delay 150ms",
            plain,
        ),
        Case::reaches_in(
            "net_2_mbit",
            "good
             tc qdisc add dev eth1 root netem rate 2mbit",
            plain,
        )
        .checked(|run| {
            // How far, how fast, and how long still: as people see it.
            let said = run.result.serial.lines().filter(|line| line.contains(" MB of "));
            let told = said.filter(|it| it.contains(" %") && it.contains(" s left ")).count();
            ensure!(told > 2, "{told} lines say how far the download is");
            Ok(())
        }),
        Case::reaches_in("net_mtu_black_hole", BLACK_HOLE, black_hole),
        Case::reaches_in(
            "net_mtu_black_hole_in_the_handshake",
            BLACK_HOLE_IN_THE_HANDSHAKE,
            black_hole,
        )
        .checked(|run| {
            let said = "no answer to the TLS handshake";
            ensure!(run.result.serial.contains(said), "the console never says {said:?}");
            Ok(())
        })
        .slow(),
        Case::refused_in("net_captive_portal", Code::PageForPeople, PORTAL, |bench| {
            Ok(machine(bench, PLAIN_MIRROR).argument("--deadline=60s"))
        }),
        Case::reaches_in("net_captive_portal_beside_a_good_network", BESIDE_PORTAL, |bench| {
            Ok(machine(bench, PLAIN_MIRROR).lab_cables(2))
        })
        .checked(|run| {
            ensure!(!run.logged("web", "198.51.100.1").is_empty(), "the portal was never asked");
            used(run, "eth1", "192.0.2.1")
        }),
        Case::reaches_in("net_name_server_lies_beside_a_good_network", BESIDE_LIES, |bench| {
            Ok(named(bench)?.lab_cables(2))
        })
        .checked(|run| {
            let asked = run.logged("dns", "mirror.lab.example is 127.0.0.1").len();
            ensure!(asked > 0, "the lying name server was never asked");
            used(run, "eth1", "192.0.2.1")
        }),
        Case::refused_in("net_name_server_lies", Code::DnsFailed, LIES, |bench| {
            Ok(named(bench)?.argument("--deadline=60s"))
        }),
    ]
}

/// A machine whose mirror has a name.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn named(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, NAMED_MIRROR))
}

/// A machine whose mirror is behind the black hole.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn black_hole(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, "https://203.0.113.1/os.json"))
}
