//! The forms of 2021 to 2023 are read as today's, and what wins where old and new are both there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use std::fs;
use std::path::Path;

use hostcfg::Addressing;
use hostcfg::BondMode;
use hostcfg::HostConfig;
use report::Code;
use report::Coded;
use serde_json::Value;
use serde_json::json;

fn vector(name: &str) -> HostConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let file = folder.join("legacy_host_configuration").join(name);
    HostConfig::parse(&fs::read(file).unwrap()).unwrap()
}

fn parse(extra: Value) -> Result<HostConfig, hostcfg::HostConfigError> {
    let mut document = json!({"network_mode": "dhcp"});
    for (key, value) in extra.as_object().unwrap() {
        document[key] = value.clone();
    }
    HostConfig::parse(document.to_string().as_bytes())
}

fn with_urls(extra: Value) -> Result<HostConfig, hostcfg::HostConfigError> {
    let mut document = json!({"provisioning_urls": ["https://a.example/os.json"]});
    for (key, value) in extra.as_object().unwrap() {
        document[key] = value.clone();
    }
    parse(document)
}

/// The normal form is of today: it says the same, without a warning.
fn assert_modern(config: &HostConfig) {
    let again = HostConfig::parse(config.redacted_json().as_bytes()).unwrap();
    assert!(again.warnings.is_empty(), "{:?}", again.warnings);
    assert_eq!(again.redacted_json(), config.redacted_json());
    assert_eq!((&again.network, &again.dns), (&config.network, &config.dns));
    assert_eq!((&again.interfaces, &again.bonding), (&config.interfaces, &config.bonding));
    assert_eq!(again.mirrors.len(), config.mirrors.len());
}

/// Each warning begins with one of these, in this order, and nothing of it is a secret.
fn assert_warnings(config: &HostConfig, starts: &[&str]) {
    assert_eq!(config.warnings.len(), starts.len(), "{:?}", config.warnings);
    for (warning, start) in config.warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning:?}, not {start:?}");
        assert!(!warning.contains("PASSWORD"), "{warning}");
    }
}

#[test]
fn the_oldest_form_is_read() {
    let config = vector("oldest-2022-10.json");
    assert_warnings(
        &config,
        &[
            "provisioning_urls: the old name of ospkg_pointer",
            "dns: an address alone",
            "network_interface: an old form; write network_interfaces: [{\"mac_address\"",
        ],
    );
    let Addressing::Static(own) = &config.network else { panic!("{config:?}") };
    assert_eq!(own.addresses[0].to_string(), "203.0.113.132/27");
    assert_eq!(own.gateways[0].to_string(), "203.0.113.129");
    assert_eq!(config.dns[0].to_string(), "8.8.8.8");
    assert_eq!(config.interfaces[0].mac.unwrap().to_string(), "52:54:00:fc:c0:68");
    assert_eq!((config.interfaces.len(), config.interfaces[0].name.as_ref()), (1, None));
    assert_eq!(config.bonding, None);
    let url = config.urls().next().unwrap();
    assert_eq!(url.credentials().unwrap().user, "USERNAME");
    assert_modern(&config);
}

#[test]
fn a_bond_of_names_is_read() {
    let config = vector("bonded-2023-02.json");
    assert_warnings(
        &config,
        &[
            "provisioning_urls: the old name",
            "dns: an address alone",
            "network_interfaces: names alone",
            "network_interface: ignored, because there is network_interfaces",
            "bonding: an old form",
        ],
    );
    let names: Vec<_> = config.interfaces.iter().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["eth2", "eth3"]);
    assert!(config.interfaces.iter().all(|interface| interface.mac.is_none()));
    let bonding = config.bonding.as_ref().unwrap();
    assert_eq!((bonding.mode, bonding.name.as_str()), (BondMode::Ieee8023ad, "bond0"));
    assert_modern(&config);
}

#[test]
fn one_nic_and_two_urls_are_read() {
    let config = vector("single-nic-2023-02.json");
    assert_warnings(
        &config,
        &[
            "provisioning_urls: the old name",
            "dns: an address alone",
            "network_interface: an old form",
            "bonding: an old form",
        ],
    );
    let hosts: Vec<_> =
        config.urls().map(|url| url.url_without_userinfo().host_str().unwrap()).collect();
    assert_eq!(hosts, ["hostname", "hostname2"]);
    assert_eq!(config.interfaces[0].mac.unwrap().to_string(), "52:54:00:9b:96:e4");
    assert_eq!(config.bonding, None);
    assert_modern(&config);
}

#[test]
fn todays_key_wins_over_the_old_one() {
    let newer = json!({"ospkg_pointer": "https://new.example/os.json"});
    let config = with_urls(newer).unwrap();
    assert_eq!(config.urls().len(), 1);
    assert!(config.urls().next().unwrap().to_string().contains("new.example"));
    assert_warnings(&config, &["provisioning_urls: ignored, because there is ospkg_pointer"]);

    let config = with_urls(json!({"mirrors": [{"url": "https://m.example/os.json"}]})).unwrap();
    assert!(config.urls().next().unwrap().to_string().contains("m.example"));
    assert_warnings(&config, &["provisioning_urls: ignored, because there is mirrors"]);

    // `null` is not there.
    let config = with_urls(json!({"ospkg_pointer": null, "mirrors": null})).unwrap();
    assert!(config.urls().next().unwrap().to_string().contains("a.example"));

    let mac = "52:54:00:00:00:01";
    let config = with_urls(json!({
        "network_interface": mac,
        "network_interfaces": [{"mac_address": "52:54:00:00:00:02"}],
    }))
    .unwrap();
    assert_eq!(config.interfaces[0].mac.unwrap().to_string(), "52:54:00:00:00:02");

    // Names are the members of a bond: where there is none, the address says which interface.
    for mode in [json!(null), json!("")] {
        let config = with_urls(json!({
            "network_interface": mac,
            "network_interfaces": ["eth0", "eth1"],
            "bonding_mode": mode,
        }))
        .unwrap();
        assert_eq!(config.interfaces.len(), 1);
        assert_eq!(config.interfaces[0].mac.unwrap().to_string(), mac);
    }
    // And without an address the names.
    let config = with_urls(json!({"network_interfaces": ["eth0"], "network_interface": ""}));
    assert_eq!(config.unwrap().interfaces[0].name.as_deref(), Some("eth0"));
}

#[test]
fn the_mode_says_whether_there_is_a_bond() {
    let bond = |bonding: bool, mode: &str| {
        with_urls(json!({
            "bonding": bonding,
            "bonding_mode": mode,
            "bond_name": "bond0",
            "network_interfaces": ["eth0"],
        }))
        .unwrap()
    };
    for (bonding, mode, is_bond, warning) in [
        (true, "802.3ad", true, "bonding: an old form"),
        (false, "", false, "bonding: an old form"),
        (false, "802.3ad", true, "bonding: false, but"),
        (true, "", false, "bonding: true, but"),
    ] {
        let config = bond(bonding, mode);
        assert_eq!(config.bonding.is_some(), is_bond, "{bonding} {mode}");
        assert!(config.warnings.iter().any(|it| it.starts_with(warning)), "{:?}", config.warnings);
    }
}

#[test]
fn old_forms_are_no_more_lenient_than_todays() {
    for (extra, part) in [
        (json!({"provisioning_urls": []}), "provisioning_urls: an empty list"),
        (json!({"provisioning_urls": "https://a/?CANARY"}), "provisioning_urls: a string of 17"),
        (json!({"provisioning_urls": [""]}), "provisioning_urls[1]: \"\""),
        (json!({"provisioning_urls": [7]}), "provisioning_urls[1]: a number"),
        (
            json!({"provisioning_urls": ["https://u:CANARY@a/x", "https://b/y,z"]}),
            "[2]: a string of 13",
        ),
        (json!({"provisioning_urls": ["https://a/$ID"], "identity": "a1"}), "identity"),
    ] {
        let error = parse(extra.clone()).unwrap_err();
        assert_eq!(error.code(), Code::HostConfigInvalid, "{extra}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
    for (extra, part) in [
        (json!({"dns": "resolver.example"}), "dns[1]: \"resolver.example\""),
        (json!({"dns": ""}), "dns[1]: \"\""),
        (json!({"network_interface": "eth0"}), "network_interface: \"eth0\""),
        (json!({"network_interface": 7}), "network_interface: 7"),
        (json!({"network_interfaces": []}), "network_interfaces: an empty list"),
        (json!({"network_interfaces": ["eth0", 7]}), "network_interfaces[2]"),
        (json!({"bonding": "yes"}), "bonding: \"yes\""),
    ] {
        let error = with_urls(extra.clone()).unwrap_err();
        assert_eq!(error.code(), Code::HostConfigInvalid, "{extra}");
        assert!(error.to_string().contains(part), "{error}");
    }
    // A URL that could not be fetched from is none by its old name, either.
    let config = parse(json!({"provisioning_urls": ["ftp://a/os.json"]})).unwrap();
    assert_eq!(config.provisioning_urls().unwrap_err().code(), Code::HostConfigNoUrl);
}

#[test]
fn passwords_of_old_forms_are_hidden() {
    let config = parse(json!({
        "provisioning_urls": ["http://user:CANARY@a/os.json", "https://u:CAN,ARY@b/os.json"],
    }))
    .unwrap();
    assert_eq!(config.urls().len(), 2);
    assert!(config.holds_secrets());
    let printed = format!("{config:?} {} {:?}", config.redacted_json(), config.warnings);
    assert!(!printed.contains("CANARY") && !printed.contains("ARY"), "{printed}");
    assert!(config.warnings.iter().any(|warning| warning.contains("CLEAR TEXT")));
}
