//! Archives that nobody should make.

use report::Code;

use super::Case;
use super::Input;
use super::Verdict;
use super::raw_zip::END_LEN;
use super::raw_zip::MANIFEST;
use super::raw_zip::build;
use super::raw_zip::deflate;
use super::raw_zip::end;
use super::raw_zip::good;
use super::raw_zip::parts;
use super::raw_zip::raw;
use super::raw_zip::with_end;
use super::raw_zip::with_kernel;
use super::raw_zip::with_zip64_end;
use super::raw_zip::zip64_extra;

/// What is refused, though well signed.
pub(super) fn refused() -> Vec<Case> {
    let archive = build(&good());
    let cut = |len: usize| archive[..len].to_vec();
    let with_manifest = |text: &str| {
        let mut members = good();
        members[2] = raw("manifest.json", text.as_bytes());
        build(&members)
    };
    let mut rows = vec![
        row("empty file", Vec::new(), "no end of a central directory"),
        row("not a ZIP file", vec![b'x'; 70_000], "no end of a central directory"),
        row("only an end record, cut", b"PK\x05\x06".to_vec(), "no end of a central directory"),
        row("last byte missing", cut(archive.len() - 1), "no end of a central directory"),
        row("end record missing", cut(archive.len() - END_LEN), "no end of a central directory"),
        // Flags.
        row("encrypted", with_kernel(|k| (k.flags, k.local_flags) = (1, 1)), "encrypted"),
        row("encrypted, says the directory alone", with_kernel(|k| k.flags = 1), "encrypted"),
        row(
            "encrypted, says the member alone",
            with_kernel(|k| k.local_flags = 1),
            "another file's",
        ),
        row("strongly encrypted", with_kernel(|k| k.flags = 1 << 6), "encrypted"),
        row("masked headers", with_kernel(|k| k.flags = 1 << 13), "encrypted"),
        row("a patch", with_kernel(|k| k.flags = 1 << 5), "encrypted or a patch"),
        // CRC.
        row("wrong CRC", with_kernel(|k| (k.crc, k.local_crc) = (7, 7)), "its CRC is wrong"),
        row("wrong CRC behind the data", streamed_with_crc(7), "its CRC is wrong"),
        row("wrong CRC of the manifest", wrong_manifest_crc(), "its CRC is wrong"),
        // Central directory and local header.
        row("local CRC differs", with_kernel(|k| k.local_crc = 7), "differ"),
        row("local length differs", with_kernel(|k| k.local_lens = Some((6, 7))), "differ"),
        row(
            "local compressed length differs",
            with_kernel(|k| k.local_lens = Some((7, 6))),
            "differ",
        ),
        row("local method differs", with_kernel(|k| k.local_method = 8), "another file's"),
        row(
            "local name differs",
            with_kernel(|k| k.local_name = b"boot/K".to_vec()),
            "another file's",
        ),
        row(
            "local name shorter",
            with_kernel(|k| k.local_name = b"boot/".to_vec()),
            "another file's",
        ),
        row(
            "offset into another member",
            with_kernel(|k| k.offset = Some(3)),
            "not where it should be",
        ),
        row(
            "offset behind the archive",
            with_kernel(|k| k.offset = Some(1 << 31)),
            "does not lie inside of the archive",
        ),
        row(
            "offset of the directory itself",
            offset_of_directory(),
            "does not lie inside of the archive",
        ),
        row("stored, with two lengths", with_kernel(|k| k.len += 1), "two lengths differ"),
        row(
            "longer than the archive",
            with_kernel(|k| (k.len, k.compressed_len) = (1 << 20, 1 << 20)),
            "does not lie inside of the archive",
        ),
        row(
            "reaches into the directory",
            into_the_directory(),
            "does not lie inside of the archive",
        ),
        row("method 12 (bzip2)", with_method(12), "compression method 12 is not supported"),
        row("method 93 (zstd)", with_method(93), "compression method 93 is not supported"),
        row("on another disk", with_kernel(|k| k.disk = 1), "split archive"),
        // Deflate.
        row("deflate that is none", with_deflate(&[0xff; 6], 6), "compressed data is corrupt"),
        row("deflate cut short", with_deflate(&cut_deflate(), 3_000), "cut short"),
        row("deflate without a byte", with_deflate(&[], 6), "cut short"),
        row("100:1 deflate that says 10 bytes", bomb(10), "longer than its header says"),
        row(
            "100:1 deflate that says one byte too few",
            bomb(999_999),
            "longer than its header says",
        ),
        row("deflate that says one byte too many", bomb(1_000_001), "shorter than its header says"),
        row("100:1 deflate as manifest", manifest_bomb(false), "more than 1048576"),
        row(
            "100:1 deflate as manifest, that says 10 bytes",
            manifest_bomb(true),
            "longer than its header says",
        ),
        // The end record, and counts.
        row("other disks", with_end(4, &[1, 0]), "split archive"),
        row("entries on other disks", with_end(8, &[2, 0]), "split archive"),
        row("fewer entries than there are", with_end(8, &[2, 0, 2, 0]), "more than its entries"),
        row("more entries than there are", with_end(8, &[4, 0, 4, 0]), "cut short"),
        row("65534 entries", with_end(8, &[0xfe, 0xff, 0xfe, 0xff]), "cut short"),
        row("65535 entries without ZIP64", with_end(8, &[0xff; 4]), "cut short"),
        row("directory of 4 GiB", with_end(12, &[0xff; 4]), "not where it should be"),
        row("directory of 17 MiB", huge_directory(), "too large"),
        row("directory one byte shorter", with_end(12, &shorter_directory()), "no entry"),
        row("directory behind the archive", with_end(16, &[0, 0, 0, 1]), "not where it should be"),
        row("comment longer than the file", with_end(20, &[1, 0]), "no end of a central directory"),
        row(
            "a name of 5000 bytes",
            with_kernel(|k| k.name = vec![b'x'; 5000]),
            "name of an entry is too long",
        ),
        row("an entry's signature is wrong", wrong_entry_signature(), "something that is no entry"),
        row("an end record in the comment", end_in_comment(), "not where it should be"),
        // ZIP64 lies.
        row(
            "ZIP64 without a locator",
            with_zip64_end(|it| it.locator = false),
            "not where it should be",
        ),
        row(
            "ZIP64 locator behind the archive",
            with_zip64_end(|it| it.record_at = 1 << 40),
            "ZIP64 end record",
        ),
        row(
            "ZIP64 locator at 16 EiB",
            with_zip64_end(|it| it.record_at = u64::MAX),
            "ZIP64 end record",
        ),
        row("ZIP64 locator at a member", with_zip64_end(|it| it.record_at = 0), "ZIP64 end record"),
        row(
            "ZIP64 locator one byte off",
            with_zip64_end(|it| it.record_at += 1),
            "ZIP64 end record",
        ),
        row("ZIP64 with 2^60 entries", with_zip64_end(|it| it.entries = 1 << 60), "too large"),
        row("ZIP64 with one entry too many", with_zip64_end(|it| it.entries += 1), "cut short"),
        row(
            "ZIP64 directory of 16 EiB",
            with_zip64_end(|it| it.len = u64::MAX),
            "not where it should be",
        ),
        row(
            "ZIP64 directory at 16 EiB",
            with_zip64_end(|it| it.start = u64::MAX),
            "not where it should be",
        ),
        row(
            "ZIP64 directory one byte longer",
            with_zip64_end(|it| it.len += 1),
            "not where it should be",
        ),
        row("ZIP64 of another disk", with_zip64_end(|it| it.disks = 1), "split archive"),
        row(
            "ZIP64 values missing",
            with_kernel(|k| k.offset = Some(u32::MAX)),
            "lacks its ZIP64 values",
        ),
        row("ZIP64 values cut", wide(|extra| extra.truncate(10)), "lacks its ZIP64 values"),
        row("ZIP64 values of another kind", wide(|extra| extra[0] = 2), "lacks its ZIP64 values"),
        row(
            "ZIP64 values with a length that lies",
            wide(|extra| extra[2] = 200),
            "lacks its ZIP64 values",
        ),
        row("ZIP64 offset of 16 EiB", wide_offset(u64::MAX), "does not lie inside of the archive"),
        // What the manifest names.
        coded("no manifest", build(&good()[..2]), Code::ManifestMissing, "it has no manifest.json"),
        coded("no member at all", build(&[]), Code::ManifestMissing, "it has no manifest.json"),
        coded(
            "manifest in another case",
            upper_manifest(),
            Code::ManifestMissing,
            "it has no manifest.json",
        ),
        coded(
            "kernel missing",
            build(&good()[1..]),
            Code::KernelMissing,
            "kernel \"boot/k\" is not in it",
        ),
        coded(
            "kernel empty",
            with_kernel(|k| *k = raw("boot/k", b"")),
            Code::KernelMissing,
            "is empty",
        ),
        coded("kernel is a directory", with_directory(), Code::KernelMissing, "is empty"),
        coded(
            "name with a NUL in the archive alone",
            with_kernel(|k| {
                (k.name, k.local_name) = (b"boot/k\0x".to_vec(), b"boot/k\0x".to_vec())
            }),
            Code::KernelMissing,
            "is not in it",
        ),
        coded(
            "name with a NUL in the manifest alone",
            with_manifest(r#"{"version": 1, "kernel": "boot/k\u0000", "initramfs": "boot/i"}"#),
            Code::KernelMissing,
            "kernel \"boot/k\\0\" is not in it",
        ),
        coded(
            "name that writes to a terminal",
            with_manifest(r#"{"version": 1, "kernel": "\u001b[2Jk", "initramfs": "boot/i"}"#),
            Code::KernelMissing,
            "\"\\u{1b}[2Jk\" is not in it",
        ),
        coded("kernel above 2 GiB", too_large(), Code::MemberTooLarge, "2147483649 bytes"),
        coded(
            "ZIP64 length of 16 EiB",
            wide_length(u64::MAX),
            Code::MemberTooLarge,
            "18446744073709551615 bytes",
        ),
    ];
    for (name, manifest, says) in MANIFESTS {
        rows.push(coded(name, with_manifest(manifest), Code::ManifestInvalid, says));
    }
    rows
}

const MANIFESTS: [(&str, &str, &str); 12] = [
    ("manifest that is no JSON", "hello", "not valid JSON"),
    (
        "manifest with two objects",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i"} {}"#,
        "other data follows",
    ),
    (
        "manifest with a NUL behind it",
        "{\"version\": 1, \"kernel\": \"boot/k\", \"initramfs\": \"boot/i\"}\0",
        "other data follows",
    ),
    (
        "manifest with two kernels",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "Kernel": "boot/i"}"#,
        "more than once",
    ),
    (
        "manifest of version 2",
        r#"{"version": 2, "kernel": "boot/k", "initramfs": "boot/i"}"#,
        "version: 2, expected 1",
    ),
    (
        "manifest of version 1.0",
        r#"{"version": 1.0, "kernel": "boot/k", "initramfs": "boot/i"}"#,
        "version: 1.0, expected 1",
    ),
    (
        "manifest with a NUL in the command line",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "cmdline": "a\u0000b"}"#,
        "NUL",
    ),
    (
        "manifest with a release that is no number",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "release": "7"}"#,
        "release: a string",
    ),
    (
        "manifest with an end that is no date",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "not_after": "soon"}"#,
        "not_after: \"soon\"",
    ),
    (
        "manifest with an end that is a number",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "not_after": 1795298837}"#,
        "not_after: a number",
    ),
    (
        "manifest with a channel that is none",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "channel": "a b"}"#,
        "channel: \"a b\" is none",
    ),
    (
        "manifest with a watchdog of 9 s",
        r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i", "watchdog_seconds": 9}"#,
        "from 10 to 86400",
    ),
];

/// What looks odd, and is read for what it is.
pub(super) fn read() -> Vec<Case> {
    const SIGNED: &str = "all of it is signed, and what counts has one meaning: that of the last end \
        record and the first entry of a name, as for other readers";
    const NO_PATHS: &str = "names are compared, never opened: nothing is written by name";
    let archive = build(&good());
    let mut twice = good();
    twice.extend([raw("boot/k", b"another"), raw("manifest.json", b"another")]);
    let named = |name: &str| {
        let manifest = format!(r#"{{"version": 1, "kernel": "{name}", "initramfs": "boot/i"}}"#);
        let name = name.replace("\\u0000", "\0").replace("\\\\", "\\");
        let mut members = good();
        members[0] = raw(&name, b"kernel");
        members[2] = raw("manifest.json", manifest.as_bytes());
        build(&members)
    };
    let mut commented = archive.clone();
    let len = commented.len();
    commented[len - 2] = 7;
    commented.extend(b"comment");
    let streamed = |deflate: bool, signature: bool| {
        let members: Vec<_> = good()
            .into_iter()
            .map(|member| if deflate { member.deflated() } else { member })
            .map(|member| member.streamed(signature))
            .collect();
        build(&members)
    };
    [
        ("junk before the archive", [b"#!/bin/sh\n".as_slice(), &archive].concat(), SIGNED),
        ("junk behind the archive", [archive.as_slice(), b"behind"].concat(), SIGNED),
        ("a comment", commented, SIGNED),
        ("comments of entries", with_kernel(|k| k.comment = b"PK\x01\x02".to_vec()), SIGNED),
        ("a name twice", build(&twice), SIGNED),
        ("one member within another", quoted(), "each is CRC-checked by itself and at most 2 GiB"),
        ("a name that climbs", named("../../etc/passwd"), NO_PATHS),
        ("a name that is absolute", named("/etc/passwd"), NO_PATHS),
        ("a name with a NUL in both", named("boot/k\\u0000"), NO_PATHS),
        ("a name with back slashes", named("..\\\\k"), NO_PATHS),
        (
            "100:1 deflate that tells the truth",
            padded_bomb(),
            "its length is known before memory is taken for it",
        ),
        (
            "lengths behind the data, deflated, as Go writes",
            streamed(true, true),
            "other writers do so",
        ),
        (
            "lengths behind the data, without a signature",
            streamed(true, false),
            "the format allows it",
        ),
        (
            "lengths behind the data, stored",
            streamed(false, true),
            "the directory knows the lengths",
        ),
        (
            "an unknown extra field",
            with_kernel(|k| (k.extra, k.local_extra) = (vec![9, 9, 1, 0, 7], vec![9, 9, 1, 0, 7])),
            "it changes nothing that counts",
        ),
        (
            "an extra field that is cut",
            with_kernel(|k| k.extra = vec![9, 9, 200]),
            "nothing in it counts",
        ),
        ("a ZIP64 end that tells the truth", with_zip64_end(|_| {}), "the format allows it"),
        ("ZIP64 values that tell the truth", wide(|_| {}), "the format allows it"),
    ]
    .into_iter()
    .map(|(name, archive, why)| Case {
        name,
        input: Input::Archive(archive),
        verdict: Verdict::Read(why),
    })
    .collect()
}

fn row(name: &'static str, archive: Vec<u8>, says: &'static str) -> Case {
    coded(name, archive, Code::ArchiveInvalid, says)
}

fn coded(name: &'static str, archive: Vec<u8>, code: Code, says: &'static str) -> Case {
    Case { name, input: Input::Archive(archive), verdict: Verdict::Refused(code, says) }
}

fn with_method(method: u16) -> Vec<u8> {
    with_kernel(|k| (k.method, k.local_method) = (method, method))
}

/// A kernel of this compressed data, which says that it is so long.
fn with_deflate(data: &[u8], len: u32) -> Vec<u8> {
    with_kernel(|k| {
        (k.method, k.local_method) = (8, 8);
        k.data = data.to_vec();
        (k.compressed_len, k.len) = (u32::try_from(data.len()).unwrap(), len);
    })
}

fn cut_deflate() -> Vec<u8> {
    let mut data = deflate(&[b'k'; 3_000]);
    data.pop();
    data
}

/// A megabyte out of a kilobyte, which says that it is so long.
fn bomb(len: u32) -> Vec<u8> {
    with_deflate(&deflate(&vec![0; 1_000_000]), len)
}

/// The good kernel and 999,994 zeros; only the start of it is compared.
fn padded_bomb() -> Vec<u8> {
    let mut kernel = b"kernel".to_vec();
    kernel.resize(1_000_000, 0);
    let mut members = good();
    members[0] = raw("boot/k", &kernel).deflated();
    assert!(members[0].data.len() * 100 < kernel.len());
    build(&members)
}

/// A manifest of two megabytes, which says so or not.
fn manifest_bomb(lies: bool) -> Vec<u8> {
    let mut text = MANIFEST.as_bytes().to_vec();
    text.resize(2_000_000, b' ');
    let mut members = good();
    members[2] = raw("manifest.json", &text).deflated();
    if lies {
        members[2].len = 10;
    }
    build(&members)
}

fn streamed_with_crc(crc: u32) -> Vec<u8> {
    with_kernel(|k| {
        let mut descriptor = b"PK\x07\x08".to_vec();
        descriptor.extend(crc.to_le_bytes());
        descriptor.extend([6, 0, 0, 0, 6, 0, 0, 0]);
        k.data.extend(descriptor);
        (k.flags, k.local_flags) = (8, 8);
    })
}

fn wrong_manifest_crc() -> Vec<u8> {
    let mut members = good();
    (members[2].crc, members[2].local_crc) = (7, 7);
    build(&members)
}

fn offset_of_directory() -> Vec<u8> {
    let (before, _) = parts(&good());
    let start = u32::try_from(before.len()).unwrap();
    with_kernel(|k| k.offset = Some(start))
}

/// The last member says that it goes on to the end of the file.
fn into_the_directory() -> Vec<u8> {
    let mut members = good();
    members.swap(0, 2);
    let kernel = &mut members[2];
    (kernel.len, kernel.compressed_len) = (20, 20);
    build(&members)
}

/// A directory of 17 MiB, all of which is there.
fn huge_directory() -> Vec<u8> {
    let mut members = good();
    members[0].comment = vec![b'x'; 65_535];
    let filler = members[0].clone();
    members.extend(std::iter::repeat_n(filler, 271));
    for member in &mut members[3..] {
        (member.name, member.offset) = (b"filler".to_vec(), Some(0));
        member.data.clear();
    }
    build(&members)
}

fn shorter_directory() -> [u8; 4] {
    let (_, central) = parts(&good());
    (u32::try_from(central.len()).unwrap() - 1).to_le_bytes()
}

fn wrong_entry_signature() -> Vec<u8> {
    let (mut archive, mut central) = parts(&good());
    let start = archive.len();
    central[2] = 9;
    archive.extend(&central);
    archive.extend(end(3, central.len(), start));
    archive
}

/// The comment holds another end record, which is found first, being the last in the file.
fn end_in_comment() -> Vec<u8> {
    let mut archive = build(&good());
    let fake = end(0, 0, archive.len() + 1000);
    let len = archive.len();
    archive[len - 2] = u8::try_from(fake.len()).unwrap();
    archive.extend(fake);
    archive
}

/// A kernel whose offset is in a ZIP64 extra field.
fn wide(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    with_kernel(|k| {
        k.offset = Some(u32::MAX);
        k.extra = zip64_extra(&[0]);
        change(&mut k.extra);
    })
}

fn wide_offset(offset: u64) -> Vec<u8> {
    with_kernel(|k| (k.offset, k.extra) = (Some(u32::MAX), zip64_extra(&[offset])))
}

fn wide_length(len: u64) -> Vec<u8> {
    with_kernel(|k| {
        (k.len, k.compressed_len) = (u32::MAX, u32::MAX);
        k.extra = zip64_extra(&[len, len]);
    })
}

fn too_large() -> Vec<u8> {
    let len = (1 << 31) + 1;
    with_kernel(|k| (k.len, k.compressed_len) = (len, len))
}

fn upper_manifest() -> Vec<u8> {
    let mut members = good();
    members[2] = raw("MANIFEST.JSON", MANIFEST.as_bytes());
    build(&members)
}

fn with_directory() -> Vec<u8> {
    let manifest = r#"{"version": 1, "kernel": "boot/", "initramfs": "boot/i"}"#;
    let mut members = good();
    members[0] = raw("boot/", b"");
    members[2] = raw("manifest.json", manifest.as_bytes());
    build(&members)
}

/// The kernel lies within an extra member that is not looked at: an archive within an archive.
fn quoted() -> Vec<u8> {
    let (inner, _) = parts(&[raw("boot/k", b"kernel")]);
    let outer = raw("outer", &inner);
    let (before, _) = parts(&[raw("outer", b"")]);
    let mut members = good();
    members[0].offset = Some(u32::try_from(before.len()).unwrap());
    members.insert(0, outer);
    build(&members)
}
