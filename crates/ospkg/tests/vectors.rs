//! Every OS package of the interoperability vectors, judged end to end, gets the verdict that
//! stboot v0.2.2 gave it, or is one of the listed differences.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::path::PathBuf;

use ospkg::Descriptor;
use ospkg::Package;
use report::Code;
use report::Coded;
use serde_json::Value;
use trust::Clock;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

/// Why a verdict differs from the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Difference {
    /// We refuse what the peer accepts.
    Stricter,
    /// We accept what newer versions of the peer accept too.
    NewerFormat,
}

const DIFFERENCES: &[(&str, Difference, &str)] = &[
    ("more-certs-than-signatures", Difference::Stricter, "the lists must have the same length"),
    ("same-key-two-certs", Difference::Stricter, "keys are counted, not certificates"),
    ("url-no-scheme", Difference::NewerFormat, "os_pkg_url may be relative"),
];

/// Codes that the bad packages must end in, where there is one right code.
const CODES: &[(&str, Code)] = &[
    ("descriptor-empty", Code::DescriptorMalformed),
    ("descriptor-array", Code::DescriptorMalformed),
    ("descriptor-trailing-data", Code::DescriptorMalformed),
    ("version-float", Code::DescriptorMalformed),
    ("version-minus1", Code::DescriptorMalformed),
    ("more-certs-than-signatures", Code::DescriptorMismatch),
    ("more-signatures-than-certs", Code::DescriptorMismatch),
    ("certificates-missing", Code::DescriptorMismatch),
    ("signatures-missing", Code::DescriptorMismatch),
    ("certificate-not-pem", Code::DescriptorEntryInvalid),
    ("certificate-pem-headers", Code::DescriptorEntryInvalid),
    ("certificate-pem-other-type", Code::DescriptorEntryInvalid),
    ("certificate-null", Code::DescriptorEntryInvalid),
    ("unparsable-third-cert-2good", Code::DescriptorEntryInvalid),
    ("under-intermediate-bundled", Code::DescriptorEntryInvalid),
    ("base64-not", Code::DescriptorEntryInvalid),
    ("base64-url-alphabet", Code::DescriptorEntryInvalid),
    ("below-threshold-3of4", Code::BelowThreshold),
    ("no-signatures-empty-arrays", Code::BelowThreshold),
    ("tampered-signature", Code::SignatureWrong),
    ("tampered-zip-kernel-byte", Code::SignatureWrong),
    ("swapped-signatures", Code::SignatureWrong),
    ("truncated-zip-1", Code::SignatureWrong),
    ("wrong-root", Code::SignerUntrusted),
    ("expired-cert", Code::SignerExpired),
    ("short-signature", Code::SignatureLength),
    ("long-signature", Code::SignatureLength),
    ("empty-signature", Code::SignatureLength),
    ("duplicate-signer", Code::SignerRepeated),
    ("same-key-two-certs", Code::SignerRepeated),
    ("empty-zip-file", Code::SignatureWrong),
    ("truncated-zip-half-resigned", Code::ArchiveInvalid),
    ("zip-bad-crc", Code::ArchiveInvalid),
    ("zip-unknown-method", Code::ArchiveInvalid),
    ("zip-no-manifest", Code::ManifestMissing),
    ("manifest-garbage", Code::ManifestInvalid),
    ("manifest-trailing", Code::ManifestInvalid),
    ("manifest-version-2", Code::ManifestInvalid),
    ("manifest-kernel-empty", Code::ManifestInvalid),
    ("zip-kernel-missing", Code::KernelMissing),
    ("zip-kernel-empty", Code::KernelMissing),
    ("zip-initramfs-empty", Code::InitramfsMissing),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Value) -> Vec<u8> {
    let path = path.as_str().unwrap();
    fs::read(root().join("tests/vectors").join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn entries() -> (Clock, Vec<Value>) {
    let index: Value = serde_json::from_slice(&read(&Value::from("index.json"))).unwrap();
    let clock = Clock::exactly(timestamp(index["computed"].as_str().unwrap()));
    let entries = index["entries"].as_array().unwrap().clone();
    (clock, entries.into_iter().filter(|entry| entry["kind"] == "ospkg").collect())
}

/// Reads `2026-11-21T22:07:17Z`.
fn timestamp(text: &str) -> Timestamp {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970, counting years from March.
    let shifted = if month < 3 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    let seconds = (number(11..13) * 60 + number(14..16)) * 60 + number(17..19);
    let timestamp = Timestamp::from_unix(days * 86_400 + seconds);
    assert_eq!(timestamp.to_string(), text);
    timestamp
}

/// Kernel and initramfs, or the code and message of the refusal.
fn judge(entry: &Value, clock: &Clock) -> Result<(Vec<u8>, Vec<u8>), (Code, String)> {
    fn coded<E: Coded + ToString>(error: E) -> (Code, String) {
        (error.code(), error.to_string())
    }
    let files = &entry["files"];
    let threshold = entry["peer"]["threshold"].as_u64().unwrap();
    let policy = TrustPolicy::for_roots(&read(&files["signing_root"]), threshold).map_err(coded)?;
    let archive = read(&files["archive"]);
    let digest = Sha256Digest::of(&archive);
    let descriptor = Descriptor::parse(&read(&files["descriptor"])).map_err(coded)?;
    let authorized =
        trust::authorize(&policy, descriptor.endorsements(), digest, clock).map_err(coded)?;
    let package = Package::open(authorized, digest, Cursor::new(archive)).map_err(coded)?;
    let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).map_err(coded)?;
    let (_, _, kernel, initramfs) = verified.into_parts();
    Ok((kernel, initramfs))
}

#[test]
fn verdicts_are_the_peers_or_listed() {
    let mut listed: BTreeMap<&str, Difference> =
        DIFFERENCES.iter().map(|&(name, difference, _)| (name, difference)).collect();
    let (clock, entries) = entries();
    assert!(entries.len() >= 70, "only {} vectors found", entries.len());
    let mut wrong = Vec::new();
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let peer_accepts = entry["peer"]["verdict"] == "accept";
        let ours = judge(entry, &clock);
        let found = match (peer_accepts, ours.is_ok()) {
            (true, false) => Some(Difference::Stricter),
            (false, true) => Some(Difference::NewerFormat),
            _ => None,
        };
        let expected = listed.remove(name);
        if found != expected {
            let ours = ours.map(|_| "accepted");
            wrong.push(format!("{name}: expected {expected:?}, found {found:?} ({ours:?})"));
        }
    }
    wrong.extend(listed.keys().map(|name| format!("{name}: listed, but there is no such vector")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refusals_have_their_codes() {
    let (clock, entries) = entries();
    let mut codes: BTreeMap<&str, Code> = CODES.iter().copied().collect();
    let mut wrong = Vec::new();
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let Some(expected) = codes.remove(name) else { continue };
        match judge(entry, &clock) {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err((code, message)) => {
                if code != expected {
                    wrong.push(format!("{name}: {code} ({message}), expected {expected}"));
                }
                if message.is_empty() || message.contains('\n') || message.contains(code.id()) {
                    wrong.push(format!("{name}: message {message:?}"));
                }
            }
        }
    }
    wrong.extend(codes.keys().map(|name| format!("{name}: there is no such vector")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_comes_out_is_what_went_in() {
    let (clock, entries) = entries();
    let kernel = read(&Value::from("inputs/dummy.vmlinuz"));
    let initramfs = read(&Value::from("inputs/dummy.cpio.gz"));
    let mut compared = 0;
    for entry in &entries {
        let Ok((found_kernel, found_initramfs)) = judge(entry, &clock) else { continue };
        let name = &entry["name"];
        assert!(found_kernel == kernel, "{name}: kernel differs");
        assert!(found_initramfs == initramfs, "{name}: initramfs differs");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} compared");
}

/// A descriptor that the peer wrote goes through reading and writing without a byte changed.
#[test]
fn descriptors_are_written_as_the_peer_writes_them() {
    let (_, entries) = entries();
    let mut same = Vec::new();
    for entry in &entries {
        let text = read(&entry["files"]["descriptor"]);
        if Descriptor::parse(&text).is_ok_and(|d| d.to_json().as_bytes() == text) {
            same.push(entry["name"].as_str().unwrap().to_owned());
        }
    }
    for name in ["valid-1of1", "valid-2of2", "valid-3of3", "url-empty"] {
        assert!(same.iter().any(|found| found == name), "{name} is not among {same:?}");
    }
}

#[test]
fn differences_are_documented() {
    let text = fs::read_to_string(root().join("docs/system-transparency.md")).unwrap();
    for (name, difference, _) in DIFFERENCES {
        let tag = match difference {
            Difference::Stricter => "stricter",
            Difference::NewerFormat => "newer-format",
        };
        let row = text.lines().find(|line| line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/system-transparency.md"));
        assert!(row.contains(tag), "{name} is not tagged {tag}: {row}");
    }
}
