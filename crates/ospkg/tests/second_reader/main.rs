//! A second reader in Python, made of nothing but what docs/formats.md and docs/certificates.md say,
//! comes to the same verdict and code on every vector and every kind of bad input: so the pages say enough.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

#[path = "../bad_inputs/cases.rs"]
#[allow(dead_code, reason = "the test of the library uses the rest")]
mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use cases::Input;
use cases::NOW;
use cases::POLICY;
use cases::good_archive;
use cases::signed;
use cases::vector;
use ospkg::Descriptor;
use ospkg::Package;
use report::Code;
use report::Coded;
use serde_json::Value;
use trust::Clock;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader/second_reader.py");

/// Files of one case.
struct Files {
    policy: Vec<u8>,
    roots: Vec<u8>,
    descriptor: Vec<u8>,
    archive: Vec<u8>,
}

/// All vectors of packages, and the table of bad inputs, by name.
fn all() -> BTreeMap<String, Files> {
    let index: Value = serde_json::from_slice(&vector("index.json")).unwrap();
    let entries = index["entries"].as_array().unwrap();
    let mut all = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["kind"] == "ospkg") {
        let read = |what: &str| vector(entry["files"][what].as_str().unwrap());
        let threshold = &entry["peer"]["threshold"];
        let files = Files {
            policy: POLICY.replace("threshold\": 1", &format!("threshold\": {threshold}")).into(),
            roots: read("signing_root"),
            descriptor: read("descriptor"),
            archive: read("archive"),
        };
        all.insert(format!("vector-{}", entry["name"].as_str().unwrap()), files);
    }
    for (number, case) in cases::all().into_iter().enumerate() {
        let mut files = Files {
            policy: POLICY.into(),
            roots: vector("keys/root.cert.pem"),
            descriptor: signed(&good_archive()).into(),
            archive: good_archive(),
        };
        match case.input {
            Input::Archive(bytes) => {
                files.descriptor = signed(&bytes).into();
                files.archive = bytes;
            }
            Input::Descriptor(bytes) => files.descriptor = bytes,
            Input::Policy(bytes) => files.policy = bytes,
            Input::Roots(bytes) => files.roots = bytes,
        }
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name: String = case.name.chars().map(plain).collect();
        all.insert(format!("bad-{number:03}-{name}"), files);
    }
    all
}

/// As the reader prints it: `accepted` with the digests of kernel and initramfs, or a code.
fn ours(files: &Files) -> String {
    fn judge(files: &Files) -> Result<String, Code> {
        fn code<E: Coded>(error: E) -> Code {
            error.code()
        }
        let policy = TrustPolicy::load(&PolicyFiles {
            trust_policy_json: &files.policy,
            signing_root_pem: Some(&files.roots),
            ..PolicyFiles::default()
        })
        .map_err(code)?;
        let descriptor = Descriptor::parse(&files.descriptor).map_err(code)?;
        let digest = Sha256Digest::of(&files.archive);
        let clock = Clock::exactly(Timestamp::from_unix(NOW));
        let authorized =
            trust::authorize(&policy, descriptor.endorsements(), digest, &clock).map_err(code)?;
        let archive = Cursor::new(&files.archive);
        let package = Package::open(authorized, digest, archive).map_err(code)?;
        let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).map_err(code)?;
        let (kernel, initramfs) =
            (Sha256Digest::of(verified.kernel()), Sha256Digest::of(verified.initramfs()));
        Ok(format!("accepted {kernel} {initramfs}"))
    }
    judge(files).unwrap_or_else(|code| code.to_string())
}

#[test]
fn a_reader_made_from_the_page_comes_to_the_same_verdicts() {
    let has_library = Command::new("python3").args(["-c", "import cryptography"]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3 with the package `cryptography`");
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("second-reader");
    let _ = fs::remove_dir_all(&directory);
    let all = all();
    for (name, files) in &all {
        let place = directory.join(name);
        fs::create_dir_all(&place).unwrap();
        for (file, content) in [
            ("trust_policy.json", &files.policy),
            ("ospkg_signing_root.pem", &files.roots),
            ("os.json", &files.descriptor),
            ("os.zip", &files.archive),
        ] {
            fs::write(place.join(file), content).unwrap();
        }
    }
    let output = Command::new("python3")
        .args([READER.as_ref(), directory.as_os_str()])
        .arg(NOW.to_string())
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeMap<&str, &str> =
        printed.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(theirs.len(), all.len());
    let wrong: Vec<String> = all
        .iter()
        .map(|(name, files)| (name, ours(files)))
        .filter(|(name, ours)| theirs[name.as_str()] != ours)
        .map(|(name, ours)| format!("{name}: ours {ours}, by the page {}", theirs[name.as_str()]))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    fs::remove_dir_all(&directory).unwrap();
}
