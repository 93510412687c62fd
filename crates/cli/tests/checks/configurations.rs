//! Trust policies and host configurations are judged and explained.

use base64::Engine;

use crate::support::Lab;
use crate::support::json;

#[test]
fn a_trust_policy_is_judged_alone_or_as_a_directory() {
    let lab = Lab::with_signers();
    let ran = lab.ok("trust-policy check policy/trust_policy.json");
    let normal: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(normal["ospkg_signature_threshold"], 2);
    assert!(ran.stderr.contains("2 distinct keys"), "{}", ran.stderr);
    let ran = lab.ok("trust-policy check policy");
    assert!(ran.stderr.contains("only http"), "{}", ran.stderr);
    let result = json(&lab.ok("trust-policy check policy --json"));
    assert_eq!(result["ok"], true);
    assert_eq!(result["report"]["signing_roots"].as_array().unwrap().len(), 1);

    lab.write("p.json", r#"{"ospkg_signature_threshold": 0, "ospkg_fetch_method": "network"}"#);
    lab.refused("trust-policy check p.json", "error[E0103]");
    lab.write("p.json", "[");
    lab.refused("trust-policy check p.json", "error[E0102]");
    lab.refused("trust-policy check none.json", "cannot read none.json");
    assert_eq!(json(&lab.run("trust-policy check p.json --json"))["code"], "E0102");
    lab.write(
        "p.json",
        r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network", "colour": 1}"#,
    );
    let ran = lab.ok("trust-policy check p.json");
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("colour"), "{}", ran.stderr);
    let denied = "ab".repeat(32);
    lab.write(
        "p.json",
        format!(
            r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network", "denied_keys": ["{denied}"]}}"#
        ),
    );
    let ran = lab.ok("trust-policy check p.json");
    assert!(ran.stderr.contains("1 key never counts"), "{}", ran.stderr);
    lab.write("policy/ospkg_trust_policy", "quorum none");
    lab.refused("trust-policy check policy", "error[E0107]");
    std::fs::remove_file(lab.path("policy/ospkg_trust_policy")).unwrap();
    lab.ok("trust-policy check policy");
    // A name that asks for something is never ignored, whatever stands behind it.
    std::fs::create_dir(lab.path("policy/decryption_identities")).unwrap();
    lab.refused("trust-policy check policy", "error[E0127]");
    std::fs::remove_dir(lab.path("policy/decryption_identities")).unwrap();
    lab.write("policy/decryption_identities", IDENTITY);
    let ran = lab.ok("trust-policy check policy");
    assert!(ran.stderr.contains("must be encrypted, to any of age1zvkyg2lq"), "{}", ran.stderr);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("GFPYY"), "{}", ran.stderr);
}

const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

#[test]
fn a_host_configuration_is_judged_and_explained() {
    let lab = Lab::new();
    lab.write(
        "h.json",
        r#"{"network_mode": "static", "host_ip": "192.0.2.2/24", "gateway": "192.0.2.1",
            "ospkg_pointer": "https://a.example/os.json,https://b.example/os.json"}"#,
    );
    let ran = lab.ok("host-config check h.json");
    let normal: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(normal["host_ip"], "192.0.2.2/24");
    assert!(ran.stderr.contains("2. https://b.example/os.json"), "{}", ran.stderr);
    assert_eq!(json(&lab.ok("host-config check h.json --json"))["ok"], true);
    lab.write("h.json", r#"{"network_mode": "static", "ospkg_pointer": "https://a.example/x"}"#);
    lab.refused("host-config check h.json", "error[E0113]");
    lab.write("h.json", "");
    lab.refused("host-config check h.json", "error[E0112]");
    lab.refused("host-config check none", "cannot read none");
    assert_eq!(lab.run("host-config check").status, 2);
    // Enough for a package in the initramfs, but not for the network.
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "os.json"}"#);
    let refused = "a machine that boots from the network refuses this: E0114 the host";
    let ran = lab.ok("host-config check h.json");
    assert_eq!(ran.stderr.matches(refused).count(), 1, "{}", ran.stderr);
    let warnings = &json(&lab.ok("host-config check h.json --json"))["warnings"];
    assert!(warnings.to_string().contains(refused), "{warnings}");
    let help = lab.ok("host-config check --help").stdout;
    assert!(help.contains("E0114") && !help.contains("exactly"), "{help}");
    assert!(help.contains("STHostConfig-") && help.contains(r"printf '\7\0\0\0'"), "{help}");
}

#[test]
fn what_no_machine_boots_is_refused() {
    let lab = Lab::new();
    for (pointer, why) in [
        ("ftp://a/os.json", "not an http:// or https:// URL"),
        ("/etc/os.zip", "not an http:// or https:// URL"),
        ("https:/a.example/os.json", "not an http:// or https:// URL"),
        ("https://a:99999/os.json", "is no port, 1 to 65535"),
        ("https://2001:db8::1/os.json", "stands in brackets"),
    ] {
        let text = format!(r#"{{"network_mode": "dhcp", "ospkg_pointer": "{pointer}"}}"#);
        lab.write("h.json", text);
        lab.refused("host-config check h.json", "error[E0114]");
        let ran = lab.run("host-config check h.json");
        assert_eq!(ran.status, 1);
        assert!(ran.stderr.contains(why) && ran.stdout.is_empty(), "{}", ran.stderr);
        assert_eq!(json(&lab.run("host-config check h.json --json"))["code"], "E0114");
    }
    // One that can be used is enough.
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "ftp://a/x,https://a/x"}"#);
    lab.ok("host-config check h.json");
    lab.write(
        "h.json",
        r#"{"network_mode": "static", "host_ip": "192.0.2.7/24", "gateway": "192.0.2.1",
            "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.3"}], "ospkg_pointer": "https://a/x"}"#,
    );
    lab.refused("host-config check h.json", "error[E0113]");
}

#[test]
fn secrets_on_a_command_line_are_warned_of() {
    let lab = Lab::new();
    for line in [
        "ramstrap.url=https://u:CANARY@b.example/os.json",
        "ramstrap.url=https://b.example/os.json?CANARY",
        "ramstrap.url=https://b.example/os.json ramstrap.proxy=http://u:CANARY@p:3128",
    ] {
        let ran = lab.run_args(&["host-config", "check", "--command-line", line]);
        assert_eq!(ran.status, 0);
        assert!(
            ran.stderr.contains("warning: it holds secrets: the kernel prints"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);
    }
    let line = "ramstrap.url=https://b.example/os.json";
    assert!(!lab.ok(&format!("host-config check --command-line {line}")).stderr.contains("secret"));
}

#[test]
fn warnings_are_for_the_author_of_settings() {
    let lab = Lab::new();
    let check = |flag: &str, line: &str| lab.run_args(&["host-config", "check", flag, line]);
    let told = |line: &str| {
        let ran = check("--command-line", line);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran.stderr
    };
    let line = told(
        "ramstrap.network_mode=dhcp ramstrap.ip=192.0.2.7/24 \
         ramstrap.url=https://b.example/os.json,https://c.example/os.json",
    );
    assert!(line.contains("ramstrap.ip: ignored") && !line.contains("addresses:"), "{line}");
    assert!(line.contains("is taken for one URL"), "{line}");
    let static_ = told(
        "ramstrap.ip=192.0.2.7/24 ramstrap.dns=2001:db8::53 \
         ramstrap.url=https://198.51.100.5/os.json",
    );
    for part in [
        "warning: ramstrap.dns: 2001:db8::53 is out of reach: the machine has no IPv6",
        "warning: https://198.51.100.5/os.json is out of reach: there is neither a gateway nor",
        "Fetches https://198.51.100.5/os.json (out of reach: there is neither",
    ] {
        assert!(static_.contains(part), "{static_:?} lacks {part:?}");
    }
    let url = "ramstrap.url=https://b.example/os.json";
    let bootif = "BOOTIF=01-52-54-00-12-34-56";
    let free = told(&format!("{url} {bootif}"));
    assert!(free.contains("BOOTIF: the interface 52:54:00:12:34:56 goes first."), "{free}");
    let named = told(&format!("{url} {bootif} ramstrap.interface=eth0"));
    assert!(named.contains("counts for nothing") && !named.contains("goes first"), "{named}");
    let ran = check("--oem-string", &format!("{url} ramstrap.vlan=3"));
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("an OEM string is one setting"), "{}", ran.stderr);
    let two = lab.ok(&format!("host-config check --oem-string {url} --oem-string ramstrap.vlan=3"));
    assert!(!two.stderr.contains("warning"), "{}", two.stderr);
}

#[test]
fn settings_are_judged_as_a_file_is_and_made_of_one() {
    let lab = Lab::new();
    let ran = lab.ok("host-config check --command-line ramstrap.url=https://a.example/os.json");
    assert!(ran.stderr.contains("router advertisements"), "{}", ran.stderr);
    for line in ["quiet", "ramstrap.report=ttyS1", "ramstrap.vlna=7"] {
        let ran = lab.run(&format!("host-config check --command-line {line}"));
        assert_eq!(ran.status, 1);
        assert!(ran.stderr.contains("no host configuration here"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("E0114"), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("is it ramstrap.vlan?"), line.contains("vlna"));
    }
    let long = format!("ramstrap.url=https://a.example/{}.json", "x".repeat(6000));
    let ran = lab.ok(&format!("host-config check --oem-string {long}"));
    assert!(ran.stdout.contains(&"x".repeat(6000)) && !ran.stderr.contains("warning"));
    let two = "--oem-string ramstrap.url=https://a/x --oem-string ramstrap.vlan=7";
    assert!(lab.ok(&format!("host-config check {two}")).stderr.contains("VLAN 7"));
    assert_eq!(lab.run("host-config check --oem-string x h.json").status, 2);
    let vlan = "host-config check --command-line ramstrap.vlan=7";
    lab.refused(vlan, "ramstrap.url: missing");
    assert_eq!(lab.run("host-config check --command-line x h.json").status, 2);

    lab.write("h.json", r#"{"network_mode": "dhcp", "vlan": 7, "ospkg_pointer": "https://a/x"}"#);
    let setting = lab.ok("host-config encode h.json").stdout;
    assert!(setting.starts_with("ramstrap.host_config=ey"), "{setting}");
    let again = lab.ok(&format!("host-config check --command-line {}", setting.trim()));
    assert_eq!(again.stdout, lab.ok("host-config check h.json").stdout);
    assert_eq!(json(&lab.ok("host-config encode h.json --json"))["setting"], setting.trim());
    assert!(!lab.ok("host-config encode h.json").stderr.contains("secrets"));
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "https://u:p@a/x"}"#);
    assert!(lab.ok("host-config encode h.json").stderr.contains("it holds secrets"));
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "a/os.json"}"#);
    lab.refused("host-config encode h.json", "error[E0114]");
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "os.zip"}"#);
    lab.ok("host-config encode h.json");
}

/// A certificate and a key of its own, in PEM.
fn client_identity() -> (String, String) {
    let pem = |label: &str, der: &[u8]| {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let made = rcgen::generate_simple_self_signed(vec!["machine".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    (pem("CERTIFICATE", made.cert.der()), pem("PRIVATE KEY", &key))
}

#[test]
fn client_certificates_are_judged_as_a_machine_does_it() {
    let lab = Lab::new();
    let (certificate, key) = client_identity();
    let (_, other_key) = client_identity();
    let empty = certificate.replace(certificate.lines().nth(1).unwrap(), "AAAA");
    let with = |certificate: &str, key: &str, other: &[&str]| {
        let mut mirrors = vec![serde_json::json!({
            "url": "https://a.example/os.json", "client_certificate": certificate, "client_key": key,
        })];
        mirrors.extend(other.iter().map(|url| serde_json::json!({ "url": url })));
        let document = serde_json::json!({ "network_mode": "dhcp", "mirrors": mirrors });
        lab.write("h.json", document.to_string());
    };
    with(&certificate, &key, &[]);
    assert!(!lab.ok("host-config check h.json").stderr.contains("warning"));
    for (certificate, key, part) in [
        (&certificate, &other_key, "client_key is not the key of client_certificate"),
        (&empty, &key, "that TLS can use"),
    ] {
        with(certificate, key, &[]);
        lab.refused("host-config check h.json", "error[E0113]");
        lab.refused("host-config check h.json", part);
        with(certificate, key, &["https://b.example/os.json"]);
        let told = lab.ok("host-config check h.json").stderr;
        assert!(told.contains("https://a.example/os.json can never be asked"), "{told}");
        assert!(told.contains(part), "{told}");
        let words =
            "1. https://a.example/os.json (never asked: it has no usable client certificate)";
        assert!(told.contains(words), "{told}");
    }
    with(&certificate, &key.replace("\nMI", "\n…"), &["https://b.example/os.json"]);
    let told = lab.ok("host-config check h.json").stderr;
    assert!(told.contains("client_key is no key in PEM"), "{told}");
}

#[test]
fn old_forms_are_printed_as_todays() {
    let lab = Lab::new();
    lab.write(
        "h.json",
        r#"{"version": 1, "network_mode": "dhcp", "dns": "192.0.2.53", "timestamp": 1,
            "provisioning_urls": ["https://u:CANARY@a.example/os.json", "https://b.example/os.json"],
            "network_interface": "52:54:00:00:00:01", "bonding": false, "bonding_mode": ""}"#,
    );
    let ran = lab.ok("host-config check h.json");
    for key in ["provisioning_urls", "dns", "network_interface", "bonding"] {
        assert!(ran.stderr.contains(&format!("warning: {key}: ")), "{key}: {}", ran.stderr);
    }
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("CANARY"));
    let normal: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(normal["dns"], serde_json::json!(["192.0.2.53"]));
    assert_eq!(normal["network_interfaces"][0]["mac_address"], "52:54:00:00:00:01");
    assert_eq!(normal["ospkg_pointer"], "https://***@a.example/os.json,https://b.example/os.json");
    lab.write("new.json", ran.stdout.replace("***", "u:CANARY"));
    assert!(!lab.ok("host-config check new.json").stderr.contains("warning"));
}

#[test]
fn packages_of_the_boot_image_are_told_from_urls() {
    let lab = Lab::new();
    let check = |pointer: &str| {
        let json = format!(r#"{{"network_mode": "dhcp", "ospkg_pointer": "{pointer}"}}"#);
        lab.write("h.json", json);
        lab.ok("host-config check h.json").stderr
    };
    let told = check("provision.zip");
    assert!(told.contains("Boots provision.zip of the boot image"), "{told}");
    assert!(!told.contains("E0114") && !told.contains("carrier"), "{told}");
    let told = check("os.zip");
    assert!(told.contains("Boots os.zip of the boot image") && told.contains("E0114"), "{told}");
}

#[test]
fn the_schema_is_printed_as_it_is() {
    let lab = Lab::new();
    let printed: serde_json::Value =
        serde_json::from_str(&lab.ok("host-config schema").stdout).unwrap();
    assert_eq!(printed, serde_json::from_str::<serde_json::Value>(hostcfg::SCHEMA).unwrap());
    assert_eq!(json(&lab.ok("host-config schema --json"))["schema"], printed);
}
