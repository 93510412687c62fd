//! Service configurations: what is taken, what is refused and in which words, and that no key is ever
//! repeated.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

use proptest::prelude::any;
use proptest::proptest;
use provision::config::ConfigError;
use provision::config::Document;
use provision::config::ServiceConfig;
use serde_json::Value;
use serde_json::json;

const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const PEER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
const PSK: &str = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB alice";

fn vpn() -> Value {
    json!({
        "version": 1, "service": "vpn", "hostname": "se-sto-1",
        "wireguard": {
            "private_key": PRIVATE, "listen_port": 51820,
            "addresses": ["10.64.0.1/24", "fd00:64::1/64"], "mtu": 1400,
            "peers": [{"public_key": PEER, "preshared_key": PSK, "allowed_ips": ["10.64.0.2/32", "fd00:64::2/128"]}]
        },
        "dns": {"forward_to": ["192.0.2.1", "192.0.2.1@5353", "2001:db8::1@853"]},
        "time": {"servers": ["time.example", "192.0.2.9"], "nts": true},
        "ssh": {"port": 2222, "authorized_keys": [SSH], "allow_from": ["198.51.100.0/24"]}
    })
}

fn tor() -> Value {
    use base64::Engine;
    let tagged = |kind: &str, length: usize| {
        let mut bytes = format!("== ed25519v1-{kind}: type0 ==").into_bytes();
        bytes.resize(32, 0);
        bytes.resize(length, 5);
        base64::prelude::BASE64_STANDARD.encode(bytes)
    };
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nTUlJQ2NhbmFyeQ==\n-----END RSA PRIVATE KEY-----\n";
    json!({
        "version": 1, "service": "tor-relay", "hostname": "relay-1",
        "tor": {
            "nickname": "relay1", "contact": "tor at example.org", "or_port": 9001,
            "exit": false, "bandwidth_mbit": 100,
            "keys": {
                "ed25519_master_id_public_key": tagged("public", 64),
                "ed25519_signing_secret_key": tagged("secret", 96),
                "ed25519_signing_cert": tagged("cert", 172),
                "ed25519_master_id_secret_key": null,
                "secret_id_key": pem, "secret_onion_key": pem, "secret_onion_key_ntor": null
            },
            "torrc": ["MyFamily $AAAA,$BBBB", "NumCPUs 2"]
        }
    })
}

fn parse(config: &Value) -> Result<ServiceConfig, ConfigError> {
    ServiceConfig::parse(config.to_string().as_bytes())
}

/// What is said when the value at this pointer is another one (`None`: is missing).
fn complaint(base: &Value, pointer: &str, value: Option<Value>) -> String {
    let mut config = base.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(object), Some(value)) => {
            object.insert(field.to_owned(), value);
        }
        (Value::Object(object), None) => {
            object.remove(field);
        }
        (Value::Array(list), Some(value)) => list[field.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    match parse(&config) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{pointer} was taken"),
    }
}

#[test]
fn whole_configurations_are_taken() {
    let ServiceConfig::Vpn(config) = parse(&vpn()).unwrap() else { panic!() };
    assert_eq!(config.wireguard.private_key.expose(), PRIVATE);
    assert_eq!(config.wireguard.public_key().as_deref(), Some(PUBLIC));
    let servers: Vec<String> = config.dns.forward_to.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.1", "192.0.2.1@5353", "2001:db8::1@853"]);
    assert_eq!(config.ssh.unwrap().port, 2222);
    let ServiceConfig::TorRelay(config) = parse(&tor()).unwrap() else { panic!() };
    assert_eq!(config.tor.bandwidth_mbit, Some(100));
    assert!(config.tor.keys.secret_onion_key.is_some() && config.ssh.is_none());
}

#[test]
fn what_may_be_absent_has_a_default() {
    let config = json!({
        "version": 1, "service": "vpn", "hostname": "a",
        "wireguard": {"private_key": PRIVATE, "listen_port": 1, "addresses": ["10.0.0.1/8"]}
    });
    let ServiceConfig::Vpn(config) = parse(&config).unwrap() else { panic!() };
    assert_eq!((config.wireguard.mtu, config.wireguard.peers.len()), (1420, 0));
    assert!(config.dns.forward_to.is_empty() && config.time.is_none() && config.ssh.is_none());
}

#[test]
fn every_field_is_checked_and_named() {
    let base = vpn();
    for (pointer, value, expected) in [
        ("/version", json!(2), "version: 2, expected a number from 1 to 1"),
        ("/service", json!("web"), "service: \"web\", expected \"vpn\" or \"tor-relay\""),
        ("/hostname", json!("a b"), "hostname: \"a b\", expected a host name"),
        ("/hostname", json!("-a"), "hostname: \"-a\", expected a host name"),
        ("/wireguard", json!([]), "wireguard: must be a JSON object, not an array"),
        ("/wireguard/private_key", json!(5), "wireguard.private_key: a number, expected a string"),
        (
            "/wireguard/listen_port",
            json!("51820"),
            "wireguard.listen_port: a string, expected a number from 1",
        ),
        ("/wireguard/listen_port", json!(0), "wireguard.listen_port: 0, expected"),
        ("/wireguard/addresses", json!([]), "wireguard.addresses: missing or empty"),
        (
            "/wireguard/addresses/0",
            json!("10.64.0.1"),
            "wireguard.addresses[1]: \"10.64.0.1\", expected an address with prefix length",
        ),
        (
            "/wireguard/addresses/1",
            json!("10.64.0.1/8"),
            "wireguard.addresses[2]: 10.64.0.1/8 is there twice",
        ),
        ("/wireguard/mtu", json!(500), "wireguard.mtu: 500, expected a number from 1280 to 9000"),
        (
            "/wireguard/peers/0/public_key",
            json!("x"),
            "wireguard.peers[1].public_key: \"x\", expected a WireGuard key",
        ),
        (
            "/wireguard/peers/0/public_key",
            json!(PUBLIC),
            "wireguard.peers[1].public_key: it is the server's own key",
        ),
        (
            "/wireguard/peers/0/allowed_ips",
            json!([]),
            "wireguard.peers[1].allowed_ips: missing or empty",
        ),
        (
            "/wireguard/peers/0/allowed_ips/0",
            json!("10.64.0.2/24"),
            "write 10.64.0.0/24, or /32 for the one address",
        ),
        (
            "/wireguard/peers/0/allowed_ips/0",
            json!("0.0.0.0/0"),
            "0.0.0.0/0 holds the server's own address",
        ),
        (
            "/wireguard/peers/0/allowed_ips/1",
            json!("10.64.0.2/32"),
            "10.64.0.2/32 belongs to wireguard.peers[1] already",
        ),
        (
            "/wireguard/peers/0/endpoint",
            json!("x"),
            "wireguard.peers[1]: unknown field \"endpoint\"; there are public_key",
        ),
        (
            "/dns/forward_to/0",
            json!("dns.example"),
            "dns.forward_to[1]: \"dns.example\", expected an IP address",
        ),
        ("/dns/forward_to/0", json!("192.0.2.1@0"), "dns.forward_to[1]"),
        ("/time/servers", json!([]), "time.servers: missing or empty"),
        (
            "/time/servers/0",
            json!("a_b"),
            "time.servers[1]: \"a_b\", expected a host name or an IP address",
        ),
        ("/time/nts", json!("yes"), "time.nts: a string, expected true or false"),
        ("/ssh/port", json!(7443), "ssh.port: 7443 is the port of provisioning"),
        (
            "/ssh/authorized_keys/0",
            json!("command=\"x\" ssh-ed25519 AAAA"),
            "ssh.authorized_keys[1]: \"command",
        ),
        ("/ssh/authorized_keys/0", json!("ssh-ed25519 AAAA"), "without options before it"),
        ("/ssh/allow_from", json!([]), "ssh.allow_from: missing or empty"),
        ("/Hostname", json!("x"), "appears more than once"),
    ] {
        let text = complaint(&base, pointer, Some(value.clone()));
        assert!(text.contains(expected), "{pointer} = {value}: {text}");
    }
    for (pointer, expected) in [
        ("/version", "version: missing"),
        ("/service", "service: missing"),
        ("/wireguard", "wireguard: missing"),
        ("/wireguard/private_key", "wireguard.private_key: missing"),
        ("/ssh/allow_from", "ssh.allow_from: missing or empty"),
    ] {
        let text = complaint(&base, pointer, None);
        assert!(text.contains(expected), "{pointer}: {text}");
    }
}

#[test]
fn every_field_of_a_relay_is_checked_and_named() {
    let base = tor();
    for (pointer, value, expected) in [
        (
            "/tor/nickname",
            json!("a-b"),
            "tor.nickname: \"a-b\", expected 1 to 19 letters and digits",
        ),
        ("/tor/contact", json!("a # b"), "tor.contact"),
        ("/tor/contact", json!("a\nControlPort 9051"), "tor.contact"),
        ("/tor/or_port", json!(0), "tor.or_port: 0, expected"),
        (
            "/tor/keys/ed25519_master_id_public_key",
            json!("AAAA"),
            "tor.keys.ed25519_master_id_public_key",
        ),
        (
            "/tor/keys/ed25519_signing_secret_key",
            json!("canary"),
            "tor.keys.ed25519_signing_secret_key: not the file",
        ),
        ("/tor/keys/secret_id_key", json!("canary"), "tor.keys.secret_id_key: not a PEM block"),
        (
            "/tor/keys/secret_onion_key_ntor",
            json!("canary"),
            "tor.keys.secret_onion_key_ntor: not the file",
        ),
        ("/tor/keys/more", json!("canary"), "tor.keys: unknown field \"more\""),
        (
            "/tor/torrc/0",
            json!("ControlPort 9051"),
            "tor.torrc[1]: \"ControlPort 9051\", expected a line that begins with one of",
        ),
        ("/tor/torrc/0", json!("Log debug file /x"), "tor.torrc[1]"),
        ("/tor/torrc/0", json!("NumCPUs 2\nSocksPort 9050"), "tor.torrc[1]"),
        ("/tor/torrc/0", json!("NumCPUs 2 \\"), "tor.torrc[1]"),
        ("/tor/torrc/0", json!("exitpolicy accept *:*"), "no ExitPolicy while tor.exit is false"),
    ] {
        let text = complaint(&base, pointer, Some(value.clone()));
        assert!(text.contains(expected), "{pointer} = {value}: {text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let mut config = vpn();
    config["hostname"] = json!("");
    config["wireguard"]["mtu"] = json!(1);
    config["ssh"]["port"] = json!(-1);
    let problems = parse(&config).unwrap_err().0;
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["hostname", "wireguard.mtu", "ssh.port"]);
}

#[test]
fn no_key_is_repeated_wherever_it_was_put() {
    for (config, secrets) in
        [(vpn(), vec![PRIVATE, PSK]), (tor(), vec!["TUlJQ2NhbmFyeQ", "PT0gZWQyNTUxOXYxLXNlY3JldD"])]
    {
        let good = parse(&config).unwrap();
        let mut texts = vec![
            format!("{good:?}"),
            serde_json::to_string(&good).unwrap(),
            good.explain().join(" "),
        ];
        let document = Document::parse(config.to_string().as_bytes()).unwrap();
        texts.push(format!("{document:?}"));
        for text in texts {
            for secret in &secrets {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
    // In every place where a text or a name can stand.
    let base = vpn();
    for pointer in [
        "/hostname",
        "/service",
        "/wireguard/addresses/0",
        "/wireguard/peers/0/allowed_ips/0",
        "/dns/forward_to/0",
        "/time/servers/0",
        "/ssh/authorized_keys/0",
        "/ssh/allow_from/0",
        "/version",
        "/wireguard/listen_port",
        "/time/nts",
    ] {
        let text = complaint(&base, pointer, Some(json!(PSK)));
        assert!(!text.contains(PSK) && text.contains("a "), "{pointer}: {text}");
    }
    let text = complaint(&base, &format!("/{}", PSK.replace('/', "-")), Some(json!(1)));
    assert!(text.contains("unknown field a text of 44 characters"), "{text}");
}

const WG_QUICK: &str = "\
# a comment
[Interface]
PrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=
ListenPort = 51820
Address = 10.64.0.1/24, fd00:64::1/64
MTU = 1380

[Peer] # the first
PublicKey=3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
PresharedKey = FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=
AllowedIPs = 10.64.0.2
AllowedIPs = fd00:64::2/128
";

fn rest() -> String {
    json!({ "version": 1, "service": "vpn", "hostname": "se-sto-1" }).to_string()
}

#[test]
fn a_file_of_wg_quick_takes_the_place_of_the_object() {
    let document = Document::with_wireguard(rest().as_bytes(), WG_QUICK).unwrap();
    let ServiceConfig::Vpn(config) = document.config() else { panic!() };
    assert_eq!((config.wireguard.mtu, config.wireguard.listen_port), (1380, 51820));
    assert_eq!(config.wireguard.addresses.len(), 2);
    let peer = &config.wireguard.peers[0];
    let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["10.64.0.2/32", "fd00:64::2/128"]);
    assert_eq!(peer.preshared_key.as_ref().unwrap().expose(), PSK);
    assert_eq!(
        parse(&serde_json::from_str(document.expose()).unwrap()).unwrap(),
        *document.config()
    );
}

#[test]
fn what_a_server_cannot_do_is_refused_with_its_line() {
    for (from, to, expected) in [
        (
            "MTU = 1380",
            "PostUp = iptables -A FORWARD",
            "line 6 of the WireGuard file: routes, firewall",
        ),
        ("MTU = 1380", "DNS = 192.0.2.1", "line 6 of the WireGuard file: DNS"),
        ("MTU = 1380", "Mtu = 1", "wireguard.mtu: 1, expected"),
        ("MTU = 1380", "MTU 1380", "line 6 of the WireGuard file: not a line KEY = VALUE"),
        (
            "MTU = 1380",
            "ListenPort = 1",
            "line 6 of the WireGuard file: the section has this key already",
        ),
        ("MTU = 1380", "Private = dwdtCnMYpX08", "line 6 of the WireGuard file: unknown key"),
        (
            "AllowedIPs = 10.64.0.2",
            "Endpoint = a:1",
            "line 11 of the WireGuard file: the server waits",
        ),
        ("[Peer]", "[Pear]", "line 8 of the WireGuard file: a section must be"),
        ("[Interface]", "[Peer]", "0 sections [Interface]"),
        (
            "# a comment",
            "MTU = 1",
            "line 1 of the WireGuard file: it stands before the first section",
        ),
    ] {
        let file = WG_QUICK.replace(from, to);
        let error = Document::with_wireguard(rest().as_bytes(), &file).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(!error.contains("dwdtCnMY"), "{error}");
    }
    let error = Document::with_wireguard(vpn().to_string().as_bytes(), WG_QUICK).unwrap_err();
    assert!(error.to_string().contains("keep one of them"), "{error}");
    assert!(
        Document::with_wireguard(b"{}", WG_QUICK)
            .unwrap_err()
            .to_string()
            .contains("version: missing")
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ServiceConfig::parse(&bytes);
        let _ = Document::with_wireguard(rest().as_bytes(), &String::from_utf8_lossy(&bytes));
        let _ = Document::with_wireguard(&bytes, WG_QUICK);
    }

    #[test]
    fn no_change_makes_it_panic_or_tell(at in 0_usize..900, byte in any::<u8>(), relay in any::<bool>()) {
        let (config, secret) = if relay { (tor(), "TUlJQ2NhbmFyeQ") } else { (vpn(), PSK) };
        let mut bytes = config.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Err(error) = ServiceConfig::parse(&bytes) {
            proptest::prop_assert!(!error.to_string().contains(&secret[4..10]), "{}", error);
        }
    }

    #[test]
    fn lines_of_any_text_do_not_make_it_panic(lines in proptest::collection::vec("(\\[|\\]|=|#|Peer|Interface|PrivateKey|AllowedIPs|,|/| |[0-9]|.){0,6}", 0..12)) {
        let _ = Document::with_wireguard(rest().as_bytes(), &lines.join("\n"));
    }
}

/// The examples of the guide are configurations.
#[test]
fn the_guide_shows_what_is_taken() {
    let guide = include_str!("../../../docs/provisioning.md");
    let examples: Vec<&str> =
        guide.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    let (tor, keys) = (tor(), "/tor/keys");
    for (example, service) in examples.iter().zip(["vpn", "tor-relay"]) {
        let filled = example
            .replace("<private key>", PRIVATE)
            .replace("<public key>", PEER)
            .replace("<preshared key>", PSK)
            .replace("<ssh key>", SSH);
        let mut config: Value = serde_json::from_str(&filled).unwrap();
        if service == "tor-relay" {
            let shown = config.pointer(keys).unwrap().as_object().unwrap();
            let known = tor.pointer(keys).unwrap().as_object().unwrap();
            assert!(shown.keys().eq(known.keys()), "{shown:?}");
            *config.pointer_mut(keys).unwrap() = tor.pointer(keys).unwrap().clone();
        }
        assert_eq!(parse(&config).unwrap().service(), service);
    }
    assert_eq!(examples.len(), 2);
}
