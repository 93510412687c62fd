//! Every host configuration of the interoperability vectors gets the verdict that stboot v0.2.2
//! gave it, or is one of the listed differences.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use hostcfg::HostConfig;
use serde_json::Value;

/// Why a verdict differs from the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Difference {
    /// We refuse what the peer accepts.
    Stricter,
    /// We accept what newer versions of the peer accept too.
    NewerFormat,
    /// We accept what is of use to us alone.
    Other,
}

const DIFFERENCES: &[(&str, Difference, &str)] = &[
    ("dns-string", Difference::NewerFormat, "a single address, as in older forms"),
    ("duplicate-key", Difference::Stricter, "two readers would understand it differently"),
    ("ifaces-mac-null", Difference::Other, "an interface may be chosen by its name alone"),
    ("missing-bond_name", Difference::NewerFormat, "an absent key is the same as null"),
    ("missing-dns", Difference::NewerFormat, "an absent key is the same as null"),
    ("missing-gateway", Difference::NewerFormat, "an absent key is the same as null"),
    ("missing-host_ip", Difference::NewerFormat, "an absent key is the same as null"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn entries() -> Vec<Value> {
    let index = fs::read(root().join("tests/vectors/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["entries"].as_array().unwrap().clone();
    entries.into_iter().filter(|entry| entry["kind"] == "host_configuration").collect()
}

fn document(entry: &Value) -> Vec<u8> {
    fs::read(root().join("tests/vectors").join(entry["files"]["file"].as_str().unwrap())).unwrap()
}

#[test]
fn verdicts_are_the_peers_or_listed() {
    let mut listed: BTreeMap<&str, Difference> =
        DIFFERENCES.iter().map(|&(name, difference, _)| (name, difference)).collect();
    let mut wrong = Vec::new();
    let entries = entries();
    assert!(entries.len() >= 60, "only {} vectors found", entries.len());
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let peer_accepts = entry["peer"]["verdict"] == "accept";
        let ours = HostConfig::parse(&document(entry));
        let found = match (peer_accepts, ours.is_ok()) {
            (true, false) => Some(Difference::Stricter),
            (false, true) => Some(Difference::NewerFormat),
            _ => None,
        };
        let expected = listed.remove(name).map(|difference| match difference {
            Difference::Other => Difference::NewerFormat,
            known => known,
        });
        if found != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {found:?} ({ours:?})"));
        }
    }
    wrong.extend(listed.keys().map(|name| format!("{name}: listed, but there is no such vector")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn differences_are_documented() {
    let text = fs::read_to_string(root().join("docs/system-transparency.md")).unwrap();
    for (name, difference, _) in DIFFERENCES {
        let tag = match difference {
            Difference::Stricter => "stricter",
            Difference::NewerFormat => "newer-format",
            Difference::Other => "other",
        };
        let row = text.lines().find(|line| line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/system-transparency.md"));
        assert!(row.contains(tag), "{name} is not tagged {tag}: {row}");
    }
}

/// What the peer understood, as far as it prints it, is what we understood.
#[test]
fn accepted_configurations_mean_the_same() {
    let mut compared = 0;
    for entry in entries() {
        let Ok(config) = HostConfig::parse(&document(&entry)) else { continue };
        let Some(peer) = entry["peer"]["peer_debug_log"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|line| line.as_str()?.split_once("remarshalled: "))
        else {
            continue;
        };
        let peer: Value = serde_json::from_str(peer.1).unwrap();
        let ours: Value = serde_json::from_str(&config.redacted_json()).unwrap();
        // A configuration with warnings says something that we deliberately drop.
        if !config.warnings.is_empty() {
            continue;
        }
        for key in ["network_mode", "host_ip", "gateway", "network_interfaces", "bonding_mode"] {
            assert_eq!(ours[key], peer[key], "{}: {key}", entry["name"]);
        }
        let no_servers = Value::Array(Vec::new());
        let peer_dns = if peer["dns"] == no_servers { &Value::Null } else { &peer["dns"] };
        assert_eq!(&ours["dns"], peer_dns, "{}: dns", entry["name"]);
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} compared");
}
