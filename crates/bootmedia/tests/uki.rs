//! Unified kernel images: what is in them, where it lies, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use bootmedia::authenticode;
use bootmedia::pcr;
use bootmedia::pe::Image;
use bootmedia::pe::PeError;
use bootmedia::uki;
use bootmedia::uki::Sbat;
use bootmedia::uki::Uki;
use bootmedia::uki::UkiError;
use proptest::prelude::*;
use sha2::Digest;
use sha2::Sha256;
use support::MAGIC;
use support::STUB;
use support::kernel;
use support::pe;
use support::put;
use support::stub;

const COMMAND_LINE: &str = "console=ttyS0,115200 panic=30 quiet";

fn parts<'a>(stub: &'a [u8], kernel: &'a [u8], initramfs: &'a [u8]) -> Uki<'a> {
    Uki {
        stub,
        kernel,
        initramfs,
        command_line: COMMAND_LINE,
        os_release: "ID=ramstrap\n",
        uname: "6.12.1",
        sbat: Sbat::Ours,
    }
}

fn sample() -> Vec<u8> {
    parts(&stub(), &kernel(), &[7; 9000]).build().unwrap()
}

/// Sections lie behind each other, in the file and in memory, and nothing lies between them.
fn assert_layout(image: &[u8]) {
    let parsed = Image::parse(image).unwrap();
    let mut raw_end = parsed.headers_len() as u32;
    let mut memory_end = raw_end;
    for section in parsed.sections() {
        assert!(section.virtual_address >= memory_end, "{}", section.name());
        memory_end = section.virtual_address + section.virtual_size;
        if section.raw_size > 0 {
            assert_eq!(section.raw_offset, raw_end, "{}", section.name());
            raw_end += section.raw_size;
        }
    }
    assert_eq!(raw_end as usize, image.len());
    let coff = u32::from_le_bytes(image[0x3c..0x40].try_into().unwrap()) as usize;
    let field = |at: usize| u32::from_le_bytes(image[coff + at..coff + at + 4].try_into().unwrap());
    let (image_len, alignment) = (field(24 + 56), field(24 + 32));
    assert!(image_len >= memory_end && image_len < memory_end + alignment);
    assert_eq!(field(24 + 64), checksum(image, coff + 24 + 64));
}

/// The checksum, word by word as its definition has it.
fn checksum(image: &[u8], at: usize) -> u32 {
    let mut image = image.to_vec();
    let len = image.len() as u32;
    put(&mut image, at, &[0; 4]);
    let sum = image.chunks(2).fold(0_u32, |sum, word| {
        let word = [word[0], word.get(1).copied().unwrap_or(0)];
        let sum = sum + u32::from(u16::from_le_bytes(word));
        (sum & 0xffff) + (sum >> 16)
    });
    sum + len
}

#[test]
fn every_part_is_found_again() {
    let (stub, kernel) = (stub(), kernel());
    let image = parts(&stub, &kernel, &[7; 9000]).build().unwrap();
    assert_layout(&image);
    let contents = uki::read(&image).unwrap();
    assert_eq!(contents.linux, kernel);
    assert_eq!(contents.initrd, Some([7; 9000].as_slice()));
    assert_eq!(contents.command_line, Some(COMMAND_LINE.as_bytes()));
    assert_eq!(contents.os_release, Some(b"ID=ramstrap\n".as_slice()));
    assert_eq!(contents.uname, Some(b"6.12.1".as_slice()));
    assert_eq!(image, parts(&stub, &kernel, &[7; 9000]).build().unwrap(), "not deterministic");
    // What the stub is made of keeps its place in memory.
    let (before, after) = (Image::parse(&stub).unwrap(), Image::parse(&image).unwrap());
    for name in [".text", ".sdmagic"] {
        let (old, new) = (before.section(name).unwrap(), after.section(name).unwrap());
        assert_eq!(old.virtual_address, new.virtual_address);
        assert_eq!(before.content(old), after.content(new));
    }
}

#[test]
fn sbat_names_the_stub_and_us() {
    let image = sample();
    let sbat = uki::read(&image).unwrap().sbat.unwrap();
    let sbat = core::str::from_utf8(sbat).unwrap();
    let names: Vec<&str> = sbat.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(names, ["sbat", "stub", "ramstrap"]);
    assert!(sbat.lines().all(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        fields.len() >= 5 && fields.iter().all(|field| !field.is_empty())
    }));
    let (stub, kernel) = (stub(), kernel());
    let own = Uki { sbat: Sbat::Only("mine,2,Me,mine,1,-"), ..parts(&stub, &kernel, b"x") };
    let own = own.build().unwrap();
    let own = core::str::from_utf8(uki::read(&own).unwrap().sbat.unwrap()).unwrap();
    assert!(own.starts_with("sbat,1,") && own.ends_with("\nmine,2,Me,mine,1,-\n"), "{own}");
    assert!(!own.contains("stub,3"), "{own}");
    for lines in ["mine,2,Me,mine,1,-", "sbat,1,a,b,1,c\nmine,2,Me,mine,1,-\n"] {
        let more = Uki { sbat: Sbat::Append(lines), ..parts(&stub, &kernel, b"x") };
        let more = more.build().unwrap();
        let more = core::str::from_utf8(uki::read(&more).unwrap().sbat.unwrap()).unwrap();
        let names: Vec<&str> = more.lines().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(names, ["sbat", "stub", "mine"], "{more}");
    }
}

#[test]
fn an_empty_command_line_cannot_be_replaced_by_the_firmware() {
    let (stub, kernel) = (stub(), kernel());
    let empty = Uki { command_line: "", ..parts(&stub, &kernel, b"x") }.build().unwrap();
    assert_eq!(uki::read(&empty).unwrap().command_line, Some(b" ".as_slice()));
}

#[test]
fn parts_that_cannot_work_are_named() {
    let (stub, kernel) = (stub(), kernel());
    let good = parts(&stub, &kernel, b"initramfs");
    let words = |uki: Uki<'_>| uki.build().unwrap_err().to_string();

    let not_kernel = words(Uki { kernel: b"\x7fELF", ..good });
    assert!(not_kernel.starts_with("kernel: "), "{not_kernel}");
    let mut bare = kernel.clone();
    bare[0x40] = 0;
    let bare = words(Uki { kernel: &bare, ..good });
    assert!(bare.contains("CONFIG_EFI_STUB"), "{bare}");

    let not_stub = words(Uki { stub: b"#!/bin/sh", ..good });
    assert!(not_stub.contains("UEFI stub") && not_stub.contains("no PE image"), "{not_stub}");
    let complete = sample();
    let complete = words(Uki { stub: &complete, ..good });
    assert!(complete.contains(".linux already"), "{complete}");

    assert_eq!(
        Uki { command_line: "quiet\0init=/evil", ..good }.build(),
        Err(UkiError::CommandLineCharacter { byte: 0, at: 5 })
    );
    let lines = words(Uki { command_line: "quiet\n", ..good });
    assert!(lines.contains("0x0a") && lines.contains("position 5"), "{lines}");
    let long = "x".repeat(2048);
    let long = words(Uki { command_line: &long, ..good });
    assert!(long.contains("2048 bytes") && long.contains("takes 2047"), "{long}");
    assert!(words(Uki { initramfs: b"", ..good }).contains("initramfs is empty"));
}

#[test]
fn a_stub_without_room_for_headers_is_refused() {
    // Headers end at 0x400; the first section lies right behind them.
    let names = [".a", ".b", ".c", ".d", ".e", ".f", ".g", ".h", ".i", ".j"];
    let sections: Vec<_> =
        names.iter().zip(0..).map(|(name, at)| (*name, 0x400 + at * 0x200, &[1][..])).collect();
    let tight = pe(0x80, &sections);
    let kernel = kernel();
    let error = parts(&tight, &kernel, b"x").build().unwrap_err();
    assert_eq!(error, UkiError::Stub(PeError::NoRoom { wanted: 16, room: 15 }));
    // With room in memory the headers grow.
    let sections: Vec<_> =
        names.iter().zip(0..).map(|(name, at)| (*name, 0x4000 + at * 0x1000, &[1][..])).collect();
    let image = parts(&pe(0x80, &sections), &kernel, b"x").build().unwrap();
    assert_layout(&image);
    assert_eq!(Image::parse(&image).unwrap().headers_len(), 0x600);
}

#[test]
fn damaged_images_are_refused_with_a_reason() {
    let changed = |at: usize, value: &[u8]| {
        let mut image = stub();
        put(&mut image, at, value);
        Image::parse(&image).unwrap_err().to_string()
    };
    let section = 0x80 + 24 + 240;
    assert!(changed(0, b"ZM").contains("MZ"));
    assert!(changed(0x3c, &[0xff; 4]).contains("no PE signature"));
    assert!(changed(0x80 + 24, &[0x0b, 0x01]).contains("PE32+"));
    assert!(changed(section + 16, &[0, 0, 0, 1]).contains(".text reaches beyond the end"));
    assert!(changed(section + 20, &[0, 2, 0, 0]).contains(".text lies within the headers"));
    assert!(changed(section + 40 + 20, &[0, 4, 0, 0]).contains("lies where another one lies"));
    assert!(changed(0x80 + 24 + 112 + 32, &[0, 4, 0, 0, 8]).contains("certificate table"));
}

#[test]
fn pcr_11_counts_sections_in_the_order_of_the_stub() {
    let mut expected = [0; 32];
    let mut extend = |event: &[u8]| {
        let digest = Sha256::digest(event);
        expected = Sha256::new().chain_update(expected).chain_update(digest).finalize().into();
    };
    for (name, content) in [
        (b".linux\0".as_slice(), kernel()),
        (b".osrel\0", b"ID=ramstrap\n".to_vec()),
        (b".cmdline\0", COMMAND_LINE.into()),
        (b".initrd\0", vec![7; 9000]),
    ] {
        extend(name);
        extend(&content);
    }
    let image = sample();
    assert_eq!(pcr::uki_pcr11(&image), Ok(expected));
    assert_ne!(pcr::uki_pcr4(&image, true), pcr::uki_pcr4(&image, false));
    assert!(pcr::uki_pcr9(&image).is_ok());
    assert_eq!(pcr::uki_pcr11(&stub()), Err(UkiError::NotUki(".linux")));
    // Later stubs measure more; nothing is claimed about them.
    let newer = MAGIC.iter().map(|&byte| if byte == b'2' { b'9' } else { byte });
    let stub = pe(0x80, &[(".sdmagic", 0x4000, &newer.collect::<Vec<u8>>())]);
    let image = parts(&stub, &kernel(), b"x").build().unwrap();
    assert_eq!(uki::read(&image).unwrap().stub, Some("systemd-stub 959.1-test"));
    let error = pcr::uki_pcr11(&image).unwrap_err().to_string();
    assert!(error.contains("its stub is systemd-stub 959.1-test"), "{error}");
}

/// Hashing 4 GiB of zeros for every section that claims them would take a minute.
#[test]
fn a_section_that_claims_far_more_memory_is_not_measured() {
    let mut image = sample();
    let at = image.windows(6).position(|bytes| bytes == b".linux").unwrap() + 8;
    put(&mut image, at, &u32::to_le_bytes(0x8000_0000));
    assert_eq!(pcr::uki_pcr11(&image), Err(UkiError::MostlyZeros(".linux")));
    put(&mut image, at, &u32::to_le_bytes(1 << 20));
    assert!(pcr::uki_pcr11(&image).is_ok());
}

#[test]
fn what_an_image_claims_is_known_of_a_part_of_it() {
    let image = sample();
    let whole = image.len() as u64;
    assert_eq!(bootmedia::pe::claimed_len(&image), Some(whole));
    assert_eq!(bootmedia::pe::claimed_len(&image[..5000]), Some(whole));
    assert_eq!(bootmedia::pe::claimed_len(&image[..100]), None);
    assert_eq!(bootmedia::pe::claimed_len(b""), None);
}

#[test]
fn systemds_stub_takes_everything() {
    let Ok(stub) = std::fs::read(STUB) else {
        eprintln!("skipped: {STUB} is missing (package systemd-boot-efi)");
        return;
    };
    let (kernel, initramfs) = (kernel(), vec![1; 40 << 20]);
    let image = parts(&stub, &kernel, &initramfs).build().unwrap();
    assert_layout(&image);
    let contents = uki::read(&image).unwrap();
    assert_eq!(contents.initrd.map(<[u8]>::len), Some(40 << 20));
    let sbat = String::from_utf8_lossy(contents.sbat.unwrap());
    assert!(contents.stub.is_some_and(|name| name.starts_with("systemd-stub ")));
    assert!(sbat.contains("\nsystemd,") && sbat.contains("\nramstrap,1,"), "{sbat}");
}

proptest! {
    #[test]
    fn no_reader_panics_on_damaged_images(
        changes in prop::collection::vec((0_usize..0x800, any::<u8>()), 1..8),
        cut in 0_usize..20_000,
    ) {
        let mut image = sample();
        for (at, byte) in changes {
            image[at] = byte;
        }
        for image in [image.as_slice(), &image[..cut.min(image.len())]] {
            let _ = uki::read(image);
            let _ = authenticode::digest(image);
            let _ = authenticode::signatures(image);
            let _ = pcr::uki_pcr4(image, false);
            let _ = pcr::uki_pcr9(image);
            let _ = pcr::uki_pcr11(image);
            let kernel = kernel();
            let _ = parts(image, &kernel, b"x").build();
        }
    }
}
