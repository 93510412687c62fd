//! From keys to a package that is accepted, and every way in which it is not.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::process::Command;

use support::Lab;
use support::issue;
use support::json;
use support::mode;

const VERIFY: &str = "ospkg verify --trust-policy policy os.json";

#[test]
fn two_of_three_signers_are_enough_and_one_is_not() {
    let lab = Lab::with_signers();
    lab.package();
    lab.refused(VERIFY, "error[E0404]: not enough valid signatures");
    lab.sign("a");
    lab.refused(VERIFY, "error[E0404]");
    lab.sign("c");
    let ran = lab.ok(VERIFY);
    assert!(ran.stdout.contains("accepted: os.json"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");

    let result = json(&lab.ok(&format!("{VERIFY} --json")));
    assert_eq!(result["ok"], true);
    assert_eq!(result["verdict"], "accepted");
    assert_eq!(result["signers"].as_array().unwrap().len(), 2);
    assert_eq!(result["initramfs_size"], 300_000);
    lab.ok("ospkg verify --signing-root rootcert.pem --threshold 2 os.json");
    lab.refused("ospkg verify --signing-root rootcert.pem --threshold 3 os.json", "error[E0404]");
}

#[test]
fn one_key_under_two_certificates_counts_once() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.ok("keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key a.key --out-cert again.pem");
    lab.ok("ospkg sign --key a.key --cert again.pem os.json");
    let ran = lab.refused(VERIFY, "error[E04");
    assert!(ran.stderr.contains("[E0411]"), "{}", ran.stderr);
}

#[test]
fn time_is_judged_as_told() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let expired = lab.refused(&format!("{VERIFY} --at 2099-01-01"), "error[E0407]");
    assert!(expired.stderr.contains("expired"), "{}", expired.stderr);
    lab.refused(&format!("{VERIFY} --at 2001-01-01T12:00:00Z"), "error[E0408]");
    let error = json(&lab.run(&format!("{VERIFY} --at 2099-01-01 --json")));
    assert_eq!(error["ok"], false);
    assert_eq!(error["code"], "E0407");
    assert_eq!(error["class"], "security");
    assert!(error["remedy"].as_str().unwrap().contains("keygen certificate"));
    assert_eq!(error["details"].as_array().unwrap().len(), 2);
    assert_eq!(expired.stderr.matches("signature 1 by ").count(), 1, "{}", expired.stderr);
}

#[test]
fn denied_keys_and_foreign_roots_do_not_count() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let inspected = json(&lab.ok("ospkg inspect --json os.json"));
    let key = inspected["signatures"][0]["key"].as_str().unwrap();
    lab.write(
        "policy/trust_policy.json",
        format!(
            r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", "denied_keys": ["{key}"]}}"#
        ),
    );
    let ran = lab.refused(VERIFY, "error[E0413]");
    assert!(ran.stderr.contains("signature 1"), "{}", ran.stderr);

    lab.ok("keygen root --out-cert other.pem --out-key other.key");
    lab.refused("ospkg verify --signing-root other.pem --threshold 1 os.json", "error[E0406]");
}

#[test]
fn a_policy_may_ask_for_a_release() {
    const CREATE: &str =
        "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os";
    let lab = Lab::with_signers();
    lab.package();
    lab.ok(&format!("{CREATE} --release 7"));
    lab.sign("a");
    lab.sign("b");
    let ran = lab.ok("ospkg inspect os.json");
    assert!(ran.stdout.contains("release        7\n"), "{}", ran.stdout);
    assert_eq!(json(&lab.ok("ospkg inspect --json os.json"))["archive"]["release"], 7);
    assert!(lab.ok(VERIFY).stdout.contains("release        7\n"));
    assert_eq!(json(&lab.ok(&format!("{VERIFY} --json")))["release"], 7);

    let policy = |least: u64| {
        lab.write(
            "policy/trust_policy.json",
            format!(
                r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", "min_release": {least}}}"#
            ),
        );
    };
    policy(7);
    lab.ok(VERIFY);
    assert!(lab.ok("trust-policy check policy").stderr.contains("Its release is 7 or later."));
    policy(8);
    let ran = lab.refused(VERIFY, "error[E0414]");
    assert!(ran.stderr.contains("its release is 7"), "{}", ran.stderr);
    assert_eq!(json(&lab.run(&format!("{VERIFY} --json")))["class"], "security");
    assert_eq!(lab.run(&format!("{CREATE} --release -1")).status, 2);
}

#[test]
fn a_package_may_end_and_belong_to_a_channel() {
    const CREATE: &str =
        "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os";
    let lab = Lab::with_signers();
    lab.package();
    let ran = lab.ok(&format!("{CREATE} --not-after 2099-06-30 --channel stable"));
    assert!(!ran.stderr.contains("ended"), "{}", ran.stderr);
    lab.sign("a");
    lab.sign("b");
    for command in ["ospkg inspect os.json", VERIFY] {
        let shown = lab.ok(command).stdout;
        for line in ["channel        stable\n", "not after      2099-06-30T00:00:00Z\n"] {
            assert!(shown.contains(line), "{shown}");
        }
    }
    let archive = &json(&lab.ok("ospkg inspect --json os.json"))["archive"];
    assert_eq!(
        (&archive["channel"], &archive["not_after"]),
        (&"stable".into(), &"2099-06-30T00:00:00Z".into())
    );
    let verdict = json(&lab.ok(&format!("{VERIFY} --json")));
    assert_eq!(
        (&verdict["channel"], &verdict["not_after"]),
        (&"stable".into(), &"2099-06-30T00:00:00Z".into())
    );

    let policy = |channel: &str| {
        lab.write(
            "policy/trust_policy.json",
            format!(
                r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", "channel": {channel}}}"#
            ),
        );
    };
    policy(r#""stable""#);
    lab.ok(VERIFY);
    assert!(lab.ok("trust-policy check policy").stderr.contains("Its channel is stable."));
    policy(r#""beta""#);
    let ran = lab.refused(VERIFY, "error[E0421]");
    assert!(
        ran.stderr.contains("its channel is stable, but the trust policy demands channel beta")
    );
    policy(r#""no channel""#);
    lab.refused("trust-policy check policy", "error[E0103]");
    policy("null");

    for channel in ["--channel=", "--channel=a/b", "--not-after=soon"] {
        assert_eq!(lab.run(&format!("{CREATE} {channel}")).status, 2, "{channel}");
    }
}

#[test]
fn a_package_that_has_ended_is_refused_and_said_when_it_is_made_and_signed() {
    let lab = Lab::with_signers();
    lab.package();
    let ran = lab.ok(
        "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os --not-after 2024-01-01",
    );
    assert!(ran.stderr.contains("it ended on 2024-01-01T00:00:00Z"), "{}", ran.stderr);
    let sign = "ospkg sign --key a.key --cert a.pem os.json";
    lab.refused(sign, "error[E0420]");
    lab.ok(&format!("{sign} --force"));
    lab.ok("ospkg sign --key b.key --cert b.pem os.json --force");
    let ran = lab.refused(VERIFY, "error[E0420]");
    assert!(ran.stderr.contains("not_after 2024-01-01T00:00:00Z"), "{}", ran.stderr);
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let good = lab.read("os.zip");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    lab.write("os.zip", &flipped);
    lab.refused(VERIFY, "error[E0405]");
    lab.write("os.zip", &good[..good.len() - 1]);
    lab.refused(VERIFY, "error[E0405]");
    std::fs::remove_file(lab.path("os.zip")).unwrap();
    lab.refused(VERIFY, "cannot read os.zip: no such file");
    std::os::unix::fs::symlink("/dev/zero", lab.path("os.zip")).unwrap();
    lab.refused(VERIFY, "os.zip is not a regular file");
}

#[test]
fn inputs_that_cannot_be_used_are_said() {
    let lab = Lab::with_signers();
    lab.package();
    lab.refused("ospkg verify --trust-policy policy none.json", "cannot read none.json");
    lab.refused("ospkg verify --trust-policy policy os.zip", "not named NAME.json");
    lab.refused("ospkg verify --trust-policy none os.json", "cannot read none");
    lab.refused("ospkg verify --signing-root a.key --threshold 1 os.json", "error[E0104]");
    lab.write("bad.json", "{");
    lab.refused("ospkg verify --trust-policy policy bad.json", "error[E0401]");
    lab.write("empty/trust_policy.json", "{}");
    lab.refused("ospkg verify --trust-policy empty os.json", "error[E010");
    lab.write("policy/decryption_identities", "AGE-SECRET-KEY-1X");
    lab.refused(VERIFY, "error[E0127]");
}

#[test]
fn encrypted_packages_are_judged_as_a_machine_does() {
    use agefile_test::IDENTITY;
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let encrypt = |name: &str| {
        let recipient: age::x25519::Recipient = agefile_test::RECIPIENT.parse().unwrap();
        age::encrypt(&recipient, &lab.read(name)).unwrap()
    };
    lab.write("sealed/os.json", encrypt("os.json"));
    lab.write("sealed/os.zip", encrypt("os.zip"));
    lab.write("key", IDENTITY);

    let verify = "ospkg verify --trust-policy policy";
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0325]");
    lab.ok(&format!("{verify} --identity key sealed/os.json"));
    lab.write("policy/decryption_identities", IDENTITY);
    let ran = lab.ok(&format!("{verify} sealed/os.json"));
    assert!(!ran.stderr.contains("not encrypted"), "{}", ran.stderr);
    let ran = lab.ok(&format!("{verify} os.json"));
    assert_eq!(ran.stderr.matches("machines refuse it from a mirror (E0324)").count(), 2);

    let mut cut = lab.read("sealed/os.zip");
    cut.truncate(cut.len() - 1);
    lab.write("sealed/os.zip", cut);
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0328]");
    lab.write("sealed/os.json", lab.read("sealed/os.json").split_at(100).0);
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0329]");
    lab.write("key", "AGE-SECRET-KEY-1X");
    lab.refused(&format!("{verify} --identity key os.json"), "error[E0127]");
}

mod agefile_test {
    pub(super) const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    pub(super) const RECIPIENT: &str =
        "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
}

#[test]
fn wrong_usage_is_two() {
    let lab = Lab::with_signers();
    for words in [
        "ospkg verify --signing-root rootcert.pem --threshold 0 os.json",
        "ospkg verify --signing-root rootcert.pem os.json",
        "ospkg verify os.json",
        "ospkg verify --trust-policy policy --threshold 1 os.json",
        "ospkg verify --trust-policy policy --at yesterday os.json",
        "ospkg verify --trust-policy policy",
        "ospkg frobnicate",
        "explain E9999",
        "serve .",
        "",
    ] {
        assert_eq!(lab.run(words).status, 2, "{words}");
    }
    let error = json(&lab.run("ospkg verify os.json --json"));
    assert_eq!(error["ok"], false);
}

#[test]
fn signing_refuses_what_would_never_count() {
    let lab = Lab::with_signers();
    lab.package();
    lab.refused("ospkg sign --key a.key --cert b.pem os.json", "does not belong");
    lab.sign("a");
    let before = lab.read("os.json");
    lab.refused("ospkg sign --key a.key --cert a.pem os.json", "signed this package already");
    assert_eq!(lab.read("os.json"), before);
    lab.refused("ospkg sign --key a.pem --cert a.pem os.json", "not a private key");
    lab.refused("ospkg sign --key a.key --cert a.key os.json", "a.key: it is no certificate");
    lab.refused("ospkg sign --key none --cert a.pem os.json", "cannot read none");
    lab.ok(&issue("old", "--valid-from 2020-01-01 --valid-until 2021-01-01"));
    let ran = lab.ok("ospkg sign --key old.key --cert old.pem os.json");
    assert!(ran.stderr.contains("warning: old.pem expired on 2021-01-01"), "{}", ran.stderr);
    std::fs::remove_file(lab.path("os.zip")).unwrap();
    lab.refused("ospkg sign --key b.key --cert b.pem os.json", "there is no os.zip beside os.json");
}

#[test]
fn a_signer_is_told_that_others_signed_another_archive() {
    const SIGN: &str = "ospkg sign --key c.key --cert c.pem os.json";
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let before = lab.read("os.json");
    let archive = lab.read("os.zip");
    let mut changed = archive.clone();
    changed[archive.len() / 2] ^= 1;
    lab.write("os.zip", &changed);
    let ran = lab.refused(SIGN, "error[E0405]");
    assert!(ran.stderr.contains("signatures 1, 2 (CN="), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was signed"), "{}", ran.stderr);
    assert_eq!(json(&lab.run(&format!("{SIGN} --json")))["code"], "E0405");
    assert_eq!(lab.read("os.json"), before);

    let ran = lab.ok(&format!("{SIGN} --force"));
    assert!(ran.stderr.contains("are not over os.zip"), "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("NOT over this archive").count(), 2, "{}", ran.stdout);

    lab.write("os.zip", archive);
    lab.write("os.json", before);
    let result = json(&lab.ok(&format!("{SIGN} --json")));
    assert_eq!(result["signed_before"].as_array().unwrap().len(), 2);
    assert_eq!(result["signatures"], 3);
    assert_eq!(result["key"].as_str().unwrap().len(), 64);
}

#[test]
fn what_no_machine_could_open_is_not_signed() {
    const SIGN: &str = "ospkg sign --key a.key --cert a.pem os.json";
    let lab = Lab::with_signers();
    lab.package();
    let before = lab.read("os.json");
    let archive = lab.read("os.zip");
    lab.write("os.zip", &archive[..archive.len() - 1]);
    let ran = lab.refused(SIGN, "error[E0501]");
    assert!(ran.stderr.contains("--force signs it all the same"), "{}", ran.stderr);
    // In the middle of the initramfs: only its check sum tells.
    let mut flipped = archive.clone();
    flipped[archive.len() / 2] ^= 1;
    lab.write("os.zip", flipped);
    lab.refused(SIGN, "error[E0501]");
    assert_eq!(lab.read("os.json"), before);
    let ran = lab.ok(&format!("{SIGN} --force"));
    assert!(ran.stderr.contains("warning: os.zip: "), "{}", ran.stderr);

    lab.write("text", "not a kernel");
    lab.ok("ospkg create --kernel text --initramfs initramfs --any-kernel --url b.zip --out b");
    let ran = lab.ok("ospkg sign --key a.key --cert a.pem b.json");
    assert!(ran.stderr.contains("will not boot this kernel"), "{}", ran.stderr);
}

#[test]
fn packing_again_loses_no_signatures_unasked() {
    const CREATE: &str = "ospkg create --kernel vmlinuz --initramfs initramfs --out os";
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let before = lab.read("os.json");
    let ran = lab.ok(&format!("{CREATE} --url os.zip"));
    assert!(ran.stdout.contains("2 signatures"), "{}", ran.stdout);
    assert_eq!(lab.read("os.json"), before);
    // The URL is not signed, so another one changes nothing about who has signed.
    let result = json(&lab.ok(&format!("{CREATE} --url ../b/os.zip --json")));
    assert_eq!(result["signatures"], 2);
    lab.ok(VERIFY);

    let archive = lab.read("os.zip");
    let descriptor = lab.read("os.json");
    let ran = lab.refused(&format!("{CREATE} --url os.zip --label new"), "is signed by CN=");
    assert!(ran.stderr.contains("--replace"), "{}", ran.stderr);
    assert_eq!((lab.read("os.zip"), lab.read("os.json")), (archive, descriptor));
    let ran = lab.ok(&format!("{CREATE} --url os.zip --label new --replace"));
    assert!(ran.stderr.contains("the new one is not signed"), "{}", ran.stderr);
    lab.refused(VERIFY, "error[E0404]");
    // Without signatures there is nothing to lose.
    lab.ok(&format!("{CREATE} --url os.zip --label newer"));

    lab.write("os.json", "{}");
    lab.refused(&format!("{CREATE} --url os.zip"), "another file of this name");
    lab.ok(&format!("{CREATE} --url os.zip --replace"));
}

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

#[test]
fn the_same_inputs_give_the_same_package_anywhere() {
    let make = |umask: &str| {
        let lab = Lab::new();
        lab.write("vmlinuz", support::kernel());
        lab.write("initramfs", vec![7; 50_000]);
        let script = format!(
            "umask {umask}; exec {} ospkg create --kernel vmlinuz --initramfs initramfs \
             --cmdline 'console=ttyS0' --label test --url os.zip --out out",
            env!("CARGO_BIN_EXE_ramstrap")
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(lab.path("")).output().unwrap();
        assert!(output.status.success());
        for name in ["out.zip", "out.json"] {
            assert_eq!(mode(&lab.path(name)), 0o644, "{name} under umask {umask}");
        }
        (lab.read("out.zip"), lab.read("out.json"))
    };
    assert_eq!(make("022"), make("077"));
}

#[test]
fn creating_refuses_and_warns() {
    let lab = Lab::new();
    lab.write("vmlinuz", support::kernel());
    lab.write("text", "not a kernel");
    lab.write("empty", "");
    let create = |kernel: &str, initramfs: &str, more: &str| {
        format!("ospkg create --kernel {kernel} --initramfs {initramfs} --out os {more}")
    };
    lab.refused(&create("text", "text", ""), "error[E0507]");
    lab.refused(&create("vmlinuz", "empty", ""), "error[E0505]");
    lab.refused(&create("empty", "text", ""), "error[E0504]");
    lab.refused(&create("none", "text", ""), "cannot read none");
    lab.refused(&create("vmlinuz", "text", "--url ftp://a/os.zip"), "error[E0315]");
    assert!(!lab.path("os.zip").exists() && !lab.path("os.json").exists());
    let ran = lab.ok(&create("text", "text", "--any-kernel"));
    for warning in ["no --url", "machines will not boot this kernel", "neither a cpio archive"] {
        assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(lab.path("")).unwrap().collect();
    assert_eq!(left.len(), 5, "no temporary file stays: {left:?}");
    let ran =
        lab.refused(&create("vmlinuz", "text", "--url https://u:canary@a/os.zip"), "password");
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    let long = "x".repeat(3000);
    let ran = lab.ok(&create("vmlinuz", "text", &format!("--url os.zip --cmdline {long}")));
    assert!(ran.stderr.contains("3000 bytes, but this kernel takes 2047"), "{}", ran.stderr);
    lab.write("dir/x", "");
    lab.ok("ospkg create --kernel vmlinuz --initramfs text --url x.zip --out dir");
    assert!(lab.path("dir/os-package.zip").exists());
    lab.ok("ospkg create --kernel vmlinuz --initramfs text --url x.zip --out not/yet/x");
    assert!(lab.path("not/yet/x.json").exists());
}

#[test]
fn inspecting_decides_nothing() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    let result = json(&lab.ok("ospkg inspect --json os.json"));
    assert_eq!(result["os_pkg_url"], "os.zip");
    assert_eq!(result["signatures"][0]["over_this_archive"], true);
    assert_eq!(result["archive"]["members"].as_array().unwrap().len(), 3);
    let mut archive = lab.read("os.zip");
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    lab.write("os.zip", archive);
    let ran = lab.ok("ospkg inspect os.json");
    assert!(ran.stdout.contains("NOT over this archive"), "{}", ran.stdout);
    lab.write("os.zip", "no archive");
    lab.refused("ospkg inspect os.json", "error[E0501]");
    std::fs::remove_file(lab.path("os.zip")).unwrap();
    assert!(lab.ok("ospkg inspect os.json").stderr.contains("there is no os.zip"));
    lab.write("os.json", "[]");
    lab.refused("ospkg inspect os.json", "error[E0401]");
}

#[test]
fn what_a_package_says_of_itself_forges_no_line() {
    const FORGED: &str = "web servers\nrelease        99\ncmdline        quiet\u{1b}[2K\u{2028}x";
    let lab = Lab::with_signers();
    lab.package();
    let options = ospkg::CreateOptions {
        label: FORGED.to_owned(),
        cmdline: "a\nkernel         vmlinuz SHA-256 00\rb".to_owned(),
        kernel_name: "vmlinuz".to_owned(),
        initramfs_name: "initramfs".to_owned(),
        release: Some(3),
        ..ospkg::CreateOptions::default()
    };
    let (kernel, initramfs) = (lab.read("vmlinuz"), lab.read("initramfs"));
    lab.write("plain.zip", lab.read("os.zip"));
    lab.write("plain.json", lab.read("os.json"));
    let archive = std::fs::File::create(lab.path("os.zip")).unwrap();
    ospkg::create(archive, &options, kernel.as_slice().into(), initramfs.as_slice().into())
        .unwrap();
    let sign =
        |name: &str| lab.ok(&format!("ospkg sign --key {name}.key --cert {name}.pem os.json"));
    let shown = [sign("a"), sign("b"), lab.run(VERIFY), lab.run("ospkg inspect os.json")];
    let diff = lab.run("ospkg diff plain.json os.json");
    for ran in shown.iter().chain([&diff]) {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            text.contains(
                r"web servers\nrelease        99\ncmdline        quiet\u{1b}[2K\u{2028}x"
            ),
            "{text}"
        );
        assert!(!text.contains(['\u{1b}', '\u{2028}', '\r']), "{text}");
        for forged in
            ["\nrelease        99", "\ncmdline        quiet", "\nkernel         vmlinuz SHA-256 00"]
        {
            assert!(!text.contains(forged), "{forged:?} in\n{text}");
        }
    }
}

#[test]
fn what_would_not_be_one_line_is_not_packed() {
    let lab = Lab::with_signers();
    lab.package();
    for (flag, text, shown) in [
        ("--label", "one\ntwo", r"the label holds a control character: \n"),
        ("--cmdline", "a\u{1b}b", r"the cmdline holds a control character: \u{1b}"),
    ] {
        let ran = lab.run_args(&[
            "ospkg",
            "create",
            "--kernel",
            "vmlinuz",
            "--initramfs",
            "initramfs",
            "--url",
            "os.zip",
            "--out",
            "other",
            flag,
            text,
        ]);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(shown), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("help: give {flag} as one line")), "{}", ran.stderr);
        assert!(!lab.path("other.zip").exists());
    }
}

#[test]
fn a_result_that_could_not_be_written_is_a_failure() {
    let lab = Lab::with_signers();
    lab.package();
    let run = |words: &str, out: std::process::Stdio| {
        let words: Vec<&str> = words.split_whitespace().collect();
        let ran = lab.command().args(words).stdout(out).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    for words in [
        "ospkg inspect os.json",
        "ospkg inspect --json os.json",
        "completions bash",
        "man pages",
        "keygen public --key a.key",
        r#"stmgr trustpolicy check {"ospkg_signature_threshold":1,"ospkg_fetch_method":"network"}"#,
        "--help",
        "--version",
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (status, told) = run(words, full.into());
        assert_eq!(status, Some(1), "{words}: {told}");
        assert!(
            told.contains("cannot write the result to stdout: no space left"),
            "{words}: {told}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (status, told) = run(words, writer.into());
        assert_eq!(status, Some(0), "{words}: {told}");
        assert!(!told.contains("stdout"), "{words}: {told}");
    }
}

#[test]
fn nobody_is_said_to_have_signed_before_that() {
    let lab = Lab::with_signers();
    lab.package();
    let ran = lab.ok("ospkg sign --key a.key --cert a.pem os.json");
    let at = |words: &str| ran.stdout.find(words).unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!(at("\nsigns now ") < at("\nsigned by "), "{}", ran.stdout);
    let refused = lab.run("ospkg sign --key a.key --cert a.pem os.json");
    assert_eq!(refused.status, 1);
    assert!(
        refused.stdout.contains("signs now ") && !refused.stdout.contains("signed by "),
        "{}",
        refused.stdout
    );
}

#[test]
fn a_package_is_replaced_as_a_whole_or_not_at_all() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    let (archive, descriptor) = (lab.read("os.zip"), lab.read("os.json"));
    let create = "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --label new \
                  --out os --replace";
    // The descriptor cannot be written: the archive that it is about stays, too.
    std::fs::rename(lab.path("os.json"), lab.path("kept.json")).unwrap();
    std::fs::create_dir(lab.path("os.json")).unwrap();
    lab.refused(create, "os.json is a directory");
    assert_eq!(lab.read("os.zip"), archive);
    std::fs::remove_dir(lab.path("os.json")).unwrap();
    std::fs::rename(lab.path("kept.json"), lab.path("os.json")).unwrap();
    lab.ok(create);
    assert!(lab.read("os.zip") != archive && lab.read("os.json") != descriptor);
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".ramstrap-");
    let left = std::fs::read_dir(lab.path("")).unwrap();
    assert!(!left.map(|it| it.unwrap().file_name()).any(|name| hidden(&name)));
}

#[test]
fn a_descriptor_that_is_encrypted_is_said_to_be() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let recipient: age::x25519::Recipient = agefile_test::RECIPIENT.parse().unwrap();
    lab.write("sealed/os.json", age::encrypt(&recipient, &lab.read("os.json")).unwrap());
    lab.write("sealed/os.zip", lab.read("os.zip"));
    lab.write("armored/os.json", "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n");
    lab.write("armored/os.zip", lab.read("os.zip"));
    for command in [
        "status --trust-policy policy",
        "extract --trust-policy policy --out x",
        "inspect",
        "sign --key c.key --cert c.pem",
        "merge --out x.json os.json",
        "diff os.json",
    ] {
        let ran = lab.refused(
            &format!("ospkg {command} sealed/os.json"),
            "sealed/os.json is encrypted with age",
        );
        assert!(ran.stderr.contains("age -d -i IDENTITY sealed/os.json"), "{}", ran.stderr);
        let ran = lab.refused(&format!("ospkg {command} armored/os.json"), "error[E0326]");
        assert!(ran.stderr.contains("it is armored"), "{}", ran.stderr);
        assert!(ran.stderr.contains("encrypt it without --armor"), "{}", ran.stderr);
        assert!(ran.stderr.contains("age -d -i IDENTITY armored/os.json"), "{}", ran.stderr);
    }
    lab.write("policy/decryption_identities", agefile_test::IDENTITY);
    lab.refused("ospkg verify --trust-policy policy armored/os.json", "error[E0326]");
    let ran = lab.ok("ospkg status --trust-policy policy os.json");
    for file in ["os.json", "os.zip"] {
        let warning = format!("{file} is not encrypted: machines refuse it from a mirror (E0324)");
        assert!(ran.stderr.contains(&warning), "{}", ran.stderr);
    }
}
