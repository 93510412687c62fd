//! Making, signing, opening and unpacking packages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

mod common;

use std::io::Cursor;
use std::io::Write;
use std::process::Command;

use common::certificate;
use common::contents;
use common::open;
use common::signed;
use common::signing_key;
use ospkg::CreateError;
use ospkg::CreateOptions;
use ospkg::Descriptor;
use ospkg::DescriptorError;
use ospkg::Input;
use ospkg::Package;
use ospkg::SignerError;
use proptest::prelude::*;
use report::Code;
use report::Coded;
use trust::Sha256Digest;

fn options() -> CreateOptions {
    CreateOptions {
        label: "test".into(),
        cmdline: "console=ttyS0 a<b".into(),
        kernel_name: "/boot/vmlinuz".into(),
        initramfs_name: "initramfs.cpio.zst".into(),
        watchdog_seconds: None,
        release: None,
        not_after: None,
        channel: None,
        extra: Vec::new(),
    }
}

fn create(
    options: &CreateOptions,
    kernel: &[u8],
    initramfs: &[u8],
) -> Result<Vec<u8>, CreateError> {
    let mut archive = Cursor::new(Vec::new());
    let len = ospkg::create(&mut archive, options, kernel.into(), initramfs.into())?;
    let archive = archive.into_inner();
    assert_eq!(archive.len() as u64, len);
    Ok(archive)
}

/// Bytes that do not repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let (kernel, initramfs) = (noise(3_000_000), noise(5_000_001));
    let archive = create(&options(), &kernel, &initramfs).unwrap();
    let package = open(archive).unwrap();
    assert_eq!(package.manifest().label.as_deref(), Some("test"));
    assert_eq!(package.manifest().kernel, "boot/vmlinuz");
    assert_eq!(package.manifest().cmdline.as_deref(), Some("console=ttyS0 a<b"));
    assert_eq!(package.kernel_len(), kernel.len() as u64);
    assert_eq!(package.initramfs_len(), initramfs.len() as u64);
    assert_eq!(package.authorized().signers().len(), 1);
    let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).unwrap();
    assert!(*verified.kernel() == kernel && *verified.initramfs() == initramfs);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let archive = create(&options(), b"kernel", b"initramfs").unwrap();
    assert_eq!(archive, create(&options(), b"kernel", b"initramfs").unwrap());
    // Changes with every change of the format: then every package's digest changes.
    assert_eq!(
        Sha256Digest::of(&archive).to_string(),
        "4bd7a489696cda374f7d96e8d55b7ab988dcfb3f508903da7af5c3eff951ac6f"
    );
}

#[test]
fn data_starts_on_a_page() {
    let (kernel, initramfs) = (noise(5000), noise(9000));
    let archive = create(&options(), &kernel, &initramfs).unwrap();
    for data in [&kernel, &initramfs] {
        let offset = archive.windows(data.len()).position(|window| window == data.as_slice());
        assert_eq!(offset.unwrap() % 4096, 0);
    }
}

#[test]
fn equal_names_are_told_apart() {
    let options = CreateOptions {
        kernel_name: "a/data".into(),
        initramfs_name: "b/data".into(),
        ..CreateOptions::default()
    };
    let archive = create(&options, b"kernel", b"initramfs").unwrap();
    assert_eq!(open(archive.clone()).unwrap().manifest().initramfs, "boot/data.initramfs");
    assert_eq!(contents(archive).unwrap(), (b"kernel".to_vec(), b"initramfs".to_vec()));
}

#[test]
fn further_files_are_packed_and_do_not_get_in_the_way() {
    let extra = |names: &[&str]| CreateOptions {
        extra: names.iter().map(|&name| (name.to_owned(), name.into())).collect(),
        ..options()
    };
    let archive = create(&extra(&["sbom.json", "build.json"]), b"kernel", b"initramfs").unwrap();
    let mut other = zip::ZipArchive::new(Cursor::new(archive.clone())).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut other.by_name("build.json").unwrap(), &mut text).unwrap();
    assert_eq!((text.as_str(), other.len()), ("build.json", 6));
    assert_eq!(contents(archive).unwrap(), (b"kernel".to_vec(), b"initramfs".to_vec()));
    for (names, words) in [
        (&["manifest.json"][..], "manifest.json: there is another"),
        (&["a", "a"], "a: there is another"),
        (&["boot/x"], "extra file: \"boot/x\""),
        (&[""], "extra file: \"\""),
    ] {
        let error = create(&extra(names), b"k", b"i").unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
        assert_eq!(error.code(), Code::ManifestInvalid);
    }
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let named = |name: &str| CreateOptions { kernel_name: name.into(), ..options() };
    for name in ["", "/", "..", "a\nb", "a\\b"] {
        let error = create(&named(name), b"k", b"i").unwrap_err();
        assert!(matches!(error, CreateError::Name { file: "kernel", .. }), "{name:?}: {error}");
    }
    assert_eq!(create(&options(), b"", b"i").unwrap_err().code(), Code::KernelMissing);
    assert_eq!(create(&options(), b"k", b"").unwrap_err().code(), Code::InitramfsMissing);
    let hasty = CreateOptions { watchdog_seconds: Some(9), ..options() };
    let error = create(&hasty, b"k", b"i").unwrap_err();
    assert_eq!(error.code(), Code::ManifestInvalid);
    assert!(error.to_string().contains("watchdog_seconds: 9, expected a whole number from 10"));
    let nul = CreateOptions { cmdline: "a\0b".into(), ..options() };
    assert_eq!(create(&nul, b"k", b"i").unwrap_err().code(), Code::ManifestInvalid);

    let pack = |kernel: Input<&[u8]>| {
        ospkg::create(Cursor::new(Vec::new()), &options(), kernel, b"i".as_slice().into())
    };
    for len in [2, 4] {
        let error = pack(Input { len, data: b"abc" }).unwrap_err();
        assert!(matches!(error, CreateError::Length { file: "kernel" }), "{len}: {error}");
    }
    let error = pack(Input { len: ospkg::MAX_MEMBER_LEN + 1, data: b"abc" }).unwrap_err();
    assert_eq!(error.code(), Code::MemberTooLarge);
}

#[test]
fn another_library_reads_what_we_write() {
    let archive = create(&options(), &noise(10_000), b"initramfs").unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["boot/", "boot/vmlinuz", "boot/initramfs.cpio.zst", "manifest.json"]);
    assert!(zip.by_name("boot/").unwrap().is_dir());
    let mut kernel = Vec::new();
    std::io::copy(&mut zip.by_name("boot/vmlinuz").unwrap(), &mut kernel).unwrap();
    assert_eq!(kernel, noise(10_000));
}

/// The readers of other ecosystems. Says so where one is not installed.
#[test]
fn other_programs_read_what_we_write() {
    let path = std::env::temp_dir().join(format!("ospkg-test-{}.zip", std::process::id()));
    let archive = create(&options(), &noise(10_000), b"initramfs").unwrap();
    std::fs::write(&path, archive).unwrap();
    let python = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                  assert z.read('boot/initramfs.cpio.zst') == b'initramfs'";
    for (program, arguments) in
        [("unzip", vec!["-t"]), ("zipinfo", vec![]), ("python3", vec!["-c", python])]
    {
        match Command::new(program).args(arguments).arg(&path).output() {
            Err(_) => println!("SKIPPED: {program} is not installed"),
            Ok(output) => assert!(
                output.status.success() && !output.stderr.windows(7).any(|w| w == b"warning"),
                "{program}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_archive_is_released_as_it_is_read() {
    let (kernel, initramfs) = (noise(3_000_000), noise(3_000_000));
    let archive = create(&options(), &kernel, &initramfs).unwrap();
    let len = archive.len() as u64;
    let mut offsets = Vec::new();
    // Whatever is told to be consumed is overwritten at once.
    let release = |archive: &mut Cursor<Vec<u8>>, offset: u64| {
        archive.get_mut()[..usize::try_from(offset).unwrap()].fill(0);
        offsets.push(offset);
    };
    let verified = open(archive).unwrap().extract(Vec::new(), Vec::new(), release).unwrap();
    assert!(*verified.kernel() == kernel && *verified.initramfs() == initramfs);
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(offsets.len() >= 6 && offsets.last() == Some(&len), "{offsets:?}");
    assert!(offsets.iter().any(|offset| (1_000_000..2_000_000).contains(offset)));
}

#[test]
fn the_start_of_the_kernel_is_seen_before_it_is_copied() {
    let kernel = noise(100_000);
    let mut package = open(create(&options(), &kernel, b"i").unwrap()).unwrap();
    assert_eq!(package.kernel_start(4096).unwrap(), kernel[..4096]);
    assert_eq!(package.kernel_start(1_000_000).unwrap(), kernel);
    let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).unwrap();
    assert_eq!(*verified.kernel(), kernel);
}

#[test]
fn an_archive_that_was_not_authorised_is_not_opened() {
    let archive = create(&options(), b"kernel", b"initramfs").unwrap();
    let other = create(&options(), b"Kernel", b"initramfs").unwrap();
    let authorized = common::authorize(&signed(&archive), Sha256Digest::of(&archive)).unwrap();
    let digest = Sha256Digest::of(&other);
    let error = Package::open(authorized, digest, Cursor::new(other)).unwrap_err();
    assert_eq!(error.code(), Code::SignatureWrong);
    assert!(error.to_string().contains(&digest.to_string()));
}

#[test]
fn a_full_memory_is_not_the_archives_fault() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let archive = create(&options(), b"kernel", b"initramfs").unwrap();
    let error = open(archive).unwrap().extract(Full, Vec::new(), |_, _| {}).unwrap_err();
    assert_eq!(error.code(), Code::MemoryFile);
    assert!(error.to_string().contains("boot/vmlinuz"));
}

#[test]
fn signing_needs_the_certificate_of_the_key() {
    let key = signing_key("signer1").verifying_key();
    assert_eq!(ospkg::check_signer(&certificate("signer1"), &key), Ok(()));
    assert_eq!(ospkg::check_signer(&certificate("signer2"), &key), Err(SignerError::OtherKey));
    assert_eq!(ospkg::check_signer(&certificate("rsa"), &key), Err(SignerError::Algorithm));
    let error = ospkg::check_signer("x", &key).unwrap_err();
    assert!(matches!(error, SignerError::Certificate(_)), "{error}");
}

#[test]
fn a_certificate_signs_once() {
    let mut descriptor = signed(b"archive");
    descriptor.push(&certificate("signer2"), &[0; 64]).unwrap();
    // The same certificate with other white space is the same certificate.
    let again = format!("{}\n\n", certificate("signer1"));
    let error = descriptor.push(&again, &[1; 64]).unwrap_err();
    assert_eq!(error, DescriptorError::AlreadySigned { entry: 1 });
    assert!(error.to_string().contains("already"));
    assert_eq!(descriptor.endorsements().len(), 2);
    let error = descriptor.push("x", &[1; 64]).unwrap_err();
    assert_eq!(error.code(), Code::DescriptorEntryInvalid);
}

#[test]
fn descriptors_keep_what_they_do_not_know() {
    let text = r#"{"version": 1, "os_pkg_url": "a<b>.zip", "z": {"b": [1, null]}, "a": "x"}"#;
    let descriptor = Descriptor::parse(text.as_bytes()).unwrap();
    let written = descriptor.to_json();
    assert!(written.contains(r#""os_pkg_url": "a\u003cb\u003e.zip""#), "{written}");
    assert!(written.contains(r#""certificates": null"#), "{written}");
    assert_eq!(Descriptor::parse(written.as_bytes()).unwrap(), descriptor);
    let mut signed = descriptor;
    signed.push(&certificate("signer1"), &[7; 64]).unwrap();
    assert!(signed.to_json().contains("\"a\": \"x\""));
    assert_eq!(Descriptor::parse(signed.to_json().as_bytes()).unwrap(), signed);
}

#[test]
fn descriptors_of_any_other_form_are_refused() {
    let parse = |text: &str| Descriptor::parse(text.as_bytes()).map_err(|error| error.code());
    for text in [
        "{}",
        r#"{"version": 2}"#,
        r#"{"version": "1"}"#,
        r#"{"version": 1, "version": 1}"#,
        r#"{"version": 1, "Version": 1}"#,
        r#"{"version": 1, "os_pkg_url": 7}"#,
        r#"{"version": 1, "os_pkg_url": "https://[::1/os.zip"}"#,
        r#"{"version": 1, "os_pkg_url": "a\nb.zip"}"#,
        r#"{"version": 1, "certificates": "x", "signatures": null}"#,
        r#"{"version": 1} {}"#,
        "{\"version\": 1}\0",
    ] {
        assert_eq!(parse(text), Err(Code::DescriptorMalformed), "{text}");
    }
    assert_eq!(
        parse(r#"{"version": 1, "certificates": [], "signatures": [""]}"#),
        Err(Code::DescriptorMismatch)
    );
    let error =
        Descriptor::parse(br#"{"version": 1, "certificates": ["eA=="], "signatures": [7]}"#)
            .unwrap_err();
    assert_eq!(error.code(), Code::DescriptorEntryInvalid);
    assert!(error.to_string().contains("certificates[1]"), "{error}");
    let nested = format!("{{\"version\": 1, \"x\": {}", "[".repeat(10_000));
    assert_eq!(parse(&nested), Err(Code::DescriptorMalformed));
    let huge = " ".repeat(ospkg::MAX_DESCRIPTOR_LEN + 1);
    assert_eq!(parse(&huge), Err(Code::DescriptorTooLarge));
    for text in [
        r#"{"VERSION": 1}"#,
        r#"{"version": 1, "os_pkg_url": null, "certificates": null, "signatures": []}"#,
        r#"{"version": 1, "os_pkg_url": "../os.zip"}"#,
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

proptest! {
    #[test]
    fn reading_descriptors_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Descriptor::parse(&bytes);
    }

    #[test]
    fn reading_descriptors_of_any_lists_never_panics(
        certificates in prop::collection::vec("[A-Za-z0-9+/=]{0,12}", 0..4),
        signatures in prop::collection::vec("[A-Za-z0-9+/=]{0,12}", 0..4),
    ) {
        let text = serde_json::json!({
            "version": 1, "certificates": certificates, "signatures": signatures,
        });
        let _ = Descriptor::parse(text.to_string().as_bytes());
    }

    #[test]
    fn any_contents_go_through(
        kernel in prop::collection::vec(any::<u8>(), 1..5000),
        initramfs in prop::collection::vec(any::<u8>(), 1..5000),
        kernel_name in "[a-z]{1,3}",
        initramfs_name in "[a-z]{1,3}",
        label in "[^\0]{0,10}",
    ) {
        let options = CreateOptions { kernel_name, initramfs_name, label, ..CreateOptions::default() };
        let archive = create(&options, &kernel, &initramfs).unwrap();
        prop_assert_eq!(contents(archive).unwrap(), (kernel, initramfs));
    }

    /// The signature is over every byte.
    #[test]
    fn a_changed_archive_is_never_authorised(position in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let archive = create(&options(), b"kernel", b"initramfs").unwrap();
        let descriptor = signed(&archive);
        let mut changed = archive;
        let position = position.index(changed.len());
        changed[position] ^= 1 << bit;
        prop_assert!(common::authorize(&descriptor, Sha256Digest::of(&changed)).is_err());
    }

    /// A changed descriptor gets the same contents authorised or none.
    #[test]
    fn a_changed_descriptor_never_gives_other_contents(
        position in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let archive = create(&options(), b"kernel", b"initramfs").unwrap();
        let digest = Sha256Digest::of(&archive);
        let mut text = signed(&archive).to_json().into_bytes();
        let position = position.index(text.len());
        text[position] ^= 1 << bit;
        if let Ok(descriptor) = Descriptor::parse(&text)
            && let Ok(authorized) = common::authorize(&descriptor, digest)
        {
            let package = Package::open(authorized, digest, Cursor::new(archive)).unwrap();
            let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).unwrap();
            let (_, _, kernel, initramfs) = verified.into_parts();
            prop_assert_eq!((kernel, initramfs), (b"kernel".to_vec(), b"initramfs".to_vec()));
        }
    }
}
