//! What mirrors have, and what machines are told.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use netboot::Host;
use netboot::Inputs;
use netboot::Policy;
use ospkg::CreateOptions;
use ospkg::Descriptor;
use trust::Clock;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::TrustPolicy;

/// An archive with its descriptor, signed by both signers.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) archive: Vec<u8>,
    pub(crate) descriptor: Vec<u8>,
}

impl Package {
    /// With an initramfs of so many bytes.
    pub(crate) fn new(label: &str, len: usize) -> Self {
        let options = CreateOptions {
            label: label.to_owned(),
            kernel_name: "vmlinuz".into(),
            initramfs_name: "initramfs".into(),
            ..CreateOptions::default()
        };
        let mut archive = Cursor::new(Vec::new());
        let content: Vec<u8> = (0..len).map(|at| (at * 7 % 251).to_le_bytes()[0]).collect();
        ospkg::create(&mut archive, &options, label.as_bytes().into(), content.as_slice().into())
            .unwrap();
        let archive = archive.into_inner();
        let mut descriptor = Descriptor::new("os.zip").unwrap();
        for name in ["signer1", "signer2"] {
            let signature = ospkg::sign(&signing_key(name), Sha256Digest::of(&archive));
            descriptor.push(&key_file(&format!("{name}.cert.pem")), &signature).unwrap();
        }
        Self { archive, descriptor: descriptor.to_json().into_bytes() }
    }
}

fn key_file(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/keys");
    fs::read_to_string(keys.join(name)).unwrap()
}

fn signing_key(name: &str) -> SigningKey {
    let text = key_file(&format!("{name}.key.pem"));
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    // PKCS#8 of an Ed25519 key ends in its seed.
    SigningKey::from_bytes(BASE64_STANDARD.decode(base64).unwrap().last_chunk().unwrap())
}

/// A machine with these mirrors that wants both signatures.
pub(crate) fn inputs(hosts: &[&str]) -> Inputs {
    let urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}/os.json")).collect();
    let config =
        serde_json::json!({ "network_mode": "dhcp", "ospkg_pointer": urls.join(",") }).to_string();
    let policy = TrustPolicy::load(&PolicyFiles {
        trust_policy_json: br#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#,
        signing_root_pem: Some(key_file("root.cert.pem").as_bytes()),
        ..PolicyFiles::default()
    });
    Inputs {
        policy: Policy { policy: policy.unwrap(), files: Vec::new() },
        host: Host::parse("test", "test", config.into_bytes()).unwrap(),
        clock: Clock::exactly("2026-11-21T22:07:17Z".parse().unwrap()),
    }
}
