//! `ospkg diff` and `ospkg extract`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use support::Lab;
use support::json;
use support::kernel;
use support::mode;

/// A cpio archive of files: path, mode, content. Modes have their type.
fn cpio(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    let trailer: (&str, u32, &[u8]) = ("TRAILER!!!", 0, b"");
    for (number, (path, mode, content)) in (1..).zip(files.iter().chain([&trailer])) {
        let (length, name) = (content.len(), path.len() + 1);
        let mode = usize::try_from(*mode).unwrap();
        let fields = [number, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name, 0];
        archive.extend_from_slice(b"070701");
        for field in fields {
            write!(archive, "{field:08x}").unwrap();
        }
        archive.extend_from_slice(path.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn release(number: u8) -> Vec<u8> {
    let mut kernel = kernel();
    kernel[0x20e..0x210].copy_from_slice(&0x300_u16.to_le_bytes());
    kernel[0x500..0x514].copy_from_slice(format!("6.12.{number} (me@here) #1\0").as_bytes());
    kernel
}

const FILE: u32 = 0o100_644;

fn lab() -> Lab {
    let lab = Lab::with_signers();
    lab.write("a/vmlinuz", release(1));
    lab.write("b/vmlinuz", release(2));
    let early = cpio(&[("early.bin", FILE, b"microcode")]);
    let one = cpio(&[
        ("init", 0o100_755, b"one"),
        ("gone", FILE, b"x"),
        ("same", FILE, b"y"),
        ("link", 0o120_777, b"init"),
    ]);
    let other = cpio(&[
        ("init", 0o100_700, b"another"),
        ("same", FILE, b"overwritten later"),
        ("new", FILE, b"z"),
        ("link", 0o120_777, b"new"),
    ]);
    let late = cpio(&[("same", FILE, b"y")]);
    lab.write("a/initramfs", [early.clone(), gzip(&one)].concat());
    let other = [early, zstd::encode_all(other.as_slice(), 1).unwrap(), gzip(&late)].concat();
    lab.write("b/initramfs", other);
    for (name, cmdline, number) in [("a", "quiet panic=30", 11), ("b", "panic=30 debug", 12)] {
        let more = ["--cmdline", cmdline, "--release", &number.to_string()].map(str::to_owned);
        let words = format!(
            "ospkg create --kernel {name}/vmlinuz --initramfs {name}/initramfs --url {name}.zip --out {name}/os"
        );
        let words: Vec<&str> = words.split(' ').chain(more.iter().map(String::as_str)).collect();
        assert_eq!(lab.run_args(&words).status, 0);
    }
    lab
}

fn sign(lab: &Lab, signer: &str, package: &str) {
    lab.ok(&format!("ospkg sign --key {signer}.key --cert {signer}.pem {package}"));
}

#[test]
fn what_changed_is_seen_at_a_glance_and_by_scripts() {
    let lab = lab();
    for (signer, package) in
        [("a", "a/os.json"), ("b", "a/os.json"), ("b", "b/os.json"), ("c", "b/os.json")]
    {
        sign(&lab, signer, package);
    }
    let ran = lab.run("ospkg diff a/os.json b/os.json");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for words in [
        "different: a/os.json and b/os.json",
        "6.12.1 → 6.12.2",
        "-quiet  +debug",
        "11 → 12",
        "a.zip → b.zip",
        "1 added, 1 removed, 2 changed",
        "  - gone  0644 1 bytes",
        "  + new  0644 1 bytes",
        "  ~ init  mode, content: 0755 3 bytes",
        "  ~ link  target: ",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in\n{}", ran.stdout);
    }
    let found = json(&lab.run("ospkg diff a/os.zip b/os --json"));
    assert_eq!((&found["ok"], &found["same"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_eq!(found["kernel"]["second"]["version"], "6.12.2 (me@here) #1");
    assert_eq!(found["cmdline"]["added"][0], "debug");
    assert_eq!(found["manifest"][0]["key"], "release");
    assert_eq!(found["files"]["added"][0]["path"], "new");
    assert_eq!(found["files"]["removed"][0]["mode"], "0644");
    assert_eq!(found["files"]["changed"][0]["first"]["size"], 3);
    assert_eq!(found["files"]["alike"], 2);
    let signers = &found["signers"];
    assert_eq!(signers["removed"].as_array().unwrap().len(), 1);
    assert_eq!(signers["added"].as_array().unwrap().len(), 1);
    assert_eq!(signers["both"].as_array().unwrap().len(), 1);
}

#[test]
fn the_same_is_the_same_and_a_signature_is_a_change() {
    let lab = lab();
    lab.ok("ospkg diff a/os.json a/os.json");
    std::fs::create_dir(lab.path("copy")).unwrap();
    for name in ["os.json", "os.zip"] {
        std::fs::copy(lab.path(&format!("a/{name}")), lab.path(&format!("copy/{name}"))).unwrap();
    }
    assert_eq!(json(&lab.ok("ospkg diff a/os.json copy/os.json --json"))["same"], true);
    sign(&lab, "a", "copy/os.json");
    let ran = lab.run("ospkg diff a/os.json copy/os.json");
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("signers") && !ran.stdout.contains("kernel"), "{}", ran.stdout);
    // Without a descriptor nothing is said about signers.
    std::fs::remove_file(lab.path("copy/os.json")).unwrap();
    assert_eq!(json(&lab.ok("ospkg diff a/os.zip copy/os.zip --json"))["signers"], Value::Null);
    lab.write("no.zip", "no archive");
    lab.refused("ospkg diff a/os.zip no.zip", "no.zip");
    lab.refused("ospkg diff a/os.zip none.zip", "none.zip");
}

/// All that is signed is compared, also what machines do not look at.
#[test]
fn members_and_their_names_are_compared() {
    let lab = Lab::with_signers();
    let pack = |name: &str, kernel: &str, more: &[(&str, &str)]| {
        let file = std::fs::File::create(lab.path(name)).unwrap();
        let mut writer = zip::ZipWriter::new(file);
        let manifest = format!(r#"{{"version": 1, "kernel": "{kernel}", "initramfs": "i"}}"#);
        let (image, initramfs) = (release(1), cpio(&[("init", FILE, b"x")]));
        let own = [
            ("manifest.json", manifest.as_bytes()),
            (kernel, image.as_slice()),
            ("i", initramfs.as_slice()),
        ];
        let more = more.iter().map(|(name, content)| (*name, content.as_bytes()));
        for (name, content) in own.into_iter().chain(more) {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
    };
    pack("a.zip", "one", &[("gone.txt", "1"), ("kept", "2"), ("other", "3")]);
    pack("b.zip", "two", &[("kept", "2"), ("other", "4"), ("new.txt", "55")]);
    let ran = lab.run("ospkg diff a.zip b.zip");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for words in [
        "kernel name    one → two\n",
        "  - gone.txt  1 bytes ",
        "  + new.txt  2 bytes ",
        "  ~ other  ",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in\n{}", ran.stdout);
    }
    for words in ["packed in another way", "kept", "initramfs name"] {
        assert!(!ran.stdout.contains(words), "{words:?} in\n{}", ran.stdout);
    }
    let found = json(&lab.run("ospkg diff a.zip b.zip --json"));
    assert_eq!(found["manifest"][0]["key"], "kernel");
    assert_eq!(found["members"]["added"][0]["name"], "new.txt");
    assert_eq!(found["members"]["added"][0]["size"], 2);
    assert_eq!(found["members"]["changed"][0]["name"], "other");
}

#[test]
fn only_what_is_authorised_is_taken_apart() {
    let lab = lab();
    let extract = "ospkg extract --trust-policy policy --out parts a/os.json";
    lab.refused(extract, "error[E0404]");
    assert!(!lab.path("parts").exists());
    sign(&lab, "a", "a/os.json");
    sign(&lab, "b", "a/os.json");
    let result = json(&lab.ok(&format!("{extract} --json")));
    assert_eq!(result["verified"], true);
    assert_eq!(result["signers"].as_array().unwrap().len(), 2);
    assert_eq!(lab.read("parts/kernel"), lab.read("a/vmlinuz"));
    assert_eq!(lab.read("parts/initramfs"), lab.read("a/initramfs"));
    assert_eq!(lab.read("parts/cmdline"), b"quiet panic=30\n");
    let manifest: Value = serde_json::from_slice(&lab.read("parts/manifest.json")).unwrap();
    assert_eq!(manifest["release"], 11);
    assert_eq!(names(&lab.path("parts")), ["cmdline", "initramfs", "kernel", "manifest.json"]);
    assert_eq!((mode(&lab.path("parts")), mode(&lab.path("parts/kernel"))), (0o755, 0o644));
    lab.refused(extract, "not empty");

    lab.refused(
        "ospkg extract --signing-root rootcert.pem --threshold 3 --out more a/os.json",
        "E0404",
    );
    lab.ok("ospkg extract --signing-root rootcert.pem --threshold 2 --out new/more a/os.json");
    assert_eq!(lab.run("ospkg extract --out x a/os.json").status, 2);
    assert_eq!(
        lab.run("ospkg extract --unverified --trust-policy policy --out x a/os.json").status,
        2
    );
    assert!(!lab.path("x").exists());
}

#[test]
fn what_nobody_signed_comes_out_only_on_demand_and_with_a_warning() {
    let lab = lab();
    let ran = lab.ok("ospkg extract --unverified --out parts b/os.json");
    assert!(ran.stderr.contains("warning: b/os.zip is not verified"), "{}", ran.stderr);
    assert_eq!(lab.read("parts/kernel"), lab.read("b/vmlinuz"));
    let json = json(&lab.ok("ospkg extract --unverified --out again b/os.json --json"));
    assert_eq!(
        (&json["verified"], json["signers"].as_array().unwrap().len()),
        (&Value::Bool(false), 0)
    );
}

/// Names in the archive lead nowhere, and a damaged archive leaves nothing.
#[test]
fn extraction_is_whole_or_not_at_all() {
    let lab = lab();
    let mut archive = lab.read("b/os.zip");
    let initramfs = lab.read("b/initramfs");
    let at = archive.windows(initramfs.len()).position(|it| it == initramfs).unwrap();
    archive[at + initramfs.len() / 2] ^= 1;
    lab.write("bad/os.zip", archive);
    lab.write("bad/os.json", lab.read("b/os.json"));
    lab.refused("ospkg extract --unverified --out parts bad/os.json", "E05");
    assert!(!lab.path("parts").exists());

    let mut writer = zip::ZipWriter::new(std::fs::File::create(lab.path("evil.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let manifest =
        r#"{"version": 1, "kernel": "../../escaped", "initramfs": "/tmp/escaped-initramfs"}"#;
    for (name, content) in [
        ("../../escaped", &release(1)[..]),
        ("/tmp/escaped-initramfs", b"070701"),
        ("manifest.json", manifest.as_bytes()),
    ] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    lab.write("evil.json", lab.read("b/os.json"));
    lab.ok("ospkg extract --unverified --out deep/er/parts evil.json");
    assert_eq!(
        names(&lab.path("deep/er/parts")),
        ["cmdline", "initramfs", "kernel", "manifest.json"]
    );
    assert!(!lab.path("deep/escaped").exists() && !lab.path("escaped").exists());
    assert!(!Path::new("/tmp/escaped-initramfs").exists());
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
