//! `stmgr ospkg verify`, `trust-policy check` and `host-config check` give the verdicts of the
//! interoperability vectors as exit statuses. Where a verdict differs on purpose, and why, is said
//! beside the tests of the libraries; here the command line must give the same.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Kind and name of the vectors that get another verdict than the peer's.
const DIFFERENT: &[(&str, &str)] = &[
    ("host_configuration", "dns-string"),
    ("host_configuration", "duplicate-key"),
    ("host_configuration", "ifaces-mac-null"),
    ("host_configuration", "missing-bond_name"),
    ("host_configuration", "missing-dns"),
    ("host_configuration", "missing-gateway"),
    ("host_configuration", "missing-host_ip"),
    // Read by both, and booted by neither: `check` answers as the boot does.
    ("host_configuration", "pointer-bad-url"),
    ("host_configuration", "pointer-no-scheme"),
    ("ospkg", "more-certs-than-signatures"),
    ("ospkg", "same-key-two-certs"),
    ("ospkg", "url-no-scheme"),
    ("trust_policy", "trailing-data"),
    ("trust_policy", "trailing-second-object"),
];

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

fn status(args: &[&str]) -> i32 {
    let output = Command::new(env!("CARGO_BIN_EXE_ramstrap"))
        .args(args)
        .current_dir(vectors())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code().unwrap_or_else(|| panic!("{args:?}: {text}"));
    // Whatever is refused is refused with a code.
    assert!(status == 0 || text.contains("error[E0"), "{args:?}: {text}");
    status
}

/// The kernels of the vectors are texts, which the peer's verifier takes and no machine boots.
#[test]
fn without_the_alias_what_no_machine_boots_is_refused() {
    let index: Value =
        serde_json::from_slice(&std::fs::read(vectors().join("index.json")).unwrap()).unwrap();
    let at = index["computed"].as_str().unwrap();
    let policy = tempfile::TempDir::new().unwrap();
    let mut codes = std::collections::BTreeMap::<String, usize>::new();
    for entry in index["entries"].as_array().unwrap() {
        if entry["kind"] != "ospkg" || entry["peer"]["verdict"] != "accept" {
            continue;
        }
        let file = |name: &str| vectors().join(entry["files"][name].as_str().unwrap());
        let document = format!(
            r#"{{"ospkg_signature_threshold": {}, "ospkg_fetch_method": "network"}}"#,
            entry["peer"]["threshold"]
        );
        std::fs::write(policy.path().join("trust_policy.json"), document).unwrap();
        let roots = policy.path().join("ospkg_signing_root.pem");
        std::fs::copy(file("signing_root"), roots).unwrap();
        let mut said = BTreeSet::new();
        for command in ["verify", "status"] {
            let output = Command::new(env!("CARGO_BIN_EXE_ramstrap"))
                .args(["ospkg", command, "--json", "--at", at, "--trust-policy"])
                .args([policy.path(), &file("descriptor")])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {entry}");
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_ne!(told["boots"], true, "{command} {entry}");
            said.insert(told["code"].as_str().unwrap().to_owned());
        }
        assert_eq!(said.len(), 1, "{said:?} {entry}");
        for code in said {
            let url = entry["name"].as_str().unwrap().starts_with("url-");
            let other = DIFFERENT.iter().any(|(_, name)| entry["name"] == *name);
            assert!(other || (code == "E0315") == url, "{code} {entry}");
            *codes.entry(code).or_default() += 1;
        }
    }
    assert!(codes["E0507"] > 15 && codes["E0315"] == 5, "{codes:?}");
}

#[test]
fn exit_statuses_are_the_verdicts() {
    let index: Value =
        serde_json::from_slice(&std::fs::read(vectors().join("index.json")).unwrap()).unwrap();
    let at = index["computed"].as_str().unwrap();
    let mut found = BTreeSet::new();
    let mut asked = 0;
    for entry in index["entries"].as_array().unwrap() {
        let (kind, name) = (entry["kind"].as_str().unwrap(), entry["name"].as_str().unwrap());
        let file = |name: &str| entry["files"][name].as_str().unwrap();
        let threshold = entry["peer"]["threshold"].to_string();
        let status = match kind {
            "ospkg" => status(&[
                "ospkg",
                "verify",
                // What `ramstrap stmgr ospkg verify` runs.
                "--as-stmgr",
                "--signing-root",
                file("signing_root"),
                "--threshold",
                &threshold,
                "--at",
                at,
                file("descriptor"),
            ]),
            "trust_policy" => status(&["trust-policy", "check", file("file")]),
            "host_configuration" => status(&["host-config", "check", file("file")]),
            _ => continue,
        };
        asked += 1;
        assert!(matches!(status, 0 | 1), "{kind} {name}: {status}");
        if (status == 0) != (entry["peer"]["verdict"] == "accept") {
            found.insert((kind, name));
        }
    }
    assert!(asked > 150, "only {asked} vectors");
    assert_eq!(found, DIFFERENT.iter().copied().collect());
}
