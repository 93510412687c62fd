//! Firmware that drivers ask for.

use std::fs;

use crate::build;
use crate::lab;
use crate::refused;
use crate::support::json;
use crate::support::module;
use crate::support::unpack;
use crate::words;
use crate::wrong;

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
