//! Signing: what is refused, and what the signer is told.

use crate::support::Lab;
use crate::support::issue;
use crate::support::json;

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
