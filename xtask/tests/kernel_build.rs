//! `cargo xtask kernel build` from end to end, with a source tree that is none: its `make` takes a
//! second. What is to be seen is what happens around the compiler, above all when something is wrong.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Writes a bzImage that is setup code alone: boot flag, magic, protocol 2.15, loaded high, 64 bits,
/// and 0x1200000 bytes to unpack itself.
const MAKEFILE: &str = r#"VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 1
EXTRAVERSION =

allnoconfig:
	grep -v '@DROP@' $(KCONFIG_ALLCONFIG) > $(O)/.config

bzImage:
	@echo "  CC      init/main.o"
	mkdir -p $(O)/arch/x86/boot
	(head -c 510 /dev/zero; printf '\125\252'; head -c 2 /dev/zero; printf '@MAGIC@\017\002'; \
	 head -c 9 /dev/zero; printf '\001'; head -c 36 /dev/zero; printf '\001\000'; \
	 head -c 40 /dev/zero; printf '\000\000\040\001'; head -c 2000 /dev/zero; \
	 printf '%s' "$(KBUILD_BUILD_USER) $(CFLAGS) $$CFLAGS") > $(O)/arch/x86/boot/bzImage
	cd $(O) && touch System.map modules.builtin modules.builtin.modinfo
	@FAIL@
"#;

struct Place {
    dir: TempDir,
}

impl Place {
    /// A tree whose `make` keeps all options and makes something with a bzImage's header.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write_tree("nothing", "HdrS", "true");
        place
    }

    fn write_tree(&self, drop: &str, magic: &str, fail: &str) {
        fs::create_dir_all(self.tree().join("arch/x86")).unwrap();
        let makefile =
            MAKEFILE.replace("@DROP@", drop).replace("@MAGIC@", magic).replace("@FAIL@", fail);
        fs::write(self.tree().join("Makefile"), makefile).unwrap();
        fs::write(self.tree().join("Kconfig"), kconfig()).unwrap();
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("linux")
    }

    fn products(&self) -> Vec<String> {
        let dir = self.dir.path().join("cache/ramstrap/kernels/ours");
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Exit status, standard output, standard error.
    fn build(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["kernel", "build", "boot", "--json"])
            .args(arguments)
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env("CFLAGS", "-DFROM_THE_CALLER")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn build_tree(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let tree = self.tree();
        let mut arguments = vec!["--source", tree.to_str().unwrap()];
        arguments.extend(more);
        self.build(&arguments)
    }

    fn refused(&self, expected: &[&str]) {
        let (status, output, error) = self.build_tree(&[]);
        assert_eq!((status, output.as_str()), (Some(1), ""), "{error}");
        for text in expected {
            assert!(error.contains(text), "{text}\n---\n{error}");
        }
        assert_eq!(self.products(), Vec::<String>::new(), "something was left behind");
    }
}

/// Every option that our files name, without conditions.
fn kconfig() -> String {
    let requests = xtask::kernel_build::Which::Boot.requests().unwrap();
    requests.iter().map(|it| format!("config {}\n\tbool \"x\"\n", it.symbol)).collect()
}

fn record(output: &str) -> Value {
    let built: Value = serde_json::from_str(output).unwrap();
    built[0].clone()
}

#[test]
fn a_kernel_is_built_once_and_recorded() {
    let place = Place::new();
    let (status, output, error) = place.build_tree(&[]);
    assert_eq!(status, Some(0), "{error}");
    let first = record(&output);
    assert_eq!((&first["cached"], &first["build"]["unpinned"]), (&false.into(), &true.into()));
    assert_eq!(first["build"]["release"], "6.12.1");
    assert_eq!(first["build"]["init_size"], 0x0120_0000);
    let image = Path::new(first["image"].as_str().unwrap());
    for name in ["config", "System.map", "modules.builtin", "modules.builtin.modinfo", "build.json"]
    {
        assert!(image.with_file_name(name).is_file(), "{name}");
    }
    // What the caller has in the environment is no input.
    let content = String::from_utf8_lossy(&fs::read(image).unwrap()).into_owned();
    assert!(content.contains("ramstrap") && !content.contains("FROM_THE_CALLER"), "{content:?}");

    let (_, output, _) = place.build_tree(&[]);
    assert_eq!(record(&output)["cached"], true);
    // One byte of the source makes another kernel.
    fs::write(place.tree().join("file"), "x").unwrap();
    let (_, output, _) = place.build_tree(&[]);
    let other = record(&output);
    assert_eq!(other["cached"], false);
    assert_ne!(other["image"], first["image"]);
    // A kernel that was damaged in the cache is none.
    fs::write(other["image"].as_str().unwrap(), "x").unwrap();
    let (_, output, _) = place.build_tree(&[]);
    assert_eq!(record(&output)["cached"], false);
    assert_eq!(place.products().len(), 2);
}

#[test]
fn an_option_that_does_not_survive_is_named() {
    let place = Place::new();
    place.write_tree("CONFIG_KEXEC_FILE=", "HdrS", "true");
    place.refused(&["1 of the boot kernel's options", "CONFIG_KEXEC_FILE=y", "common.config:"]);
}

#[test]
fn an_option_that_does_not_exist_is_named_with_a_similar_one() {
    let place = Place::new();
    let kconfig = kconfig().replace("config KEXEC_FILE\n", "config KEXEC_FILES\n");
    fs::write(place.tree().join("Kconfig"), kconfig).unwrap();
    place
        .refused(&["there is no CONFIG_KEXEC_FILE in this version", "similar: CONFIG_KEXEC_FILES"]);
}

#[test]
fn a_failing_compiler_is_quoted() {
    let place = Place::new();
    place.write_tree("nothing", "HdrS", "echo 'main.c:1: error: no such thing' >&2; false");
    place.refused(&["main.c:1: error: no such thing", "make ended with"]);
}

#[test]
fn what_is_no_bzimage_is_refused() {
    let place = Place::new();
    place.write_tree("nothing", "XdrS", "true");
    place.refused(&["what make made is not a bzImage"]);
}

#[test]
fn a_tree_that_was_built_in_is_refused() {
    let place = Place::new();
    fs::write(place.tree().join(".config"), "").unwrap();
    place.refused(&["make mrproper"]);
}

#[test]
fn a_release_takes_no_tree() {
    let place = Place::new();
    let (status, _, error) = place.build_tree(&["--release"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("a release takes pinned sources only"), "{error}");
    assert!(place.products().is_empty());
}

#[test]
fn a_tarball_with_the_wrong_hash_is_refused() {
    let place = Place::new();
    let file = place.dir.path().join("linux-source-6.12.tar.xz");
    fs::write(&file, "not the pinned one").unwrap();
    let (status, _, error) = place.build(&["--tarball", file.to_str().unwrap()]);
    assert_eq!(status, Some(1));
    let found = "found    ";
    assert!(error.contains("wrong hash") && error.contains("expected ") && error.contains(found));
    assert!(error.contains("--unpinned"), "{error}");
    assert!(place.products().is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let place = Place::new();
    fs::write(place.dir.path().join("cache"), "a file").unwrap();
    let (status, _, error) = place.build_tree(&[]);
    assert_eq!(status, Some(1));
    assert!(error.contains("cannot create") && error.contains("cache/ramstrap"), "{error}");
}

/// A package has the tarball inside: where that was put for a moment is nothing to the reader.
#[test]
fn a_tarball_that_is_no_source_is_named_as_it_was_given() {
    let place = Place::new();
    let stuff = place.dir.path().join("stuff");
    fs::create_dir_all(stuff.join("usr/src")).unwrap();
    fs::create_dir_all(stuff.join("DEBIAN")).unwrap();
    fs::write(
        stuff.join("DEBIAN/control"),
        "Package: linux-source-6.12\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n",
    )
    .unwrap();
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    let tarball = stuff.join("usr/src/linux-source-6.12.tar.xz");
    run(Command::new("tar").arg("-cJf").arg(&tarball).args(["-C", "/etc", "hostname"]));
    let package = place.dir.path().join("linux-source.deb");
    run(Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&stuff).arg(&package));
    let package = package.to_str().unwrap();
    let (status, _, error) = place.build(&["--tarball", package, "--unpinned"]);
    assert_eq!(status, Some(1));
    assert!(error.contains(&format!("{package} is no kernel source")), "{error}");
    assert!(!error.contains("cache/ramstrap"), "{error}");
}

#[test]
fn tools_that_nobody_can_install_are_named() {
    let place = Place::new();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["kernel", "build", "boot", "--source"])
        .arg(place.tree())
        .env("XDG_CACHE_HOME", place.dir.path().join("cache"))
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("Install by hand, then try again: gcc (Debian's package gcc)"),
        "{error}"
    );
    assert!(!error.contains("--modules"), "{error}");
}

/// With the tools of the builder root, where its packages are in the cache: 75 MB are too much for a test.
#[test]
fn a_kernel_is_built_in_the_locked_root() {
    let real = xtask::cache::dir().unwrap();
    let place = Place::new();
    let cache = place.dir.path().join("cache/ramstrap");
    fs::create_dir_all(&cache).unwrap();
    let lock = recipe::builder::lock_file(&xtask::ospkg::recipes());
    let lock = recipe::lock::Lock::parse(&fs::read_to_string(lock).unwrap()).unwrap();
    if !lock.package.iter().all(|it| real.join("debs").join(&it.sha256).is_file()) {
        eprintln!("SKIPPED: the packages of the locked root were never fetched here");
        return;
    }
    fs::create_dir_all(real.join("builder")).unwrap();
    for name in ["builder", "debs"] {
        std::os::unix::fs::symlink(real.join(name), cache.join(name)).unwrap();
    }
    let (status, output, error) = place.build_tree(&["--locked"]);
    if error.contains("does not let us enter") {
        eprintln!("SKIPPED: {error}");
        return;
    }
    assert_eq!(status, Some(0), "{error}");
    let locked = record(&output);
    let tools = &locked["build"]["tools"];
    assert!(tools["gcc"].as_str().unwrap().contains("gcc (Debian"), "{tools}");
    // It is found again; and one of this machine's tools is another one, unless these are the same.
    let (_, output, _) = place.build_tree(&["--locked"]);
    assert_eq!(record(&output)["cached"], true);
    let (_, output, error) = place.build_tree(&[]);
    assert!(!output.is_empty(), "{error}");
    let own = record(&output);
    let same = own["build"]["tools_sha256"] == locked["build"]["tools_sha256"];
    assert_eq!(own["cached"], same);
    assert_eq!(own["image"] == locked["image"], same);
}
