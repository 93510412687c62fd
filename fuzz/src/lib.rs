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
    target("age_file", age_file, 20),
    target("age_identities", |bytes| agefile::Identities::parse(bytes).is_ok(), 10),
    target("archive", archive::run, 50),
    target("arp", netup::fuzzing::arp, 1),
    target("bzimage", bzimage, 1),
    target("certificate", certificate, 10),
    target("descriptor", |bytes| ospkg::Descriptor::parse(bytes).is_ok(), 10),
    target("dhcp4", netup::fuzzing::dhcp4, 5),
    target("dhcp6", netup::fuzzing::dhcp6, 10),
    target("dns", fetch::fuzzing::dns, 5),
    target("host_configuration", |bytes| hostcfg::HostConfig::parse(bytes).is_ok(), 5),
    target("location", fetch::fuzzing::location, 2),
    target("manifest", |bytes| ospkg::Manifest::parse(bytes).is_ok(), 5),
    target("router_advertisement", netup::fuzzing::router_advertisement, 5),
    target("strict_json", |bytes| report::strict_json::parse_object(bytes).is_ok(), 1),
    target("trust_policy", |bytes| trust::PolicyDocument::parse(bytes).is_ok(), 5),
];

/// What the seed of `age_file` is encrypted to. No secret: it is used for nothing else.
pub const AGE_IDENTITY: &str =
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

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

/// An age file, in pieces, for a machine with [`AGE_IDENTITY`].
fn age_file(bytes: &[u8]) -> bool {
    let Ok(identities) = agefile::Identities::parse(AGE_IDENTITY.as_bytes()) else { return false };
    let mut take = |_: &[u8]| Ok::<_, agefile::AgeError>(());
    let mut decryptor = agefile::Decryptor::new(identities);
    bytes.chunks(61).all(|piece| decryptor.push(piece, &mut take).is_ok())
        && decryptor.finish(&mut take).is_ok()
}

fn bzimage(bytes: &[u8]) -> bool {
    let header = ospkg::bzimage::BzImage::parse_whole(bytes);
    if let Ok(header) = &header {
        let _ = header.release(bytes);
    }
    header.is_ok()
}

/// A certificate in PEM, and its insides.
fn certificate(bytes: &[u8]) -> bool {
    trust::decode_certificate_pem(bytes).is_ok_and(|der| trust::Certificate::parse(&der).is_ok())
}
