//! Packages that are encrypted for mirrors: by us, and read by machines and by age itself.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use support::Lab;
use support::json;
use support::mode;

const ENCRYPT: &str = "ospkg encrypt --trust-policy policy --out public os.json";

/// A package that two have signed, and a policy with an identity.
fn lab() -> Lab {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    lab.ok("keygen age --out policy/decryption_identities");
    lab
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn recipient(identity: &[u8]) -> String {
    agefile::Identities::parse(identity).unwrap().iter().next().unwrap().recipient()
}

#[test]
fn machines_boot_what_was_encrypted_to_their_policy() {
    let lab = lab();
    let ran = json(&lab.ok(&format!("{ENCRYPT} --json")));
    assert_eq!((&ran["ok"], &ran["checked"]), (&true.into(), &true.into()), "{ran}");
    let identities = lab.read("policy/decryption_identities");
    assert_eq!(ran["recipients"], serde_json::json!([recipient(&identities)]));
    assert_eq!(names_in(&lab.path("public")), ["os.json", "os.zip"]);
    for name in ["os.json", "os.zip"] {
        assert!(agefile::is_age_file(&lab.read(&format!("public/{name}"))), "{name}");
        assert_eq!(mode(&lab.path(&format!("public/{name}"))), 0o644, "{name}");
    }
    let ran = lab.ok("ospkg verify --trust-policy policy public/os.json");
    assert_eq!(ran.stderr, "");

    // Replaced on demand only, never in the place of what signers need, and never twice.
    lab.refused(ENCRYPT, "exists already");
    lab.ok(&format!("{ENCRYPT} --force"));
    let before = (lab.read("os.json"), lab.read("os.zip"));
    let here = "ospkg encrypt --trust-policy policy --force --out . os.json";
    lab.refused(here, "would replace the input");
    assert_eq!(before, (lab.read("os.json"), lab.read("os.zip")));
    let again = "ospkg encrypt --trust-policy policy --out twice public/os.json";
    lab.refused(again, "public/os.json is encrypted already");
    lab.write("half/os.json", lab.read("os.json"));
    lab.write("half/os.zip", lab.read("public/os.zip"));
    let half = "ospkg encrypt --trust-policy policy --out twice half/os.json";
    lab.refused(half, "half/os.zip is encrypted already");
    assert!(!lab.path("twice").exists());
    lab.refused("ospkg encrypt --trust-policy policy --out os.json os.json", "is a file");
}

#[test]
fn several_may_be_able_to_decrypt_it() {
    let lab = lab();
    let first = json(&lab.ok("keygen age --out one --json"));
    let second = json(&lab.ok("keygen age --out two --json"));
    let words = format!(
        "ospkg encrypt --recipient {} --recipient {} --out public os.json",
        first["recipient"].as_str().unwrap(),
        second["recipient"].as_str().unwrap(),
    );
    let ran = json(&lab.ok(&format!("{words} --json")));
    assert_eq!(ran["checked"], false);
    for identity in ["one", "two"] {
        lab.ok(&format!("ospkg verify --trust-policy policy --identity {identity} public/os.json"));
    }
    lab.refused("ospkg verify --trust-policy policy public/os.json", "error[E0327]");
    lab.ok(&format!("{words} --trust-policy policy --force"));
    lab.ok("ospkg verify --trust-policy policy public/os.json");
}

#[test]
fn what_machines_will_not_take_is_said_before_it_is_published() {
    let lab = Lab::with_signers();
    lab.package();
    let ran = lab.refused(ENCRYPT, "error[E0325]");
    assert!(ran.stderr.contains("ramstrap keygen age --out policy/decryption_identities"));
    lab.ok("keygen age --out policy/decryption_identities");
    let ran = lab.ok(ENCRYPT);
    assert!(ran.stderr.contains("warning: os.json is signed by nobody"), "{}", ran.stderr);
    lab.sign("a");
    let ran = lab.ok(&format!("{ENCRYPT} --force"));
    assert!(ran.stderr.contains("machines refuse os.json today: E0404"), "{}", ran.stderr);
    lab.write("other.json", lab.read("os.json"));
    lab.write("other.zip", lab.read("os.zip"));
    let ran = lab.ok("ospkg encrypt --trust-policy policy --out public other.json");
    assert!(ran.stderr.contains("ends in os.zip: give other.zip that name"), "{}", ran.stderr);
    // A secret on the command line is not said again.
    let identity = lab.read("policy/decryption_identities");
    let secret = String::from_utf8(identity).unwrap().lines().last().unwrap().to_owned();
    let ran = lab.run(&format!("ospkg encrypt --recipient {secret} --out x os.json --json"));
    assert_eq!(ran.status, 2);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(&secret), "{}", ran.stderr);
    assert!(ran.stderr.contains("the secret half"), "{}", ran.stderr);
}

#[test]
fn an_identity_is_its_owners_alone_and_is_not_replaced() {
    let lab = Lab::new();
    let ran = json(&lab.ok("keygen age --json"));
    let file = lab.read("decryption_identities");
    assert_eq!(mode(&lab.path("decryption_identities")), 0o600);
    assert_eq!(ran["recipient"], recipient(&file));
    let secret = String::from_utf8(file.clone()).unwrap().lines().last().unwrap().to_owned();
    assert!(!ran.to_string().contains(&secret), "it is printed");
    lab.refused("keygen age", "exists already");
    assert_eq!(lab.read("decryption_identities"), file);
    lab.ok("keygen age --force");
    assert_ne!(lab.read("decryption_identities"), file);
}

/// The program that operators know, if it is there (Debian's package `age`).
#[test]
fn age_itself_reads_our_files_and_we_read_its_identities() {
    let lab = lab();
    let made = Command::new("age-keygen").arg("-o").arg(lab.path("theirs")).output();
    let Ok(made) = made else {
        let _ = writeln!(std::io::stderr().lock(), "SKIPPED: no age-keygen (Debian's package age)");
        return;
    };
    assert!(made.status.success());
    let shown = Command::new("age-keygen")
        .arg("-y")
        .arg(lab.path("policy/decryption_identities"))
        .output()
        .unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let ours = recipient(&lab.read("policy/decryption_identities"));
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim(), ours);
    // The two kinds of files are alike line by line.
    let shape = |file: Vec<u8>| {
        let text = String::from_utf8(file).unwrap();
        text.lines().map(|line| line.split(' ').take(2).count()).collect::<Vec<_>>()
    };
    assert_eq!(shape(lab.read("policy/decryption_identities")), shape(lab.read("theirs")));

    let theirs = recipient(&lab.read("theirs"));
    lab.ok(&format!("{ENCRYPT} --recipient {theirs}"));
    for identity in ["theirs", "policy/decryption_identities"] {
        for name in ["os.json", "os.zip"] {
            let plain = Command::new("age")
                .args(["-d", "-i"])
                .arg(lab.path(identity))
                .arg(lab.path(&format!("public/{name}")))
                .output()
                .unwrap();
            assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
            assert!(plain.stdout == lab.read(name), "{identity}: {name}");
        }
    }
}
