//! Archives that other programs make, and archives that nobody should make. All are signed: what
//! is tested is what comes after the signatures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

mod common;
#[path = "bad_inputs/raw_zip.rs"]
#[allow(dead_code, reason = "the table of bad inputs uses the rest")]
mod raw_zip;

use std::io::Cursor;
use std::io::Write;

use common::contents;
use common::open;
use ospkg::PackageError;
use proptest::prelude::*;
use raw_zip::MANIFEST;
use raw_zip::Raw;
use raw_zip::build;
use raw_zip::good;
use raw_zip::raw;
use raw_zip::with_kernel;
use report::Code;
use report::Coded;
use zip::CompressionMethod;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn accepted(archive: Vec<u8>) {
    assert_eq!(contents(archive).unwrap(), (b"kernel".to_vec(), b"initramfs".to_vec()));
}

fn refused(archive: Vec<u8>) -> PackageError {
    let error = contents(archive).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn members_may_lie_in_any_order_and_be_one() {
    let members = good();
    accepted(build(&members));
    let mut reversed = members;
    reversed.reverse();
    accepted(build(&reversed));

    let both = r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/k"}"#;
    let archive = build(&[raw("boot/k", b"kernel"), raw("manifest.json", both.as_bytes())]);
    assert_eq!(contents(archive).unwrap(), (b"kernel".to_vec(), b"kernel".to_vec()));
}

#[test]
fn nothing_is_released_too_early_in_any_order() {
    for reverse in [false, true] {
        let mut members = good();
        members[0] = raw("boot/k", &vec![7; 3_000_000]);
        members[1] = raw("boot/i", &vec![9; 3_000_000]);
        if reverse {
            members.reverse();
        }
        let release = |archive: &mut Cursor<Vec<u8>>, offset: u64| {
            archive.get_mut()[..usize::try_from(offset).unwrap()].fill(0);
        };
        let package = open(build(&members)).unwrap();
        let verified = package.extract(Vec::new(), Vec::new(), release).unwrap();
        assert!(*verified.kernel() == vec![7; 3_000_000]);
        assert!(*verified.initramfs() == vec![9; 3_000_000]);
    }
}

#[test]
fn the_first_of_equal_names_counts() {
    let mut members = good();
    members.push(raw("boot/k", b"another"));
    members.push(raw("manifest.json", b"another"));
    accepted(build(&members));
}

#[test]
fn bytes_around_the_archive_are_skipped() {
    let archive = build(&good());
    accepted([b"#!/bin/sh\n".as_slice(), &archive].concat());
    accepted([archive.as_slice(), b"behind"].concat());
    let mut commented = archive;
    let len = commented.len();
    commented[len - 2] = 7;
    commented.extend(b"comment");
    accepted(commented);
}

#[test]
fn what_other_libraries_write_is_read() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        for large in [false, true] {
            let options = SimpleFileOptions::default().compression_method(method).large_file(large);
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            zip.add_directory("boot/", options).unwrap();
            for (name, data) in
                [("boot/k", "kernel"), ("boot/i", "initramfs"), ("manifest.json", MANIFEST)]
            {
                zip.start_file(name, options).unwrap();
                zip.write_all(data.as_bytes()).unwrap();
            }
            accepted(zip.finish().unwrap().into_inner());
        }
    }
}

/// Another maker; what Go makes is among the vectors.
#[test]
fn what_python_writes_is_read() {
    const PROGRAM: &str = r#"
import io, sys, zipfile
method, streamed, manifest = int(sys.argv[1]), sys.argv[2] == "streamed", sys.argv[3]
class Pipe(io.RawIOBase):
    def writable(self): return True
    def write(self, data): return sys.stdout.buffer.write(data)
out = Pipe() if streamed else io.BytesIO()
with zipfile.ZipFile(out, "w", method) as archive:
    for name, content in (("boot/k", "kernel"), ("boot/i", "initramfs"), ("manifest.json", manifest)):
        archive.writestr(name, content)
if not streamed:
    sys.stdout.buffer.write(out.getvalue())
"#;
    for method in ["0", "8"] {
        for way in ["seeking", "streamed"] {
            let mut python = std::process::Command::new("python3");
            let Ok(made) = python.args(["-c", PROGRAM, method, way, MANIFEST]).output() else {
                eprintln!("skipped: there is no python3");
                return;
            };
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let has_descriptor = made.stdout.windows(4).any(|window| window == b"PK\x07\x08");
            assert_eq!(has_descriptor, way == "streamed");
            accepted(made.stdout);
        }
    }
}

#[test]
fn large_compressed_members_are_read() {
    let kernel: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let initramfs = vec![0; 5_000_000];
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    // Without a position to return to, lengths and CRC go behind the data.
    let mut zip = ZipWriter::new_stream(Vec::new());
    for (name, data) in
        [("boot/k", &kernel[..]), ("boot/i", &initramfs), ("manifest.json", MANIFEST.as_bytes())]
    {
        zip.start_file(name, options).unwrap();
        zip.write_all(data).unwrap();
    }
    let archive = zip.finish().unwrap().into_inner();
    let mut package = open(archive.clone()).unwrap();
    assert_eq!(package.kernel_start(4096).unwrap(), kernel[..4096]);
    let (found_kernel, found_initramfs) = contents(archive).unwrap();
    assert!(found_kernel == kernel && found_initramfs == initramfs);
}

#[test]
fn lies_about_a_member_are_refused() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("encrypted", with_kernel(|k| k.flags = 1)),
        ("another file", with_kernel(|k| k.local_flags = 1)),
        ("compression method 12", with_kernel(|k| k.method = 12)),
        ("CRC", with_kernel(|k| (k.crc, k.local_crc) = (7, 7))),
        ("differ", with_kernel(|k| k.local_crc = 7)),
        ("another file", with_kernel(|k| k.local_name = b"boot/K".to_vec())),
        ("two lengths differ", with_kernel(|k| k.len += 1)),
        ("local header", with_kernel(|k| k.offset = Some(3))),
        ("inside", with_kernel(|k| k.offset = Some(u32::MAX - 1))),
        ("inside", with_kernel(|k| (k.len, k.compressed_len) = (1 << 20, 1 << 20))),
        ("ZIP64", with_kernel(|k| k.offset = Some(u32::MAX))),
        ("corrupt", with_kernel(|k| (k.method, k.local_method, k.data) = (8, 8, vec![0xff; 6]))),
    ];
    for (part, archive) in cases {
        let error = refused(archive);
        assert_eq!(error.code(), Code::ArchiveInvalid, "{part}: {error}");
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn a_descriptor_behind_the_data_repeats_the_crc() {
    // It may leave the local header empty, but not the directory.
    let with_descriptor = |descriptor: &[&[u8]]| {
        with_kernel(|k| {
            (k.local_flags, k.flags, k.local_crc) = (8, 8, 0);
            k.data.extend(descriptor.concat());
        })
    };
    let crc = crc32fast::hash(b"kernel").to_le_bytes();
    let lengths = [6, 0, 0, 0, 6, 0, 0, 0];
    accepted(with_descriptor(&[b"PK\x07\x08", &crc, &lengths]));
    accepted(with_descriptor(&[&crc, &lengths]));
    let wrong: [&[&[u8]]; 3] = [&[], &[b"PK\x07\x08", &[7; 4], &lengths], &[&[7; 4], &lengths]];
    for wrong in wrong {
        let error = refused(with_descriptor(wrong));
        assert_eq!(error.code(), Code::ArchiveInvalid);
        assert!(error.to_string().contains("CRC"), "{error}");
    }
}

#[test]
fn declared_lengths_are_kept() {
    let data = vec![5; 3_000_000];
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&data).unwrap();
    let compressed = encoder.finish().unwrap();
    let with_len = |len: u32, compressed: &[u8]| {
        with_kernel(|kernel| {
            let compressed_len = u32::try_from(compressed.len()).unwrap();
            let crc = crc32fast::hash(&data);
            *kernel = Raw {
                method: 8,
                local_method: 8,
                data: compressed.to_vec(),
                len,
                compressed_len,
                crc,
                local_crc: crc,
                ..kernel.clone()
            };
        })
    };
    assert_eq!(contents(with_len(3_000_000, &compressed)).unwrap().0, data);
    for (len, compressed, part) in [
        (2_999_999, &compressed[..], "longer"),
        (3, &compressed[..], "longer"),
        (3_000_001, &compressed[..], "shorter"),
        (3_000_000, &compressed[..compressed.len() - 1], "cut short"),
    ] {
        let error = refused(with_len(len, compressed));
        assert_eq!(error.code(), Code::ArchiveInvalid);
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn members_of_impossible_size_are_refused_before_they_are_read() {
    let too_large = 2 * 1024 * 1024 * 1024_u32 + 1;
    let error = refused(with_kernel(|k| (k.len, k.compressed_len) = (too_large, too_large)));
    assert_eq!(error.code(), Code::MemberTooLarge);
    let wide = [1, 0, 16, 0].into_iter().chain([0xff; 16]).collect::<Vec<u8>>();
    let error = refused(with_kernel(|k| {
        (k.len, k.compressed_len, k.extra) = (u32::MAX, u32::MAX, wide);
    }));
    assert_eq!(error.code(), Code::MemberTooLarge);
    let mut members = good();
    members[2].len = 1 << 30;
    assert_eq!(refused(build(&members)).code(), Code::ArchiveInvalid);
}

#[test]
fn lies_about_the_directory_are_refused() {
    let archive = build(&good());
    let end = archive.len() - 22;
    let changed = |offset: usize, value: &[u8]| {
        let mut archive = archive.clone();
        archive[end + offset..end + offset + value.len()].copy_from_slice(value);
        archive
    };
    for lie in [
        changed(4, &[1, 0]),
        changed(8, &[2, 0]),
        changed(8, &[2, 0, 2, 0]),
        changed(8, &[4, 0, 4, 0]),
        changed(8, &[0xff; 4]),
        changed(12, &[0xff; 4]),
        changed(12, &[0, 0, 0, 1]),
        changed(16, &[0xff; 4]),
        changed(16, &[0, 0, 0, 1]),
        archive[..archive.len() - 1].to_vec(),
        archive[..30].to_vec(),
        b"PK\x05\x06".to_vec(),
        Vec::new(),
    ] {
        let error = refused(lie);
        assert_eq!(error.code(), Code::ArchiveInvalid, "{error}");
    }
    // An empty archive is one, but has no manifest.
    assert_eq!(refused(build(&[])).code(), Code::ManifestMissing);
}

#[test]
fn missing_members_have_their_codes() {
    let members = good();
    assert_eq!(refused(build(&members[..2])).code(), Code::ManifestMissing);
    assert_eq!(refused(build(&members[1..])).code(), Code::KernelMissing);
    let without_initramfs = [members[0].clone(), members[2].clone()];
    let error = refused(build(&without_initramfs));
    assert_eq!(error.code(), Code::InitramfsMissing);
    assert_eq!(error.to_string(), "archive: initramfs \"boot/i\" is not in it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = contents(bytes);
    }

    /// Signed, but damaged before: whatever comes out has the CRC that the directory says.
    #[test]
    fn reading_damaged_archives_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut archive = build(&good());
        for (position, value) in damage {
            let position = position.index(archive.len());
            archive[position] = value;
        }
        if shorten {
            archive.truncate(cut.index(archive.len()));
        }
        let _ = contents(archive);
    }

    #[test]
    fn damaged_compressed_data_never_panics(
        position in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in [("boot/k", "k".repeat(3000)), ("boot/i", "i".repeat(3000)), ("manifest.json", MANIFEST.to_owned())] {
            zip.start_file(name, options).unwrap();
            zip.write_all(data.as_bytes()).unwrap();
        }
        let mut archive = zip.finish().unwrap().into_inner();
        let position = position.index(archive.len());
        archive[position] = value;
        let _ = contents(archive);
    }
}
