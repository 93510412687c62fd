//! Boot media: what is in them, that they are the same anywhere, and what keeps them from being
//! built.
//!
//! ISO images need xorriso, isolinux and syslinux-common on this machine.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod firmware;
#[path = "../../../bootmedia/tests/support/mod.rs"]
mod images;
mod output;
mod reading;
mod refusals;
mod same;
#[path = "../support/mod.rs"]
mod support;

use std::fs;

use support::Lab;
use support::Ran;
use support::init;

const HOST: &str =
    r#"{"network_mode": "dhcp", "ospkg_pointer": "http://user:canary-51@10.0.2.2/os.json"}"#;
const FORMATS: [&str; 4] = ["uki", "iso", "pxe", "disk"];
const LINE: &str = "console=tty0 console=ttyS0,115200 panic=30 quiet";

/// The kernel of the other crate's tests, of a release and with all that its header speaks of.
fn kernel() -> Vec<u8> {
    let mut kernel = images::kernel();
    kernel.resize(24_000, 0x33);
    kernel[0x20e..0x210].copy_from_slice(&0x1000_u16.to_le_bytes());
    kernel[0x1200..0x1215].copy_from_slice(b"6.12.1-test (a@b) #1\0");
    kernel
}

fn fill(lab: &Lab) {
    lab.write("init", init());
    lab.write("host.json", HOST);
    lab.write("k/bzImage", kernel());
    lab.write("stub", images::stub());
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.ok("keygen root");
    lab.policy("policy", 2);
    fill(&lab);
    lab
}

fn build(format: &str, out: &str) -> String {
    format!(
        "boot-image build --init init --trust-policy policy --host-config host.json --kernel \
         k/bzImage --stub stub --build-time 2026-11-21 --format {format} --out {out}"
    )
}

/// Everything in a directory but what tests put there.
fn left(lab: &Lab) -> Vec<String> {
    let names = fs::read_dir(lab.path("")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Builds what must be refused, and sees that it leaves nothing.
fn refused(lab: &Lab, words: &str, reason: &str) -> Ran {
    let before = left(lab);
    let ran = lab.refused(words, reason);
    assert_eq!(left(lab), before, "{words}");
    ran
}

/// As [`refused`], for wrong usage.
fn wrong(lab: &Lab, args: &[&str], reason: &str) {
    let before = left(lab);
    let ran = lab.run_args(args);
    assert_eq!(ran.status, 2, "{args:?}\n{}", ran.stderr);
    assert!(ran.stderr.contains(reason), "{args:?}: no {reason:?} in\n{}", ran.stderr);
    assert_eq!(left(lab), before, "{args:?}");
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
