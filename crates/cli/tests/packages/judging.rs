//! What machines accept, as `ospkg verify` says it, and every way in which they do not.

use crate::VERIFY;
use crate::support::Lab;
use crate::support::json;

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

/// Whoever judges is told in the same way, and a threshold that plays no part is not passed over.
#[test]
fn whoever_judges_a_package_is_told_in_one_way() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    for command in ["verify", "extract --out x"] {
        for wrong in [
            "--trust-policy policy --threshold 1",
            "--trust-policy policy --signing-root rootcert.pem --threshold 1",
            "--signing-root rootcert.pem",
            "--signing-root rootcert.pem --threshold 0",
            "--threshold 1",
            "",
        ] {
            let ran = lab.run(&format!("ospkg {command} {wrong} os.json"));
            assert_eq!(ran.status, 2, "{command} {wrong}: {}", ran.stderr);
        }
    }
    for wrong in ["--threshold 1", "--at 2027-01-01", "--trust-policy policy"] {
        let ran = lab.run(&format!("ospkg extract --out x --unverified {wrong} os.json"));
        assert_eq!(ran.status, 2, "{wrong}: {}", ran.stderr);
    }
    lab.refused(
        "ospkg extract --trust-policy policy --at 2099-01-01 --out x os.json",
        "error[E0407]",
    );
    lab.ok("ospkg extract --signing-root rootcert.pem --threshold 2 --out x os.json");
    lab.ok(VERIFY);
}
