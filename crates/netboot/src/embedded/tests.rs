//! Packages of a boot image, in a directory of this machine.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use core::time::Duration;
use std::fs;
use std::io::Read;
use std::io::Seek;
use std::sync::Mutex;

use hostcfg::PackageName;
use report::Code;
use report::Failure;
use report::Stage;
use tempfile::TempDir;
use trust::Clock;

use super::embedded_in;
use crate::Event;
use crate::Events;
use crate::Host;
use crate::Inputs;
use crate::Machine;
use crate::Origin;
use crate::Policy;
use crate::Verified;
use crate::upgrade::tests::Package;
use crate::upgrade::tests::key_file;

#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Events for Told {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn on(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn hand_over(&self) -> Option<report::BootReport> {
        None
    }
}

fn inputs(method: &str, pointer: &str) -> Inputs {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let policy = format!(r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "{method}"}}"#);
    write("trust_policy.json", &policy);
    write("ospkg_signing_root.pem", &key_file("root.cert.pem"));
    let config = format!(r#"{{"network_mode": "dhcp", "ospkg_pointer": "{pointer}"}}"#);
    Inputs {
        policy: Policy::read(directory.path()).unwrap(),
        host: Host::parse("test", "the test", config.into_bytes()).unwrap(),
        clock: Clock::exactly("2026-11-21T22:07:17Z".parse().unwrap()),
    }
}

fn origin(method: &str, pointer: &str) -> Result<Origin, Failure> {
    let inputs = inputs(method, pointer);
    Origin::of(&inputs.policy, &inputs.host)
}

/// A boot image with these files below `/ospkg`, started with this pointer.
fn boot(files: &[(&str, &[u8])], pointer: &str) -> (Result<Verified, Failure>, TempDir, Told) {
    let image = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(image.path().join(name), content).unwrap();
    }
    let inputs = inputs("initramfs", pointer);
    let told = Told::default();
    let result = match Origin::of(&inputs.policy, &inputs.host).unwrap() {
        Origin::BootImage(name) => embedded_in(&Machine, image.path(), &inputs, &told, &name),
        Origin::Mirrors => unreachable!("the policy says otherwise"),
    };
    (result, image, told)
}

#[test]
fn it_is_judged_like_any_other_and_leaves_no_second_copy() {
    let package = Package::new("7", Some(7));
    let files: [(&str, &[u8]); 2] =
        [("os.json", package.descriptor.as_bytes()), ("os.zip", &package.archive)];
    for pointer in ["os.zip", "os.json", "os"] {
        let (verified, image, told) = boot(&files, pointer);
        let verified = verified.unwrap();
        assert_eq!(verified.authorized().archive_digest(), package.digest());
        let (_, _, mut kernel, _) = verified.into_parts();
        let mut content = String::new();
        kernel.rewind().unwrap();
        kernel.read_to_string(&mut content).unwrap();
        assert_eq!(content, "7");
        assert!(!image.path().join("os.zip").exists(), "its memory is still held by its name");
        let told = told.0.into_inner().unwrap();
        let stages: Vec<Stage> = told
            .iter()
            .filter_map(|event| match event {
                Event::StageEnded(timing) => Some(timing.stage),
                _ => None,
            })
            .collect();
        assert_eq!(stages, [Stage::Fetch, Stage::Verify]);
        let report = told.iter().find_map(|event| match event {
            Event::Package(report) => Some(report),
            _ => None,
        });
        let report = report.unwrap();
        assert!(report.archive_url.starts_with("initramfs:/"), "{}", report.archive_url);
        assert_eq!((report.size, report.signers.len()), (package.archive.len() as u64, 2));
    }
}

#[test]
fn what_would_not_boot_from_a_mirror_does_not_boot_from_here() {
    let (one, other) = (Package::new("7", None), Package::new("8", None));
    let code = |files: &[(&str, &[u8])]| boot(files, "os.zip").0.unwrap_err();
    let descriptor = one.descriptor.as_bytes();
    let failure = code(&[("os.json", descriptor), ("os.zip", &other.archive)]);
    assert_eq!(failure.code, Code::SignatureWrong);
    let failure = code(&[("os.json", b"{}"), ("os.zip", &one.archive)]);
    assert_eq!(failure.code, Code::DescriptorMalformed);
    let unsigned = br#"{"version":1,"os_pkg_url":"","certificates":null,"signatures":null}"#;
    let failure = code(&[("os.json", unsigned), ("os.zip", &one.archive)]);
    assert_eq!(failure.code, Code::BelowThreshold);
    let failure = code(&[("os.json", descriptor), ("os.zip", b"")]);
    assert_eq!(failure.code, Code::SignatureWrong);
}

#[test]
fn what_is_not_there_is_named() {
    let package = Package::new("7", None);
    for (files, named) in [
        (vec![], "os.json is not in the boot image"),
        (vec![("os.json", package.descriptor.as_bytes())], "os.zip is not in the boot image"),
        (vec![("os.json", vec![b' '; (1 << 20) + 1].leak() as &[u8])], "larger than 1 MiB"),
    ] {
        let failure = boot(&files, "os.zip").0.unwrap_err();
        assert_eq!(failure.code, Code::EmbeddedMissing);
        assert!(failure.detail.contains(named), "{failure}");
    }
    let (_, image, _) = boot(&[], "os.zip");
    fs::write(image.path().join("os.json"), &package.descriptor).unwrap();
    fs::create_dir(image.path().join("os.zip")).unwrap();
    let name = PackageName::parse("os.zip").unwrap();
    let inputs = inputs("initramfs", "os.zip");
    let failure =
        embedded_in(&Machine, image.path(), &inputs, &Told::default(), &name).unwrap_err();
    assert_eq!(failure.code, Code::EmbeddedMissing);
}

#[test]
fn the_policy_says_where_packages_come_from_but_for_one_name() {
    let name = |text| Origin::BootImage(PackageName::parse(text).unwrap());
    assert_eq!(origin("initramfs", "os.zip"), Ok(name("os.zip")));
    assert_eq!(origin("initramfs", "provision.zip"), Ok(name("provision.zip")));
    assert_eq!(origin("network", "provision.zip"), Ok(name("provision.zip")));
    assert_eq!(origin("network", "http://a/os.json"), Ok(Origin::Mirrors));
    for pointer in ["os.zip", "provision", "provision.json"] {
        assert_eq!(origin("network", pointer).unwrap_err().code, Code::HostConfigNoUrl);
    }
    for pointer in ["http://a/os.json", "../os.zip", "a/os.zip", "os.zip,provision.zip"] {
        let failure = origin("initramfs", pointer).unwrap_err();
        assert_eq!(failure.code, Code::EmbeddedNameInvalid, "{pointer}");
        assert!(failure.detail.starts_with("the test: "), "{failure}");
    }
}
