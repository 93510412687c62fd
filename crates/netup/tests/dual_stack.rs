//! Both families against the kernel, a real router and a real DHCPv6 server, in network namespaces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "support of tests, too, fail by panicking")]

#[allow(dead_code, reason = "not every test uses all of it")]
mod support;

use std::cell::RefCell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use hostcfg::Addressing;
use hostcfg::Cidr;
use hostcfg::Route;
use hostcfg::StaticAddressing;
use netup::Link;
use netup::Method;
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

const TOOLS: &[&str] = &["ip", "unshare", "nsenter", "dnsmasq", "sysctl"];
const WITH_ROUTER: &[&str] = &["ip", "unshare", "nsenter", "dnsmasq", "sysctl", "radvd"];
const PREFIX: &str = " prefix 2001:db8:7::/64 { AdvOnLink on; AdvAutonomous on; };\n \
                      RDNSS 2001:db8:7::53 { };\n DNSSL example.net { };";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn fixed(addresses: &[&str], gateways: &[&str]) -> Plan {
    Plan::new(Addressing::Static(StaticAddressing {
        addresses: addresses.iter().map(|text| cidr(text)).collect(),
        gateways: gateways.iter().map(|text| ip(text)).collect(),
    }))
}

fn auto() -> Plan {
    Plan::new(Addressing::Auto)
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Whether a server can be reached over exactly this link.
async fn reach(link: &Link, server: &str) -> Result<(), ProbeError> {
    let server = SocketAddr::new(ip(server), 53);
    let socket = if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind_device(Some(link.interface.as_bytes())).unwrap();
    match tokio::time::timeout(Duration::from_secs(3), socket.connect(server)).await {
        Ok(Ok(_)) => Ok(()),
        other => Err(transient(&format!("{}: {other:?}", link.interface))),
    }
}

fn transient(detail: &str) -> ProbeError {
    ProbeError::Transient(Failure::new(Code::ConnectFailed, detail))
}

fn six(link: &Link) -> bool {
    link.addresses.iter().any(|address| address.address().is_ipv6())
}

#[test]
fn static_addresses_of_both_families_work_with_routes_and_mtu() {
    let test = "static_addresses_of_both_families_work_with_routes_and_mtu";
    in_namespace(test, TOOLS, async || {
        let server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.sh("ip address add 10.99.0.1/32 dev lo");
        server.sh("ip address add 10.77.1.1/24 dev p0");
        let _listener = server.listen();
        let plan = Plan {
            routes: vec![Route { to: cidr("10.99.0.0/24"), via: Some(ip("10.77.1.1")) }],
            mtu: Some(1400),
            ..fixed(
                &["10.77.0.5/24", "10.77.1.5/24", "2001:db8:7::5/64"],
                &["10.77.0.1", "2001:db8:7::1"],
            )
        };
        let connected = connect(&plan, in_seconds(20), async |link| {
            if !six(&link) {
                return Err(transient("not everything is there"));
            }
            for server in ["10.77.0.1", "10.99.0.1", "2001:db8:7::1"] {
                reach(&link, server).await?;
            }
            Ok(())
        });
        let link = connected.await.unwrap().link;
        assert_eq!(link.method, Method::Static);
        let all = ["10.77.0.5/24", "10.77.1.5/24", "2001:db8:7::5/64"].map(cidr);
        assert_eq!(link.addresses, all);
        assert_eq!(link.gateways, ["10.77.0.1", "2001:db8:7::1"].map(ip));
        let (four, six) = (sh("ip -4 route"), sh("ip -6 route"));
        assert!(four.contains("10.99.0.0/24 via 10.77.1.1") && four.contains("mtu 1400"), "{four}");
        assert!(four.contains("src 10.77.1.5"), "the source is near the gateway: {four}");
        assert!(six.contains("default via 2001:db8:7::1") && six.contains("mtu 1400"), "{six}");
    });
}

#[test]
fn a_static_address_that_somebody_else_has_is_not_used_until_it_is_free() {
    let test = "a_static_address_that_somebody_else_has_is_not_used_until_it_is_free";
    in_namespace(test, TOOLS, async || {
        for address in ["10.77.0.5/24", "2001:db8:7::5/64"] {
            let server = Machine::new();
            server.cable("v0", "p0", Some("10.77.0.1/24"));
            server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
            server.sh(&format!("ip address add {address} dev p0 nodad"));
            let gateway = if address.contains(':') { "2001:db8:7::1" } else { "10.77.0.1" };
            let plan = fixed(&[address], &[gateway]);
            let error = connect(&plan, in_seconds(4), async |_| Ok(())).await.unwrap_err();
            assert_eq!(error.failure.code, Code::AddressConflict, "{error}");
            assert!(error.failure.detail.contains(address), "{error}");
            let freed = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                server.sh(&format!("ip address del {address} dev p0"));
            };
            let connecting = connect(&plan, in_seconds(40), async |_| Ok(()));
            let (connected, ()) = tokio::join!(connecting, freed);
            assert_eq!(connected.unwrap().link.addresses, [cidr(address)]);
            sh("ip link del v0");
        }
    });
}

#[test]
fn two_nics_of_one_network_may_have_the_same_addresses() {
    let test = "two_nics_of_one_network_may_have_the_same_addresses";
    in_namespace(test, TOOLS, async || {
        let server = Machine::new();
        server.sh("ip link add br0 type bridge");
        server.sh("ip address add 10.77.0.1/24 dev br0");
        server.sh("ip address add 2001:db8:7::1/64 dev br0 nodad");
        server.sh("ip link set br0 up");
        for number in 0..2 {
            server.cable(&format!("v{number}"), &format!("p{number}"), None);
            server.sh(&format!("ip link set p{number} master br0"));
            server.sh(&format!("ip link set p{number} up"));
        }
        let plan = fixed(&["10.77.0.5/24", "2001:db8:7::5/64"], &["10.77.0.1", "2001:db8:7::1"]);
        let seen = RefCell::new(Vec::new());
        let connected = connect(&plan, in_seconds(20), async |link| {
            if six(&link) {
                seen.borrow_mut().push(link.interface);
            }
            let seen = seen.borrow();
            let both = ["v0", "v1"].iter().all(|name| seen.iter().any(|seen| seen == name));
            if both { Ok(()) } else { Err(transient("not both yet")) }
        });
        connected.await.unwrap();
    });
}

#[test]
fn an_ipv6_only_network_is_used() {
    in_namespace("an_ipv6_only_network_is_used", WITH_ROUTER, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.sh("ip link set p0 up");
        server.radvd("p0", PREFIX);
        let _listener = server.listen();
        let started = Instant::now();
        let connected =
            connect(&auto(), in_seconds(30), async |link| reach(&link, "2001:db8:7::1").await)
                .await
                .unwrap();
        println!("from nothing to an answer: {:?}", started.elapsed());
        let link = connected.link;
        assert_eq!(link.method, Method::Slaac);
        let [address] = link.addresses[..] else { panic!("{:?}", link.addresses) };
        assert!(address.to_string().starts_with("2001:db8:7:"), "{address}");
        assert!(link.gateway().unwrap().to_string().starts_with("fe80:"));
        assert_eq!(link.dns, [ip("2001:db8:7::53")]);
        assert_eq!(link.search, ["example.net"]);
        assert_eq!(link.dhcp_server, None);
        let addresses = sh("ip -6 address show dev v0 scope global");
        assert_eq!(addresses.matches("inet6").count(), 1, "the kernel adds none: {addresses}");
        let nic = &connected.nics[0];
        assert!(nic.used && nic.method == "slaac" && nic.failure.is_none(), "{nic:?}");
    });
}

#[test]
fn with_two_families_the_one_that_works_is_enough() {
    in_namespace("with_two_families_the_one_that_works_is_enough", WITH_ROUTER, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.radvd("p0", PREFIX);
        server.dnsmasq("p0", &["--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h"]);
        for good in ["2001:db8:7::1", "10.77.0.1"] {
            let plan = auto();
            let connected = connect(&plan, in_seconds(30), async |link| {
                // Nothing comes back over the other family.
                let has =
                    link.addresses.iter().any(|own| own.address().is_ipv4() == good.contains('.'));
                if !has {
                    core::future::pending::<()>().await;
                }
                reach(&link, good).await
            });
            connected.await.unwrap_or_else(|error| panic!("{good}: {error}"));
        }
    });
}

#[test]
fn a_plan_for_dhcp_asks_no_router() {
    in_namespace("a_plan_for_dhcp_asks_no_router", WITH_ROUTER, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.sh("ip link set p0 up");
        server.radvd("p0", PREFIX);
        let plan = Plan::new(Addressing::Dhcp);
        let error = connect(&plan, in_seconds(5), async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.failure.code, Code::NoLease, "{error}");
    });
}

#[test]
fn addresses_come_from_a_dhcpv6_server_where_a_router_says_so() {
    let test = "addresses_come_from_a_dhcpv6_server_where_a_router_says_so";
    in_namespace(test, TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.sh("ip link set p0 up");
        server.sh("sysctl -q -w net.ipv6.conf.all.forwarding=1");
        server.dnsmasq(
            "p0",
            &[
                "--enable-ra",
                "--dhcp-range=2001:db8:7::100,2001:db8:7::1ff,64,1h",
                "--dhcp-option=option6:dns-server,[2001:db8:7::53]",
                "--dhcp-option=option6:domain-search,example.org",
                "--dhcp-option=option6:ntp-server,[2001:db8:7::123]",
            ],
        );
        let started = Instant::now();
        let connected =
            connect(&auto(), in_seconds(30), async |link| reach(&link, "2001:db8:7::1").await)
                .await
                .unwrap();
        println!("from nothing to an answer: {:?}", started.elapsed());
        let link = connected.link;
        assert_eq!(link.method, Method::Dhcp6, "{link:?}");
        let [address] = link.addresses[..] else { panic!("{:?}", link.addresses) };
        assert!(address.to_string().starts_with("2001:db8:7::1"), "{address}");
        assert_eq!(link.dns.first(), Some(&ip("2001:db8:7::53")), "{link:?}");
        assert!(link.search.contains(&"example.org".to_owned()), "{link:?}");
        assert_eq!(link.lease_seconds, Some(3600));
        let routes = sh("ip -6 route");
        assert!(routes.contains("2001:db8:7::/64 dev v0"), "{routes}");
        assert!(routes.contains("default via fe80:"), "{routes}");
    });
}

#[test]
fn what_goes_with_an_address_comes_by_stateless_dhcpv6() {
    let test = "what_goes_with_an_address_comes_by_stateless_dhcpv6";
    in_namespace(test, TOOLS, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", None);
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.sh("ip link set p0 up");
        server.sh("sysctl -q -w net.ipv6.conf.all.forwarding=1");
        server.dnsmasq(
            "p0",
            &[
                "--enable-ra",
                "--dhcp-range=2001:db8:7::,ra-stateless,64,1h",
                "--dhcp-option=option6:ntp-server,[2001:db8:7::123]",
            ],
        );
        let plan = auto();
        let connected = connect(&plan, in_seconds(30), async |link| {
            if link.ntp.is_empty() {
                return Err(transient("not everything is there"));
            }
            Ok(())
        });
        let link = connected.await.unwrap().link;
        assert_eq!(link.method, Method::Slaac, "{link:?}");
        assert_eq!(link.ntp, [ip("2001:db8:7::123")]);
    });
}

#[test]
fn a_rogue_lease_does_not_keep_the_other_family_from_working() {
    let test = "a_rogue_lease_does_not_keep_the_other_family_from_working";
    in_namespace(test, WITH_ROUTER, async || {
        let mut server = Machine::new();
        server.cable("v0", "p0", Some("10.77.0.1/24"));
        server.sh("ip address add 2001:db8:7::1/64 dev p0 nodad");
        server.radvd("p0", PREFIX);
        server.dnsmasq("p0", &["--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h"]);
        let probes = RefCell::new(0);
        let plan = auto();
        let connected = connect(&plan, in_seconds(30), async |link| {
            *probes.borrow_mut() += 1;
            if six(&link) {
                return reach(&link, "2001:db8:7::1").await;
            }
            // Somebody else's server answers over IPv4: this will not get better.
            Err(ProbeError::Final(Failure::new(Code::TlsUntrusted, "scripted")))
        });
        connected.await.unwrap();
        assert!(*probes.borrow() <= 3, "nothing is tried again: {probes:?}");
    });
}
