use std::io::Cursor;
use std::io::Write;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::initramfs::tests::cpio;
use crate::initramfs::tests::zstd;

fn package(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        zip.start_file(*name, options.unix_permissions(0o644)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn lines(comparison: &Comparison) -> Vec<String> {
    assert_eq!(comparison.identical, comparison.differences.is_empty());
    comparison.differences.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_byte_that_differs_is_found() {
    assert_eq!(first_difference(b"", b""), None);
    assert_eq!(first_difference(b"abc", b"abd"), Some(2));
    assert_eq!(first_difference(b"abc", b"ab"), Some(2));
    let long = vec![7; 10_000];
    for at in [0, 4095, 4096, 4097, 9_999] {
        let mut other = long.clone();
        other[at] = 8;
        assert_eq!(first_difference(&long, &other), Some(at as u64));
    }
    assert_eq!(first_difference(&long, &long[..8192]), Some(8192));
    assert_eq!(first_difference(&long, &long.clone()), None);
}

#[test]
fn a_file_inside_an_initramfs_inside_a_package_is_named() {
    let initramfs = |mode, content: &[u8], more: &[(&str, u32, &[u8])]| {
        let mut files = vec![("init", mode, content), ("bin/sh", 0o120_777, b"busybox")];
        files.extend(more);
        [cpio(&[("base", 0o100_644, b"")]), zstd(&cpio(&files))].concat()
    };
    let manifest = br#"{"version":1,"label":"a","cmdline":"quiet"}"#.as_slice();
    let one = initramfs(0o100_755, b"0123456789", &[("old", 0o100_600, b"")]);
    let other = initramfs(0o100_700, b"01234x6789", &[("new", 0o100_600, b"")]);
    let first =
        package(&[("boot/kernel", b"k"), ("boot/initramfs", &one), ("manifest.json", manifest)]);
    let changed = br#"{"version":1,"label":"b","cmdline":"quiet"}"#;
    let second =
        package(&[("boot/kernel", b"k"), ("boot/initramfs", &other), ("manifest.json", changed)]);
    let comparison = packages(&first, &second).unwrap();
    assert_eq!(
        lines(&comparison),
        [
            "boot/initramfs > archive 2 > init: mode: 0755 and 0700",
            "boot/initramfs > archive 2 > init: content differs from byte 5 on (10 bytes)",
            "boot/initramfs > archive 2 > old: only the first has it",
            "boot/initramfs > archive 2 > new: only the second has it",
            "manifest.json: label: \"a\" and \"b\"",
        ]
    );
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["differences"][0]["change"], "value");
    assert_eq!(json["differences"][1]["offset"], 5);
    let same = packages(&first, &first).unwrap();
    assert!(same.identical && same.differences.is_empty());
}

#[test]
fn another_packing_of_the_same_is_told() {
    let plain = cpio(&[("init", 0o100_755, &[3; 1000])]);
    let fast = ::zstd::encode_all(plain.as_slice(), 1).unwrap();
    let best = ::zstd::bulk::compress(&plain, 19).unwrap();
    assert_ne!(fast, best);
    let found = lines(&initramfses(&fast, &best));
    assert!(found.len() == 1 && found[0].contains("compressed in another way"), "{found:?}");
    let found = lines(&initramfses(&fast, &plain));
    assert!(found[0].contains("compression: zstd and none"), "{found:?}");
    // Zeros between archives, and an inode number: nothing that one could name, but other bytes.
    let padded = [fast.clone(), vec![0; 4]].concat();
    let found = lines(&initramfses(&fast, &padded));
    assert!(found.len() == 1 && found[0].contains("between its archives"), "{found:?}");
    let mut inode = plain.clone();
    inode[13] = b'7';
    let found = lines(&initramfses(&plain, &inode));
    assert!(found.len() == 1 && found[0].contains("headers or padding"), "{found:?}");
    let one = cpio(&[("a", 0o100_644, b""), ("b", 0o100_644, b"")]);
    let other = cpio(&[("b", 0o100_644, b""), ("a", 0o100_644, b"")]);
    assert_eq!(lines(&initramfses(&one, &other)), ["the same entries in another order"]);
}

#[test]
fn contents_are_never_shown() {
    let secret = |word: &str| {
        let json = format!("{{\"password\": \"{word}\"}}");
        cpio(&[("etc/host_configuration.json", 0o100_600, json.as_bytes())])
    };
    let comparison = initramfses(&secret("canary-one"), &secret("canary-two"));
    let text = serde_json::to_string(&comparison).unwrap() + &lines(&comparison).concat();
    assert!(!text.contains("canary"), "{text}");
    // What the record of a build says is no secret.
    let record = |word: &str| {
        let json = format!("{{\"version\":1,\"built\":{{\"revision\":\"{word}\"}}}}");
        cpio(&[("etc/ramstrap/image.json", 0o100_644, json.as_bytes())])
    };
    let found = lines(&initramfses(&record("a"), &record("b")));
    assert_eq!(found, ["etc/ramstrap/image.json: built.revision: \"a\" and \"b\""]);
}

#[test]
fn parts_of_images_are_named() {
    let parts = |line: &str, init: &[u8], stub: &[u8]| Parts {
        kind: "UKI".to_owned(),
        kernel: Some(b"kernel".to_vec()),
        command_line: Some(line.to_owned()),
        initramfs: Some(cpio(&[("init", 0o100_755, init)])),
        others: [(".sbat".to_owned(), stub.to_vec())].into(),
    };
    let (one, other) = (parts("quiet", b"1", b"s"), parts("debug", b"2", b"t"));
    let comparison = images((b"first", &one), (b"second", &other));
    assert_eq!(
        lines(&comparison),
        [
            "command line: quiet and debug",
            "initramfs > init: content differs from byte 0 on (1 bytes)",
            ".sbat: content differs from byte 0 on (1 bytes)",
        ]
    );
    let found = lines(&images((b"first", &one), (b"fires", &one)));
    assert!(found[0].contains("byte 3 on, but its parts are the same"), "{found:?}");
}

#[test]
fn many_differences_are_counted() {
    let names: Vec<String> = (0..500).map(|number| format!("file-{number:03}")).collect();
    let files: Vec<_> = names.iter().map(|it| (it.as_str(), 0o100_644, b"".as_slice())).collect();
    let comparison = initramfses(&cpio(&files), &cpio(&[]));
    assert_eq!((comparison.differences.len(), comparison.more), (200, 300));
}

#[test]
fn what_is_no_package_is_said() {
    let good = package(&[("manifest.json", b"{}")]);
    let error = packages(&good, b"hello").unwrap_err();
    assert!(error.to_string().starts_with("second: no ZIP file"), "{error}");
    assert!(
        entry(Cursor::new(&good), "build.json", 100)
            .unwrap_err()
            .to_string()
            .contains("no build.json")
    );
    assert!(
        entry(Cursor::new(&good), "manifest.json", 1)
            .unwrap_err()
            .to_string()
            .contains("more than 1 bytes")
    );
}

proptest! {
    #[test]
    fn any_damage_is_survived_and_said(at in 0_usize..2000, byte in any::<u8>()) {
        let initramfs = zstd(&cpio(&[("init", 0o100_755, b"0123456789")]));
        let whole = package(&[("boot/initramfs", &initramfs), ("manifest.json", b"{\"a\":1}")]);
        let mut other = whole.clone();
        let at = at % other.len();
        other[at] = byte;
        if let Ok(comparison) = packages(&whole, &other) {
            prop_assert_eq!(comparison.identical, whole == other);
            prop_assert_eq!(comparison.identical, comparison.differences.is_empty());
        }
    }
}
