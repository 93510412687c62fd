//! `cargo xtask ospkg rebuild` and `boot-image rebuild` from end to end, with a source tree that is
//! small: a repository whose `xtask` hands what it is told to [`builder`] in this file, which builds real
//! packages and images of what is in the checkout.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

#[path = "../../crates/bootmedia/tests/support/mod.rs"]
mod images;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use ramstrap_cli::FoundInit;
use ramstrap_cli::boot_image::Built;
use rebuild::build::Input;
use rebuild::build::Kernel;
use rebuild::source::Source;
use rebuild::store::Origin;
use rebuild::store::Store;
use rebuild::toolchain::Toolchain;
use recipe::apt::Sources;
use recipe::build::Host;
use recipe::build::KernelFile;
use recipe::debs::Debs;
use recipe::manifest::Binary;
use serde_json::Value;
use tempfile::TempDir;

/// What the small source tree's `xtask` tells [`builder`]: words, its checkout, where to leave what it
/// is to print, and where it notes what it was told.
const WORDS: &str = "RAMSTRAP_TEST_WORDS";
const CHECKOUT: &str = "RAMSTRAP_TEST_CHECKOUT";
const PRINT: &str = "RAMSTRAP_TEST_PRINT";
const NOTES: &str = "RAMSTRAP_TEST_NOTES";
const HELPER: &str = "RAMSTRAP_TEST_HELPER";

const XTASK: &str = r#"
use std::{env, fs, process};

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let checkout = env::current_dir().unwrap();
    let print = checkout.join("../print-".to_owned() + &process::id().to_string());
    let status = process::Command::new(env::var_os("RAMSTRAP_TEST_HELPER").unwrap())
        .args(["--exact", "builder", "--nocapture"])
        .env("RAMSTRAP_TEST_WORDS", words.join("\u{1f}"))
        .env("RAMSTRAP_TEST_CHECKOUT", &checkout)
        .env("RAMSTRAP_TEST_PRINT", &print)
        .stdout(process::Stdio::null())
        .status()
        .unwrap();
    print!("{}", fs::read_to_string(&print).unwrap_or_default());
    process::exit(status.code().unwrap_or(1));
}
"#;

const TARBALL: &[u8] = b"the kernel's source";
/// The recorded hash over the inputs of a kernel that no cache has.
const KEY: &str = "0123456789abcdef";

/// What builds for the small source tree. A test that does nothing, unless that asks.
#[test]
fn builder() {
    let Ok(words) = env::var(WORDS) else { return };
    let words: Vec<&str> = words.split('\u{1f}').collect();
    let checkout = PathBuf::from(env::var_os(CHECKOUT).unwrap());
    let mut notes = format!("{}\n", words.join(" "));
    let source = rebuild::source::of_checkout(&checkout).unwrap();
    let value = |name: &str| {
        let at = words.iter().position(|word| word.split('=').next() == Some(name))?;
        let given = words[at].split_once('=').map(|(_, value)| value);
        given.or_else(|| words.get(at + 1).copied()).map(PathBuf::from)
    };
    match words[..2] {
        ["kernel", "build"] => {
            if let Some(tarball) = value("--tarball") {
                notes += &format!("tarball {}\n", rebuild::sha256(&fs::read(tarball).unwrap()));
            }
            let made = format!("[{{\"image\": \"/nowhere\", \"build\": {{\"key\": \"{KEY}\"}}}}]");
            fs::write(env::var_os(PRINT).unwrap(), made).unwrap();
        }
        ["ospkg", "build"] => {
            let inputs = value("--inputs").map(|it| it.to_string_lossy().into_owned());
            let built = package(&checkout, &value("--out").unwrap(), inputs.as_deref(), source);
            if let Err(error) = built {
                eprintln!("error: {error}");
                std::process::exit(1);
            }
        }
        _ => {
            let code = image(&checkout, &words, source);
            assert!(code, "{words:?}");
        }
    }
    let file = env::var_os(NOTES).unwrap();
    fs::write(&file, fs::read_to_string(&file).unwrap_or_default() + &notes).unwrap();
}

/// Builds the package of a checkout, as if that was this revision.
fn package(
    checkout: &Path,
    out: &Path,
    inputs: Option<&str>,
    source: Source,
) -> ramstrap_cli::Result<recipe::Built> {
    let archive = format!("file://{}", checkout.join("archive").display());
    let debs = Debs {
        cache: out.join("debs"),
        inputs: inputs.map(Origin::parse).transpose()?,
        sources: Sources::mirror(&archive),
    };
    let options = recipe::Options {
        recipes: checkout.join("ospkg"),
        debs,
        cache: None,
        keep_inputs: inputs.is_none().then(|| out.join("../kept")),
        ..xtask::ospkg::options("os", out).unwrap()
    };
    recipe::build(&options, &SmallHost { checkout, source })
}

struct SmallHost<'a> {
    checkout: &'a Path,
    source: Source,
}

impl Host for SmallHost<'_> {
    fn binary(&self, _: &Binary) -> ramstrap_cli::Result<PathBuf> {
        unreachable!("the recipe has none")
    }

    fn kernel(&self) -> ramstrap_cli::Result<KernelFile> {
        let sha256 = rebuild::sha256(TARBALL);
        let source = Input {
            name: "linux.tar.xz".to_owned(),
            sha256: sha256.clone(),
            size: TARBALL.len() as u64,
            kind: "kernel-source".to_owned(),
        };
        let built =
            Kernel { key: Some(KEY.to_owned()), source_sha256: Some(sha256), ..Kernel::default() };
        let image = self.checkout.join("bzImage");
        Ok(KernelFile { image, version: "1".into(), built: Some(built), source: Some(source) })
    }

    fn provenance(&self) -> ramstrap_cli::Result<(Source, Toolchain)> {
        Ok((self.source.clone(), Toolchain::default()))
    }

    fn keep_kernel_source(&self, _: &Input, store: &Store) -> ramstrap_cli::Result<()> {
        store.put(TARBALL, None)?;
        Ok(())
    }

    fn crates(&self, _: &[&str]) -> ramstrap_cli::Result<Vec<rebuild::sbom::Crate>> {
        Ok(Vec::new())
    }

    fn at(&self, _: &str) {}
}

/// Runs the operator's tool with the `/init` of a checkout. Gives whether it went well.
fn image(checkout: &Path, words: &[&str], source: Source) -> bool {
    let init = |_: Option<&[u8]>| {
        let built = Built { source: source.clone(), ..Built::default() };
        Ok(FoundInit { file: checkout.join("init"), built: Some(built) })
    };
    let words = ["ramstrap"].iter().chain(words).map(OsString::from);
    let code = ramstrap_cli::run_with_init(words, &init);
    format!("{code:?}") == format!("{:?}", std::process::ExitCode::SUCCESS)
}

/// A directory with the repository, a published build of it, and a user who rebuilds.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let deb = debian_package(place.dir.path());
        let lock = format!(
            "version = 1\nsource_date_epoch = 1700000000\narchitecture = \"amd64\"\n\
             packages = [\"a\"]\nwithout = []\n[[suite]]\nname = \"s\"\ndate = \"\"\n\
             release_sha256 = \"\"\n[[package]]\nname = \"a\"\nversion = \"1\"\n\
             architecture = \"all\"\nsource = \"a\"\nsuite = \"s\"\npath = \"a.deb\"\nsize = {}\n\
             sha256 = \"{}\"\n",
            deb.len(),
            rebuild::sha256(&deb)
        );
        let mut elf = vec![0_u8; 4096];
        for (at, bytes) in
            [(0, &b"\x7fELF\x02\x01\x01"[..]), (16, &[2]), (18, &[62]), (32, &[64]), (54, &[56])]
        {
            images::put(&mut elf, at, bytes);
        }
        let mut kernel = images::kernel();
        kernel.resize(24_000, 0x33);
        images::put(&mut kernel, 0x20e, &0x1000_u16.to_le_bytes());
        images::put(&mut kernel, 0x1200, b"6.12.1-test (a@b) #1\0");
        let recipe = "packages = [\"a\"]\n[distribution]\nsuites = [\"s\"]\n";
        let files: [(&str, &[u8]); 12] = [
            ("Cargo.toml", b"[workspace]\nmembers = [\"xtask\"]\nresolver = \"3\"\n"),
            ("Cargo.lock", b"version = 4\n\n[[package]]\nname = \"xtask\"\nversion = \"0.0.0\"\n"),
            ("xtask/Cargo.toml", b"[package]\nname = \"xtask\"\nedition = \"2024\"\n"),
            ("xtask/src/main.rs", XTASK.as_bytes()),
            ("ospkg/os/recipe.toml", recipe.as_bytes()),
            ("ospkg/os/packages.lock", lock.as_bytes()),
            ("ospkg/os/files/etc/motd", b"hello\n"),
            ("ospkg/os/files/init", b"#!/bin/sh\n"),
            ("archive/a.deb", &deb),
            ("bzImage", &kernel),
            ("init", &elf),
            ("stub/linuxx64.efi.stub", &images::stub()),
        ];
        for (name, bytes) in files {
            place.write(&format!("repository/{name}"), bytes);
        }
        let init = place.path("repository/ospkg/os/files/init");
        fs::set_permissions(init, fs::Permissions::from_mode(0o755)).unwrap();
        place.git(&["init", "--quiet"]);
        place.git(&["add", "--all", "--force"]);
        let who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        place.git(&[&who[..], &["commit", "--quiet", "--message", "one"]].concat());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn git(&self, words: &[&str]) {
        let repository = self.path("repository");
        let status = Command::new("git").arg("-C").arg(repository).args(words).status().unwrap();
        assert!(status.success(), "git {words:?}");
    }

    /// The committed revision, whatever else is in the tree: what a publisher would say who cheats.
    fn revision(&self) -> Source {
        let found = rebuild::source::of_checkout(&self.path("repository")).unwrap();
        Source { dirty: false, ..found }
    }

    fn publish(&self) {
        let out = self.path("published");
        package(&self.path("repository"), &out, None, self.revision()).unwrap();
    }

    /// Exit status, what was printed, what was said.
    fn rebuild(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(words)
            .args(["--source", self.path("repository").to_str().unwrap()])
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env(HELPER, env::current_exe().unwrap())
            .env(NOTES, self.path("notes"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn package(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let (descriptor, kept) = (self.path("published/os.json"), self.path("kept"));
        let words = ["ospkg", "rebuild", descriptor.to_str().unwrap(), "--inputs"];
        self.rebuild(&[&words[..], &[kept.to_str().unwrap()], more].concat())
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.path("notes")).unwrap_or_default()
    }

    fn remembered(&self) -> usize {
        fs::read_dir(self.path("state/ramstrap/rebuilt")).map_or(0, Iterator::count)
    }
}

/// A package with one file.
fn debian_package(dir: &Path) -> Vec<u8> {
    let stuff = dir.join("stuff");
    for name in ["DEBIAN", "usr/share/a"] {
        fs::create_dir_all(stuff.join(name)).unwrap();
    }
    let control = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n";
    fs::write(stuff.join("DEBIAN/control"), control).unwrap();
    fs::write(stuff.join("usr/share/a/file"), "a").unwrap();
    let deb = dir.join("a.deb");
    let mut build = Command::new("dpkg-deb");
    build.args(["--build", "--root-owner-group"]).arg(&stuff).arg(&deb);
    assert!(build.output().unwrap().status.success());
    fs::read(deb).unwrap()
}

#[test]
fn a_package_is_rebuilt_from_kept_inputs_with_its_kernel() {
    let place = Place::new();
    place.publish();
    // The archive has moved on.
    fs::remove_file(place.path("repository/archive/a.deb")).unwrap();
    let (status, output, said) = place.package(&["--json"]);
    assert_eq!(status, Some(0), "{output}{said}");
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (&found["verdict"], &found["sha256"]),
        (&"identical".into(), &found["rebuilt_sha256"])
    );
    assert_eq!(place.remembered(), 1);
    // No cache has its kernel: it is built of the kept tarball, and of a pinned one only.
    let notes = place.notes();
    assert!(notes.contains("kernel build os --release --json --tarball="), "{notes}");
    assert!(notes.contains("/linux-source.tar.xz\n"), "{notes}");
    assert!(notes.contains(&format!("tarball {}\n", rebuild::sha256(TARBALL))), "{notes}");
    assert!(!notes.contains("--locked"), "{notes}");
    // Whoever wants locked builds only is told; what was built is not begun.
    let (status, _, said) = place.package(&["--locked"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("was not built in a locked root"), "{said}");
    assert_eq!(place.notes(), notes);
}

#[test]
fn another_source_than_the_recorded_one_shows_file_by_file() {
    let place = Place::new();
    // What the publisher built is not what the revision has.
    place.write("repository/ospkg/os/files/etc/motd", b"hello, you there\n");
    place.write("repository/ospkg/os/files/usr/bin/extra", b"#!/bin/sh\n");
    place.publish();
    let (status, output, said) = place.package(&[]);
    assert_eq!(status, Some(1), "{output}{said}");
    assert!(output.starts_with("DIFFERENT: "), "{output}");
    for line in ["etc/motd: content differs", "usr/bin/extra: only the first has it"] {
        assert!(output.contains(line), "{line}: {output}");
    }
    // What is the same is not named, nor is what is in a file.
    assert!(!output.contains("usr/share/a/file") && !output.contains("you there"), "{output}");
    let (status, output, _) = place.package(&["--json"]);
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((status, &found["verdict"]), (Some(1), &"different".into()));
    let texts = found["differences"].as_array().unwrap();
    assert!(texts.iter().any(|it| it["text"].as_str().unwrap().contains("etc/motd")), "{output}");
    assert_eq!(place.remembered(), 0);
}

#[test]
fn inputs_that_are_others_are_not_built_from() {
    let place = Place::new();
    place.publish();
    let deb = rebuild::sha256(&fs::read(place.path("repository/archive/a.deb")).unwrap());
    place.write(&format!("kept/sha256/{deb}"), b"not that package");
    let tarball = rebuild::sha256(TARBALL);
    fs::remove_file(place.path("kept/sha256").join(&tarball)).unwrap();
    let (status, output, said) = place.package(&[]);
    assert_eq!((status, output.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("a 1: ") && said.contains("is damaged"), "{said}");
    // Without a kept source, that of the distribution is tried.
    assert!(
        said.contains(&format!("has no sha256/{tarball}: the distribution is asked")),
        "{said}"
    );
    assert!(place.notes().contains("kernel build os --release --json\n"), "{}", place.notes());
    assert_eq!(place.remembered(), 0);
}

/// Publishes an image in this format, of what is in the repository now.
fn publish_image(place: &Place, format: &str) -> PathBuf {
    let text = |name: &str| place.path(name).to_string_lossy().into_owned();
    if !place.path("root.pem").exists() {
        let (cert, key) = (text("root.pem"), text("root.key"));
        let words = ["keygen", "root", "--out-cert", &cert, "--out-key", &key];
        assert!(image(&place.path("repository"), &words, place.revision()));
        fs::create_dir(place.path("policy")).unwrap();
        fs::copy(place.path("root.pem"), place.path("policy/ospkg_signing_root.pem")).unwrap();
        place.write(
            "policy/trust_policy.json",
            br#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#,
        );
        place.write(
            "host.json",
            br#"{"network_mode": "dhcp", "ospkg_pointer": "http://user:canary-52@10.0.2.2/os.json"}"#,
        );
    }
    let out = text(&format!("image-{format}"));
    let (policy, host, kernel) = (text("policy"), text("host.json"), text("repository/bzImage"));
    let (loaders, format) = (text("repository/stub"), format!("--format={format}"));
    let words = [
        "boot-image",
        "build",
        "--trust-policy",
        &policy,
        "--host-config",
        &host,
        "--kernel",
        &kernel,
        "--loaders",
        &loaders,
        "--build-time",
        "2026-11-21",
        &format,
        "--out",
        &out,
    ];
    assert!(image(&place.path("repository"), &words, place.revision()), "{words:?}");
    PathBuf::from(out)
}

fn rebuild_image(place: &Place, image: &Path) -> (Option<i32>, String, String) {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (kernel, loaders) = (place.path("repository/bzImage"), place.path("repository/stub"));
    place.rebuild(&[
        "boot-image",
        "rebuild",
        &text(image),
        "--kernel",
        &text(&kernel),
        "--loaders",
        &text(&loaders),
    ])
}

#[test]
fn boot_images_are_rebuilt_in_every_form() {
    let place = Place::new();
    for (number, format) in ["initramfs", "uki", "pxe", "disk"].into_iter().enumerate() {
        let image = publish_image(&place, format);
        let (status, output, said) = rebuild_image(&place, &image);
        assert_eq!(status, Some(0), "{format}: {output}{said}");
        assert!(output.starts_with("identical: ") && !output.contains("canary"), "{output}");
        assert_eq!(place.remembered(), number + 1, "{format}");
    }
}

#[test]
fn an_image_with_another_init_is_told() {
    let place = Place::new();
    let init = place.path("repository/init");
    let mut bytes = fs::read(&init).unwrap();
    bytes[4000] = 7;
    fs::write(&init, bytes).unwrap();
    for format in ["uki", "disk"] {
        let image = publish_image(&place, format);
        let (status, output, said) = rebuild_image(&place, &image);
        assert_eq!(status, Some(1), "{format}: {output}{said}");
        assert!(output.starts_with("DIFFERENT: "), "{output}");
        assert!(output.contains("init: content differs"), "{output}");
        // The host configuration is the same; and what is in it is nobody's business.
        assert!(!output.contains("host_configuration") && !output.contains("canary"), "{output}");
    }
    assert_eq!(place.remembered(), 0);
}
