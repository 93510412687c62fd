//! What an operator does by mistake in a ceremony: files mixed up, changed by an editor, cut on the way,
//! places that are full. Each time it is said which file it was, and what to do.

use std::process::Command;

use crate::support;
use crate::support::Lab;
use crate::support::issue;

/// Signers `a`, `b`, `c`, a package, and a copy of it in `d/`.
fn lab() -> Lab {
    let lab = Lab::with_signers();
    lab.package();
    lab.write("d/os.json", lab.read("os.json"));
    lab.write("d/os.zip", lab.read("os.zip"));
    lab
}

#[track_caller]
fn refused(lab: &Lab, words: &str, reason: &str, help: &str) {
    let ran = lab.refused(words, reason);
    let told = ran.stderr.split("\nhelp: ").nth(1).unwrap();
    assert!(told.contains(help), "{words}: no {help:?} in the help of\n{}", ran.stderr);
}

#[test]
fn files_that_were_mixed_up_are_named() {
    const SIGN: &str = "ospkg sign --key a.key --cert a.pem";
    let lab = lab();
    let before = lab.read("d/os.json");
    for (words, reason, help) in [
        (
            "ospkg sign --key a.pem --cert a.key d/os.json",
            "a.key: it is no certificate: it holds a private key",
            "the certificate that was issued for this key",
        ),
        (
            "ospkg sign --key a.pem --cert a.pem d/os.json",
            "a.pem: it holds a CERTIFICATE, not a private key",
            "mixed up",
        ),
        (
            "ospkg sign --key d --cert a.pem d/os.json",
            "error: cannot read d: is a directory",
            "the name of a file",
        ),
        (&format!("{SIGN} d/os.zip"), "d/os.zip is not named NAME.json", "did you mean d/os.json?"),
        (&format!("{SIGN} d/os"), "d/os is not named NAME.json", "did you mean d/os.json?"),
        (&format!("{SIGN} d"), "d is not named NAME.json", "did you mean d/os.json?"),
        (&format!("{SIGN} vmlinuz"), "vmlinuz is not named NAME.json", "give the descriptor"),
        (
            &format!("{SIGN} policy/trust_policy.json"),
            "policy/trust_policy.json: descriptor: version: missing",
            "the NAME.json that `ramstrap ospkg create` wrote",
        ),
        ("ospkg merge os.json d/os.json --out x", "x is not named NAME.json", "such as x.json"),
        (
            "ospkg status --trust-policy policy/trust_policy.json os.json",
            "policy/trust_policy.json is a file, and a trust policy is a directory",
            "give the directory",
        ),
        (
            "ospkg verify --trust-policy rootcert.pem os.json",
            "rootcert.pem is a file, and a trust policy is a directory",
            "give the directory",
        ),
        (
            "ospkg diff vmlinuz os.json",
            "vmlinuz is no OS package, but a kernel (bzImage)",
            "`ramstrap compare`",
        ),
        (
            "ospkg diff os.json initramfs",
            "initramfs is no OS package, but an initramfs",
            "`ramstrap compare`",
        ),
        ("ospkg diff a.pem os.json", "a.pem is no OS package", "NAME.json"),
        ("ospkg diff d os.json", "d is a directory without os-package.zip", "mean d/os.json?"),
        ("ospkg diff os.json none.json", "cannot read none.json: no such file", "check the name"),
        (
            "ospkg diff policy/trust_policy.json os.json",
            "cannot read policy/trust_policy.zip: no such file",
            "the archive of policy/trust_policy.json must be beside it",
        ),
    ] {
        refused(&lab, words, reason, help);
    }
    assert_eq!(lab.read("d/os.json"), before, "nothing was signed");

    // Whose key is it then?
    let ran = lab.refused("ospkg sign --key a.key --cert b.pem d/os.json", "does not belong");
    for line in ["\n  the certificate of CN=", "\n  the key SHA-256 of the private key is "] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
    let certificate = "keygen certificate --out-cert x.pem --out-key x.key";
    let ran = lab.refused(
        &format!("{certificate} --root-cert rootcert.pem --root-key a.key"),
        "does not belong to the root certificate",
    );
    assert!(ran.stderr.contains("\n  the key SHA-256 of the root key is "), "{}", ran.stderr);
    refused(
        &lab,
        &format!("{certificate} --root-cert rootkey.pem --root-key rootcert.pem"),
        "rootkey.pem: it is no certificate: it holds a private key",
        "give the certificate",
    );
    lab.refused(
        &format!("{certificate} --root-cert a.pem --root-key a.key"),
        "a.pem: the root certificate is not a CA",
    );
}

fn in_utf_16(text: &[u8]) -> Vec<u8> {
    let text = core::str::from_utf8(text).unwrap();
    core::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn text_that_came_through_an_editor_is_read_or_told() {
    let lab = lab();
    let crlf = |text: &[u8]| text.split(|it| *it == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
    let cut = |text: &[u8]| text[..text.len() - 30].to_vec();
    let bom = |text: &[u8]| [b"\xef\xbb\xbf", text].concat();
    let trailing = |text: &[u8]| text.trim_ascii_end().to_vec();
    let write = |change: &dyn Fn(&[u8]) -> Vec<u8>| {
        for name in ["a.key", "a.pem", "rootcert.pem", "rootkey.pem", "os.json"] {
            lab.write(&format!("t/{name}"), change(&lab.read(name)));
        }
        lab.write("t/os.zip", lab.read("os.zip"));
        for name in ["trust_policy.json", "ospkg_signing_root.pem"] {
            lab.write(&format!("{name}.d/trust_policy.json"), lab.read("policy/trust_policy.json"));
            lab.write(&format!("{name}.d/ospkg_signing_root.pem"), lab.read("rootcert.pem"));
            lab.write(&format!("{name}.d/{name}"), change(&lab.read(&format!("policy/{name}"))));
        }
    };
    let issue = "keygen certificate --out-cert n.pem --out-key n.key --force";
    let all = [
        ("ospkg sign --key a.key --cert t/a.pem d/os.json", "t/a.pem: it is no certificate: "),
        ("ospkg sign --key t/a.key --cert a.pem d/os.json", "t/a.key: "),
        ("ospkg sign --key a.key --cert a.pem t/os.json", "t/os.json: "),
        (&format!("{issue} --root-cert t/rootcert.pem --root-key rootkey.pem"), "t/rootcert.pem: "),
        (&format!("{issue} --root-cert rootcert.pem --root-key t/rootkey.pem"), "t/rootkey.pem: "),
        ("trust-policy check trust_policy.json.d", "trust_policy.json: "),
        ("trust-policy check ospkg_signing_root.pem.d", "ospkg_signing_root.pem: "),
    ];
    // Ends of lines are nobody's business, nor is the last one.
    for change in [&crlf as &dyn Fn(&[u8]) -> Vec<u8>, &trailing] {
        write(change);
        for (words, _) in all {
            lab.ok(words);
            lab.write("d/os.json", lab.read("os.json"));
        }
    }
    for (change, odd, help) in [
        (&in_utf_16 as &dyn Fn(&[u8]) -> Vec<u8>, "in UTF-16, not UTF-8", "iconv -f UTF-16"),
        (&bom, "begins with a byte order mark", "tail -c +4"),
        (&|_: &[u8]| Vec::new(), "the file is empty", "get it anew"),
    ] {
        write(change);
        for (words, file) in all {
            let ran = lab.refused(words, odd);
            assert!(ran.stderr.contains(file), "{words}: {}", ran.stderr);
            // A check of a policy has one remedy: to correct what is named.
            assert!(
                ran.stderr.contains(help) || words.contains("check"),
                "{words}: {}",
                ran.stderr
            );
        }
    }
    write(&cut);
    for (words, file) in &all[..5] {
        let ran = lab.refused(words, file);
        let told = ["no END line that fits its BEGIN line", "error[E0401]"];
        assert!(told.iter().any(|it| ran.stderr.contains(it)), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains("get it anew"), "{words}: {}", ran.stderr);
    }
    // What OpenSSL writes in binary.
    let der = ["x509", "-in", "a.pem", "-outform", "DER", "-out", "a.der"];
    let ran = Command::new("openssl").args(der).current_dir(lab.path("")).output();
    if ran.is_ok_and(|ran| ran.status.success()) {
        refused(
            &lab,
            "ospkg sign --key a.key --cert a.der d/os.json",
            "a.der: it is no certificate: the file is DER, not PEM",
            "openssl x509 -inform DER",
        );
    }
}

#[test]
fn lifetimes_that_are_none_are_refused_as_such() {
    let lab = Lab::with_signers();
    for command in ["keygen root --force", &issue("x", "--force")] {
        for (days, why) in [
            ("0", "give 1 day or more"),
            ("-5", "give 1 day or more"),
            ("99999999999", "after the year 9999"),
            ("a", "a whole number of days"),
        ] {
            let ran = lab.run(&format!("{command} --valid-days {days}"));
            assert_eq!(ran.status, 2, "{days}: {}", ran.stderr);
            assert!(ran.stderr.contains(why), "{days}: {}", ran.stderr);
        }
        // Only together with the first day it is too long.
        refused(
            &lab,
            &format!("{command} --valid-days 2920000"),
            "error: the certificate would end after the year 9999",
            "fewer --valid-days",
        );
        refused(
            &lab,
            &format!("{command} --valid-until 2020-01-01"),
            "error: the certificate would end before it begins",
            "--valid-until that is after --valid-from",
        );
        refused(
            &lab,
            &format!("{command} --valid-from 1960-01-01"),
            "error: the certificate would begin on 1960-01-01T00:00:00Z, before 1970",
            "later --valid-from",
        );
        lab.ok(&format!("{command} --valid-days 1"));
    }
    assert!(!lab.path("x.pem.new").exists());
    refused(
        &lab,
        &issue("y", &format!("--subject-cn {}", "n".repeat(65))),
        "error: the name has 65 characters",
        "another --subject-cn",
    );
}

#[test]
fn a_private_key_among_the_certificates_is_told() {
    let lab = lab();
    lab.sign("a");
    lab.write("certs/a.pem", lab.read("a.pem"));
    lab.write("certs/b.pem", lab.read("b.pem"));
    lab.write("certs/c.pem", lab.read("c.key"));
    let status = "ospkg status --trust-policy policy os.json --expected";
    let ran = lab.refused(&format!("{status} certs"), "error[E0404]");
    let told =
        "warning: certs/c.pem is a private key, among certificates that are handed around: move it";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stdout.contains("missing        1 more key, of: CN="), "{}", ran.stdout);
    refused(
        &lab,
        &format!("{status} c.key"),
        "c.key: it is no certificate: it holds a private key",
        "certificate",
    );
}

/// A limit on file sizes stands in for a disk that is full, which needs root.
#[test]
fn a_place_that_is_full_is_no_lack_of_memory() {
    let lab = lab();
    for name in ["a", "b"] {
        lab.sign(name);
    }
    for (words, reason) in [
        (
            "ospkg create --kernel vmlinuz --initramfs initramfs --url y.zip --out y",
            "error: cannot write y.zip: file too large",
        ),
        (
            "ospkg extract --trust-policy policy --out y os.json",
            "error: cannot write y: file too large",
        ),
    ] {
        let script = format!("trap '' XFSZ; ulimit -f 50; exec \"$0\" {words}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_ramstrap")]).current_dir(lab.path(""));
        let ran = command.output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{told}");
        assert!(told.contains(reason) && told.contains("\nhelp: "), "{told}");
        assert!(!told.contains("memory"), "{told}");
        let left = std::fs::read_dir(lab.path("")).unwrap().map(|it| it.unwrap().file_name());
        let left: Vec<_> =
            left.filter(|it| it == "y" || it.to_string_lossy().starts_with(['.', 'y'])).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    lab.ok("ospkg extract --trust-policy policy --out y os.json");
    assert_eq!(lab.read("y/initramfs"), support::initramfs());
}

#[test]
fn a_digest_that_was_told_wrong_is_told_as_such() {
    let lab = lab();
    lab.sign("a");
    lab.write("far/os.json", lab.read("os.json"));
    let wrong = "11".repeat(32);
    refused(
        &lab,
        &format!("ospkg sign --key b.key --cert b.pem --digest {wrong} far/os.json"),
        &format!("is not over the archive with the SHA-256 of --digest, {wrong}"),
        "ask whoever told you the digest",
    );
    let ran = lab.run(&format!("ospkg sign --key b.key --cert b.pem --digest {wrong} far/os.json"));
    assert!(!ran.stderr.contains("over far/os.zip"), "it is not there: {}", ran.stderr);
    refused(
        &lab,
        &format!("ospkg sign --key b.key --cert b.pem --digest {wrong} os.json"),
        &format!("os.zip is not the archive with SHA-256 {wrong}"),
        "ask whoever told you the digest",
    );
    refused(
        &lab,
        &format!("ospkg status --trust-policy policy --digest {wrong} far/os.json"),
        "error[E0404]",
        "ask whoever told you the digest",
    );
    refused(
        &lab,
        &format!("ospkg merge --digest {wrong} far/os.json far/os.json --out x.json"),
        "is not over the archive with SHA-256",
        "or the digest is of another",
    );
}
