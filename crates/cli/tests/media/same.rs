//! The same inputs give the same bytes, and every medium holds the same.

use std::process::Command;

use serde_json::Value;

use crate::FORMATS;
use crate::LINE;
use crate::build;
use crate::fill;
use crate::lab;
use crate::refused;
use crate::support::Lab;
use crate::support::init;
use crate::support::json;
use crate::support::mode;
use crate::support::unpack;
use crate::words;
use crate::wrong;

#[test]
fn every_medium_holds_the_same_and_says_so() {
    let lab = lab();
    let mut seen: Vec<Value> = Vec::new();
    for format in FORMATS {
        let out = format!("out.{format}");
        let built = json(&lab.ok(&format!("{} --json", build(format, &out))));
        assert_eq!(built["format"], format);
        assert_eq!(built["command_line"], LINE);
        assert_eq!(built["parts"]["kernel"], 24_000);
        let ran = lab.ok(&format!("boot-image inspect {out} --json --files"));
        assert!(!ran.stdout.contains("canary-51"), "{}", ran.stdout);
        assert_eq!(ran.stderr, "", "no warnings");
        let found = json(&ran);
        assert_eq!(found["kernel"]["release"], "6.12.1-test", "{format}");
        assert_eq!(found["command_line"], LINE, "{format}");
        assert_eq!(found["initramfs"]["build_time"], 1_795_219_200);
        assert_eq!(found["initramfs"]["trust_policy"]["threshold"], 2);
        assert_eq!(
            found["initramfs"]["trust_policy"]["signing_roots"].as_array().unwrap().len(),
            1
        );
        let pointer = &found["initramfs"]["host_configuration"]["ospkg_pointer"];
        assert!(pointer.as_str().unwrap().contains("***"), "{pointer}");
        assert!(found["uki"]["os_release"].as_str().unwrap().starts_with("ID=ramstrap\n"));
        assert_eq!(found["uki"]["sha256"], built["uki"]["sha256"], "{format}");
        assert_eq!(found["uki"]["pcrs"]["9"].as_str().unwrap().len(), 64);
        assert_eq!(found["initramfs"]["init"]["size"], init().len());
        assert_eq!(found["initramfs"]["init"]["sha256"].as_str().map(str::len), Some(64));
        let files = found["initramfs"]["files"].as_array().unwrap();
        assert!(files.iter().any(|file| file["path"] == "init" && file["mode"] == "100755"));
        let plain = lab.ok(&format!("boot-image inspect {out} --files")).stdout;
        assert!(plain.contains("valid signatures by 2 distinct keys"), "{plain}");
        assert!(plain.contains("100600") && plain.contains("/etc/host_configuration.json"));
        assert!(!plain.contains("canary-51"));
        seen.push(found["uki"].clone());
    }
    assert!(seen.iter().all(|uki| *uki == seen[0]), "one UKI in all of them");
    let initramfs = lab.read("out.pxe/initramfs");
    assert_eq!(unpack(&initramfs).iter().filter(|file| file.path == "init").count(), 1);
    let kind =
        |name: &str| json(&lab.ok(&format!("boot-image inspect {name} --json")))["kind"].clone();
    assert_eq!(kind("out.pxe/initramfs"), "initramfs");
    assert_eq!(kind("k/bzImage"), "kernel");
    assert_eq!(kind("stub"), "efi-executable");
}

#[test]
fn a_finished_uki_becomes_the_same_media() {
    let lab = lab();
    lab.ok(&build("uki", "r.efi"));
    for format in ["iso", "disk", "pxe"] {
        lab.ok(&build(format, &format!("direct.{format}")));
        lab.ok(&format!("boot-image build --uki r.efi --format {format} --out again.{format}"));
        if format != "pxe" {
            let of = |name: &str| lab.read(&format!("{name}.{format}"));
            assert!(of("direct") == of("again"), "{format}");
        }
    }
    for name in ["vmlinuz", "initramfs", "boot.ipxe", "ramstrap.efi", "SHA256SUMS", "README.txt"] {
        let of = |directory: &str| lab.read(&format!("{directory}.pxe/{name}"));
        assert!(of("direct") == of("again"), "{name}");
        assert_eq!(mode(&lab.path("direct.pxe").join(name)), 0o644);
    }
    assert_eq!(mode(&lab.path("direct.pxe")), 0o755);
    // The host configuration has a password: who may not read that must not read the image.
    for name in ["r.efi", "direct.iso", "again.iso", "direct.disk", "again.disk"] {
        assert_eq!(mode(&lab.path(name)), 0o600, "{name}");
    }
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(lab.path("direct.pxe"))
        .output()
        .unwrap();
    assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stderr));
    wrong(
        &lab,
        &words("boot-image build --uki r.efi --format uki --out x"),
        "--uki cannot be made",
    );
    wrong(
        &lab,
        &words("boot-image build --uki r.efi --kernel k/bzImage --format iso --out x"),
        "cannot be used with",
    );
    refused(
        &lab,
        "boot-image build --uki k/bzImage --format iso --out x",
        "k/bzImage: it is no unified kernel image",
    );
}

#[test]
fn the_same_inputs_give_the_same_media_anywhere() {
    let policy = lab();
    let make = |umask: &str, zone: &str| {
        let lab = Lab::new();
        for name in ["trust_policy.json", "ospkg_signing_root.pem"] {
            lab.write(&format!("policy/{name}"), policy.read(&format!("policy/{name}")));
        }
        fill(&lab);
        let tool = env!("CARGO_BIN_EXE_ramstrap");
        let script: String = FORMATS
            .iter()
            .map(|it| format!("{tool} {} && ", build(it, &format!("out.{it}"))))
            .collect();
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; {script} true")])
            .env("TZ", zone)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(lab.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = vec![lab.read("out.uki"), lab.read("out.iso"), lab.read("out.disk")];
        for name in ["SHA256SUMS", "README.txt", "boot.ipxe"] {
            files.push(lab.read(&format!("out.pxe/{name}")));
        }
        files
    };
    let first = make("022", "UTC");
    // File times have a resolution of two seconds on FAT.
    std::thread::sleep(core::time::Duration::from_millis(2100));
    assert!(first == make("077", "Asia/Kathmandu"));
}
