//! What is read back of images that are whole, signed, cut or changed.

use crate::build;
use crate::images;
use crate::kernel;
use crate::lab;
use crate::refused;
use crate::support::json;

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
