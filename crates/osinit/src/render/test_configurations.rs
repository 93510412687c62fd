//! The renderers against the real programs. What is not installed is said and left out.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use provision::config::ServiceConfig;

use super::Ruleset;
use super::TorPaths;
use super::chrony;
use super::setconf;
use super::torrc;
use super::translation;
use super::unbound;

const VPN: &str = r#"{"version":1,"service":"vpn","hostname":"se-sto-1",
    "wireguard":{"private_key":"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=","listen_port":51820,
        "addresses":["10.64.0.1/24","fd00:64::1/64"],
        "peers":[{"public_key":"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
            "preshared_key":"FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
            "allowed_ips":["10.64.0.2/32","fd00:64::2/128"]},
            {"public_key":"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
            "allowed_ips":["10.64.0.3/32"]}]},
    "dns":{"forward_to":["192.0.2.1","2001:db8::53@5353"]},
    "time":{"servers":["time.example","192.0.2.9"],"nts":true},
    "ssh":{"port":2222,"authorized_keys":["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlp3lTPzwc7yyLRLHnNmhbS5wcKHtXxVAr4u8lVnmwO a"],
        "allow_from":["198.51.100.0/24","2001:db8:7::/48"]}}"#;

fn vpn(json: &str) -> ServiceConfig {
    ServiceConfig::parse(json.as_bytes()).unwrap()
}

fn ruleset(config: &ServiceConfig) -> String {
    Ruleset::new(config, ("eth0", "192.0.2.7".parse().ok()), "wg0", BTreeSet::from([80, 443, 8443]))
        .render()
}

/// Gives a file to a program and its exit status and output back; `None` without the program.
fn judge(program: &str, arguments: &[&str], text: &str) -> Option<(bool, String)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = arguments.iter().map(|word| if *word == "FILE" { path } else { *word });
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

/// `nft --check` asks the kernel; one without nftables cannot tell.
fn nft_takes(text: &str) {
    let Some((good, said)) = judge("/usr/sbin/nft", &["--check", "--file", "FILE"], text) else {
        return;
    };
    let cannot_tell = said.contains("cache initialization failed")
        || said.contains("Operation not permitted")
        || said.contains("Operation not supported")
        || said.contains("Unable to initialize Netlink");
    if cannot_tell {
        println!("skipped: this kernel or user has no nftables: {said}");
        return;
    }
    assert!(good, "{said}\n{text}");
}

#[test]
fn nft_takes_the_ruleset_of_a_vpn_server() {
    nft_takes(&ruleset(&vpn(VPN)));
}

#[test]
fn another_address_of_the_uplink_takes_the_place_of_the_first() {
    let config = vpn(VPN);
    let with = |address: Option<&str>| {
        let address = address.and_then(|it| it.parse().ok());
        let ruleset =
            Ruleset::new(&config, ("eth0", address), "wg0", BTreeSet::from([443])).render();
        // On top of a ruleset as it stands by then.
        nft_takes(&(ruleset.clone() + &translation("eth0", address)));
        (ruleset, translation("eth0", address))
    };
    for (address, rule) in [
        (Some("192.0.2.8"), "ip saddr @clients4 snat ip to 192.0.2.8 fully-random"),
        // Nothing leaves with an address of the inside.
        (None, "ip saddr @clients4 drop"),
    ] {
        let (ruleset, change) = with(address);
        assert!(ruleset.contains(rule) && change.contains(rule), "{ruleset}{change}");
        assert!(change.starts_with("flush chain inet ramstrap nat\n"), "{change}");
        assert_eq!(change.matches("add rule inet ramstrap nat oifname").count(), 2, "{change}");
    }
}

#[test]
fn nft_takes_the_ruleset_of_a_relay() {
    nft_takes(&ruleset(&relay()));
}

#[test]
fn nft_takes_the_ruleset_of_a_machine_that_waits() {
    nft_takes(include_str!("../../../../ospkg/base/files/etc/ramstrap/firewall-waiting.nft"));
}

#[test]
fn everything_is_dropped_but_what_is_named() {
    let text = ruleset(&vpn(VPN));
    for hook in ["input", "forward", "output"] {
        assert!(text.contains(&format!("hook {hook} priority filter; policy drop;")), "{text}");
    }
    let line = |wanted: &str| text.lines().filter(|line| line.contains(wanted)).count();
    assert_eq!(line("iifname \"wg0\" oifname \"wg0\" drop"), 1);
    assert_eq!(line("dport 2222"), 2, "SSH from the staff's networks only");
    assert_eq!(line("dport 7443"), 1);
    assert!(text.contains("tcp dport 2222 ip saddr @staff4"), "{text}");
    assert!(text.contains(
        "clients4 { type ipv4_addr; flags interval; elements = { 10.64.0.2/32, 10.64.0.3/32 }"
    ));
    assert_eq!(line("dport 53 accept"), 5, "two addresses, root, chrony, one forwarder: {text}");
    assert!(
        text.contains(
            "meta skuid 101 ip6 daddr 2001:db8::53 meta l4proto { tcp, udp } th dport 5353"
        )
    );
    assert!(text.contains("iifname \"wg0\" ip saddr != @clients4 drop"));
    assert_eq!(line("ip saddr @clients4 snat ip to 192.0.2.7"), 1);
    assert_eq!(line("ip6 saddr @clients6 masquerade"), 1);
}

#[test]
fn without_ssh_and_time_their_ports_stay_closed() {
    let start = VPN.find(",\n    \"time\"").unwrap();
    let text = ruleset(&vpn(&format!("{}}}", &VPN[..start])));
    for port in ["2222", "123", "4460"] {
        assert!(!text.contains(&format!("dport {port}")), "{port} in {text}");
    }
}

#[test]
fn a_relay_forwards_nothing_and_has_no_nat() {
    let text = ruleset(&relay());
    assert!(
        !text.contains("masquerade") && !text.contains("snat") && !text.contains("wg0\" accept"),
        "{text}"
    );
    assert!(text.contains("tcp dport 9001 accept"));
}

#[test]
fn unbound_takes_its_configuration() {
    let ServiceConfig::Vpn(config) = vpn(VPN) else { panic!() };
    for forward in [true, false] {
        let mut dns = config.dns.clone();
        if !forward {
            dns.forward_to.clear();
        }
        let text = unbound(&dns, &config.wireguard, None);
        assert!(text.contains("access-control: 10.64.0.0/24 allow"), "{text}");
        assert!(text.contains("access-control: 0.0.0.0/0 refuse"), "{text}");
        assert_eq!(text.contains("forward-addr: 2001:db8::53@5353"), forward);
        assert_eq!(text.contains("validator"), !forward);
        // The directory is one of the OS, not of this machine.
        let here = text
            .replace("/run/ramstrap", "/tmp")
            .replace("username: \"unbound\"", "username: \"\"");
        if let Some((good, said)) = judge("/usr/sbin/unbound-checkconf", &["FILE"], &here) {
            assert!(good, "{said}\n{text}");
        }
    }
}

#[test]
fn chrony_takes_its_configuration() {
    let config = vpn(VPN);
    let text = chrony(config.time().unwrap());
    assert!(text.contains("server time.example iburst nts\n"), "{text}");
    // Print the configuration as it was read, and end.
    if let Some((good, said)) = judge("/usr/sbin/chronyd", &["-p", "-f", "FILE"], &text) {
        assert!(good && said.contains("server 192.0.2.9"), "{said}\n{text}");
    }
}

#[test]
fn wg_reads_keys_and_addresses_of_every_peer() {
    let ServiceConfig::Vpn(config) = vpn(VPN) else { panic!() };
    let mut text = String::new();
    setconf(&config.wireguard, |piece| {
        text.push_str(piece);
        Ok::<(), core::convert::Infallible>(())
    })
    .unwrap();
    assert_eq!(text.matches("[Peer]").count(), 2);
    assert_eq!(text.matches("PresharedKey = ").count(), 1);
    assert!(text.contains("AllowedIPs = 10.64.0.2/32, fd00:64::2/128\n"), "{text}");
    assert!(text.starts_with("[Interface]\nPrivateKey = yAnz5"), "{text}");
}

fn relay() -> ServiceConfig {
    let keys = super::tor::tests::keys();
    let json = format!(
        r#"{{"version":1,"service":"tor-relay","hostname":"relay","tor":{{"nickname":"ramstrap",
        "contact":"staff at example","or_port":9001,"exit":false,"bandwidth_mbit":100,
        "keys":{keys},"torrc":["MyFamily $0123456789012345678901234567890123456789"]}}}}"#
    );
    ServiceConfig::parse(json.as_bytes()).unwrap()
}

#[test]
fn tor_takes_its_configuration() {
    let ServiceConfig::TorRelay(relay) = relay() else { panic!() };
    let data = tempfile::tempdir().unwrap();
    let text = torrc(&relay.tor, TorPaths { data: data.path().to_str().unwrap() });
    assert!(text.contains("OfflineMasterKey 1\n") && text.contains("ExitRelay 0\n"), "{text}");
    assert!(text.contains("RelayBandwidthRate 12500000 bytes\n"), "{text}");
    if let Some((good, said)) = judge(
        "/usr/bin/tor",
        &["--verify-config", "--defaults-torrc", "/dev/null", "-f", "FILE"],
        &text,
    ) {
        assert!(good, "{said}\n{text}");
        // About this test, not about the configuration.
        let ours = |line: &&str| !line.contains("as root") && !line.contains("permissions on");
        let warnings = said.lines().filter(|line| line.contains("[warn]")).filter(ours);
        assert_eq!(warnings.count(), 0, "{said}\n{text}");
    }
}
