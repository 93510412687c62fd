//! Boot media: what is in them, that they are the same anywhere, and what keeps them from being
//! built.
//!
//! ISO images need xorriso, isolinux and syslinux-common on this machine.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

#[path = "../../bootmedia/tests/support/mod.rs"]
mod images;
mod support;

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use support::Lab;
use support::Ran;
use support::init;
use support::json;
use support::mode;
use support::module;
use support::unpack;

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

#[test]
fn a_signed_image_is_signed_over_what_it_is() {
    let lab = lab();
    lab.write("db.key", images::KEY);
    lab.write("db.crt", images::CERTIFICATE);
    lab.write("other.crt", images::OTHER_CERTIFICATE);
    let build = build("uki", "r.efi");
    refused(
        &lab,
        &format!("{build} --secure-boot-key db.key --secure-boot-cert other.crt"),
        "db.key and other.crt: the key does not match its certificate",
    );
    lab.ok(&format!("{build} --secure-boot-key db.key --secure-boot-cert db.crt"));
    let found = json(&lab.ok("boot-image inspect r.efi --json"));
    assert_eq!(found["uki"]["signatures"][0]["over_this_image"], true);
    let mut image = lab.read("r.efi");
    let at = image.windows(4).position(|it| it == b"quie").unwrap();
    image[at] = b'Q';
    lab.write("bad.efi", &image);
    let ran = lab.ok("boot-image inspect bad.efi");
    assert!(ran.stderr.contains("is NOT over this image"), "{}", ran.stderr);
    refused(
        &lab,
        "boot-image build --uki bad.efi --format disk --out bad.img",
        "changed after signing",
    );
    assert!(!lab.path("bad.img").exists());
    lab.ok("boot-image build --uki r.efi --format disk --out stick.img");
    let found = json(&lab.ok("boot-image inspect stick.img --json"));
    assert_eq!(found["uki"]["signatures"][0]["over_this_image"], true);
}

#[test]
fn more_words_come_behind_the_command_line() {
    let lab = lab();
    let mut args = vec!["--cmdline", "quiet loglevel=7 -- --deadline 30"];
    let build = build("uki", "r.efi");
    args.splice(0..0, words(&build));
    let ran = lab.run_args(&args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let found = json(&lab.ok("boot-image inspect r.efi --json"));
    assert_eq!(found["command_line"], format!("{LINE} quiet loglevel=7 -- --deadline 30"));
    *args.last_mut().unwrap() = "one\ntwo";
    wrong(&lab, &args, "the command line has '\\n' in it");
    let long = "x".repeat(2048);
    *args.last_mut().unwrap() = &long;
    wrong(&lab, &args, "and this kernel takes 2047");
}

#[test]
fn what_is_missing_or_wrong_is_named_and_leaves_nothing() {
    let lab = lab();
    let iso = build("iso", "x");
    lab.write("text", "#!/bin/sh\n".repeat(1000));
    let ran =
        refused(&lab, &iso.replace("k/bzImage", "text"), "error: text: kernel: not a bzImage");
    assert!(ran.stderr.contains("give an x86-64 bzImage with --kernel"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("E0507"), "no package is spoken of\n{}", ran.stderr);
    refused(&lab, &iso.replace("k/bzImage", "none"), "cannot read none");
    lab.write("cut", &kernel()[..20_200]);
    refused(&lab, &iso.replace("k/bzImage", "cut"), "cut: kernel: cut short: 20200 bytes");
    wrong(&lab, &words(&iso.replace("--kernel k/bzImage", "")), "--format iso needs a kernel");
    let ran = refused(&lab, &iso.replace("--stub stub", "--stub none"), "there is no none");
    let remedy =
        "give a stub that is there with --stub, or leave that out for the one of the package";
    assert!(ran.stderr.contains(remedy), "{}", ran.stderr);
    lab.write("loaders/isolinux.bin", "");
    let ran = refused(&lab, &format!("{iso} --loaders loaders"), "there is no loaders/ldlinux.c32");
    assert!(ran.stderr.contains("apt-get install syslinux-common"), "{}", ran.stderr);
    lab.write("stub.text", "no stub");
    for (file, reason) in [
        ("stub.text", "stub.text: the UEFI stub cannot be used: it is no PE image"),
        ("k/bzImage", "k/bzImage: the UEFI stub cannot be used: it is a kernel itself"),
    ] {
        let ran = refused(&lab, &iso.replace("--stub stub", &format!("--stub {file}")), reason);
        assert!(ran.stderr.contains("a UEFI stub is the small executable"), "{}", ran.stderr);
        assert!(ran.stderr.contains("apt-get install systemd-boot-efi"), "{}", ran.stderr);
    }

    for format in FORMATS {
        refused(&lab, &build(format, "init/x"), "cannot make the directory init: ");
    }
    refused(&lab, &build("iso", "k"), "k is a directory");
    refused(&lab, &build("pxe", "k"), "k is there, and is not ours to replace");
    refused(&lab, &build("pxe", "text"), "text is there, and is not ours to replace");

    let args = words(&iso);
    let output = lab.command().args(args).env("PATH", "/nowhere").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("xorriso is missing"), "{stderr}");
    assert!(stderr.contains("apt-get install xorriso"), "{stderr}");
}

#[test]
fn missing_directories_above_an_image_are_made() {
    let lab = lab();
    for format in FORMATS.iter().chain(&["initramfs"]) {
        let out = format!("new/{format}/below/x");
        let words = build(format, &out);
        let words = if *format == "initramfs" {
            words.replace("--kernel k/bzImage --stub stub", "")
        } else {
            words
        };
        lab.ok(&words);
        assert!(lab.path(&out).exists(), "{format}");
    }
}

/// Each kind of image, cut at every place where something else is missing.
#[test]
fn an_image_that_is_cut_short_says_so() {
    const REMEDY: &str = "help: copy or download it again, whole";
    let lab = lab();
    for format in ["uki", "iso", "disk"] {
        lab.ok(&build(format, &format!("whole.{format}")));
    }
    lab.write("whole.bzImage", kernel());
    let whole = |kind: &str| lab.read(&format!("whole.{kind}"));
    let cut = |kind: &str, length: usize| {
        lab.write("cut", &whole(kind)[..length]);
        lab.run("boot-image inspect cut")
    };
    let all = |kind: &str| whole(kind).len();
    for (kind, name, lengths) in [
        ("uki", "the UEFI executable", [8_000, all("uki") - 1]),
        ("disk", "the disk image", [1_024, all("disk") / 9]),
        ("iso", "the ISO image", [33_000, 40_000]),
        ("bzImage", "the kernel (bzImage)", [1_000, 20_200]),
    ] {
        let least = if kind == "bzImage" { 20_465 } else { all(kind) };
        for length in lengths {
            let ran = cut(kind, length);
            assert_eq!(ran.status, 1, "{kind} {length}: {}", ran.stdout);
            let words = format!(
                "cut: {name} is cut short: it has {length} bytes, and its own headers speak of {least}\n"
            );
            assert!(ran.stderr.contains(&words), "{kind} {length}: no {words:?} in {}", ran.stderr);
            assert!(ran.stderr.contains(REMEDY), "{}", ran.stderr);
        }
    }
    for kind in ["uki", "bzImage"] {
        let ran = cut(kind, 100);
        let words = "begins as a UEFI executable or a kernel, and ends after 100 bytes";
        assert!(ran.status == 1 && ran.stderr.contains(words), "{}", ran.stderr);
        assert!(ran.stderr.contains(REMEDY), "{}", ran.stderr);
    }
    // What a machine starts is there; what comes behind it is not.
    for kind in ["disk", "iso"] {
        let ran = cut(kind, all(kind) - 512);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains("is cut short: it has "), "{kind}: {}", ran.stderr);
        let ran = lab.ok(&format!("boot-image inspect whole.{kind}"));
        assert_eq!(ran.stderr, "", "{kind}");
    }
    let ran = cut("iso", 300_000);
    for words in ["is cut short: it has 300000 bytes", "there is no UEFI executable in it"] {
        assert!(ran.status == 0 && ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    let ran = cut("iso", 300);
    assert!(ran.stderr.contains("or too little of one: it has 300 bytes"), "{}", ran.stderr);
}

/// What is not known of other stubs than Debian 12's is not said.
#[test]
fn pcrs_are_expected_of_the_stub_that_is_known() {
    let lab = lab();
    let ran = lab.ok(&build("uki", "r.efi").replace("--stub stub", ""));
    let known = !ran.stderr.contains("unpinned");
    let found = json(&lab.ok("boot-image inspect r.efi --json"));
    for name in ["4", "4_secure_boot", "11"] {
        let length = found["uki"]["pcrs"][name].as_str().map(str::len);
        assert!(length == Some(64) || !known && length.is_none(), "{name}: {length:?}");
    }
}

#[test]
fn loaders_that_were_not_tested_are_warned_of() {
    let lab = lab();
    let ran = lab.ok(&build("uki", "r.efi"));
    assert!(
        ran.stderr.contains("unpinned: stub is not the file that was tested"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_earlier_directory_is_replaced_as_a_whole() {
    let lab = lab();
    lab.ok(&build("pxe", "out"));
    lab.write("out/undionly.kpxe", "iPXE");
    lab.write("out/vmlinuz", "stale");
    lab.ok(&build("pxe", "out"));
    assert_eq!(lab.read("out/undionly.kpxe"), b"iPXE");
    assert_ne!(lab.read("out/vmlinuz"), b"stale");
    lab.write("out/more/file", "");
    lab.refused(&build("pxe", "out"), "out/more is not of an earlier build");
    fs::remove_dir_all(lab.path("out/more")).unwrap();
    assert!(!left(&lab).iter().any(|name| name.starts_with(".ramstrap")), "{:?}", left(&lab));
    lab.write("out/vmlinuz", "changed");
    let ran = lab.ok("boot-image inspect out");
    assert!(ran.stderr.contains("vmlinuz is not what SHA256SUMS says"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the kernel that iPXE takes is another"), "{}", ran.stderr);
}

#[test]
fn what_an_image_is_made_of_is_not_replaced_by_it() {
    let lab = lab();
    let kernel = lab.read("k/bzImage");
    lab.refused(&build("uki", "k/bzImage"), "--out k/bzImage would replace the input k/bzImage");
    lab.refused(&build("uki", "policy/trust_policy.json"), "would replace the input policy");
    assert!(lab.read("k/bzImage") == kernel);
    lab.ok(&build("uki", "one.efi"));
    let uki = lab.read("one.efi");
    let ran = "boot-image build --uki one.efi --format disk --out one.efi";
    lab.refused(ran, "would replace the input one.efi");
    assert!(lab.read("one.efi") == uki);
    lab.refused(&build("uki", "/dev/null"), "/dev/null is a device or a pipe");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn firmware_that_drivers_ask_for_is_taken_along() {
    let lab = lab();
    let notes = [
        "acme.license=GPL",
        "acme.firmware=acme/one.bin",
        "acme.firmware=acme/ddp-*.pkg",
        "acme.firmware=acme/gone.bin",
        "acme.firmware=acme/link.bin",
        "acme.file=drivers/net/ethernet/acme/acme",
        "gpu.firmware=gpu.bin",
        "gpu.file=drivers/gpu/gpu",
    ];
    let modinfo: String = notes.iter().map(|note| format!("{note}\0")).collect();
    lab.write("k/modules.builtin.modinfo", modinfo);
    lab.write("fw/acme/one.bin.zst", zstd::bulk::compress(b"one", 3).unwrap());
    lab.write("fw/acme/ddp-1.pkg", "ddp");
    lab.write("fw/acme/other.bin", "other");
    lab.write("fw/gpu.bin", "gpu");
    lab.write("fw/WHENCE", "Link: acme/link.bin -> other.bin\n");
    let ran = lab.ok(&format!("{} --firmware fw --json", build("pxe", "out")));
    assert!(ran.stderr.contains("acme       acme/gone.bin (3 found)"), "{}", ran.stderr);
    let built = json(&ran);
    assert_eq!(built["firmware"]["drivers"]["acme"]["missing"][0], "acme/gone.bin");
    let names: Vec<String> = unpack(&lab.read("out/initramfs"))
        .iter()
        .filter(|file| file.path.starts_with("lib/firmware/") && file.mode & 0o100_000 != 0)
        .map(|file| format!("{} {}", file.path, String::from_utf8_lossy(&file.content)))
        .collect();
    assert_eq!(
        names,
        [
            "lib/firmware/acme/ddp-1.pkg ddp",
            "lib/firmware/acme/link.bin other",
            "lib/firmware/acme/one.bin one"
        ]
    );
    let found = json(&lab.ok("boot-image inspect out --json"));
    assert_eq!(
        found["initramfs"]["archives"].as_array().unwrap().len(),
        3,
        "an archive of its own"
    );
    assert_eq!(found["initramfs"]["firmware"][2], "acme/one.bin");

    fs::create_dir_all(lab.path("root/lib")).unwrap();
    fs::rename(lab.path("fw"), lab.path("root/lib/firmware")).unwrap();
    lab.ok(&format!("{} --firmware root", build("pxe", "again")));
    assert!(lab.read("out/initramfs") == lab.read("again/initramfs"));

    refused(&lab, &format!("{} --firmware none", build("uki", "x")), "there is no directory none");
    fs::create_dir(lab.path("empty")).unwrap();
    refused(&lab, &format!("{} --firmware empty", build("uki", "x")), "empty is empty");
    refused(
        &lab,
        &format!("{} --builtin-modinfo init", build("uki", "x")),
        "init: no notes of built-in drivers",
    );
    fs::remove_file(lab.path("k/modules.builtin.modinfo")).unwrap();
    let build = format!("{} --firmware root", build("uki", "x"));
    wrong(&lab, &words(&build), "it is not known which firmware the kernel asks for");
}

#[test]
fn firmware_of_modules_is_taken_along() {
    let lab = lab();
    let tree = "6.12.1-test";
    lab.write(&format!("{tree}/modules.builtin"), "kernel/fs/fs.ko\n");
    let note = ["firmware=acme/two.bin", "depends="];
    lab.write(&format!("{tree}/kernel/drivers/net/ethernet/acme/acme-nic.ko"), module(&note));
    lab.write("fw/acme/two.bin", "two");
    let build = build("pxe", "out");
    let ran = lab.ok(&format!("{build} --modules {tree} --firmware fw"));
    assert!(!ran.stderr.contains("firmware"), "{}", ran.stderr);
    let found = json(&lab.ok("boot-image inspect out --json"));
    assert_eq!(found["initramfs"]["firmware"][0], "acme/two.bin");
    assert_eq!(found["initramfs"]["modules"]["release"], tree);
    fs::rename(lab.path(tree), lab.path("6.1.0")).unwrap();
    refused(
        &lab,
        &format!("{build} --modules 6.1.0"),
        "the kernel is 6.12.1-test, and the modules are of 6.1.0",
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    let lab = lab();
    lab.write("text", "hello");
    lab.refused("boot-image inspect text", "text: it is no initramfs, UEFI executable");
    lab.refused("boot-image inspect none", "cannot read none");
    lab.refused("boot-image inspect policy", "policy has no SHA256SUMS");
    for format in ["uki", "iso", "disk"] {
        lab.ok(&build(format, "whole"));
        let whole = lab.read("whole");
        for length in [whole.len() / 2, whole.len() / 8, 20_000, 3000, 600] {
            lab.write("cut", &whole[..length]);
            let ran = lab.run("boot-image inspect cut");
            assert!(ran.status == 1 || !ran.stderr.is_empty(), "{format} {length}: {}", ran.stdout);
            assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        }
    }
    lab.ok(&build("pxe", "out"));
    let mut initramfs = lab.read("out/initramfs");
    initramfs.extend_from_slice(b"more");
    lab.write("more", &initramfs);
    lab.refused("boot-image inspect more", "more: archive 3 at byte");
    initramfs.truncate(initramfs.len() / 2);
    lab.write("half", &initramfs);
    lab.refused("boot-image inspect half", "half: archive 2 at byte");
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let lab = lab();
    for name in ["isolinux.bin", "ldlinux.c32", "isohdpfx.bin"] {
        lab.write(&format!("loaders/{name}"), images::stub());
    }
    lab.write("loaders/linuxx64.efi.stub", images::stub());
    fs::create_dir_all(lab.path("tmp")).unwrap();
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        // In the place of the real one, which goes on writing when Ctrl-C is pressed.
        let tool = lab.write(
            "bin/xorriso",
            format!(
                "#!/bin/sh\n[ \"$1\" = -version ] && exit 0\nkill -{signal} $PPID\n\
                 for i in 1 2 3 4 5 6 7 8 9; do mkdir -p more/$i 2>/dev/null; done\nsleep 2\n"
            ),
        );
        fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
        let before = left(&lab);
        let words = build("iso", "boot.iso").replace("--stub stub", "--loaders loaders");
        let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = lab.command();
        command.args(words.split_whitespace()).env("PATH", path).env("TMPDIR", lab.path("tmp"));
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{signal}: {told}");
        assert!(!told.contains("error"), "{signal}: {told}");
        assert_eq!(left(&lab), before, "{signal}");
        assert_eq!(fs::read_dir(lab.path("tmp")).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn images_with_secrets_are_their_owners_alone() {
    let lab = lab();
    let made = lab.ok(&build("uki", "secret.efi"));
    assert!(made.stderr.contains("only you can read it"), "{}", made.stderr);
    // What a web server hands to everybody cannot keep a secret; to be readable it must be.
    let served = lab.ok(&build("pxe", "served"));
    assert!(served.stderr.contains("warning: the image holds secrets"), "{}", served.stderr);
    assert_eq!(mode(&lab.path("served/initramfs")), 0o644);
    for (umask, file, directory) in [("077", 0o600, 0o700), ("027", 0o640, 0o750)] {
        let out = format!("closed{umask}");
        let tool = env!("CARGO_BIN_EXE_ramstrap");
        let script = format!("umask {umask}; exec {tool} {}", build("pxe", &out));
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(lab.path("")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("as your umask says"), "{told}");
        assert_eq!(mode(&lab.path(&out)), directory);
        for name in ["vmlinuz", "initramfs", "boot.ipxe", "ramstrap.efi", "SHA256SUMS"] {
            assert_eq!(mode(&lab.path(&format!("{out}/{name}"))), file, "{out}/{name}");
        }
    }
    lab.write(
        "host.json",
        r#"{"network_mode": "dhcp", "ospkg_pointer": "http://10.0.2.2/os.json"}"#,
    );
    let made = lab.ok(&build("uki", "open.efi"));
    assert_eq!((mode(&lab.path("secret.efi")), mode(&lab.path("open.efi"))), (0o600, 0o644));
    assert!(!made.stderr.contains("secrets"), "{}", made.stderr);
}

#[test]
fn a_distributions_kernel_without_modules_is_warned_of() {
    let lab = lab();
    let mut kernel = kernel();
    kernel[0x1200..0x121c].copy_from_slice(b"6.1.0-25-amd64 (a@b) #1 SMP\0");
    lab.write("k/bzImage", kernel);
    let made = lab.ok(&build("uki", "x.efi"));
    assert!(made.stderr.contains("--modules /lib/modules/6.1.0-25-amd64"), "{}", made.stderr);
}
