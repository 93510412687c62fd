//! Comparing builds, keeping inputs, and signing only what was rebuilt.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::fs;
use std::io::Cursor;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rebuild::build::BuildRecord;
use rebuild::record::Rebuilt;
use rebuild::toolchain::Toolchain;
use support::Lab;
use support::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const BUILD: &str = r#"{"version":1,"name":"vpn","release":7,"source_date_epoch":1700000000,
    "source":{"revision":"0123456789012345678901234567890123456789","dirty":false}}"#;

/// Adds an entry to a package that was created.
fn add(lab: &Lab, archive: &str, name: &str, content: &[u8]) {
    let mut zip = ZipWriter::new_append(Cursor::new(lab.read(archive))).unwrap();
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(content).unwrap();
    lab.write(archive, zip.finish().unwrap().into_inner());
}

/// A record that this user has rebuilt the archive, as `cargo xtask ospkg rebuild` writes it.
fn remember(lab: &Lab, archive: &[u8], build: &str) -> std::path::PathBuf {
    let build = BuildRecord::parse(build.as_bytes()).unwrap();
    let record = Rebuilt::package(archive, &build, Toolchain::default());
    record.write(&lab.path("state/ramstrap/rebuilt")).unwrap()
}

#[test]
fn only_what_was_rebuilt_is_signed_after_rebuild() {
    const SIGN: &str = "ospkg sign --key a.key --cert a.pem --after-rebuild os.json";
    let lab = Lab::with_signers();
    lab.package();
    add(&lab, "os.zip", "build.json", BUILD.as_bytes());
    let unsigned = lab.read("os.json");
    let ran = lab.refused(SIGN, "this user has not rebuilt the archive with SHA-256 ");
    assert!(ran.stderr.contains("`cargo xtask ospkg rebuild os.json`"), "{}", ran.stderr);
    // Doubts can be overruled, this cannot.
    lab.refused(&format!("{SIGN} --force"), "has not rebuilt");
    // A record of another archive, and one of another build.
    remember(&lab, b"other", BUILD);
    lab.refused(SIGN, "has not rebuilt");
    remember(&lab, &lab.read("os.zip"), &BUILD.replace(":7,", ":8,"));
    lab.refused(SIGN, "the record of the rebuild says release 8, the package says 7");
    // One that others may have written.
    let path = remember(&lab, &lab.read("os.zip"), BUILD);
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o622);
    lab.refused(SIGN, "is not this user's alone");
    assert_eq!(lab.read("os.json"), unsigned);
    mode(0o600);
    let result = json(&lab.ok(&format!("{SIGN} --json")));
    assert_eq!((&result["after_rebuild"], &result["signatures"]), (&true.into(), &1.into()));
    assert_ne!(lab.read("os.json"), unsigned);
    // The archive is another one now: the record is no longer about it.
    add(&lab, "os.zip", "more", b"");
    lab.refused("ospkg sign --key b.key --cert b.pem --after-rebuild os.json", "has not rebuilt");
}

#[test]
fn a_package_without_a_record_of_its_build_is_not_signed_after_rebuild() {
    let lab = Lab::with_signers();
    lab.package();
    remember(&lab, &lab.read("os.zip"), BUILD);
    let words = "ospkg sign --key a.key --cert a.pem --after-rebuild os.json";
    lab.refused(words, "there is no build.json in it");
}

#[test]
fn packages_are_compared() {
    let lab = Lab::new();
    lab.package();
    lab.write("vmlinuz", support::kernel());
    lab.ok("ospkg create --kernel vmlinuz --initramfs initramfs --label new --url os.zip --out b");
    let ran = lab.ok("compare os.json os.zip");
    assert!(ran.stdout.contains("identical: "), "{}", ran.stdout);
    let ran = lab.refused("compare os.json b.json", "os.json and b.json differ in 1 place");
    assert!(ran.stdout.contains("  manifest.json: label: "), "{}", ran.stdout);
    let result = json(&lab.run("compare os.json b.json --json"));
    assert_eq!((&result["ok"], &result["identical"]), (&false.into(), &false.into()));
    assert_eq!(result["differences"][0]["place"][0], "manifest.json");
    assert!(result["differences"][0]["text"].as_str().unwrap().contains("label"));
    lab.write("text", "hello");
    lab.write("other", "hellO");
    lab.refused("compare text other", "differ");
    lab.refused("compare text os.zip", "differ");
    lab.refused("compare text missing", "cannot read missing");
    lab.refused("compare . text", "not a regular file");
    assert_eq!(lab.run("compare text").status, 2);
}

#[test]
fn boot_images_are_compared() {
    let lab = Lab::with_signers();
    lab.write("init", support::init());
    let build = "boot-image build --trust-policy policy --init init --build-time";
    lab.ok(&format!("{build} 2026-11-21 --out a.img"));
    lab.ok(&format!("{build} 2026-11-21 --out b.img"));
    lab.ok("compare a.img b.img");
    lab.ok(&format!("{build} 2026-11-22 --out b.img"));
    let ran = lab.refused("compare a.img b.img", "differ in 1 place");
    let words = "initramfs > archive 2 > etc/ramstrap/image.json: build_time: 1795219200 and ";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
}

#[test]
fn inputs_are_kept_and_found_again() {
    let lab = Lab::new();
    lab.write("one", "1");
    lab.write("two", "22");
    let stored = json(&lab.ok("store put kept one two --json"));
    let digest = stored["stored"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(lab.read(&format!("kept/sha256/{digest}")), b"1");
    lab.ok(&format!("store get kept {digest} --out again"));
    assert_eq!(lab.read("again"), b"1");
    assert_eq!(json(&lab.ok("store list kept --json"))["files"].as_array().unwrap().len(), 2);
    lab.ok("store verify kept");
    let zeros = "0".repeat(64);
    lab.refused(&format!("store put kept one --sha256 {zeros}"), "expected 000");
    lab.refused(&format!("store get kept {zeros} --out x"), "has no sha256/000");
    lab.refused("store get kept ../one --out x", "is no SHA-256");
    assert_eq!(lab.run(&format!("store put kept one two --sha256 {zeros}")).status, 2);
    lab.write(&format!("kept/sha256/{digest}"), "damaged");
    let ran = lab.refused("store verify kept", "1 file damaged");
    assert!(ran.stderr.contains(&digest), "{}", ran.stderr);
    lab.refused("store list nowhere", "is no store of inputs");
}
