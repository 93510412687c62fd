//! Host configurations as a whole: what is required, what the messages say, what is hidden.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use hostcfg::Addressing;
use hostcfg::BondMode;
use hostcfg::HostConfig;
use hostcfg::HostConfigError;
use proptest::prelude::*;
use report::Code;
use report::Coded;
use serde_json::Value;
use serde_json::json;

fn parse(document: &Value) -> Result<HostConfig, HostConfigError> {
    HostConfig::parse(document.to_string().as_bytes())
}

/// A minimal configuration with these keys added or replaced.
fn with(extra: Value) -> Value {
    let mut document =
        json!({"network_mode": "dhcp", "ospkg_pointer": "https://example.org/os.json"});
    for (key, value) in extra.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn message(extra: Value) -> String {
    let error = parse(&with(extra)).unwrap_err();
    assert_eq!(error.code(), Code::HostConfigInvalid);
    error.to_string()
}

fn warnings(extra: Value) -> String {
    parse(&with(extra)).unwrap().warnings.join("\n")
}

#[test]
fn two_keys_are_enough() {
    let config = parse(&with(json!({}))).unwrap();
    assert_eq!(config.network, Addressing::Dhcp);
    assert_eq!(config.provisioning_urls().unwrap().len(), 1);
    assert!(config.warnings.is_empty() && config.interfaces.is_empty() && config.dns.is_empty());
}

#[test]
fn everything_set_is_read() {
    let config = parse(&json!({
        "network_mode": "static", "host_ip": "2001:db8::7/64", "gateway": "2001:db8::1",
        "dns": ["2001:db8::53", "9.9.9.9"],
        "network_interfaces": [
            {"interface_name": "eth0", "mac_address": "52-54-00-12-34-56"},
            {"interface_name": "", "mac_address": "5254.0012.3457"}],
        "ospkg_pointer": "https://u:p@a.example/os.json, http://b.example/os.json",
        "bonding_mode": "802.3ad", "bond_name": "bond0", "description": "rack 7",
        "timestamp": 1,
    }))
    .unwrap();
    assert_eq!(config.interfaces[1].name, None);
    assert_eq!(config.bonding.as_ref().unwrap().mode, BondMode::Ieee8023ad);
    assert_eq!(config.dns.len(), 2);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(
        config.redacted_json(),
        r#"{
  "network_mode": "static",
  "host_ip": "2001:db8::7/64",
  "gateway": "2001:db8::1",
  "dns": [
    "2001:db8::53",
    "9.9.9.9"
  ],
  "network_interfaces": [
    {
      "interface_name": "eth0",
      "mac_address": "52:54:00:12:34:56"
    },
    {
      "interface_name": "",
      "mac_address": "52:54:00:12:34:57"
    }
  ],
  "ospkg_pointer": "https://***@a.example/os.json,http://b.example/os.json",
  "bonding_mode": "802.3ad",
  "bond_name": "bond0",
  "description": "rack 7"
}"#
    );
}

#[test]
fn messages_name_field_value_and_what_is_expected() {
    for (extra, parts) in [
        (json!({"network_mode": "DHCP"}), vec!["network_mode", "\"DHCP\"", "\"dhcp\""]),
        (json!({"network_mode": null}), vec!["network_mode", "null"]),
        (json!({"network_mode": "static"}), vec!["host_ip", "missing", "/24"]),
        (json!({"host_ip": "10.0.2.15"}), vec!["host_ip", "\"10.0.2.15\"", "prefix length"]),
        (json!({"network_mode": "static", "host_ip": "10.0.2.15/24"}), vec!["gateway", "missing"]),
        (json!({"gateway": "10.0.2.2/24"}), vec!["gateway", "without prefix"]),
        (json!({"dns": 7}), vec!["dns", "7", "list"]),
        (json!({"dns": ["9.9.9.9", "x"]}), vec!["dns[2]", "\"x\""]),
        (json!({"network_interfaces": [7]}), vec!["network_interfaces[1]", "7"]),
        (json!({"network_interfaces": []}), vec!["network_interfaces", "empty list"]),
        (
            json!({"network_interfaces": [{"mac_address": "x"}]}),
            vec!["network_interfaces[1].mac_address", "\"x\"", "52:54"],
        ),
        (
            json!({"network_interfaces": [{"interface_name": ""}]}),
            vec!["network_interfaces[1].mac_address", "missing", "pci_path"],
        ),
        (json!({"bonding_mode": "foo"}), vec!["bonding_mode", "\"foo\"", "802.3ad"]),
        (json!({"bonding_mode": "802.3ad"}), vec!["bond_name", "missing"]),
        (
            json!({"bonding_mode": "802.3ad", "bond_name": "bond0"}),
            vec!["network_interfaces", "members"],
        ),
        (
            json!({"bonding_mode": "802.3ad", "bond_name": "b", "network_interfaces": [null]}),
            vec!["network_interfaces", "members"],
        ),
        (json!({"description": 7}), vec!["description", "7"]),
        (json!({"ospkg_pointer": ["x"]}), vec!["ospkg_pointer", "an array", "comma"]),
        (json!({"ospkg_pointer": ""}), vec!["ospkg_pointer", "\"\""]),
    ] {
        let message = message(extra);
        for part in parts {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        assert!(!message.contains('\n'));
    }
}

#[test]
fn documents_that_are_not_one_object_are_malformed() {
    for text in ["", "[]", "{", "// hi\n{}", "{\"a\":1,\"A\":2}", "{} {}"] {
        let error = HostConfig::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::HostConfigMalformed, "{text}");
    }
    let huge = vec![b' '; hostcfg::MAX_LEN + 1];
    assert_eq!(HostConfig::parse(&huge).unwrap_err().code(), Code::HostConfigMalformed);
}

#[test]
fn what_cannot_work_is_warned_of() {
    for (extra, part) in [
        (json!({"host_ip": "10.0.2.15/24"}), "host_ip: ignored"),
        (
            json!({"network_mode": "static", "host_ip": "10.0.2.15/24 eth0", "gateway": "10.0.3.1"}),
            "label",
        ),
        (
            json!({"network_mode": "static", "host_ip": "10.0.2.15/24", "gateway": "10.0.3.1"}),
            "gateway: 10.0.3.1",
        ),
        (json!({"dns": [null]}), "dns[1]"),
        (json!({"network_interfaces": [null]}), "network_interfaces[1]"),
        (
            json!({"network_interfaces": [{"mac_address": "02:00:5e:10:00:00:00:01"}]}),
            "no Ethernet interface",
        ),
        (json!({"bond_name": "bond0"}), "bond_name: ignored"),
        (json!({"vlann": 7}), "\"vlann\": unknown key"),
        (
            json!({"provisioning_urls": []}),
            "provisioning_urls: ignored, because there is ospkg_pointer",
        ),
        (json!({"ospkg_pointer": "https://a/x.json,ftp://b/x"}), "entry 2 (\"ftp://b/x\")"),
        (json!({"ospkg_pointer": "boot/my-ospkg.zip"}), "nothing can be fetched"),
        (json!({"ospkg_pointer": "http://u:p@a/x.json"}), "CLEAR TEXT"),
    ] {
        let warnings = warnings(extra);
        assert!(warnings.contains(part), "{warnings:?} lacks {part:?}");
    }
}

#[test]
fn a_configuration_without_url_is_read_but_does_not_boot() {
    let config = parse(&with(json!({"ospkg_pointer": "my-ospkg.zip"}))).unwrap();
    assert_eq!(config.provisioning_urls().unwrap_err().code(), Code::HostConfigNoUrl);
    assert_eq!(config.package.as_ref().map(ToString::to_string).as_deref(), Some("my-ospkg.zip"));
    assert_eq!(config.warnings, [""; 0], "which is right depends on the trust policy");
    let again = HostConfig::parse(config.redacted_json().as_bytes()).unwrap();
    assert_eq!(again.package, config.package);
    for pointer in ["https://a/provision.zip", "provision.zip,https://a/x.json", "a/provision.zip"]
    {
        let config = parse(&with(json!({ "ospkg_pointer": pointer }))).unwrap();
        assert_eq!(config.package, None, "{pointer}");
    }
}

#[test]
fn an_entry_that_is_no_url_does_not_end_the_list() {
    let pointer = "ftp://a/x.json, https://b/x.json,, https://c/x.json";
    let config = parse(&with(json!({ "ospkg_pointer": pointer }))).unwrap();
    let urls: Vec<String> = config.urls().map(ToString::to_string).collect();
    assert_eq!(urls, ["https://b/x.json", "https://c/x.json"]);
}

#[test]
fn identity_and_authentication_take_their_places() {
    let config = parse(&with(json!({
        "ospkg_pointer": "https://$ID:$AUTH@example.org/$ID/$AUTH.json",
        "identity": "some-host", "authentication": "canary",
    })))
    .unwrap();
    let url = &config.mirrors[0].url;
    assert_eq!(url.url_without_userinfo().as_str(), "https://example.org/some-host/canary.json");
    assert_eq!(url.credentials().unwrap().user, "some-host");
    assert_eq!(url.credentials().unwrap().password.expose(), "canary");
    assert_eq!(url.to_string(), "https://***@example.org/some-host/***.json");
    assert!(!format!("{config:?}{}", config.redacted_json()).contains("canary"));
}

#[test]
fn values_for_places_that_do_not_fit_are_refused_unseen() {
    for value in [json!(null), json!(""), json!("canary1"), json!("canary/"), json!("x".repeat(65))]
    {
        let message = message(json!({
            "ospkg_pointer": "https://$AUTH@example.org/os.json", "authentication": value,
        }));
        assert!(message.contains("authentication") && !message.contains("canary"), "{message}");
    }
    // Without a place they are not looked at.
    assert!(parse(&with(json!({"identity": "host1", "authentication": "1234"}))).is_ok());
    let message = message(json!({"authentication": 123_456}));
    assert!(!message.contains("123456"), "{message}");
}

/// Whatever is wrong with a URL, what may be its password is not repeated.
#[test]
fn passwords_in_broken_urls_are_not_repeated() {
    for pointer in [
        "https://user:canary@[::1/os.json",
        "ftp://user:canary@host/os.json",
        "user:canary@host/os.json",
        "https://user:canary@host:99999/os.json, x",
        "https://user:can,canary@host/os.json, https://b/x.json",
        "https://user:canary,can@host/os.json",
        "https://user:canary,7@[host/os.json",
        "https://user:canary/os@host",
        "https://user:%ffcanary@host/os.json",
        "https://host/os.json?token=canary",
    ] {
        let config = parse(&with(json!({ "ospkg_pointer": pointer }))).unwrap();
        let printed = format!("{config:?}{}{:?}", config.redacted_json(), config.warnings);
        assert!(!printed.contains("canary"), "{printed}");
    }
    for field in ["network_mode", "host_ip", "gateway", "dns", "bonding_mode"] {
        let message = message(json!({ field: "https://user:canary@host/os.json" }));
        assert!(!message.contains("canary"), "{message}");
    }
    let printed = warnings(json!({"vpn_key": "canary"}));
    assert!(printed.contains("vpn_key") && !printed.contains("canary"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "(https?://)?[a-z:@$,./ IDAUTH0-9-]{0,40}".prop_map(Value::from),
        "[0-9a-f:./ -]{0,24}".prop_map(Value::from),
        prop::sample::select(vec!["dhcp", "static", "802.3ad", "10.0.2.15/24", "10.0.2.2"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            (inner.clone(), inner)
                .prop_map(|(name, mac)| json!({"interface_name": name, "mac_address": mac})),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "network_mode",
        "host_ip",
        "gateway",
        "dns",
        "network_interfaces",
        "ospkg_pointer",
        "identity",
        "authentication",
        "bonding_mode",
        "bond_name",
        "description",
        "provisioning_urls",
        "network_interface",
        "bonding",
    ]);
    prop::collection::btree_map(key, any_value(), 0..8)
        .prop_map(|map| with(Value::from_iter(map.into_iter().map(|(k, v)| (k.to_owned(), v)))))
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = HostConfig::parse(&bytes);
    }

    #[test]
    fn reading_any_document_never_panics_and_its_normal_form_is_stable(document in any_document()) {
        if let Ok(config) = parse(&document) {
            let normal = config.redacted_json();
            let again = HostConfig::parse(normal.as_bytes()).unwrap();
            prop_assert_eq!(again.network, config.network);
            prop_assert_eq!(again.interfaces, config.interfaces);
            prop_assert_eq!(again.bonding, config.bonding);
        }
    }

    #[test]
    fn a_password_appears_nowhere(
        password in "[a-zA-Z0-9!$&'()*+;=:%_~.,@/?#-]{6,20}",
        scheme in "https?|ftp",
    ) {
        prop_assume!(!password.contains('\\') && !password.contains("$ID") && !password.contains("$AUTH"));
        let pointer = format!("{scheme}://user:CANARY{password}@host/os.json");
        let config = parse(&with(json!({ "ospkg_pointer": pointer }))).unwrap();
        let printed = format!("{config:?} {}", config.redacted_json()).to_ascii_uppercase();
        prop_assert!(!printed.contains("CANARY"), "{}", printed);
    }
}

#[test]
fn what_was_printed_is_told_from_a_configuration() {
    let secret = r#"{"network_mode": "dhcp", "ospkg_pointer": "https://user:pass@a.example/os.json?token=x, https://b.example/$AUTH/os.json",
        "authentication": "canary", "mirrors": [{"url": "https://c.example/os.json", "headers": {"X-Token": "canary"}}],
        "proxy": "http://user:pass@proxy.example:3128",
        "remote_log": {"url": "https://token@log.example/in"}}"#;
    let config = HostConfig::parse(secret.as_bytes()).unwrap();
    assert_eq!(config.masked(), Vec::<String>::new());
    let printed = config.redacted_json();
    let config = HostConfig::parse(printed.as_bytes()).unwrap();
    let masked = config.masked().join("\n");
    for place in [
        "https://***@a.example/os.json?***: user name and password",
        "https://***@a.example/os.json?***: query",
        "https://b.example/***/os.json: what took the place of $AUTH",
        "https://c.example/os.json: header \"X-Token\"",
        "http://***@proxy.example:3128: user name and password",
        "https://***@log.example/in: user name and password",
    ] {
        assert!(masked.contains(place), "no {place} in\n{masked}");
    }
    assert_eq!(masked.lines().count(), 6, "{masked}");
    // A user of this name with a password of its own is one.
    let odd = r#"{"network_mode": "dhcp", "ospkg_pointer": "https://***:pass@a.example/os.json"}"#;
    assert!(HostConfig::parse(odd.as_bytes()).unwrap().masked().is_empty());
}
