//! Releases, channels and ends, which stand in the manifest.

use crate::VERIFY;
use crate::support::Lab;
use crate::support::json;

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
