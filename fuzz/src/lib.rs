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
mod host_sources;

use core::time::Duration;

use trust::Certificate;
use trust::Sha256Digest;
use trust::sigsum::Proof;

/// What answers of time servers must repeat.
pub const NONCE: [u8; 8] = *b"01234567";

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
    target("boot_option", host_sources::boot_option, 5),
    target("boot_url", host_sources::boot_url, 5),
    target("bzimage", bzimage, 1),
    target("certificate", certificate, 10),
    target("certificate_der", |bytes| Certificate::parse(bytes).is_ok(), 10),
    target("command_line", host_sources::command_line, 5),
    target("content_range", fetch::fuzzing::content_range, 1),
    target("descriptor", |bytes| ospkg::Descriptor::parse(bytes).is_ok(), 10),
    target("dhcp4", netup::fuzzing::dhcp4, 5),
    target("dhcp6", netup::fuzzing::dhcp6, 10),
    target("dns", fetch::fuzzing::dns, 5),
    target("efi_variable", host_sources::efi_variable, 5),
    target("entry", entry, 10),
    target("host_configuration", |bytes| hostcfg::HostConfig::parse(bytes).is_ok(), 5),
    target("location", fetch::fuzzing::location, 2),
    target("manifest", |bytes| ospkg::Manifest::parse(bytes).is_ok(), 5),
    target("page", fetch::fuzzing::page, 1),
    target("provisioning_answer", provision::fuzzing::answer, 5),
    target("provisioning_request", provision::fuzzing::request, 10),
    target("provisioning_stream", provision::fuzzing::stream, 20),
    target("proxy_status", fetch::fuzzing::proxy_status, 1),
    target("retry_after", fetch::fuzzing::retry_after, 1),
    target("router_advertisement", netup::fuzzing::router_advertisement, 5),
    target("signing_roots", |bytes| trust::TrustPolicy::for_roots(bytes, 1).is_ok(), 20),
    target("sigsum_policy", sigsum_policy, 10),
    target("sigsum_proof", sigsum_proof, 20),
    target("smbios", host_sources::smbios, 5),
    target("sntp", sntp, 1),
    target("strict_json", |bytes| report::strict_json::parse_object(bytes).is_ok(), 1),
    target("tls_roots", tls_roots, 20),
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

/// A Sigsum policy, and what is computed from it.
fn sigsum_policy(bytes: &[u8]) -> bool {
    let policy = trust::SigsumPolicy::parse(bytes);
    if let Ok(policy) = &policy {
        let fewest = policy.fewest_witnesses();
        assert!(fewest <= policy.witnesses().count(), "more witnesses are needed than there are");
        let _ = policy.warnings();
    }
    policy.is_ok()
}

/// A Sigsum proof, held against the policy and the signer of the seeds.
fn sigsum_proof(bytes: &[u8]) -> bool {
    let Ok(proof) = Proof::parse(bytes) else { return false };
    let policy = trust::SigsumPolicy::parse(include_bytes!("../corpora/sigsum_policy/seed-groups"));
    let signer = include_bytes!("../../tests/vectors/keys/signer1.cert.pem");
    let certificate =
        trust::decode_certificate_pem(signer).ok().and_then(|der| Certificate::parse(&der).ok());
    if let (Ok(policy), Some(certificate)) = (policy, certificate) {
        let _ = policy.witness_standings(&proof);
        let _ = policy.verify(&proof, &certificate, Sha256Digest::of(b"archive"));
    }
    true
}

/// A time server's answer to the request with [`NONCE`], and the time that it tells.
fn sntp(bytes: &[u8]) -> bool {
    let answer = sntp::Answer::parse(bytes, NONCE);
    if let Ok(answer) = &answer {
        let _ = answer.unix_time(i64::MAX, Duration::MAX);
        let _ = answer.unix_time(i64::MIN, Duration::ZERO);
    }
    answer.is_ok()
}

/// The file `tls_roots.pem` of a trust policy.
fn tls_roots(bytes: &[u8]) -> bool {
    trust::TrustPolicy::load(&trust::PolicyFiles {
        trust_policy_json: br#"{"ospkg_signature_threshold":1,"ospkg_fetch_method":"network"}"#,
        signing_root_pem: Some(include_bytes!("../corpora/certificate/seed-root")),
        tls_roots_pem: Some(bytes),
        ..trust::PolicyFiles::default()
    })
    .is_ok()
}

/// A certificate in PEM, and its insides.
fn certificate(bytes: &[u8]) -> bool {
    trust::decode_certificate_pem(bytes).is_ok_and(|der| Certificate::parse(&der).is_ok())
}
