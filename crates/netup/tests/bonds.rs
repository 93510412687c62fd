//! Bonds and VLANs against the kernel, in network namespaces. Skipped where the kernel has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "support of tests, too, fail by panicking")]

#[allow(dead_code, reason = "not every test uses all of it")]
mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use hostcfg::Addressing;
use hostcfg::BondMode;
use hostcfg::BondOptions;
use hostcfg::Bonding;
use hostcfg::InterfaceSelector;
use hostcfg::LacpRate;
use hostcfg::XmitHashPolicy;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use netup::connect;
use report::Code;
use report::Failure;
use tokio::net::TcpSocket;
use tokio::time::Instant;

use support::Machine;
use support::in_namespace;
use support::sh;

const TOOLS: &[&str] = &["ip", "unshare", "nsenter", "dnsmasq"];
const RANGE: &str = "--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h";

/// Whether the kernel can make such a link; says so if not. To be asked inside of a namespace.
fn kernel_has(kind: &str) -> bool {
    let made = Command::new("ip")
        .args(["link", "add", "probe9"])
        .args(kind.split_whitespace())
        .output()
        .unwrap();
    if made.status.success() {
        sh("ip link del probe9");
    } else {
        println!("skipped: this kernel has no {kind}");
    }
    made.status.success()
}

fn named(name: &str) -> InterfaceSelector {
    InterfaceSelector { name: Some(name.to_owned()), ..InterfaceSelector::default() }
}

fn bond(mode: BondMode, options: BondOptions) -> Plan {
    Plan {
        bonding: Some(Bonding { mode, name: "bond7".to_owned(), options }),
        interfaces: vec![named("v0"), named("v1")],
        ..Plan::new(Addressing::Dhcp)
    }
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

async fn reach(link: &Link, server: &str) -> Result<(), ProbeError> {
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind_device(Some(link.interface.as_bytes())).unwrap();
    match tokio::time::timeout(Duration::from_secs(3), socket.connect(server)).await {
        Ok(Ok(_)) => Ok(()),
        other => Err(ProbeError::Transient(Failure::new(
            Code::ConnectFailed,
            format!("{}: {other:?}", link.interface),
        ))),
    }
}

/// Two cables to a bond on the other machine.
fn partner(server: &Machine, mode: &str) {
    server.sh(&format!("ip link add bond0 type bond mode {mode} miimon 100"));
    for number in 0..2 {
        server.cable(&format!("v{number}"), &format!("p{number}"), None);
        server.sh(&format!("ip link set p{number} master bond0"));
    }
    server.sh("ip address add 10.77.0.1/24 dev bond0");
    server.sh("ip link set bond0 up");
}

#[test]
fn lacp_is_up_before_the_first_packet() {
    in_namespace("lacp_is_up_before_the_first_packet", TOOLS, async || {
        if !kernel_has("type bond") {
            return;
        }
        let mut server = Machine::new();
        partner(&server, "802.3ad");
        server.dnsmasq("bond0", &[RANGE]);
        let options = BondOptions {
            lacp_rate: Some(LacpRate::Slow),
            xmit_hash_policy: Some(XmitHashPolicy::Layer34),
            min_links: Some(2),
            miimon: Some(50),
            ..BondOptions::default()
        };
        let plan = bond(BondMode::Ieee8023ad, options);
        let started = Instant::now();
        let first = RefCell::new(String::new());
        let connected = connect(&plan, in_seconds(90), async |link| {
            if first.borrow().is_empty() {
                *first.borrow_mut() = sh("ip -details link show bond7");
            }
            reach(&link, "10.77.0.1").await
        })
        .await
        .unwrap();
        println!("from nothing to an answer: {:?}", started.elapsed());
        assert_eq!(connected.link.interface, "bond7");
        let first = first.into_inner();
        for setting in
            ["802.3ad", "miimon 50", "layer3+4", "min_links 2", "lacp_rate slow", "ad_num_ports 2"]
        {
            assert!(first.contains(setting), "{setting}: {first}");
        }
        assert!(!first.contains("partner_mac 00:00:00:00:00:00"), "{first}");

        // Another attempt finds the bond as it is, and its members in it.
        let index = connected.link.index;
        drop(connected);
        let again = connect(&plan, in_seconds(30), async |link| reach(&link, "10.77.0.1").await);
        assert_eq!(again.await.unwrap().link.index, index, "the bond was made anew");
    });
}

#[test]
fn a_switch_without_lacp_is_not_waited_for_for_ever() {
    in_namespace("a_switch_without_lacp_is_not_waited_for_for_ever", TOOLS, async || {
        if !kernel_has("type bond") {
            return;
        }
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.dnsmasq("p0", &[RANGE]);
        let plan = Plan {
            interfaces: vec![named("v0"), named("dead")],
            ..bond(BondMode::Ieee8023ad, BondOptions::default())
        };
        let started = Instant::now();
        let connected =
            connect(&plan, in_seconds(120), async |link| reach(&link, "10.77.0.1").await);
        assert_eq!(connected.await.unwrap().link.interface, "bond7");
        println!("from nothing to an answer: {:?}", started.elapsed());
    });
}

#[test]
fn every_mode_works_with_a_dead_member() {
    in_namespace("every_mode_works_with_a_dead_member", TOOLS, async || {
        if !kernel_has("type bond") {
            return;
        }
        for mode in BondMode::ALL.into_iter().filter(|mode| *mode != BondMode::Ieee8023ad) {
            let mut server = Machine::new();
            server.cable("v0", "p0", Some("10.77.0.1/24"));
            sh("ip link add v1 type veth peer name unplugged");
            server.dnsmasq("p0", &[RANGE]);
            let options = BondOptions {
                primary: (mode == BondMode::ActiveBackup).then(|| "v1".to_owned()),
                updelay: Some(100),
                downdelay: Some(200),
                ..BondOptions::default()
            };
            let plan = Plan { mtu: Some(2000), ..bond(mode, options) };
            let connected =
                connect(&plan, in_seconds(30), async |link| reach(&link, "10.77.0.1").await);
            let connected = connected.await.unwrap_or_else(|error| panic!("{mode}: {error}"));
            let details = sh("ip -details link show bond7");
            for setting in [mode.name(), "updelay 100", "downdelay 200", "mtu 2000"] {
                assert!(details.contains(setting), "{setting}: {details}");
            }
            assert_eq!(details.contains("primary v1"), mode == BondMode::ActiveBackup, "{details}");
            drop(connected);
            sh("ip link del bond7");
            sh("ip link del v0");
            sh("ip link del v1");
        }
    });
}

#[test]
fn a_tagged_network_is_used_and_the_other_links_are_removed() {
    in_namespace("a_tagged_network_is_used_and_the_other_links_are_removed", TOOLS, async || {
        sh("ip link add below type veth peer name other");
        if !kernel_has("link below type vlan id 9") {
            return;
        }
        sh("ip link del below");
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.cable("v1", "p1", None);
        for port in ["p0", "p1"] {
            server.sh(&format!("ip link set {port} up"));
        }
        server.sh("ip link add link p1 name tagged type vlan id 100");
        server.sh("ip address add 10.77.0.1/24 dev tagged");
        server.sh("ip link set tagged up");
        server.dnsmasq("tagged", &[RANGE]);
        let plan = Plan { vlan: Some(100), mtu: Some(2000), ..Plan::new(Addressing::Dhcp) };
        let error = connect(&plan, in_seconds(2), async |_| {
            Err::<(), _>(ProbeError::Transient(Failure::new(Code::ConnectFailed, "scripted")))
        });
        error.await.unwrap_err();
        let left = sh("ip -details link");
        assert!(left.contains("v0.100@v0") && left.contains("v1.100@v1"), "{left}");
        let connected =
            connect(&plan, in_seconds(30), async |link| reach(&link, "10.77.0.1").await);
        let connected = connected.await.unwrap();
        assert_eq!(connected.link.interface, "v1.100");
        let links = sh("ip -details link");
        assert!(!links.contains("v0.100"), "{links}");
        assert!(links.contains("vlan protocol 802.1Q id 100"), "{links}");
        assert!(sh("ip link show dev v1").contains("UP,"), "the link below stays up");
        assert!(sh("ip link show dev v1.100").contains("mtu 2000"));
        assert!(!sh("ip link show dev v0").contains("UP,"));
    });
}

#[test]
fn a_tagged_network_over_a_bond_is_used() {
    in_namespace("a_tagged_network_over_a_bond_is_used", TOOLS, async || {
        if !kernel_has("type bond") {
            return;
        }
        let mut server = Machine::new();
        partner(&server, "802.3ad");
        server.sh("ip link add link bond0 name tagged type vlan id 4094");
        server.sh("ip address del 10.77.0.1/24 dev bond0");
        server.sh("ip address add 10.77.0.1/24 dev tagged");
        server.sh("ip link set tagged up");
        server.dnsmasq("tagged", &[RANGE]);
        let plan = Plan { vlan: Some(4094), ..bond(BondMode::Ieee8023ad, BondOptions::default()) };
        let connected =
            connect(&plan, in_seconds(90), async |link| reach(&link, "10.77.0.1").await);
        assert_eq!(connected.await.unwrap().link.interface, "bond7.4094");
    });
}

#[test]
fn what_stands_in_the_way_is_named() {
    in_namespace("what_stands_in_the_way_is_named", TOOLS, async || {
        sh("ip link add bond7 type veth peer name v0");
        let plan = bond(BondMode::ActiveBackup, BondOptions::default());
        let error = connect(&plan, in_seconds(5), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::AddressSetup, "{error}");
        assert!(error.failure.detail.contains("not a bond"), "{error}");
        sh("ip link add v0.100 type veth peer name v1");
        let plan =
            Plan { vlan: Some(100), interfaces: vec![named("v0")], ..Plan::new(Addressing::Dhcp) };
        let error = connect(&plan, in_seconds(3), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::AddressSetup, "{error}");
        assert!(error.failure.detail.contains("with the name v0.100"), "{error}");
    });
}
