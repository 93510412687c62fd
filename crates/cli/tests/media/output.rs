//! Where a medium is written, for whom, and what is warned of.

use std::fs;

use crate::FORMATS;
use crate::build;
use crate::kernel;
use crate::lab;
use crate::left;
use crate::support::mode;

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
fn images_with_secrets_are_their_owners_alone() {
    let lab = lab();
    let made = lab.ok(&build("uki", "secret.efi"));
    assert!(made.stderr.contains("only you can read it"), "{}", made.stderr);
    // What a web server hands to everybody cannot keep a secret; to be readable it must be.
    let served = lab.ok(&build("pxe", "served"));
    assert!(served.stderr.contains("warning: the image holds secrets"), "{}", served.stderr);
    lab.write(
        "host.json",
        r#"{"network_mode": "dhcp", "ospkg_pointer": "http://10.0.2.2/os.json"}"#,
    );
    let made = lab.ok(&build("uki", "open.efi"));
    assert_eq!((mode(&lab.path("secret.efi")), mode(&lab.path("open.efi"))), (0o600, 0o644));
    assert!(!made.stderr.contains("secrets"), "{}", made.stderr);
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
fn a_distributions_kernel_without_modules_is_warned_of() {
    let lab = lab();
    let mut kernel = kernel();
    kernel[0x1200..0x121c].copy_from_slice(b"6.1.0-25-amd64 (a@b) #1 SMP\0");
    lab.write("k/bzImage", kernel);
    let made = lab.ok(&build("uki", "x.efi"));
    assert!(made.stderr.contains("--modules /lib/modules/6.1.0-25-amd64"), "{}", made.stderr);
}
