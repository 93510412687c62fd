//! Everything that reads what strangers send, each as a function from bytes to whether they were
//! believed.
//!
//! A function passes if it returns: none may panic, hang or take more memory than its limits allow,
//! whatever it is given. Where a state machine stands behind a reader, it is run, too.
//!
//! Two programs call these functions: `tests/smoke.rs`, which runs on the stable compiler with all
//! other tests, and `libfuzzer/`, a workspace of its own for cargo-fuzz. docs/fuzzing.md says how.

#![forbid(unsafe_code)]

mod archive;

/// A function to be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its folder in `corpora/`.
    pub name: &'static str,
    /// Reads the bytes; whether they were believed.
    pub run: fn(&[u8]) -> bool,
    /// What a run costs in comparison with the cheapest.
    pub cost: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("archive", archive::run, 50),
    target("arp", netup::fuzzing::arp, 1),
    target("bzimage", bzimage, 1),
    target("certificate", certificate, 10),
    target("certificate_der", |bytes| trust::Certificate::parse(bytes).is_ok(), 10),
    target("descriptor", |bytes| ospkg::Descriptor::parse(bytes).is_ok(), 10),
    target("dhcp4", netup::fuzzing::dhcp4, 5),
    target("dhcp6", netup::fuzzing::dhcp6, 10),
    target("dns", fetch::fuzzing::dns, 5),
    target("entry", entry, 10),
    target("host_configuration", |bytes| hostcfg::HostConfig::parse(bytes).is_ok(), 5),
    target("location", fetch::fuzzing::location, 2),
    target("manifest", |bytes| ospkg::Manifest::parse(bytes).is_ok(), 5),
    target("router_advertisement", netup::fuzzing::router_advertisement, 5),
    target("signing_roots", signing_roots, 20),
    target("strict_json", |bytes| report::strict_json::parse_object(bytes).is_ok(), 1),
    target("trust_policy", |bytes| trust::PolicyDocument::parse(bytes).is_ok(), 5),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool, cost: u32) -> Target {
    Target { name, run, cost }
}

/// Runs the function with this name; for programs that are one target each.
///
/// # Panics
///
/// If there is none.
#[must_use]
#[allow(clippy::panic, reason = "a wrong name is a mistake in the fuzzer's own manifest")]
pub fn run(name: &str, bytes: &[u8]) -> bool {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => (target.run)(bytes),
        None => panic!("there is no fuzz target {name}"),
    }
}

fn bzimage(bytes: &[u8]) -> bool {
    let header = ospkg::bzimage::BzImage::parse_whole(bytes);
    if let Ok(header) = &header {
        let _ = header.release(bytes);
    }
    header.is_ok()
}

/// One entry of a descriptor that is well formed otherwise: the text is both its certificate and its
/// signature. What cannot stand in a string of JSON is left out.
fn entry(bytes: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(bytes)
        .chars()
        .filter(|character| !character.is_control() && !matches!(character, '"' | '\\'))
        .collect();
    let document =
        format!(r#"{{"version": 1, "certificates": ["{text}"], "signatures": ["{text}"]}}"#);
    ospkg::Descriptor::parse(document.as_bytes()).is_ok()
}

/// `ospkg_signing_root.pem`.
fn signing_roots(bytes: &[u8]) -> bool {
    trust::TrustPolicy::for_roots(bytes, 1).is_ok()
}

/// A certificate in PEM, and its insides.
fn certificate(bytes: &[u8]) -> bool {
    trust::decode_certificate_pem(bytes).is_ok_and(|der| trust::Certificate::parse(&der).is_ok())
}
