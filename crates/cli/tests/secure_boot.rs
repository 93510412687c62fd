//! `ramstrap secure-boot`, as an operator uses it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use support::Lab;

const SETUP_MODE: &str = "efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const DB: &str = "efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f";
const KEK: &str = "efivars/KEK-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const PK: &str = "efivars/PK-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// A directory with keys of its own. They are made once for all tests, as that takes a while.
fn lab_with_keys() -> Lab {
    static MADE: OnceLock<Lab> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let lab = Lab::new();
        lab.ok("secure-boot keygen --out keys --name Example");
        lab
    });
    let lab = Lab::new();
    fs::create_dir(lab.path("keys")).unwrap();
    for entry in fs::read_dir(made.path("keys")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), lab.path("keys").join(entry.file_name())).unwrap();
    }
    lab
}

/// A small PE image with one section.
fn image() -> Vec<u8> {
    let mut image = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86\x01");
    put(0x40 + 20, &[240]);
    put(0x58, &[0x0b, 0x02]);
    // Alignments, length in memory, length of the headers, number of directories.
    for (at, value) in [(32, 0x1000_u32), (36, 0x200), (56, 0x2000), (60, 0x200), (108, 16)] {
        put(0x58 + at, &value.to_le_bytes());
    }
    put(0x148, b".text");
    for (at, value) in [(8, 0x200_u32), (12, 0x1000), (16, 0x200), (20, 0x200)] {
        put(0x148 + at, &value.to_le_bytes());
    }
    image
}

#[test]
fn keygen_makes_every_form_and_overwrites_nothing() {
    let lab = Lab::new();
    lab.ok("secure-boot keygen --out keys --name Example");
    for name in ["PK", "KEK", "db"] {
        for ending in ["key", "crt", "cer", "esl", "auth"] {
            let file = lab.path(&format!("keys/{name}.{ending}"));
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if ending == "key" { 0o600 } else { 0o644 }, "{}", file.display());
        }
        let list = lab.read(&format!("keys/{name}.esl"));
        assert!(list.ends_with(&lab.read(&format!("keys/{name}.cer"))));
        assert!(lab.read(&format!("keys/{name}.auth")).ends_with(&list));
    }
    let mode = fs::metadata(lab.path("keys")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    let before = lab.read("keys/PK.key");
    lab.refused("secure-boot keygen --out keys", "keys exists already, and is not empty");
    assert_eq!(lab.read("keys/PK.key"), before);
    let unwritable = lab.run("secure-boot keygen --out keys/PK.key/below");
    assert_eq!(unwritable.status, 1);
    assert_eq!(fs::read_dir(lab.path("")).unwrap().count(), 1, "something half-written is left");
    for wrong in ["--bits 1024", "--owner me", "--valid-years 0"] {
        assert_eq!(
            lab.run(&format!("secure-boot keygen --out other {wrong}")).status,
            2,
            "{wrong}"
        );
    }
    let long = "x".repeat(70);
    assert_eq!(lab.run(&format!("secure-boot keygen --out other --name {long}")).status, 2);
    assert!(!lab.path("other").exists());
}

#[test]
fn what_is_no_certificate_is_named_with_the_reason() {
    let lab = lab_with_keys();
    lab.write("image.efi", image());
    let pem = String::from_utf8(lab.read("keys/db.crt")).unwrap();
    let kek = String::from_utf8(lab.read("keys/KEK.crt")).unwrap();
    lab.write("text", "hello\n");
    lab.write("cut", &pem[..300]);
    lab.write("letters", pem.replace("MII", "M#I"));
    lab.write("bytes", pem.replace("MII", "MAA"));
    lab.write("two", format!("{pem}{kek}"));
    lab.write("empty", "");
    lab.write("der", &lab.read("keys/db.cer")[..100]);
    for (file, reason) in [
        ("text", "it is neither PEM, for no line is -----BEGIN CERTIFICATE-----, nor DER"),
        ("empty", "it is neither PEM"),
        ("keys/db.esl", "it is neither PEM"),
        ("cut", "it is cut short: there is no line -----END CERTIFICATE-----"),
        ("letters", "its CERTIFICATE block is damaged"),
        ("bytes", "what it holds is no X.509"),
        ("der", "what it holds is no X.509"),
        ("two", "it holds more than one certificate"),
        ("keys/db.key", "it holds a PRIVATE KEY in place of a certificate"),
    ] {
        // Also where the image has no signature that could be compared with it.
        let reason = format!("error: {file}: the certificate cannot be used: {reason}");
        let verify = format!("secure-boot verify image.efi --cert {file}");
        for words in [
            &verify,
            &format!("secure-boot sign image.efi --key keys/db.key --cert {file} --out x"),
        ] {
            let ran = lab.refused(words, &reason);
            assert!(ran.stderr.contains("such as db.crt or db.cer"), "{}", ran.stderr);
        }
    }
    // Text in front of it, as openssl writes it, is no harm.
    lab.write("with-text", format!("Certificate:\n    Data:\n{pem}"));
    lab.refused("secure-boot verify image.efi --cert with-text", "image.efi is not signed");
}

#[test]
fn missing_directories_above_are_made() {
    let lab = lab_with_keys();
    lab.write("image.efi", image());
    lab.ok("secure-boot sign image.efi --key keys/db.key --cert keys/db.crt --out a/b/signed.efi");
    lab.ok("secure-boot keygen --out c/d/keys");
    lab.ok("keygen root --out-cert e/root.pem --out-key f/g/root.key");
    for file in ["a/b/signed.efi", "c/d/keys/db.key", "e/root.pem", "f/g/root.key"] {
        assert!(lab.path(file).is_file(), "{file}");
    }
    lab.refused(
        "keygen root --out-cert image.efi/x --out-key y",
        "cannot make the directory image.efi",
    );
}

#[test]
fn keygen_tells_scripts_what_it_made() {
    let lab = Lab::new();
    let owner = "12345678-9abc-4def-8123-456789abcdef";
    let ran = lab.run(&format!("secure-boot keygen --out keys --owner {owner} --json"));
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["owner"], owner);
    assert_eq!(json["files"].as_array().unwrap().len(), 16);
    assert_eq!(lab.read("keys/GUID.txt"), format!("{owner}\n").into_bytes());
    assert_eq!(lab.read("keys/db.esl")[28..32], [0x78, 0x56, 0x34, 0x12]);
}

#[test]
fn what_was_signed_is_verified() {
    let lab = lab_with_keys();
    lab.write("image.efi", image());
    lab.refused("secure-boot verify image.efi --cert keys/db.crt", "image.efi is not signed");

    let sign = "secure-boot sign image.efi --key keys/db.key --cert keys/db.crt --out signed.efi";
    lab.ok(sign);
    lab.refused(sign, "--force");
    let first = lab.read("signed.efi");
    lab.ok(&format!("{sign} --force"));
    assert_eq!(lab.read("signed.efi"), first, "not deterministic");

    for certificate in ["keys/db.crt", "keys/db.cer"] {
        let ran = lab.ok(&format!("secure-boot verify signed.efi --cert {certificate}"));
        assert!(ran.stdout.contains("signed by CN=Example db"), "{}", ran.stdout);
    }
    let other = "secure-boot verify signed.efi --cert keys/KEK.crt";
    lab.refused(other, "its certificate is not the given one");
    let open = lab.run("secure-boot verify signed.efi --json");
    let json: serde_json::Value = serde_json::from_str(&open.stdout).unwrap();
    assert_eq!(json["signatures"][0]["subject"], "CN=Example db");
    assert!(json["warnings"][0].as_str().unwrap().contains("no --cert given"));

    let mut tampered = first;
    tampered[0x300] ^= 1;
    lab.write("tampered.efi", tampered);
    let tampered = lab.run("secure-boot verify tampered.efi --cert keys/db.crt --json");
    assert_eq!(tampered.status, 1);
    let json: serde_json::Value = serde_json::from_str(&tampered.stdout).unwrap();
    assert!(json["details"][0].as_str().unwrap().contains("changed after signing"), "{json}");
    assert!(json["remedy"].as_str().unwrap().starts_with("do not sign it"), "{json}");
    let again =
        "secure-boot sign tampered.efi --key keys/db.key --cert keys/db.crt --out again.efi";
    lab.refused(again, "tampered.efi: the signature by CN=Example db is over another image");
    assert!(!lab.path("again.efi").exists());
    assert_eq!(lab.run("secure-boot verify").status, 2);
}

#[test]
fn signing_spares_its_key() {
    let lab = lab_with_keys();
    lab.write("image.efi", image());
    let key = lab.read("keys/db.key");
    for out in ["db.key", "db.crt"] {
        let words = format!(
            "secure-boot sign image.efi --key keys/db.key --cert keys/db.crt --out keys/{out} --force"
        );
        lab.refused(&words, "would replace the input");
    }
    assert_eq!(lab.read("keys/db.key"), key);
}

#[test]
fn nothing_is_signed_with_what_does_not_fit() {
    let lab = lab_with_keys();
    lab.write("image.efi", image());
    lab.write("text", "hello");
    lab.ok("keygen root --out-key ed.key --out-cert ed.crt");
    for (image, key, certificate, reason) in [
        ("image.efi", "db.key", "KEK.crt", "keys/db.key and keys/KEK.crt: the key does not match"),
        ("image.efi", "db.key", "KEK.crt", "CN=Example KEK"),
        ("image.efi", "db.crt", "db.crt", "keys/db.crt: the key cannot be used"),
        ("image.efi", "db.key", "db.key", "keys/db.key: the certificate cannot be used"),
        ("image.efi", "../ed.key", "db.crt", "ed.key: the key is not RSA"),
        ("text", "db.key", "db.crt", "text: it is no PE image"),
        ("missing", "db.key", "db.crt", "cannot read missing"),
    ] {
        let words = format!(
            "secure-boot sign {image} --key keys/{key} --cert keys/{certificate} --out signed.efi"
        );
        lab.refused(&words, reason);
        assert!(!lab.path("signed.efi").exists());
    }
}

#[test]
fn enrolling_writes_each_variable_whole_and_the_platform_key_last() {
    let lab = lab_with_keys();
    lab.write(SETUP_MODE, [6, 0, 0, 0, 1]);
    // No firmware is here to end setup mode.
    let ran = lab.ok("secure-boot enroll --dir keys --efivars efivars --mount --json");
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["written"], serde_json::json!(["db", "KEK", "PK"]));
    assert!(json["warnings"][0].as_str().unwrap().contains("still in setup mode"), "{json}");
    for (variable, file) in [(DB, "db"), (KEK, "KEK"), (PK, "PK")] {
        let mut expected = vec![0x27, 0, 0, 0];
        expected.extend(lab.read(&format!("keys/{file}.auth")));
        assert_eq!(lab.read(variable), expected);
    }
}

#[test]
fn updates_alone_are_enough_to_enroll() {
    let lab = lab_with_keys();
    lab.write(SETUP_MODE, [6, 0, 0, 0, 1]);
    for name in ["PK", "KEK", "db"] {
        lab.write(&format!("alone/{name}.auth"), lab.read(&format!("keys/{name}.auth")));
    }
    lab.ok("secure-boot enroll --dir alone --efivars efivars");
    assert!([DB, KEK, PK].iter().all(|it| lab.path(it).exists()));
}

#[test]
fn enrolling_says_what_is_in_the_way_and_writes_nothing() {
    let lab = lab_with_keys();
    let refused = |reason: &str| {
        lab.refused("secure-boot enroll --dir keys --efivars efivars", reason);
        assert!([DB, KEK, PK].iter().all(|it| !lab.path(it).exists()));
    };
    refused("no UEFI firmware here");
    lab.write(SETUP_MODE, [6, 0, 0, 0, 0]);
    refused("the firmware is not in setup mode");
    lab.write(SETUP_MODE, [6, 0, 0, 0, 7]);
    refused("neither 0 nor 1");
    lab.write(SETUP_MODE, [6, 0, 0, 0, 1]);
    // Of another set: whoever has these files has not the key that would be entered.
    let certificate = lab.read("keys/PK.crt");
    fs::copy(lab.path("keys/KEK.crt"), lab.path("keys/PK.crt")).unwrap();
    refused("PK.auth enters another certificate than keys/PK.crt");
    fs::remove_file(lab.path("keys/PK.crt")).unwrap();
    fs::copy(lab.path("keys/db.cer"), lab.path("keys/PK.cer")).unwrap();
    refused("PK.auth enters another certificate than keys/PK.cer");
    lab.write("keys/PK.crt", certificate);
    let update = lab.read("keys/db.auth");
    fs::copy(lab.path("keys/KEK.auth"), lab.path("keys/db.auth")).unwrap();
    refused("db.auth enters another certificate than keys/db.crt");
    lab.write("keys/db.auth", update);
    fs::remove_file(lab.path("keys/PK.auth")).unwrap();
    refused("cannot read keys/PK.auth");
    fs::copy(lab.path("keys/PK.esl"), lab.path("keys/PK.auth")).unwrap();
    refused("keys/PK.auth is no signed update");
}

#[test]
fn variables_of_virtual_machines_need_an_empty_store() {
    let lab = lab_with_keys();
    let make = "secure-boot vm-vars --dir keys --template template --out vars.fd";
    lab.write("template", vec![0; 1024]);
    lab.refused(make, "template: it is no variable store");
    assert!(!lab.path("vars.fd").exists());
    lab.write("template", store(8192));
    lab.ok(make);
    lab.refused(make, "vars.fd exists already");
    let vars = lab.read("vars.fd");
    assert_eq!(vars.len(), store(8192).len());
    for name in ["PK", "KEK", "db"] {
        let list = lab.read(&format!("keys/{name}.esl"));
        assert!(vars.windows(list.len()).any(|window| window == list), "{name}");
    }
    // What has keys already is no template.
    lab.write("template", vars);
    lab.refused(&format!("{make} --force"), "the variable db exists in it already");
}

/// An empty variable store of EDK II with so much room.
fn store(room: u32) -> Vec<u8> {
    let mut store = vec![0; 72];
    store[40..44].copy_from_slice(b"_FVH");
    store[48] = 72;
    store.extend([0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43]);
    store.extend([0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92]);
    store.extend((28 + room).to_le_bytes());
    store.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
    store.resize(100 + room as usize, 0xff);
    store
}
