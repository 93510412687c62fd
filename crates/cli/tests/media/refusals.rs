//! What keeps a medium from being built, and that nothing is left of it then.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::FORMATS;
use crate::LINE;
use crate::build;
use crate::images;
use crate::kernel;
use crate::lab;
use crate::left;
use crate::refused;
use crate::support::json;
use crate::words;
use crate::wrong;

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
fn what_an_image_is_made_of_is_not_replaced_by_it() {
    let lab = lab();
    let kernel = lab.read("k/bzImage");
    lab.refused(
        &build("uki", "k/bzImage"),
        "the output k/bzImage would replace the input k/bzImage",
    );
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
