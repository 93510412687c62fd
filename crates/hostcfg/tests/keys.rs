//! Each key of a host configuration: what is read, refused, warned of, hidden.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

mod samples;

use hostcfg::Addressing;
use hostcfg::BondOptions;
use hostcfg::HostConfig;
use hostcfg::LacpRate;
use hostcfg::LogLevel;
use hostcfg::RemoteLogTarget;
use hostcfg::XmitHashPolicy;
use proptest::prelude::*;
use report::Code;
use report::Coded;
use serde_json::Value;
use serde_json::json;

use samples::KEY;
use samples::bad;
use samples::bad_in_sense;
use samples::everything;
use samples::good;
use samples::strange;
use samples::unknown_keys;
use samples::with;

fn parse(document: &Value) -> HostConfig {
    HostConfig::parse(document.to_string().as_bytes()).unwrap()
}

#[test]
fn everything_is_read() {
    let config = parse(&everything());
    let Addressing::Static(own) = &config.network else { panic!("{config:?}") };
    let addresses: Vec<String> = own.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.7/24", "2001:db8::7/64", "198.51.100.7/25"]);
    let gateways: Vec<String> = own.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(config.routes[1].via, None);
    assert_eq!((config.mtu, config.vlan), (Some(9000), Some(100)));
    assert_eq!(config.ntp, ["192.0.2.1", "time.example"]);
    assert_eq!(config.interfaces[1].pci_path.as_deref(), Some("0000:00:03.0"));
    assert_eq!(config.interfaces[2].driver.as_deref(), Some("virtio_net"));
    assert_eq!(
        config.bonding.unwrap().options,
        BondOptions {
            miimon: Some(50),
            updelay: Some(100),
            downdelay: Some(50),
            lacp_rate: Some(LacpRate::Slow),
            xmit_hash_policy: Some(XmitHashPolicy::Layer34),
            min_links: Some(2),
            primary: None,
        }
    );
    let log = config.remote_log.unwrap();
    assert!(matches!(log.target, RemoteLogTarget::Https(_)));
    assert_eq!(log.level, LogLevel::Debug);
}

#[test]
fn mirrors_are_in_the_order_of_their_priority() {
    let config = parse(&everything());
    let order: Vec<(u16, &str)> = config
        .mirrors
        .iter()
        .map(|mirror| (mirror.priority, mirror.url.url_without_userinfo().host_str().unwrap()))
        .collect();
    let expected = [
        (0, "a.example"),
        (0, "b.example"),
        (0, "e.example"),
        (10, "c.example"),
        (20, "d.example"),
    ];
    assert_eq!(order, expected);
    assert_eq!(config.urls().len(), 5);
    let wants = &config.mirrors[3];
    assert_eq!(wants.headers.len(), 2);
    assert!(
        wants.headers.iter().any(|(name, value)| name == "X-Token" && value.expose() == "CANARY")
    );
    assert_eq!(wants.client_identity.as_ref().unwrap().key_pem.expose(), KEY);
    assert!(config.mirrors[4].direct && !wants.direct);
}

#[test]
fn good_ones_are_read_without_warning() {
    for document in good() {
        let config = parse(&document);
        assert!(config.warnings.is_empty(), "{document}: {:?}", config.warnings);
        assert!(!config.mirrors.is_empty());
    }
}

#[test]
fn bad_ones_are_refused_with_path_value_and_expectation() {
    for (document, part) in bad().into_iter().chain(bad_in_sense()) {
        let error = HostConfig::parse(document.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::HostConfigInvalid, "{document}");
        let message = error.to_string();
        assert!(message.contains(part), "{message:?} lacks {part:?}");
        assert!(message.contains(", expected ") && !message.contains('\n'), "{message:?}");
        assert!(!message.contains("CANARY"), "{message}");
    }
}

#[test]
fn strange_ones_are_warned_of_once() {
    for (document, part) in strange().into_iter().chain(unknown_keys()) {
        let config = parse(&document);
        let all = config.warnings.join("\n");
        assert!(all.contains(part), "{document}: {all:?} lacks {part:?}");
        assert_eq!(config.warnings.len(), 1, "{document}: {all}");
        assert!(!all.contains("CANARY"), "{all}");
    }
}

#[test]
fn lists_have_an_end() {
    for (key, entry, limit) in [
        ("routes", json!({"to": "10.0.0.0/8"}), 256),
        ("mirrors", json!({"url": "https://a/x"}), 64),
        ("ntp", json!("a"), 16),
        ("dns_search", json!("a"), 16),
        ("no_proxy", json!("a"), 256),
    ] {
        let document = with(json!({ key: vec![entry.clone(); limit] }));
        assert!(HostConfig::parse(document.to_string().as_bytes()).is_ok(), "{key}");
        let document = with(json!({ key: vec![entry; limit + 1] }));
        let error = HostConfig::parse(document.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&format!("{key}: {} entries", limit + 1)), "{error}");
    }
}

#[test]
fn secrets_appear_nowhere() {
    let config = parse(&everything());
    assert!(config.holds_secrets());
    let printed =
        format!("{config:?} {config:#?} {} {:?}", config.redacted_json(), config.warnings);
    for secret in ["CANARY", "Q0FOQVJZ", "token="] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    let normal: Value = serde_json::from_str(&config.redacted_json()).unwrap();
    assert_eq!(normal["mirrors"][1]["headers"], json!({"Authorization": "***", "X-Token": "***"}));
    assert_eq!(normal["mirrors"][1]["client_key"], "***");
    assert_eq!(normal["proxy"], "https://***@proxy.example:3129");
    assert_eq!(normal["remote_log"]["url"], "https://***@log.example/in?***");
    assert!(!parse(&with(json!({}))).holds_secrets());
}

/// What the normal form leaves out are secrets and nothing else.
fn assert_round_trip(config: &HostConfig) {
    let mut normal: Value = serde_json::from_str(&config.redacted_json()).unwrap();
    for mirror in normal["mirrors"].as_array_mut().into_iter().flatten() {
        if mirror.get("client_key").is_some() {
            mirror["client_key"] = json!(KEY);
        }
    }
    let again = HostConfig::parse(normal.to_string().as_bytes()).unwrap();
    assert_eq!(again.redacted_json(), config.redacted_json());
    assert_eq!(again.network, config.network);
    assert_eq!(again.routes, config.routes);
    assert_eq!((again.mtu, again.vlan), (config.mtu, config.vlan));
    assert_eq!(again.interfaces, config.interfaces);
    assert_eq!(again.bonding, config.bonding);
    assert_eq!(again.mirrors.len(), config.mirrors.len());
    assert_eq!(again.no_proxy, config.no_proxy);
    assert_eq!((again.ntp, again.dns_search), (config.ntp.clone(), config.dns_search.clone()));
}

#[test]
fn the_normal_form_says_the_same() {
    for document in good().into_iter().chain(strange().into_iter().map(|(strange, _)| strange)) {
        assert_round_trip(&parse(&document));
    }
}

/// Values that some key takes, and some that none does.
fn any_value() -> impl Strategy<Value = Value> {
    let known = vec![
        "static",
        "auto",
        "192.0.2.7/24",
        "192.0.2.1",
        "2001:db8::7/64",
        "2001:db8::1",
        "802.3ad",
        "active-backup",
        "bond0",
        "eth0",
        "https://a/x",
        "http://u:p@b:1",
        "fast",
        "layer2",
        "*",
        ".a",
        "syslog+udp://a",
        "debug",
        "0000:00:03.0",
        "52:54:00:12:34:56",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u32..5000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(known).prop_map(Value::from),
    ];
    let inner = prop::sample::select(vec![
        "to",
        "via",
        "url",
        "priority",
        "headers",
        "direct",
        "level",
        "miimon",
        "updelay",
        "lacp_rate",
        "primary",
        "interface_name",
        "mac_address",
        "pci_path",
        "driver",
        "X-Y",
    ]);
    leaf.prop_recursive(3, 12, 4, move |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(inner.clone(), value, 0..4)
                .prop_map(|map| Value::from_iter(map.into_iter().map(|(k, v)| (k.to_owned(), v)))),
        ]
    })
}

/// One to three keys of a good configuration with other values, so that most of it stays good.
fn changed() -> impl Strategy<Value = Value> {
    let keys: Vec<String> = everything().as_object().unwrap().keys().cloned().collect();
    let change = (prop::sample::select(keys), any_value());
    prop::collection::vec(change, 1..4).prop_map(|changes| {
        let mut document = everything();
        for (key, value) in changes {
            document[key] = value;
        }
        document
    })
}

proptest! {
    #[test]
    fn no_document_panics_and_its_normal_form_says_the_same(document in changed()) {
        if let Ok(config) = HostConfig::parse(document.to_string().as_bytes()) {
            let printed = format!("{config:?}{}", config.redacted_json());
            prop_assert!(!printed.contains("CANARY"), "{}", printed);
            assert_round_trip(&config);
        }
    }
}

/// Whatever is malformed, what may be a secret is neither in the error nor in a warning.
#[test]
fn no_malformed_value_is_repeated_where_it_may_be_a_secret() {
    const SECRET: &str = "SECRETCANARY";
    let query = format!("https://a.example/os.json?t={SECRET}");
    let mirror = |key: &str, value: Value| {
        with(json!({ "mirrors": [{ "url": "https://a.example/os.json", key: value }] }))
    };
    let mut documents = vec![
        mirror("headers", json!(format!("Authorization: {SECRET}"))),
        mirror("headers", json!({ format!("{SECRET} x"): "y" })),
        mirror("headers", json!({ "X": format!("{SECRET}\n") })),
        mirror("client_certificate", json!(SECRET)),
        mirror("client_certificate", json!([SECRET])),
        mirror("client_key", json!(SECRET)),
        mirror("url", json!(SECRET)),
        mirror("priority", json!(query)),
        with(json!({ "remote_log": SECRET })),
        with(json!({ "remote_log": { "url": SECRET } })),
        with(json!({ "remote_log": { "url": "syslog+udp://a", "level": query } })),
        with(json!({ "mirrors": [SECRET] })),
        with(json!({ "proxy": SECRET })),
        with(json!({ "proxy": [SECRET] })),
        with(json!({ "ospkg_pointer": [SECRET] })),
        with(json!({ "ospkg_pointer": format!("ftp://a/x?t={SECRET}") })),
        json!({ "network_mode": "dhcp", "provisioning_urls": SECRET }),
        json!({ "network_mode": "dhcp", "provisioning_urls": [format!("a,{SECRET}")] }),
    ];
    for key in [
        "network_mode",
        "host_ip",
        "gateway",
        "addresses",
        "gateways",
        "routes",
        "mtu",
        "vlan",
        "dns",
        "dns_search",
        "ntp",
        "network_interfaces",
        "bonding_mode",
        "bond_options",
        "mirrors",
        "proxy",
        "no_proxy",
        "remote_log",
        "network_interface",
        "bonding",
    ] {
        documents.push(with(json!({ key: query })));
        documents.push(with(json!({ key: [query] })));
        documents.push(with(json!({ key: format!("u:{SECRET}@a") })));
        documents.push(with(json!({ key: format!("Authorization: {SECRET}") })));
    }
    let mut texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    texts.push(format!(
        r#"{{"network_mode": "dhcp", "mirrors": [{{"url": "https://a/x",
            "headers": {{"{SECRET}": "x", "{SECRET}": "y"}}}}]}}"#
    ));
    for text in texts {
        let printed = match HostConfig::parse(text.as_bytes()) {
            Ok(config) => config.warnings.join("\n"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!printed.contains(SECRET), "{text}: {printed}");
    }
    let error = HostConfig::parse(b"{\"dns\": 1, \"DNS\": 2}").unwrap_err();
    assert!(error.to_string().contains("\"DNS\" appears more than once"), "{error}");
    let error = HostConfig::parse(with(json!({ "proxy": SECRET })).to_string().as_bytes());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("proxy: a string of 12 characters"), "{error}");
}
