//! Keys and certificates, of `keygen` and of other tools.

use std::process::Command;

use crate::VERIFY;
use crate::support::Lab;
use crate::support::issue;
use crate::support::json;
use crate::support::mode;

#[test]
fn certificates_are_valid_where_clocks_are_slow() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let seconds = |back: u64| {
        let now = std::time::SystemTime::now() - std::time::Duration::from_secs(back);
        now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    };
    let at = |back| ramstrap_cli::dates::format(i64::try_from(seconds(back)).unwrap());
    lab.ok(&format!("{VERIFY} --at {}", at(23 * 3600)));
    lab.refused(&format!("{VERIFY} --at {}", at(25 * 3600)), "error[E0408]");
    // The lifetime still counts from now on.
    let root = json(&lab.ok("keygen root --valid-days 1 --out-cert r.pem --out-key r.key --json"));
    assert!(root["not_after"].as_str().unwrap() > at(0).as_str());
    let given = json(&lab.ok(&issue("d", "--valid-from 2026-01-01 --valid-days 1 --json")));
    assert_eq!(given["not_before"], "2026-01-01T00:00:00Z");
    assert_eq!(given["not_after"], "2026-01-02T00:00:00Z");
}

#[test]
fn foreign_keys_are_refused_in_words() {
    let lab = Lab::with_signers();
    lab.package();
    let openssl = |args: &str| {
        let status =
            Command::new("openssl").args(args.split(' ')).current_dir(lab.path("")).output();
        assert!(status.unwrap().status.success(), "openssl {args}");
    };
    openssl("genpkey -algorithm RSA -out rsa.pem");
    lab.refused("ospkg sign --key rsa.pem --cert a.pem os.json", "not Ed25519");
}

#[test]
fn openssh_keys_work_from_end_to_end() {
    let lab = Lab::with_signers();
    lab.package();
    lab.ok(&issue("s", "--key-format openssh"));
    assert!(lab.read("s.key").starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    lab.sign("s");
    lab.sign("a");
    lab.ok(VERIFY);
    let keygen =
        Command::new("ssh-keygen").args(["-y", "-f", "s.key"]).current_dir(lab.path("")).output();
    if let Ok(output) = keygen {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lab.write("s.pub", output.stdout);
        lab.ok("keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key s.pub --out-cert s2.pem");
    }
}

#[test]
fn openssl_accepts_the_certificates_and_they_have_the_usual_shape() {
    let lab = Lab::with_signers();
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(lab.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    openssl("verify -x509_strict -CAfile rootcert.pem a.pem");
    let root = openssl("x509 -in rootcert.pem -noout -text");
    assert!(root.contains("CA:TRUE"), "{root}");
    assert!(root.contains("Digital Signature, Certificate Sign"), "{root}");
    let leaf = openssl("x509 -in a.pem -noout -text");
    assert!(leaf.contains("Authority Key Identifier"), "{leaf}");
    for absent in ["Basic Constraints", "Extended Key Usage", "Subject Alternative"] {
        assert!(!leaf.contains(absent), "{leaf}");
    }
    assert_eq!(mode(&lab.path("a.key")), 0o600);
    assert_eq!(mode(&lab.path("a.pem")), 0o644);
}

/// The commands of docs/certificates.md as they stand, but for step's, which is seldom installed.
#[test]
fn certificates_as_the_documentation_makes_them_count() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/certificates.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```\n").next().unwrap());
    let mut tried = 0;
    for block in blocks.filter(|block| !block.contains("step certificate")) {
        let lab = Lab::new();
        let tool = std::path::Path::new(env!("CARGO_BIN_EXE_ramstrap")).parent().unwrap();
        let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", block]).current_dir(lab.path("")).env("PATH", path);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{block}\n{}", String::from_utf8_lossy(&ran.stderr));
        lab.package();
        lab.ok("ospkg sign --key alice.key.pem --cert alice.pem os.json");
        let ran = lab.ok("ospkg verify --signing-root root.pem --threshold 1 os.json");
        assert!(ran.stdout.contains("signed by      CN=alice"), "{}", ran.stdout);
        tried += 1;
    }
    assert_eq!(tried, 2, "ramstrap's and OpenSSL's");
}

#[test]
fn signers_can_be_issued_under_a_root_of_another_tool() {
    let lab = Lab::new();
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(lab.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // Two attributes in one part of the name: it has to be copied as it is.
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-keyout",
        "rootkey.pem",
        "-out",
        "rootcert.pem",
        "-days",
        "3650",
        "-multivalue-rdn",
        "-subj",
        "/C=SE/O=Ex\u{e4}mple+OU=Boot/CN=root",
    ]);
    lab.ok(&issue("a", "--subject-cn signer"));
    openssl(&["verify", "-CAfile", "rootcert.pem", "a.pem"]);
    lab.policy("policy", 1);
    lab.package();
    lab.sign("a");
    lab.ok(VERIFY);
}

#[test]
fn keygen_does_not_touch_what_exists() {
    let lab = Lab::new();
    lab.ok("keygen root");
    let key = lab.read("rootkey.pem");
    lab.refused("keygen root", "exists already");
    lab.refused("keygen root --out-cert new.pem", "rootkey.pem exists already");
    assert!(!lab.path("new.pem").exists());
    assert_eq!(lab.read("rootkey.pem"), key);
    lab.ok("keygen root --force");
    assert_ne!(lab.read("rootkey.pem"), key);
    lab.refused(
        &issue("x", "--valid-from 2030-01-01 --valid-until 2029-01-01"),
        "end before it begins",
    );
    lab.ok("keygen root --out-cert two.pem --out-key two.key");
    lab.refused(
        "keygen certificate --root-cert rootcert.pem --root-key two.key",
        "does not belong to the root certificate",
    );
    lab.ok(&issue("x", ""));
    lab.refused(
        "keygen certificate --root-cert x.pem --root-key x.key --out-cert y --out-key z",
        "not a CA",
    );
    assert_eq!(lab.run("keygen root --out-cert same --out-key same").status, 2);
    let result = json(&lab.ok("keygen root --json --out-cert j.pem --out-key j.key"));
    assert_eq!(result["key"].as_str().unwrap().len(), 64);
}
