//! Signing by several people on several machines: by digest alone, at the same time, and what is
//! said about how far it is.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::fs;
use std::process::Command;

use support::Lab;
use support::json;

/// SHA-256 of the archive, as its builder tells it.
fn digest(lab: &Lab) -> String {
    let told = json(&lab.ok("ospkg inspect --json os.json"));
    told["archive"]["sha256"].as_str().unwrap().to_owned()
}

/// A package of threshold 2, and an offline machine `NAME/` for each signer that has the descriptor only.
fn handed_out() -> (Lab, String) {
    let lab = Lab::with_signers();
    lab.package();
    for name in ["a", "b", "c"] {
        lab.write(&format!("{name}/os.json"), lab.read("os.json"));
    }
    let digest = digest(&lab);
    (lab, digest)
}

fn sign_offline(lab: &Lab, name: &str, digest: &str) {
    lab.ok(&format!(
        "ospkg sign --key {name}.key --cert {name}.pem --digest {digest} {name}/os.json"
    ));
}

#[test]
fn those_who_sign_at_the_same_time_are_joined() {
    let (lab, digest) = handed_out();
    for name in ["a", "b", "c"] {
        sign_offline(&lab, name, &digest);
    }
    let ran = lab.ok("ospkg merge a/os.json b/os.json c/os.json --out os.json --force");
    assert!(ran.stdout.contains("now has        3 signatures"), "{}", ran.stdout);
    lab.ok("ospkg verify --trust-policy policy os.json");
    // Any order, and again with a part of itself: the same bytes.
    for parts in ["c/os.json a/os.json b/os.json", "os.json b/os.json", "b/os.json os.json os.json"]
    {
        lab.ok(&format!("ospkg merge {parts} --digest {digest} --out again.json --force"));
        assert_eq!(lab.read("again.json"), lab.read("os.json"), "{parts}");
    }
    let told = json(
        &lab.ok(&format!("ospkg merge --json a/os.json a/os.json --digest {digest} --out x.json")),
    );
    assert_eq!((told["signatures"].as_u64(), told["repeated"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn what_does_not_belong_together_is_not_joined() {
    let (lab, digest) = handed_out();
    sign_offline(&lab, "a", &digest);
    sign_offline(&lab, "b", &digest);
    lab.refused("ospkg merge a/os.json b/os.json --out os.json", "os.json exists already");
    let ran = lab.refused(
        "ospkg merge a/os.json b/os.json --out c/new.json",
        "what should they have signed?",
    );
    assert!(ran.stderr.contains("--digest"), "{}", ran.stderr);
    let merge = format!("ospkg merge --digest {digest} --out new.json --force");

    // Somebody signed another archive.
    let other = "00".repeat(32);
    lab.ok(&format!("ospkg sign --key c.key --cert c.pem --digest {other} c/os.json"));
    let ran = lab.refused(&format!("{merge} a/os.json c/os.json"), "c/os.json: signature 1 by CN=");
    assert!(ran.stderr.contains("error[E0405]") && ran.stderr.contains(&digest), "{}", ran.stderr);

    // Another package, or something that only one of them says.
    let text = String::from_utf8(lab.read("b/os.json")).unwrap();
    lab.write("c/os.json", text.replace("\"os.zip\"", "\"other.zip\""));
    lab.refused(
        &format!("{merge} a/os.json c/os.json"),
        "os_pkg_url is \"os.zip\" in one, \"other.zip\" in the other",
    );
    lab.write("c/os.json", text.replace("\"version\": 1", "\"version\": 1,\n  \"note\": \"x\""));
    lab.refused(&format!("{merge} a/os.json c/os.json"), "note differs");
    lab.write("c/os.json", "{");
    lab.refused(&format!("{merge} a/os.json c/os.json"), "c/os.json: ");
    lab.refused(&format!("{merge} a/os.json absent.json"), "cannot read absent.json");
    // The archive beside them is another one than that of --digest.
    lab.refused(
        &format!("ospkg merge --digest {other} a/os.json b/os.json --out os.json --force"),
        "is not the archive with SHA-256 0000",
    );
    assert!(!lab.path("new.json").exists());
    assert_eq!(lab.run("ospkg merge a/os.json --out x.json").status, 2, "one is nothing to join");
}

#[test]
fn without_the_archive_only_its_digest_is_signed() {
    let (lab, digest) = handed_out();
    let sign = "ospkg sign --key a.key --cert a.pem";
    let ran = lab.refused(&format!("{sign} a/os.json"), "there is no a/os.zip beside a/os.json");
    assert!(ran.stderr.contains("--digest"), "{}", ran.stderr);
    for bad in ["00", &"zz".repeat(32)] {
        assert_eq!(lab.run(&format!("{sign} --digest {bad} a/os.json")).status, 2);
    }
    let other = "11".repeat(32);
    lab.refused(
        &format!("{sign} --digest {other} os.json"),
        "os.zip is not the archive with SHA-256 1111",
    );
    lab.refused(&format!("{sign} --digest {other} --force os.json"), "is not the archive");
    let ran = lab.run(&format!("{sign} --after-rebuild --digest {digest} a/os.json"));
    assert!(
        ran.status == 2 && ran.stderr.contains("--after-rebuild needs the archive"),
        "{}",
        ran.stderr
    );

    let ran = lab.ok(&format!("{sign} --digest {digest} a/os.json"));
    assert!(ran.stderr.contains("a/os.zip is not here"), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("SHA-256        {digest}")), "{}", ran.stdout);
    // The next one is told that somebody has signed something else.
    lab.write("b/os.json", lab.read("a/os.json"));
    lab.refused(
        &format!("ospkg sign --key b.key --cert b.pem --digest {other} b/os.json"),
        "error[E0405]",
    );

    // With the archive the signer sees what is in it.
    let told = json(&lab.ok(&format!("{sign} --digest {digest} --json os.json")));
    assert_eq!(told["archive_sha256"], digest);
    let kernel = Command::new("sha256sum").arg(lab.path("vmlinuz")).output().unwrap().stdout;
    let kernel = String::from_utf8(kernel).unwrap();
    assert!(kernel.starts_with(told["archive"]["kernel_sha256"].as_str().unwrap()), "{told}");
}

#[test]
fn status_says_who_is_missing_and_what_ends_when() {
    let lab = Lab::with_signers();
    lab.package();
    fs::create_dir(lab.path("certs")).unwrap();
    // a ends before the others do; d has ended; e is of another root.
    let issue = "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem";
    lab.ok(&format!("{issue} --key a.key --subject-cn alice --valid-from 2026-01-01 --valid-until 2030-01-01 --out-cert certs/a.pem"));
    lab.ok(&format!("{issue} --key b.key --subject-cn bob --valid-from 2026-01-01 --valid-until 2031-01-01 --out-cert certs/b.pem"));
    lab.ok(&format!("{issue} --key c.key --subject-cn carol --valid-from 2026-01-01 --valid-until 2032-01-01 --out-cert certs/c.pem"));
    lab.ok(&format!("{issue} --subject-cn dave --valid-from 2024-01-01 --valid-until 2025-01-01 --out-cert certs/d.pem --out-key d.key"));
    lab.ok("keygen root --subject-cn elsewhere --out-cert other.pem --out-key other.key");
    lab.ok("keygen certificate --root-cert other.pem --root-key other.key --subject-cn eve --out-cert certs/e.pem --out-key e.key");
    lab.write("certs/notes.txt", "no certificate");

    let status = "ospkg status --trust-policy policy --at 2029-12-15 os.json";
    lab.ok("ospkg sign --key a.key --cert certs/a.pem os.json");
    let ran = lab.refused(&format!("{status} --expected certs"), "error[E0404]");
    for line in [
        "signatures     1 valid, 2 required\n",
        "signed by      CN=alice (until 2030-01-01T00:00:00Z)\n",
        "missing        1 more key, of: CN=bob, CN=carol\n",
        "can sign       CN=bob (until 2031-01-01T00:00:00Z; certs/b.pem)\n",
        "cannot sign    CN=dave: the certificate ended on 2025-01-01T00:00:00Z (certs/d.pem)\n",
        "cannot sign    CN=eve: issued by CN=elsewhere, which is no signing root (certs/e.pem)\n",
        "boots now      NO: 1 of 2 required signatures are valid (1 found) [E0404]\n",
    ] {
        assert!(ran.stdout.contains(line), "no {line:?} in\n{}", ran.stdout);
    }
    let ran = lab.refused(status, "error[E0404]");
    assert!(ran.stdout.contains("missing        1 more key (--expected"), "{}", ran.stdout);

    // Enough; but alice's certificate ends within the month.
    lab.ok("ospkg sign --key b.key --cert certs/b.pem os.json");
    let ran = lab.ok(&format!("{status} --expected certs"));
    for line in [
        "signatures     2 valid, 2 required\n",
        "can sign       CN=carol",
        "ends           2030-01-01T00:00:00Z certificate of CN=alice: NO: 1 of 2",
        "boots now      yes, 2 of 2\n",
        "in 30 days     NO: 1 of 2 required signatures are valid (2 found) [E0407]\n",
        "boots until    2030-01-01T00:00:00Z (1 of 2",
    ] {
        assert!(ran.stdout.contains(line), "no {line:?} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("missing"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("warning: os.json boots now, but not any more in 30 days"),
        "{}",
        ran.stderr
    );
    let ran = lab.refused(
        &format!("{status} --days 7,30"),
        "not any more in 30 days (2030-01-14T00:00:00Z)",
    );
    assert!(ran.stderr.contains("error[E0407]"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("help: before that day: issue new certificates, and sign again\n"),
        "{}",
        ran.stderr
    );
    lab.ok(&format!("{status} --days 7"));

    // A third signature keeps it booting until the second of them ends.
    lab.ok("ospkg sign --key c.key --cert certs/c.pem os.json");
    let told = json(&lab.ok(&format!("{status} --days 30 --json")));
    assert_eq!(
        (told["valid"].as_u64(), told["missing"].as_u64(), told["boots"].as_bool()),
        (Some(3), Some(0), Some(true))
    );
    assert_eq!(told["boots_until"], "2031-01-01T00:00:00Z");
    assert_eq!(told["ends"][0]["what"], "certificate of CN=alice");
    assert_eq!(told["ends"][0]["boots_after"], true);
    // The archive elsewhere: judged by its digest, which is said.
    let digest = digest(&lab);
    fs::rename(lab.path("os.zip"), lab.path("elsewhere.zip")).unwrap();
    lab.refused(status, "there is no os.zip beside os.json");
    let ran = lab.refused(&format!("{status} --days 30 --digest {digest}"), "is not known");
    assert!(ran.stderr.contains("it is not judged"), "{}", ran.stderr);

    // Signers of an earlier release are expected again.
    fs::rename(lab.path("os.json"), lab.path("earlier.json")).unwrap();
    lab.package();
    let ran = lab.refused(&format!("{status} --expected earlier.json"), "error[E0404]");
    assert!(
        ran.stdout
            .contains("missing        2 more distinct keys, of: CN=alice, CN=bob, CN=carol\n"),
        "{}",
        ran.stdout
    );
    let failed = json(&lab.run(&format!("{status} --expected earlier.json --json")));
    assert_eq!(
        (failed["ok"].as_bool(), failed["code"].as_str(), failed["missing"].as_u64()),
        (Some(false), Some("E0404"), Some(2))
    );
    assert_eq!(failed["expected"][2]["subject"], "CN=carol");

    fs::create_dir(lab.path("empty")).unwrap();
    lab.refused(&format!("{status} --expected empty"), "empty holds no certificates");
    lab.refused(&format!("{status} --expected a.key"), "a.key: it is no certificate");
    assert_eq!(lab.run(&format!("{status} --days 0")).status, 2);
}

#[test]
fn status_knows_when_a_package_ends_by_itself() {
    let lab = Lab::with_signers();
    lab.package();
    lab.ok("ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os --not-after 2027-06-30");
    lab.sign("a");
    lab.sign("b");
    let status = "ospkg status --trust-policy policy --at 2027-06-01 os.json";
    let ran = lab.refused(&format!("{status} --days 30"), "error[E0420]");
    assert!(
        ran.stderr.contains("help: before that day: publish a new release\n"),
        "{}",
        ran.stderr
    );
    for line in [
        "ends           2027-06-30T00:00:00Z the package, as its manifest says: NO: ",
        "boots until    2027-06-30T00:00:00Z (",
    ] {
        assert!(ran.stdout.contains(line), "no {line:?} in\n{}", ran.stdout);
    }
    assert!(ran.stderr.contains("by the time that it is judged by"), "{}", ran.stderr);
    lab.ok(&format!("{status} --days 29"));
    // Without --at as well: no time server was asked.
    lab.ok("ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out old --not-after 2026-01-01");
    for name in ["a", "b"] {
        lab.ok(&format!("ospkg sign --force --key {name}.key --cert {name}.pem old.json"));
    }
    for command in ["status", "verify"] {
        let ran = lab.refused(
            &format!("ospkg {command} --trust-policy policy old.json"),
            "by the time that it is judged by",
        );
        assert!(ran.stderr.contains("error[E0420]"), "{}", ran.stderr);
    }
}

/// Of many ends only the one after which it boots no more has a verdict that is not yes.
#[test]
fn status_says_which_end_matters() {
    let (lab, _) = handed_out();
    lab.sign("a");
    let no = |ran: &support::Ran| ran.stdout.matches(": NO: ").count();
    let ran = lab.refused("ospkg status --trust-policy policy os.json", "error[E0404]");
    assert!(ran.stdout.contains("\nends   ") && no(&ran) == 0, "{}", ran.stdout);
    for name in ["b", "c"] {
        lab.sign(name);
    }
    let ran = lab.ok("ospkg status --trust-policy policy os.json");
    assert!(ran.stdout.contains("signatures     3 valid, 2 required\n"), "{}", ran.stdout);
    let ends: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("ends ")).collect();
    assert!(ends.len() == 4 && no(&ran) >= 1, "{ends:?}");
    assert!(!ends[3].contains(": NO: "), "the root ends later: {ends:?}");
}

/// What is seen by unpacking, and on the way from a mirror only.
#[test]
fn status_and_verify_refuse_what_machines_refuse_before_the_jump() {
    let lab = Lab::with_signers();
    lab.package();
    let refused = |code: &str| {
        for command in ["status", "verify"] {
            let words = format!("ospkg {command} --trust-policy policy os.json");
            let ran = lab.refused(&words, &format!("error[{code}]"));
            assert!(!ran.stdout.contains("yes"), "{}", ran.stdout);
            let told = json(&lab.run(&format!("{words} --json")));
            assert_eq!((told["code"].as_str(), told["ok"].as_bool()), (Some(code), Some(false)));
        }
    };
    let sign = || {
        for name in ["a", "b"] {
            lab.ok(&format!("ospkg sign --force --key {name}.key --cert {name}.pem os.json"));
        }
    };
    let create = "ospkg create --initramfs initramfs --replace --out os";

    // A flipped bit, signed so.
    let mut archive = lab.read("os.zip");
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    lab.write("os.zip", archive);
    sign();
    refused("E0501");

    lab.write("text", "no kernel");
    lab.ok(&format!("{create} --kernel text --any-kernel --url os.zip"));
    sign();
    refused("E0507");
    let stmgr = lab.ok("stmgr ospkg verify -trustPolicy policy -ospkg os.json");
    assert!(stmgr.stderr.contains("will not boot this kernel"), "{}", stmgr.stderr);

    // No URL: only where it is fetched.
    lab.ok(&format!("{create} --kernel vmlinuz"));
    sign();
    refused("E0315");
    let ran = lab.ok("ospkg verify --signing-root rootcert.pem --threshold 2 os.json");
    assert!(
        ran.stderr.contains("from a mirror: os_pkg_url: it is empty [E0315]"),
        "{}",
        ran.stderr
    );
    lab.write(
        "policy/trust_policy.json",
        r#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "initramfs"}"#,
    );
    lab.ok("ospkg verify --trust-policy policy os.json");
    lab.ok("ospkg status --trust-policy policy os.json");
}

#[test]
fn status_asks_the_manifest_too_and_says_denied_keys() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let key = json(&lab.ok("keygen public --key c.key --json"))["key"].as_str().unwrap().to_owned();
    lab.write(
        "policy/trust_policy.json",
        format!(r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", "min_release": 7, "denied_keys": ["{key}"]}}"#),
    );
    let ran =
        lab.refused("ospkg status --trust-policy policy --expected c.pem os.json", "error[E0414]");
    assert!(ran.stdout.contains("signatures     2 valid, 2 required\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the key is on the policy's denied_keys list"), "{}", ran.stdout);
}

/// The commands of docs/signing-ceremony.md, as they stand and in their order.
#[test]
fn the_ceremony_of_the_documentation_runs() {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/signing-ceremony.md"));
    let page = page.unwrap();
    let mut script = String::from("set -eux\n");
    let blocks = page.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```\n").next().unwrap());
    for block in blocks {
        script.push_str(block);
        script.push('\n');
    }
    assert!(script.contains("ospkg merge") && script.contains("ospkg status"), "{script}");
    for program in ["openssl", "ssh-agent", "ssh-keygen"] {
        if Command::new(program).arg("-V").output().is_err() {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("SKIPPED: the ceremony of the documentation needs {program}\n").as_bytes(),
            );
            return;
        }
    }
    let lab = Lab::new();
    lab.write("vmlinuz", support::kernel());
    lab.write("initramfs.cpio.zst", support::initramfs());
    // The agent ends with the script, wherever that ends.
    let script = format!(
        "trap '[ -z \"${{SSH_AGENT_PID-}}\" ] || kill $SSH_AGENT_PID' EXIT\n{script}\nSSH_AGENT_PID=\n"
    );
    lab.write("ceremony.sh", script);
    let tool = std::path::Path::new(env!("CARGO_BIN_EXE_ramstrap")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let mut ran = Command::new("sh");
    ran.arg("ceremony.sh").current_dir(lab.path("")).env("PATH", path);
    let ran = ran.env_remove("SSH_AUTH_SOCK").env_remove("SSH_AGENT_PID").output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("\nsame\n"), "{stdout}");
    let printed: Vec<String> = stdout.lines().map(shape).collect();
    for sample in page.split("\n```text\n").skip(1) {
        // In this order; what is of no interest there is left out.
        let mut rest = printed.iter();
        for line in sample.split("\n```\n").next().unwrap().lines() {
            let wanted = shape(line);
            assert!(rest.any(|it| *it == wanted), "{line:?} is not printed there:\n{stdout}");
        }
    }
}

/// A line without what differs each time: keys, moments, and in which order what has one name
/// stands or ends.
fn shape(line: &str) -> String {
    // Certificates that were issued within one second end together, else one after the other.
    let line = match line {
        ends if ends.starts_with("ends ") => ends.split(" NO: ").next().unwrap(),
        until if until.starts_with("boots until ") => until.split(" (").next().unwrap(),
        line => line,
    };
    let mut before = "";
    let words = line.split(' ').map(|word| {
        let number = core::mem::replace(&mut before, word) == "signature";
        let end = word.trim_end_matches([')', ';', ':']);
        let is_moment = end.len() >= 20 && end.ends_with('Z') && end.contains('T');
        let is_key = end.len() == 64 && end.bytes().all(|it| it.is_ascii_hexdigit());
        match end.trim_start_matches('(') {
            _ if is_moment => format!("MOMENT{}", &word[end.len()..]),
            key if is_key || key.starts_with("SHA256:") => "KEY".to_owned(),
            _ if number => "NUMBER".to_owned(),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn an_unsigned_descriptor_of_another_package_is_not_joined() {
    let (lab, _) = handed_out();
    lab.sign("a");
    lab.write("n/os.json", lab.read("os.json"));
    lab.write("n/os.zip", lab.read("os.zip"));
    lab.ok("ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --label other --out d2/os");
    for parts in ["n/os.json d2/os.json", "d2/os.json n/os.json"] {
        let ran = lab.refused(&format!("ospkg merge {parts} --out new.json"), "of another package");
        assert!(ran.stderr.contains("n/os.zip has SHA-256 "), "{}", ran.stderr);
        assert!(ran.stderr.contains("d2/os.zip has SHA-256 "), "{}", ran.stderr);
        assert!(!lab.path("new.json").exists());
    }
    lab.write("d2/os.zip", lab.read("os.zip"));
    lab.ok("ospkg merge n/os.json d2/os.json --out new.json");
}

#[test]
fn only_the_archive_says_what_its_manifest_has() {
    const UNKNOWN: &str = "enough signatures; whether it boots is not known without the archive \
                           (its manifest, kernel and initramfs)";
    let (lab, digest) = handed_out();
    lab.sign("a");
    lab.sign("b");
    lab.write("x/os.json", lab.read("os.json"));
    let status = format!("ospkg status --trust-policy policy --digest {digest} x/os.json");
    let ran = lab.refused(&status, UNKNOWN);
    assert!(ran.stdout.contains(&format!("boots now      {UNKNOWN}, 2 of 2\n")), "{}", ran.stdout);
    assert!(!ran.stdout.contains("yes"), "{}", ran.stdout);
    let told = json(&lab.run(&format!("{status} --json")));
    assert!(
        told["boots"].is_null() && told["ok"] == false && told["manifest_judged"] == false,
        "{told}"
    );

    for (name, rule) in
        [("min_release", r#""min_release": 7"#), ("channel", r#""channel": "stable""#)]
    {
        lab.write(
            "policy/trust_policy.json",
            format!(
                r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", {rule}}}"#
            ),
        );
        let ran = lab.refused(&status, UNKNOWN);
        assert!(ran.stderr.contains(&format!("the policy asks for {name}\n")), "{}", ran.stderr);
        assert!(ran.stderr.contains("with the archive there, as x/os.zip"), "{}", ran.stderr);
    }
}
