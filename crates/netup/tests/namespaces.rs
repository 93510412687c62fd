//! The real thing against the kernel and a real DHCP server, in network namespaces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "support of tests, too, fail by panicking")]

#[allow(dead_code, reason = "not every test uses all of it")]
mod support;

use std::cell::Cell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use hostcfg::Addressing;
use hostcfg::BondMode;
use hostcfg::BondOptions;
use hostcfg::Bonding;
use hostcfg::InterfaceSelector;
use hostcfg::StaticAddressing;
use netup::ConnectError;
use netup::Link;
use netup::Method;
use netup::Plan;
use netup::ProbeError;
use netup::connect;
use netup::quiesce;
use report::Code;
use report::Failure;
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio::time::sleep;

use support::Machine;
use support::in_namespace;
use support::sh;

const RANGE: &str = "--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h";
const TOOLS: &[&str] = &["ip", "unshare", "nsenter", "dnsmasq"];

fn dhcp() -> Plan {
    Plan::new(Addressing::Dhcp)
}

fn fixed(address: &str, gateway: &str) -> Plan {
    let addressing = Addressing::Static(StaticAddressing {
        addresses: vec![address.parse().unwrap()],
        gateways: vec![gateway.parse().unwrap()],
    });
    Plan { addressing, ..dhcp() }
}

fn named(name: &str) -> InterfaceSelector {
    InterfaceSelector { name: Some(name.to_owned()), ..InterfaceSelector::default() }
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Whether a server can be reached over exactly this link.
async fn reach(link: &Link, server: &str) -> Result<(), ProbeError> {
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let socket = if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind_device(Some(link.interface.as_bytes())).unwrap();
    match tokio::time::timeout(Duration::from_secs(3), socket.connect(server)).await {
        Ok(Ok(_)) => Ok(()),
        other => Err(ProbeError::Transient(Failure::new(
            Code::ConnectFailed,
            format!("{}: {other:?}", link.interface),
        ))),
    }
}

fn fails(code: Code) -> Result<(), ProbeError> {
    Err(ProbeError::Final(Failure::new(code, "scripted")))
}

fn codes(error: &ConnectError) -> Vec<Code> {
    error.nics.iter().filter_map(|nic| Some(nic.failure.as_ref()?.code)).collect()
}

#[test]
fn a_lease_becomes_address_and_routes() {
    in_namespace("a_lease_becomes_address_and_routes", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.dnsmasq(
            "p0",
            &[RANGE, "--dhcp-option=26,1400", "--dhcp-option=6,10.77.0.1,10.77.0.3"],
        );
        let started = Instant::now();
        let connected =
            connect(&dhcp(), in_seconds(20), async |link| reach(&link, "10.77.0.1").await)
                .await
                .unwrap();
        println!("from nothing to an answer: {:?}", started.elapsed());
        let link = &connected.link;
        assert_eq!((link.interface.as_str(), link.method), ("v0", Method::Dhcp));
        assert_eq!(link.gateway(), Some("10.77.0.1".parse().unwrap()));
        assert_eq!(link.dns, ["10.77.0.1", "10.77.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!(link.dhcp_server, Some("10.77.0.1".parse().unwrap()));
        assert_eq!(link.lease_seconds, Some(3600));
        let [address] = link.addresses[..] else { panic!("{:?}", link.addresses) };
        assert!(address.to_string().starts_with("10.77.0.1") && address.prefix_len() == 24);

        assert!(sh("ip -4 address show dev v0").contains(&address.to_string()));
        let routes = sh("ip -4 route");
        let metric = 1024 + link.index;
        for (start, rest) in [("default via 10.77.0.1", "mtu 1400"), ("10.77.0.0/24", "mtu 1400")] {
            let route = routes.lines().find(|line| line.starts_with(start)).unwrap();
            assert!(route.contains(rest) && route.contains(&format!("metric {metric}")), "{route}");
        }
        assert!(sh("ip link show dev lo").contains("LOWER_UP"));
        assert!(server.logged().contains("vendor class: ramstrap"), "{}", server.logged());
        let [nic] = &connected.nics[..] else { panic!("{:?}", connected.nics) };
        assert!(nic.used && nic.carrier && nic.failure.is_none(), "{nic:?}");

        let quiesced = quiesce().await;
        assert!(quiesced.down.contains(&"v0".to_owned()), "{quiesced:?}");
        assert!(quiesced.failures.is_empty(), "{quiesced:?}");
        assert!(sh("ip link show dev v0").contains("state DOWN"));
    });
}

/// Where long packets may be swallowed, servers are told to send shorter ones.
#[test]
fn after_a_stall_servers_are_asked_for_shorter_packets() {
    let tools = &["ip", "unshare", "nsenter", "dnsmasq", "ss"];
    in_namespace("after_a_stall_servers_are_asked_for_shorter_packets", tools, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.dnsmasq("p0", &[RANGE]);
        let probes = Cell::new(0);
        let segment = async || {
            let to = SocketAddr::new("10.77.0.1".parse().unwrap(), 53);
            let _stream = TcpSocket::new_v4().unwrap().connect(to).await.unwrap();
            let all =
                server.sh("ss --tcp --info --numeric --no-header state established sport = :53");
            let mss = all.split_whitespace().find_map(|word| word.strip_prefix("mss:"));
            mss.unwrap_or_else(|| panic!("{all}")).parse::<u32>().unwrap()
        };
        let connected = connect(&dhcp(), in_seconds(30), async |_| {
            probes.set(probes.get() + 1);
            if probes.get() > 1 {
                return Ok(());
            }
            assert!(segment().await > 1400);
            Err(ProbeError::Transient(Failure::new(Code::Stalled, "scripted")))
        })
        .await
        .unwrap();
        assert_eq!(connected.link.interface, "v0");
        let narrow = segment().await;
        assert!((1200..=1240).contains(&narrow), "{narrow}");
    });
}

#[test]
fn an_address_that_another_machine_has_is_declined() {
    in_namespace("an_address_that_another_machine_has_is_declined", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        // Its kernel answers questions for this address, and its DHCP server gives it to us first.
        server.sh("ip address add 10.77.0.100/32 dev lo");
        sh("ip link set v0 address 52:54:00:00:00:77");
        server.dnsmasq("p0", &[RANGE, "--dhcp-host=52:54:00:00:00:77,10.77.0.100"]);
        let connected =
            connect(&dhcp(), in_seconds(40), async |link| reach(&link, "10.77.0.1").await)
                .await
                .unwrap();
        assert!(server.logged().contains("DHCPDECLINE(p0) 10.77.0.100"), "{}", server.logged());
        let [address] = connected.link.addresses[..] else { panic!("{:?}", connected.link) };
        assert_ne!(address.to_string(), "10.77.0.100/24");
        assert!(!sh("ip -4 address show dev v0").contains("10.77.0.100/"));
    });
}

#[test]
fn classless_routes_replace_the_router() {
    in_namespace("classless_routes_replace_the_router", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        let routes = "--dhcp-option=121,0.0.0.0/0,192.0.2.1,192.168.50.0/24,10.77.0.2";
        server.dnsmasq("p0", &[RANGE, "--dhcp-option=3,10.77.0.9", routes]);
        let plan = Plan { dns: vec!["10.77.0.8".parse().unwrap()], ..dhcp() };
        let connected = connect(&plan, in_seconds(20), async |_| Ok(())).await.unwrap();
        assert_eq!(connected.link.gateway(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(connected.link.dns, plan.dns);
        let routes = sh("ip -4 route");
        assert!(routes.contains("192.0.2.1 dev v0"), "{routes}");
        assert!(routes.contains("default via 192.0.2.1"), "{routes}");
        assert!(routes.contains("192.168.50.0/24 via 10.77.0.2"), "{routes}");
        assert!(!routes.contains("10.77.0.9"), "{routes}");
    });
}

/// What a server says must not send packets in circles, or out of a NIC that it is not on.
#[test]
fn routes_that_loop_stay_on_their_nic() {
    in_namespace("routes_that_loop_stay_on_their_nic", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.cable("v1", "p1", Some("10.78.0.1/24"));
        // The second NIC has the network that the first one's server names as gateway.
        sh("ip link set v1 up");
        sh("ip address add 10.78.0.9/24 dev v1");
        let routes = "--dhcp-option=121,172.16.1.0/24,172.16.2.1,172.16.2.0/24,172.16.1.1,\
                      192.168.0.0/16,192.168.0.1,0.0.0.0/0,10.78.0.1";
        server.dnsmasq("p0", &[RANGE, routes]);
        let plan = Plan { interfaces: vec![named("v0")], ..dhcp() };
        let connected = connect(&plan, in_seconds(20), async |_| Ok(())).await.unwrap();
        assert_eq!(connected.link.gateway(), Some("10.78.0.1".parse().unwrap()));
        let routes = sh("ip -4 route");
        println!("{routes}");
        for start in [
            "172.16.1.0/24 via 172.16.2.1 dev v0",
            "172.16.2.0/24 via 172.16.1.1 dev v0",
            "192.168.0.0/16 via 192.168.0.1 dev v0",
            "default via 10.78.0.1 dev v0",
        ] {
            assert!(routes.contains(start), "{start} in {routes}");
        }
        let other: Vec<&str> = routes.lines().filter(|line| line.contains("dev v1")).collect();
        assert!(other.len() <= 1 && !routes.contains("via 10.78.0.1 dev v1"), "{routes}");
        for to in ["172.16.1.9", "172.16.2.9", "192.168.7.7", "198.51.100.1"] {
            let path = sh(&format!("ip route get {to} oif v0"));
            assert!(path.contains("dev v0"), "{path}");
        }
    });
}

#[test]
fn the_useful_nic_wins_and_the_other_is_cleaned_up() {
    let tools = [TOOLS, &["sysctl"]].concat();
    in_namespace("the_useful_nic_wins_and_the_other_is_cleaned_up", &tools, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.cable("v1", "p1", Some("10.78.0.1/24"));
        sh("ip link add v2 type veth peer name unplugged");
        // A server that drops packets whose source belongs to another network: a DHCP message of
        // one NIC must not carry the address that another one has already got.
        for name in ["all", "p0", "p1"] {
            server.sh(&format!("sysctl -q -w net.ipv4.conf.{name}.rp_filter=1"));
        }
        server.sh("ip link set p1 down");
        server.dnsmasq("p0", &[RANGE]);
        server.dnsmasq("p1", &["--dhcp-range=10.78.0.100,10.78.0.150,255.255.255.0,1h"]);
        let seen = RefCell::new(Vec::new());
        let connected = connect(&dhcp(), in_seconds(40), async |link| {
            seen.borrow_mut().push(link.interface.clone());
            if link.interface == "v0" {
                assert!(sh("ip -4 address show dev v0").contains("10.77.0.1"));
                server.sh("ip link set p1 up");
                let failure = Failure::new(Code::ConnectFailed, "scripted");
                return Err(ProbeError::Transient(failure));
            }
            reach(&link, "10.78.0.1").await
        })
        .await
        .unwrap();
        assert_eq!(connected.link.interface, "v1");
        assert_eq!(seen.borrow().first().unwrap(), "v0");
        for loser in ["v0", "v2"] {
            let now = sh(&format!("ip address show dev {loser}"));
            assert!(!now.contains("inet ") && !now.contains("UP,"), "{now}");
        }
        let routes = sh("ip -4 route");
        assert!(
            !routes.contains("v0") && routes.contains("default via 10.78.0.1 dev v1"),
            "{routes}"
        );
        let used: Vec<bool> = connected.nics.iter().map(|nic| nic.used).collect();
        assert_eq!(used.iter().filter(|used| **used).count(), 1, "{:?}", connected.nics);
        let loser = connected.nics.iter().find(|nic| nic.interface == "v0").unwrap();
        assert_eq!(loser.failure.as_ref().unwrap().code, Code::ConnectFailed);
        reach(&connected.link, "10.78.0.1").await.unwrap();
    });
}

#[test]
fn the_nic_that_the_firmware_booted_from_answers_first_if_it_can() {
    let test = "the_nic_that_the_firmware_booted_from_answers_first_if_it_can";
    in_namespace(test, TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.cable("v1", "p1", Some("10.78.0.1/24"));
        server.dnsmasq("p0", &[RANGE]);
        server.dnsmasq("p1", &["--dhcp-range=10.78.0.100,10.78.0.150,255.255.255.0,1h"]);
        for preferred in ["v0", "v1"] {
            // The address stands behind "link/ether".
            let shown = sh(&format!("ip -oneline link show dev {preferred}"));
            let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
            let plan = Plan { preferred: Some(mac.unwrap().parse().unwrap()), ..dhcp() };
            let connected = connect(&plan, in_seconds(30), async |_| Ok(())).await.unwrap();
            assert_eq!(connected.link.interface, preferred);
            // Another one is used all the same if it leads nowhere.
            let connected = connect(&plan, in_seconds(30), async |link| {
                if link.interface == preferred {
                    core::future::pending::<()>().await;
                }
                Ok(())
            });
            assert_ne!(connected.await.unwrap().link.interface, preferred);
        }
    });
}

#[test]
fn two_nics_in_one_subnet_both_work() {
    in_namespace("two_nics_in_one_subnet_both_work", TOOLS, async || {
        let mut server = Machine::new();
        server.sh("ip link add br0 type bridge");
        server.sh("ip address add 10.77.0.1/24 dev br0");
        server.sh("ip link set br0 up");
        for number in 0..2 {
            server.cable(&format!("v{number}"), &format!("p{number}"), None);
            server.sh(&format!("ip link set p{number} master br0"));
            server.sh(&format!("ip link set p{number} up"));
        }
        server.dnsmasq("br0", &[RANGE]);
        // Over each NIC the server is reached while the other one is configured, too.
        let reached = RefCell::new(Vec::new());
        let connected = connect(&dhcp(), in_seconds(40), async |link| {
            while sh("ip -4 address").matches("inet 10.77.0.1").count() < 2 {
                sleep(Duration::from_millis(50)).await;
            }
            reach(&link, "10.77.0.1").await?;
            reached.borrow_mut().push(link.interface.clone());
            while reached.borrow().len() < 2 {
                sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        })
        .await
        .unwrap();
        // Without these, who asks for the address of one NIC may be given the other's.
        for (key, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
            for nic in ["v0", "v1"] {
                let path = format!("/proc/sys/net/ipv4/conf/{nic}/{key}");
                assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), value, "{path}");
            }
        }
        reached.borrow_mut().sort();
        assert_eq!(*reached.borrow(), ["v0", "v1"]);
        reach(&connected.link, "10.77.0.1").await.unwrap();
    });
}

#[test]
fn another_dhcp_server_is_tried_when_one_leads_nowhere() {
    in_namespace("another_dhcp_server_is_tried_when_one_leads_nowhere", TOOLS, async || {
        let mut good = Machine::new();
        let mut rogue = Machine::new();
        sh("ip link add br0 type bridge");
        sh("ip link set br0 up");
        good.cable("g0", "p0", Some("10.77.0.1/24"));
        rogue.cable("r0", "p0", Some("10.99.0.1/24"));
        sh("ip link add v0 type veth peer name b0");
        for port in ["g0", "r0", "b0"] {
            sh(&format!("ip link set {port} master br0"));
            sh(&format!("ip link set {port} up"));
        }
        good.dnsmasq("p0", &[RANGE, "--dhcp-reply-delay=1"]);
        rogue.dnsmasq("p0", &["--dhcp-range=10.99.0.100,10.99.0.150,255.255.255.0,1h"]);
        let plan = Plan { interfaces: vec![named("v0")], ..dhcp() };
        let connected = connect(&plan, in_seconds(60), async |link| {
            if link.dhcp_server == Some("10.77.0.1".parse().unwrap()) {
                return reach(&link, "10.77.0.1").await;
            }
            sleep(Duration::from_secs(2)).await;
            fails(Code::TlsUntrusted)
        })
        .await
        .unwrap();
        assert_eq!(connected.link.gateway(), Some("10.77.0.1".parse().unwrap()));
        assert!(rogue.logged().contains("DHCPACK"), "the rogue server was never used");
        assert!(!sh("ip -4 address show dev v0").contains("10.99.0."));
    });
}

#[test]
fn a_lease_is_renewed_while_it_is_held() {
    in_namespace("a_lease_is_renewed_while_it_is_held", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.dnsmasq("p0", &[RANGE, "--dhcp-option=58,3", "--dhcp-option=59,3000"]);
        let connected = connect(&dhcp(), in_seconds(20), async |_| Ok(())).await.unwrap();
        let requests = || server.logged().matches("DHCPREQUEST(").count();
        assert_eq!(requests(), 1);
        let end = in_seconds(20);
        while requests() < 2 {
            assert!(Instant::now() < end, "{}", server.logged());
            sleep(Duration::from_millis(100)).await;
        }
        drop(connected);
        sleep(Duration::from_millis(200)).await;
        let before = requests();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(requests(), before, "renewed although nobody holds it");
    });
}

#[test]
fn a_server_and_a_carrier_that_come_late_are_waited_for() {
    in_namespace("a_server_and_a_carrier_that_come_late_are_waited_for", TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.sh("ip address add 10.77.0.1/24 dev p0");
        let plan = dhcp();
        let connecting = connect(&plan, in_seconds(60), async |_| Ok(()));
        let late = async {
            sleep(Duration::from_secs(2)).await;
            server.sh("ip link set p0 up");
            sleep(Duration::from_secs(3)).await;
            server.dnsmasq("p0", &[RANGE]);
        };
        let (connected, ()) = tokio::join!(connecting, late);
        let connected = connected.unwrap();
        assert_eq!(connected.link.interface, "v0");
        assert_eq!(connected.nics[0].failure, None);
    });
}

#[test]
fn a_nic_that_appears_late_is_used() {
    in_namespace("a_nic_that_appears_late_is_used", TOOLS, async || {
        let server = Machine::new();
        let plan = Plan { interfaces: vec![named("late")], ..fixed("10.77.0.5/24", "10.77.0.1") };
        let connecting =
            connect(&plan, in_seconds(30), async |link| reach(&link, "10.77.0.1").await);
        let late = async {
            sleep(Duration::from_secs(1)).await;
            server.cable("late", "p0", Some("10.77.0.1/24"));
            let _listener = server.listen();
            sleep(Duration::from_secs(20)).await;
        };
        tokio::select! {
            connected = connecting => assert_eq!(connected.unwrap().link.interface, "late"),
            () = late => panic!("not connected"),
        }
    });
}

#[test]
fn static_addresses_work_with_a_gateway_anywhere() {
    in_namespace("static_addresses_work_with_a_gateway_anywhere", TOOLS, async || {
        let server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.sh("ip address add 192.0.2.1/32 dev p0");
        server.sh("ip address add 2001:db8::1/64 dev p0 nodad");
        let _listener = server.listen();
        for (address, gateway, ask) in [
            ("10.77.0.5/24", "10.77.0.1", "10.77.0.1"),
            ("10.77.0.5/24", "192.0.2.1", "192.0.2.1"),
            ("10.77.0.5/32", "10.77.0.1", "10.77.0.1"),
            ("2001:db8::5/64", "2001:db8::1", "2001:db8::1"),
            ("2001:db8::5/128", "2001:db8::1", "2001:db8::1"),
        ] {
            let plan = fixed(address, gateway);
            let connected = connect(&plan, in_seconds(20), async |link| reach(&link, ask).await)
                .await
                .unwrap_or_else(|error| panic!("{address} by {gateway}: {error}"));
            assert_eq!(connected.link.addresses[0].to_string(), address);
            assert_eq!(connected.link.method, Method::Static);
            let family = if address.contains('.') { "-4" } else { "-6" };
            let routes = sh(&format!("ip {family} route"));
            assert!(routes.contains(&format!("default via {gateway} dev v0")), "{routes}");
        }
        // The last configuration is there, and nothing of those before.
        let addresses = sh("ip address show dev v0");
        assert!(addresses.contains("2001:db8::5/128"), "{addresses}");
        assert!(
            !addresses.contains("2001:db8::5/64") && !addresses.contains("10.77"),
            "{addresses}"
        );
    });
}

#[test]
fn an_unplugged_nic_does_not_win_with_a_static_address() {
    in_namespace("an_unplugged_nic_does_not_win_with_a_static_address", TOOLS, async || {
        let server = Machine::new();
        sh("ip link add a0 type veth peer name unplugged");
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        let _listener = server.listen();
        let plan = Plan {
            interfaces: vec![named("a0"), named("v0")],
            ..fixed("10.77.0.5/24", "10.77.0.1")
        };
        let connected =
            connect(&plan, in_seconds(20), async |link| reach(&link, "10.77.0.1").await)
                .await
                .unwrap();
        assert_eq!(connected.link.interface, "v0");
    });
}

#[test]
fn failures_say_what_is_missing() {
    in_namespace("failures_say_what_is_missing", TOOLS, async || {
        let error = connect(&dhcp(), in_seconds(1), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::NoInterface);

        let server = Machine::new();
        server.cable("v0", "p0", None);
        let error = connect(&dhcp(), in_seconds(1), async |_| Ok(())).await.unwrap_err();
        assert_eq!((error.failure.code, codes(&error)), (Code::NoCarrier, vec![Code::NoCarrier]));

        let plan = Plan { interfaces: vec![named("eth7")], ..dhcp() };
        let error = connect(&plan, in_seconds(1), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::InterfaceNotFound);
        assert!(error.failure.detail.contains("eth7") && error.failure.detail.contains("v0 ("));

        server.sh("ip link set p0 up");
        let error = connect(&dhcp(), in_seconds(4), async |_| Ok(())).await.unwrap_err();
        assert_eq!((error.failure.code, codes(&error)), (Code::NoLease, vec![Code::NoLease]));
        assert!(error.failure.detail.starts_with("v0: asked"), "{}", error.failure.detail);

        let plan = fixed("10.77.0.5/24", "10.77.0.1");
        let error = connect(&plan, in_seconds(2), async |link| reach(&link, "10.77.0.1").await);
        let error = error.await.unwrap_err();
        assert_eq!(error.failure.code, Code::DeadlineReached);
        assert!(!sh("ip address show dev v0").contains("10.77"), "addresses are removed");
        assert!(sh("ip link show dev v0").contains("UP,"), "the link stays up");
    });
}

#[test]
fn what_cannot_heal_fails_at_once() {
    in_namespace("what_cannot_heal_fails_at_once", TOOLS, async || {
        let server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.cable("v1", "p1", Some("10.78.0.1/24"));
        let probes = Cell::new(0);
        let started = Instant::now();
        let plan = fixed("10.77.0.5/24", "10.77.0.1");
        let error = connect(&plan, in_seconds(500), async |link| {
            probes.set(probes.get() + 1);
            fails(if link.interface == "v1" { Code::BelowThreshold } else { Code::NotFound })
        })
        .await
        .unwrap_err();
        assert_eq!(probes.get(), 2, "nothing is tried again");
        assert_eq!(error.failure.code, Code::BelowThreshold, "security is graver");
        assert_eq!(error.nics.len(), 2);
        assert!(started.elapsed() < Duration::from_secs(100), "long before the deadline");
    });
}

#[test]
fn an_impossible_static_configuration_is_named() {
    in_namespace("an_impossible_static_configuration_is_named", TOOLS, async || {
        let server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        let plan = fixed("10.77.0.5/24", "2001:db8::1");
        let error = connect(&plan, in_seconds(500), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::AddressSetup);
        assert!(error.failure.detail.contains("two families"), "{}", error.failure.detail);
    });
}

#[test]
fn a_bond_is_used_as_one_nic() {
    in_namespace("a_bond_is_used_as_one_nic", TOOLS, async || {
        let mut server = Machine::new();
        server.sh("ip link add br0 type bridge");
        server.sh("ip address add 10.77.0.1/24 dev br0");
        server.sh("ip link set br0 up");
        for number in 0..2 {
            server.cable(&format!("v{number}"), &format!("p{number}"), None);
            server.sh(&format!("ip link set p{number} master br0"));
            server.sh(&format!("ip link set p{number} up"));
        }
        server.dnsmasq("br0", &[RANGE]);
        let bonding = Bonding {
            mode: BondMode::ActiveBackup,
            name: "bond7".to_owned(),
            options: BondOptions::default(),
        };
        let interfaces = vec![named("v0"), named("v1")];
        let plan = Plan { bonding: Some(bonding), interfaces, ..dhcp() };
        let result =
            connect(&plan, in_seconds(30), async |link| reach(&link, "10.77.0.1").await).await;
        match result {
            Ok(connected) => {
                assert_eq!(connected.link.interface, "bond7");
                assert_eq!(sh("ip link").matches("master bond7").count(), 2);
                let quiesced = quiesce().await;
                assert_eq!(quiesced.down[0], "bond7", "{quiesced:?}");
                assert!(!sh("ip link show master bond7").contains("UP,"));
            }
            // A kernel without bonding says so at once.
            Err(error) => {
                assert!(!std::path::Path::new("/sys/module/bonding").exists(), "{error}");
                assert_eq!(error.failure.code, Code::AddressSetup, "{error}");
                assert!(error.failure.detail.starts_with("making the bond bond7 (active-backup)"));
            }
        }
    });
}
