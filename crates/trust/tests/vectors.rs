//! The interoperability vectors: what another reader of the same formats said, and what we say.
//!
//! Every verdict of ours is the same as the peer's, or is listed below with the reason why not.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use report::Code;
use report::Coded;
use serde::Deserialize;
use trust::Clock;
use trust::Endorsement;
use trust::PolicyDocument;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;
use trust::authorize;
use trust::decode_certificate_pem;

/// 2026-11-21T22:07:17Z, when the peer's verdicts were computed.
const COMPUTED: Timestamp = Timestamp::from_unix(1_795_298_837);

const JSON: &[u8] = br#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tag {
    /// We refuse what the peer accepts.
    Stricter,
    /// We accept what later versions of the peer accept by their documents.
    NewerFormat,
}

/// Where we differ: kind, name, how, why.
const DIFFERENT: [(&str, &str, Tag, &str); 4] = [
    ("trust_policy", "trailing-data", Tag::Stricter, "a policy must mean one thing to all readers"),
    (
        "trust_policy",
        "trailing-second-object",
        Tag::Stricter,
        "two objects with two thresholds in one file: nobody knows which one its author meant",
    ),
    ("signing_root", "two", Tag::NewerFormat, "since version 0.6 a policy may have several roots"),
    (
        "ospkg",
        "same-key-two-certs",
        Tag::Stricter,
        "one key counts once, whatever its certificates",
    ),
];

#[derive(Deserialize)]
struct Index {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    kind: String,
    name: String,
    files: BTreeMap<String, String>,
    sha256: BTreeMap<String, String>,
    peer: Peer,
}

#[derive(Deserialize)]
struct Peer {
    verdict: String,
    stage: String,
    #[serde(default)]
    threshold: u64,
}

impl Entry {
    fn read(&self, file: &str) -> Vec<u8> {
        let bytes = fs::read(vectors().join(&self.files[file])).unwrap();
        if let Some(sha256) = self.sha256.get(file) {
            assert_eq!(Sha256Digest::of(&bytes).to_string(), *sha256, "{} was changed", self.name);
        }
        bytes
    }
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

/// Compares our verdicts on all vectors of a kind that `judge` has an opinion on.
fn compare(kind: &str, judge: impl Fn(&Entry) -> Option<Result<(), Code>>) -> usize {
    let index: Index =
        serde_json::from_slice(&fs::read(vectors().join("index.json")).unwrap()).unwrap();
    let mut judged = 0;
    let mut wrong = Vec::new();
    for entry in index.entries.iter().filter(|entry| entry.kind == kind) {
        let Some(ours) = judge(entry) else { continue };
        judged += 1;
        let difference = match (entry.peer.verdict.as_str(), ours) {
            ("accept", Ok(())) | ("reject", Err(_)) => None,
            ("accept", Err(_)) => Some(Tag::Stricter),
            ("reject", Ok(())) => Some(Tag::NewerFormat),
            (other, _) => panic!("{kind} {}: unknown verdict {other}", entry.name),
        };
        let listed = DIFFERENT
            .iter()
            .find(|(listed_kind, name, ..)| *listed_kind == kind && *name == entry.name)
            .map(|(.., tag, _)| *tag);
        if difference != listed {
            wrong.push(format!("{}: {ours:?} is {difference:?}, listed as {listed:?}", entry.name));
        }
    }
    for (_, name, ..) in DIFFERENT.iter().filter(|(listed, ..)| *listed == kind) {
        assert!(index.entries.iter().any(|entry| entry.name == *name), "no vector {kind} {name}");
    }
    assert!(wrong.is_empty(), "{kind}:\n{}", wrong.join("\n"));
    judged
}

fn load(signing: &[u8], tls: Option<&[u8]>) -> Result<TrustPolicy, Code> {
    TrustPolicy::load(&PolicyFiles {
        trust_policy_json: JSON,
        signing_root_pem: Some(signing),
        tls_roots_pem: tls,
        ..PolicyFiles::default()
    })
    .map_err(|error| error.code())
}

#[test]
fn trust_policies() {
    let judged = compare("trust_policy", |entry| {
        let result = PolicyDocument::parse(&entry.read("file"));
        Some(result.map(|_| ()).map_err(|error| error.code()))
    });
    assert_eq!(judged, 18);
}

#[test]
fn signing_roots() {
    let judged = compare("signing_root", |entry| Some(load(&entry.read("file"), None).map(|_| ())));
    assert_eq!(judged, 7);
}

#[test]
fn tls_roots() {
    let signing = fs::read(vectors().join("keys/root.cert.pem")).unwrap();
    let judged = compare("https_roots", |entry| {
        let file = entry.read("file");
        Some(load(&signing, Some(&file)).map(|policy| assert!(!policy.tls_roots().is_empty())))
    });
    assert_eq!(judged, 8);
}

/// The signatures of the OS packages; what is wrong with their descriptors and archives otherwise
/// does not matter here.
#[test]
fn signatures() {
    let judged = compare("ospkg", |entry| {
        // What the peer refuses after the threshold is signed well.
        if !["boot", "threshold"].contains(&entry.peer.stage.as_str()) {
            return None;
        }
        let endorsements = endorsements(&entry.read("descriptor"))?;
        let archive = Sha256Digest::of(&entry.read("archive"));
        let root = fs::read(vectors().join(&entry.files["signing_root"])).unwrap();
        let policy = TrustPolicy::for_roots(&root, entry.peer.threshold).unwrap();
        let result = authorize(&policy, &endorsements, archive, &Clock::exactly(COMPUTED));
        let code = result.map(|_| ()).map_err(|refusal| refusal.code());
        if let Some((_, expected)) = CODES.iter().find(|(name, _)| *name == entry.name) {
            assert_eq!(code, Err(*expected), "{}", entry.name);
        }
        Some(code)
    });
    assert!(judged >= 35, "{judged}");
}

/// Codes that some of the refused packages must have.
const CODES: [(&str, Code); 11] = [
    ("below-threshold-3of4", Code::BelowThreshold),
    ("no-signatures-empty-arrays", Code::BelowThreshold),
    ("duplicate-signer", Code::SignerRepeated),
    ("same-key-two-certs", Code::SignerRepeated),
    ("expired-cert", Code::SignerExpired),
    ("long-signature", Code::SignatureLength),
    ("empty-signature", Code::SignatureLength),
    ("self-signed", Code::SignerUntrusted),
    ("wrong-root-same-key", Code::SignerUntrusted),
    ("swapped-signatures", Code::SignatureWrong),
    ("signature-over-archive-not-hash", Code::SignatureWrong),
];

/// The pairs of a descriptor whose two lists are of one length and decode.
fn endorsements(descriptor: &[u8]) -> Option<Vec<Endorsement>> {
    #[derive(Deserialize)]
    struct Descriptor {
        certificates: Vec<String>,
        signatures: Vec<String>,
    }
    let descriptor: Descriptor = serde_json::from_slice(descriptor).ok()?;
    if descriptor.certificates.len() != descriptor.signatures.len() {
        return None;
    }
    let decode = |text: &String| BASE64_STANDARD.decode(text.replace('\n', "")).ok();
    descriptor
        .certificates
        .iter()
        .zip(&descriptor.signatures)
        .map(|(certificate, signature)| {
            Some(Endorsement {
                certificate_der: decode_certificate_pem(&decode(certificate)?).ok()?,
                signature: decode(signature)?,
            })
        })
        .collect()
}
