//! Host configurations from the command line and from OEM strings.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hostcfg::Addressing;
use hostcfg::HostConfig;
use hostcfg::HostConfigError;
use hostcfg::sources::CommandLine;
use hostcfg::sources::KEYS;
use hostcfg::sources::Settings;
use hostcfg::sources::Source;
use proptest::prelude::*;

fn read(line: &str) -> (Result<HostConfig, HostConfigError>, Vec<String>) {
    let settings = CommandLine::parse(line).settings;
    let mut warnings = settings.warnings().to_vec();
    match settings.document() {
        Ok(document) => {
            warnings.extend(document.warnings);
            (HostConfig::parse(&document.json), warnings)
        }
        Err(error) => (Err(error), warnings),
    }
}

fn config(line: &str) -> HostConfig {
    let (config, warnings) = read(line);
    assert!(warnings.is_empty(), "{warnings:?}");
    config.unwrap()
}

fn message(line: &str) -> String {
    read(line).0.unwrap_err().to_string()
}

#[test]
fn a_url_is_enough() {
    let config = config("console=ttyS0 ramstrap.url=https://a.example/os.json quiet -- --dryrun");
    assert_eq!(config.network, Addressing::Auto);
    assert_eq!(config.mirrors.len(), 1);
    assert!(config.warnings.is_empty());
}

#[test]
fn all_keys_together_are_one_configuration() {
    let config = config(
        "ramstrap.url=https://a.example/os.json?a=1,2 ramstrap.url=https://b.example/os.json \
         ramstrap.ip=192.0.2.7/24,2001:db8::7/64 ramstrap.gateway=192.0.2.1 \
         ramstrap.gateway=2001:db8::1 ramstrap.dns=192.0.2.53 ramstrap.dns_search=example.net \
         ramstrap.ntp=time.example,192.0.2.1 ramstrap.interface=eth0 \
         ramstrap.interface=52:54:00:12:34:56,0000:00:03.0 ramstrap.bond=802.3ad ramstrap.vlan=100 \
         ramstrap.mtu=9000 ramstrap.proxy=http://u:p@proxy.example:3128 \
         ramstrap.no_proxy=10.0.0.0/8,.example.net ramstrap.remote_log=syslog+udp://192.0.2.9",
    );
    let Addressing::Static(own) = &config.network else { panic!("{config:?}") };
    assert_eq!((own.addresses.len(), own.gateways.len()), (2, 2));
    assert_eq!(config.mirrors.len(), 2);
    assert_eq!(config.mirrors[0].url.url_without_userinfo().query(), Some("a=1,2"));
    assert_eq!((config.dns.len(), config.ntp.len(), config.dns_search.len()), (1, 2, 1));
    assert_eq!(config.interfaces[0].name.as_deref(), Some("eth0"));
    assert!(config.interfaces[1].mac.is_some());
    assert_eq!(config.interfaces[2].pci_path.as_deref(), Some("0000:00:03.0"));
    assert_eq!(config.bonding.as_ref().unwrap().name, "bond0");
    assert_eq!((config.vlan, config.mtu), (Some(100), Some(9000)));
    assert!(config.proxy.is_some() && config.no_proxy.matches("a.example.net"));
    assert!(config.remote_log.is_some());
}

#[test]
fn a_bond_may_be_named_and_a_static_network_may_have_no_gateway() {
    let config = config(
        "ramstrap.url=http://192.0.2.1/os.json ramstrap.ip=192.0.2.7/24 ramstrap.interface=eth0 \
         ramstrap.bond=active-backup,uplink",
    );
    assert_eq!(config.bonding.unwrap().name, "uplink");
    assert!(matches!(config.network, Addressing::Static(own) if own.gateways.is_empty()));
}

#[test]
fn the_last_of_what_can_be_there_once_counts() {
    let line = "ramstrap.vlan=1 ramstrap.url=https://a/x ramstrap.network_mode=auto ramstrap.vlan=2 \
                ramstrap.network_mode=dhcp";
    let config = config(line);
    assert_eq!((config.vlan, config.network), (Some(2), Addressing::Dhcp));
}

#[test]
fn a_whole_configuration_is_taken_from_base64_of_either_alphabet_in_pieces() {
    let json = r#"{"network_mode":"dhcp","ospkg_pointer":"https://a.example/~ÿÿ?>.json"}"#;
    for encoded in [STANDARD.encode(json), URL_SAFE_NO_PAD.encode(json)] {
        let (head, tail) = encoded.split_at(10);
        let line = format!("ramstrap.host_config={head} ramstrap.host_config={tail}");
        assert_eq!(config(&line), HostConfig::parse(json.as_bytes()).unwrap());
    }
    let encoded = URL_SAFE_NO_PAD.encode(json);
    let (config, warnings) = read(&format!("ramstrap.host_config={encoded} ramstrap.vlan=7"));
    assert_eq!(config.unwrap().vlan, None);
    assert!(warnings[0].contains("as a whole"), "{warnings:?}");
    let error = message("ramstrap.host_config=can*ary");
    assert!(error.contains("ramstrap.host_config: 7 characters that are not base64"), "{error}");
    assert!(!error.contains("can*ary"));
}

#[test]
fn errors_have_the_names_of_the_settings() {
    for (line, part) in [
        ("ramstrap.vlan=7", "ramstrap.url: missing"),
        ("ramstrap.url=ftp://a/x", "ramstrap.url[1]: a string of 9 characters"),
        ("ramstrap.url=https://a ramstrap.ip=192.0.2.7", "ramstrap.ip[1]: \"192.0.2.7\""),
        ("ramstrap.url=https://a ramstrap.network_mode=static", "ramstrap.ip: missing"),
        ("ramstrap.url=https://a ramstrap.network_mode=DHCP", "ramstrap.network_mode: \"DHCP\""),
        ("ramstrap.url=https://a ramstrap.vlan=4095", "ramstrap.vlan: 4095"),
        ("ramstrap.url=https://a ramstrap.vlan=ten", "ramstrap.vlan: \"ten\""),
        (
            "ramstrap.url=https://a ramstrap.bond=lacp ramstrap.interface=a",
            "ramstrap.bond: \"lacp\"",
        ),
        ("ramstrap.url=https://a ramstrap.bond=802.3ad", "ramstrap.interface: missing"),
        (
            "ramstrap.url=https://a ramstrap.bond=lacp ramstrap.interface=eth0",
            "ramstrap.bond: \"lacp\", expected 802.3ad (which is LACP)",
        ),
        (
            "ramstrap.url=https://a ramstrap.remote_log=a",
            "ramstrap.remote_log: a string of 1 character,",
        ),
    ] {
        let message = message(line);
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn unknown_keys_are_warned_of_with_the_nearest_known_one() {
    let (config, warnings) = read(
        "ramstrap.url=https://a/x ramstrap.vlna=7 ramstrap.network-mode=dhcp ramstrap.shell=canary \
         ramstrap.report=ttyS1 ramstrap.mtu ramstrap.dns=",
    );
    assert!(config.is_ok());
    let all = warnings.join("\n");
    assert_eq!(warnings.len(), 5, "{all}");
    for part in [
        "ramstrap.vlna: unknown, ignored; is it ramstrap.vlan?",
        "is it ramstrap.network_mode?",
        "ramstrap.shell: unknown, ignored; known are host_config, url",
        "ramstrap.mtu: has no value",
        "ramstrap.dns: has no value",
    ] {
        assert!(all.contains(part), "{all:?} lacks {part:?}");
    }
    assert!(!all.contains("canary"));
}

#[test]
fn warnings_have_the_names_that_were_written() {
    let renamed = |line: &str| {
        let settings = CommandLine::parse(line).settings;
        let json = settings.document().unwrap().json;
        let warnings = HostConfig::parse(&json).unwrap().warnings;
        warnings.iter().map(|it| settings.renamed_warning(it)).collect::<Vec<_>>()
    };
    assert_eq!(
        renamed(
            "ramstrap.url=https://192.0.2.1/x ramstrap.network_mode=dhcp ramstrap.ip=192.0.2.7/24"
        ),
        ["ramstrap.ip: ignored, because network_mode is \"dhcp\""]
    );
    let told = renamed(
        "ramstrap.url=https://b.example/x ramstrap.ip=192.0.2.7/32 ramstrap.gateway=192.0.2.1",
    );
    assert!(told.iter().any(|it| it.starts_with("ramstrap.url: b.example is a name")), "{told:?}");
    assert!(
        told.iter().any(|it| it.starts_with("ramstrap.gateway[1]: 192.0.2.1 is not")),
        "{told:?}"
    );
    assert!(!told.concat().contains("host_ip"), "{told:?}");
    // A configuration as a whole keeps its own.
    let whole = "ramstrap.host_config=eyJuZXR3b3JrX21vZGUiOiAiZGhjcCIsICJob3N0X2lwIjogIjE5Mi4wLjIuNy8yNCIsICJtaXJyb3JzIjogW3sidXJsIjogImh0dHA6Ly9hL3gifV19";
    assert_eq!(renamed(whole), ["host_ip: ignored, because network_mode is \"dhcp\""]);
}

#[test]
fn words_of_others_make_no_configuration() {
    for line in ["", "quiet BOOTIF=01-52-54-00-12-34-56", "ramstrap.report=ttyS1", "ramstrap.x=1"] {
        assert!(CommandLine::parse(line).settings.is_empty(), "{line}");
    }
    assert!(Settings::read(["vendor string", "xramstrap.url=https://a"]).is_empty());
}

#[test]
fn secrets_are_not_printed() {
    for line in [
        "ramstrap.url=https://u:canary@a/x ramstrap.proxy=http://u:canary@b:1",
        "ramstrap.url=https://u:canary@[a/x",
        "ramstrap.url=https://a ramstrap.proxy=u:canary@b",
        "ramstrap.url=https://a ramstrap.remote_log=https://u:canary@a/x?canary",
    ] {
        let settings = CommandLine::parse(line).settings;
        let document = settings.document();
        let (config, warnings) = read(line);
        let printed = format!("{document:?} {config:?} {warnings:?} {:?}", settings.names());
        assert!(!printed.contains("canary"), "{printed}");
    }
}

#[test]
fn sources_have_a_fixed_order() {
    let names: Vec<&str> = Source::ALL.into_iter().map(Source::name).collect();
    let order = ["initramfs", "efi-variable", "command-line", "smbios", "boot-origin", "provision"];
    assert_eq!(names, order);
}

#[test]
fn the_built_in_configuration_is_for_the_package_provision() {
    let config = HostConfig::parse(hostcfg::sources::PROVISION.as_bytes()).unwrap();
    assert!(config.package.unwrap().is_provision());
    assert_eq!((config.warnings.len(), config.mirrors.len()), (0, 0));
}

proptest! {
    #[test]
    fn any_command_line_is_read(
        words in prop::collection::vec((prop::sample::select(&KEYS[..]), "[ -~]{0,24}"), 0..8),
        noise in "\\PC{0,40}",
    ) {
        let mut line = noise;
        for (key, value) in words {
            line.push_str(&format!(" ramstrap.{key}={value}"));
        }
        let (config, _) = read(&line);
        if let Ok(config) = config {
            let _ = config.redacted_json();
        }
    }
}
