//! Files that are not what they are taken for.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::Lab;
use support::json;

#[test]
fn what_check_prints_is_no_configuration_to_feed_back() {
    let lab = Lab::new();
    lab.write(
        "host.json",
        r#"{"network_mode": "dhcp", "ospkg_pointer": "https://user:pass@boot.example/os.json",
            "mirrors": [{"url": "https://b.example/os.json", "headers": {"X-Token": "canary"}}]}"#,
    );
    let ran = lab.ok("host-config check host.json");
    assert!(ran.stderr.contains("is no configuration to use"), "{}", ran.stderr);
    assert_eq!(json(&lab.ok("host-config check host.json --json"))["secrets_hidden"], true);
    lab.write("printed.json", &ran.stdout);
    for words in ["host-config check printed.json", "host-config encode printed.json"] {
        let ran = lab.refused(words, "error[E0113]");
        assert!(ran.stderr.contains("user name and password: it is ***"), "{}", ran.stderr);
        assert!(ran.stderr.contains("header \"X-Token\": it, too"), "{}", ran.stderr);
        assert!(ran.stderr.contains("put the secrets themselves"), "{}", ran.stderr);
    }
    lab.ok("keygen root");
    lab.policy("policy", 1);
    lab.write("init", support::init());
    let build = "boot-image build --init init --trust-policy policy --out image --host-config";
    let ran = lab.refused(&format!("{build} printed.json"), "error[E0113]");
    assert!(ran.stderr.contains("printed.json: https://***@boot.example"), "{}", ran.stderr);
    assert!(!lab.path("image").exists());
    lab.ok(&format!("{build} host.json"));
}

#[test]
fn files_that_are_no_json_are_called_by_their_name() {
    let lab = Lab::new();
    let good = r#"{"network_mode": "dhcp", "ospkg_pointer": "https://boot.example/os.json"}"#;
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, says) in [
        ("empty", Vec::new(), "the file is empty"),
        (
            "bom",
            [b"\xef\xbb\xbf", good.as_bytes()].concat(),
            "the file begins with a byte order mark",
        ),
        ("utf16", [b"\xff\xfe", utf16.as_slice()].concat(), "the file is text in UTF-16"),
        ("utf16-bare", utf16.clone(), "the file is text in UTF-16"),
        ("gz", b"\x1f\x8b\x08\x00\x00".to_vec(), "the file is compressed with gzip"),
        ("efi", [b"\x07\0\0\0", good.as_bytes()].concat(), "the file is an EFI variable"),
    ] {
        lab.write(name, &bytes);
        for (words, code) in [
            ("host-config check", "error[E0112]"),
            ("host-config encode", "error[E0112]"),
            ("trust-policy check", "error[E0102]"),
        ] {
            let ran = lab.refused(&format!("{words} {name}"), code);
            assert!(ran.stderr.contains(&format!("\n  {says}")), "{words}: {}", ran.stderr);
            assert!(!ran.stderr.contains("what is named"), "{}", ran.stderr);
        }
    }
    let ran = lab.refused("host-config check .", "cannot read .: is a directory");
    assert!(ran.stderr.contains("give the name of a file"), "{}", ran.stderr);
    lab.write("policy/trust_policy.json", r#"{"ospkg_signature_threshold": 0}"#);
    let ran = lab.refused("trust-policy check policy/trust_policy.json", "error[E010");
    assert!(!ran.stderr.contains("trust_policy.json: trust_policy.json"), "{}", ran.stderr);
    let build = "boot-image build --trust-policy policy/trust_policy.json --out image";
    let ran = lab.refused(build, "is a file, and a trust policy is a directory");
    assert!(ran.stderr.contains("that is policy\n"), "{}", ran.stderr);
}

#[test]
fn a_configuration_may_come_by_a_pipe() {
    let lab = Lab::new();
    let pipe = |text: &str| {
        let mut command = lab.command();
        command.args(["host-config", "check", "-"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let good = r#"{"network_mode": "dhcp", "ospkg_pointer": "https://boot.example/os.json"}"#;
    assert_eq!(pipe(good).0, Some(0));
    let (status, told) = pipe(r#"{"network_mode": "dhcp", "dns": ["x"], "ospkg_pointer": "a"}"#);
    assert_eq!(status, Some(1));
    assert!(told.contains("stdin: dns[1]"), "{told}");
}

#[test]
fn tls_roots_are_not_missed_where_nothing_is_fetched() {
    let lab = Lab::new();
    lab.ok("keygen root");
    lab.policy("policy", 1);
    let without = "no TLS roots";
    assert!(lab.ok("trust-policy check policy").stderr.contains(without));
    let text = r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "initramfs"}"#;
    lab.write("policy/trust_policy.json", text);
    assert!(!lab.ok("trust-policy check policy").stderr.contains(without));
}
