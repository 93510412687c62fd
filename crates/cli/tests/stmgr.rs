//! `ramstrap stmgr`: the behaviours that stmgr's own shell tests have, as far as they are known from
//! its documents; and where ours is stricter.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

#[path = "../../bootmedia/tests/support/mod.rs"]
mod images;
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ramstrap_cli::keys::PrivateKey;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use support::Lab;
use support::Ran;
use support::json;
use support::mode;

/// Runs stmgr's words.
fn stmgr(lab: &Lab, words: &str) -> Ran {
    lab.run(&format!("stmgr {words}"))
}

fn ok(lab: &Lab, words: &str) -> Ran {
    let ran = stmgr(lab, words);
    assert_eq!(ran.status, 0, "{words}\n{}\n{}", ran.stdout, ran.stderr);
    ran
}

/// Refused with these words, in the form that scripts look for.
fn refused(lab: &Lab, words: &str, reason: &str) -> Ran {
    let ran = stmgr(lab, words);
    assert_eq!(ran.status, 1, "{words}\n{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(reason), "{words}: no {reason:?} in\n{}", ran.stderr);
    assert!(ran.stderr.contains("[ERROR] "), "{words}: {}", ran.stderr);
    assert!(!ran.stderr.contains("[ERROR] error: "), "said twice: {}", ran.stderr);
    ran
}

fn descriptor(lab: &Lab, name: &str) -> Value {
    serde_json::from_slice(&lab.read(name)).unwrap()
}

/// A root and a signer as stmgr names them, and kernel and initramfs that are none.
fn lab() -> Lab {
    let lab = Lab::new();
    ok(&lab, "keygen certificate -isCA");
    ok(&lab, "keygen certificate -rootCert rootcert.pem -rootKey rootkey.pem");
    lab.write("tmp.data", [7; 5000]);
    lab.policy("policy", 1);
    lab
}

const CREATE: &str =
    "ospkg create -kernel tmp.data -initramfs tmp.data -url https://a.example/os.zip";

#[test]
fn a_package_gets_the_names_that_stmgr_gives_it() {
    let lab = lab();
    fs::create_dir(lab.path("there")).unwrap();
    for (out, stem) in [
        ("", "system-transparency-os-package"),
        ("-out os", "os"),
        ("--out=a.zip", "a"),
        ("-out b.json", "b"),
        ("-out there", "there/system-transparency-os-package"),
    ] {
        ok(&lab, &format!("{CREATE} {out}"));
        for suffix in ["zip", "json"] {
            assert_eq!(mode(&lab.path(&format!("{stem}.{suffix}"))), 0o644, "{out}");
        }
    }
    let descriptor = descriptor(&lab, "os.json");
    assert_eq!(descriptor["os_pkg_url"], "https://a.example/os.zip");
    assert_eq!(descriptor["signatures"], Value::Null);
    refused(&lab, &format!("{CREATE} -out os.img"), "wrong file extension");
    refused(&lab, "ospkg create -kernel tmp.data -url os.zip", "missing initramfs");
    refused(&lab, "ospkg create -initramfs tmp.data -url os.zip", "missing kernel");
    refused(&lab, &format!("{CREATE} stray"), "stray");
    refused(&lab, &format!("{CREATE} -url ftp://a/os.zip"), "E0315");
}

/// Scripts create and sign again and again: each time there are no signatures first.
#[test]
fn creating_again_starts_without_signatures() {
    let lab = lab();
    for _ in 0..2 {
        ok(&lab, &format!("{CREATE} -out os"));
        ok(&lab, "ospkg sign -key key.pem -cert cert.pem -ospkg os");
    }
    assert_eq!(descriptor(&lab, "os.json")["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn packages_are_signed_and_verified() {
    let lab = lab();
    ok(&lab, &format!("{CREATE} -out os"));
    // A package is named by either file, or by what they have in common.
    ok(&lab, "ospkg sign -key=key.pem -cert=cert.pem -ospkg os.zip");
    refused(&lab, "ospkg sign -key key.pem -cert cert.pem -ospkg os.json", "already");
    for judge in ["-trustPolicy policy", "-rootCerts rootcert.pem"] {
        ok(&lab, &format!("ospkg verify {judge} -ospkg os.json"));
    }
    // A root may sign itself.
    ok(&lab, "ospkg sign -key rootkey.pem -cert rootcert.pem -ospkg os.json");
    ok(&lab, "ospkg verify -rootCerts rootcert.pem -ospkg os");
    assert_eq!(descriptor(&lab, "os.json")["certificates"].as_array().unwrap().len(), 2);
    refused(&lab, "ospkg verify -ospkg os.json", "exactly one of");
    refused(
        &lab,
        "ospkg verify -trustPolicy policy -rootCerts rootcert.pem -ospkg os.json",
        "exactly one of",
    );
    refused(&lab, "ospkg sign -key rootkey.pem -cert cert.pem -ospkg os.json", "does not belong");
    refused(&lab, "ospkg sign -cert cert.pem -ospkg os.json", "missing key");
}

#[test]
fn with_roots_every_signature_must_be_valid_and_there_must_be_one() {
    let lab = lab();
    ok(&lab, &format!("{CREATE} -out os"));
    // stmgr lets this pass.
    refused(&lab, "ospkg verify -rootCerts rootcert.pem -ospkg os", "E0404");
    ok(&lab, "ospkg sign -key key.pem -cert cert.pem -ospkg os");
    ok(&lab, "ospkg verify -rootCerts rootcert.pem -ospkg os");
    ok(&lab, "keygen certificate -isCA -certOut otherroot.pem -keyOut otherroot.key");
    ok(
        &lab,
        "keygen certificate -rootCert otherroot.pem -rootKey otherroot.key -certOut other.pem \
         -keyOut other.key",
    );
    ok(&lab, "ospkg sign -key other.key -cert other.pem -ospkg os");
    refused(&lab, "ospkg verify -rootCerts rootcert.pem -ospkg os", "E04");
    ok(&lab, "ospkg verify -trustPolicy policy -ospkg os");
}

#[test]
fn certificates_go_where_stmgr_puts_them() {
    let lab = Lab::new();
    // Without any flag: a root, in the files of a signer.
    let ran = ok(&lab, "keygen certificate");
    assert!(ran.stderr.contains("it is a root"), "{}", ran.stderr);
    assert_eq!((mode(&lab.path("cert.pem")), mode(&lab.path("key.pem"))), (0o644, 0o600));
    assert!(lab.read("key.pem").starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
    let text = openssl(&lab, "cert.pem");
    assert!(text.contains("CA:TRUE") && text.contains("Certificate Sign"), "{text}");
    ok(&lab, "keygen certificate --isCA=true");
    assert_eq!((mode(&lab.path("rootcert.pem")), mode(&lab.path("rootkey.pem"))), (0o644, 0o600));
    let root = lab.read("rootcert.pem");
    // With -isCA another root is left out of it, with a warning.
    let ran = ok(&lab, "keygen certificate -isCA -rootCert cert.pem");
    assert!(ran.stderr.contains("-rootCert is ignored"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the private key in it is to be replaced"), "{}", ran.stderr);
    assert_ne!(lab.read("rootcert.pem"), root);
    let half = "keygen certificate -rootKey rootkey.pem";
    refused(&lab, half, "missing rootCert");
    refused(&lab, "keygen certificate -rootCert rootcert.pem", "missing rootKey");
    refused(&lab, "keygen certificate -isCA -leafKey key.pem", "-leafKey");
    refused(&lab, "keygen certificate -isCA -validFrom yesterday", "validFrom");
    refused(&lab, "keygen certificate -isCA extra", "extra");

    let issue = "keygen certificate -rootCert rootcert.pem -rootKey rootkey.pem";
    let dates = "-validFrom 2026-01-01T00:00:00Z -validUntil 2026-01-02T03:04:05Z";
    let issued = json(&ok(&lab, &format!("{issue} {dates} -certOut s.pem -keyOut s.key -json")));
    assert_eq!(issued["not_before"], "2026-01-01T00:00:00Z");
    assert_eq!(issued["not_after"], "2026-01-02T03:04:05Z");
    let text = openssl(&lab, "s.pem");
    assert!(!text.contains("Extended Key Usage") && !text.contains("CA:TRUE"), "{text}");
    // A key that is there already: only its public half is needed, and no key is written.
    openssl_public(&lab, "s.key", "s.pub");
    ok(&lab, &format!("{issue} -leafKey s.pub -certOut again.pem -keyOut never.key"));
    assert!(!lab.path("never.key").exists());
    let now = json(&ok(&lab, &format!("{issue} -leafKey s.pub -certOut again.pem -json")));
    let seconds =
        |key: &str| now[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(seconds("not_after") - seconds("not_before"), 72 * 3600);
}

fn openssl(lab: &Lab, file: &str) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(lab.path(file))
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn openssl_public(lab: &Lab, key: &str, out: &str) {
    let status = Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(lab.path(key))
        .arg("-out")
        .arg(lab.path(out))
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn checks_print_the_normal_form_and_nothing_else() {
    let lab = Lab::new();
    let check = |what: &str, text: &str| lab.run_args(&["stmgr", what, "check", text]);
    let ran = check(
        "trustpolicy",
        r#"{"ospkg_fetch_method":"network","ospkg_signature_threshold":2,"other":1}"#,
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        "{\n  \"ospkg_signature_threshold\": 2,\n  \"ospkg_fetch_method\": \"network\"\n}\n"
    );
    assert_eq!(check("trustpolicy", r#"{"ospkg_fetch_method":"network"}"#).status, 1);
    let ran = check(
        "hostconfig",
        r#"{"network_mode":"dhcp","ospkg_pointer":"https://a.example/os.json"}"#,
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let expected = "{\n  \"network_mode\": \"dhcp\",\n  \"host_ip\": null,\n";
    assert!(ran.stdout.starts_with(expected) && ran.stdout.ends_with("\n}\n"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("DHCP"), "no sentences about it: {}", ran.stderr);
    for (bad, reason) in [(r#"{"network_mode":"dhcp"}"#, "ospkg_pointer"), ("{", "JSON")] {
        let ran = check("hostconfig", bad);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{bad}");
        assert!(ran.stderr.contains("[ERROR] ") && ran.stderr.contains(reason), "{}", ran.stderr);
    }
    lab.write("host.json", "{}");
    refused(&lab, "hostconfig check host.json", "is a file");
    refused(&lab, "hostconfig check", "no JSON");
    refused(&lab, "trustpolicy check {} {}", "more than one");
    // Passwords stay where they are; stmgr prints them.
    let ran =
        check("hostconfig", r#"{"network_mode":"dhcp","ospkg_pointer":"https://u:canary@a/b"}"#);
    assert!(!ran.stdout.contains("canary") && ran.stdout.contains("***"), "{}", ran.stdout);
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let lab = Lab::new();
    for words in ["ospkg create -nope", "ospkg sign -key", "keygen certificate -isCA=perhaps"] {
        assert_eq!(stmgr(&lab, words).status, 2, "{words}");
    }
    // stmgr ends these with 0, as if something had been done.
    for words in ["", "ospkg", "ospkg crate", "provision hostconfig", "nonsense"] {
        let ran = stmgr(&lab, words);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{words}");
        assert!(ran.stderr.contains("[ERROR] "), "{}", ran.stderr);
    }
    assert!(stmgr(&lab, "ospkg crate").stderr.contains("did you mean `ospkg create`?"));
    for words in ["help", "-help", "ospkg -h", "ospkg create -help", "uki create --help"] {
        let ran = stmgr(&lab, words);
        assert_eq!(ran.status, 0, "{words}: {}", ran.stderr);
        assert!(ran.stdout.contains("create"), "{}", ran.stdout);
    }
    for words in ["ospkg create -json -nope", "ospkg crate -json", "keygen certificate -json x"] {
        let error = json(&stmgr(&lab, words));
        assert_eq!(error["ok"], false, "{words}");
    }
}

#[test]
fn the_name_stmgr_and_levels_of_logging() {
    let lab = lab();
    symlink(env!("CARGO_BIN_EXE_ramstrap"), lab.path("stmgr")).unwrap();
    let run = |words: &str| {
        let mut command = Command::new(lab.path("stmgr"));
        let output = command.current_dir(lab.path("")).args(words.split(' ')).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (status, stdout, _) = run(&format!("{CREATE} -out os -loglevel warn"));
    assert_eq!((status, stdout.as_str()), (0, ""));
    let (status, stdout, stderr) =
        run("ospkg sign -key key.pem -cert cert.pem -ospkg os -loglevel debug");
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("signed by"), "{stdout}");
    assert!(
        stderr.contains("ramstrap ospkg sign --key=key.pem --cert=cert.pem -- os.json"),
        "{stderr}"
    );
    assert_eq!(run("ospkg verify -rootCerts rootcert.pem -ospkg os -loglevel=nonsense").0, 0);
}

/// Kernel and stub of the other crate's tests.
fn uki_lab() -> Lab {
    let lab = Lab::new();
    let mut kernel = images::kernel();
    kernel.resize(24_000, 0x33);
    kernel[0x20e..0x210].copy_from_slice(&0x1000_u16.to_le_bytes());
    kernel[0x1200..0x1215].copy_from_slice(b"6.12.1-test (a@b) #1\0");
    lab.write("vmlinuz", kernel);
    lab.write("initramfs", support::initramfs());
    lab.write("stub", images::stub());
    lab
}

const UKI: &str = "uki create -kernel vmlinuz -initramfs initramfs -stub stub";

#[test]
fn images_hold_what_was_given_and_no_more() {
    let lab = uki_lab();
    let release = "NAME=\"stboot\"\nID=stboot\n";
    lab.write("os-release", release);
    let line = ["-cmdline", "console=ttyS0 -- --loglevel=debug"];
    let words: Vec<&str> = ["stmgr"]
        .into_iter()
        .chain(UKI.split(' '))
        .chain(line)
        .chain(["-format", "uki,iso"])
        .collect();
    let ran = lab.run_args(&[&words[..], &["-osrelease", "os-release"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let image = lab.read("stmgr.uki");
    let found = bootmedia::uki::read(&image).unwrap();
    assert_eq!(found.command_line, Some(line[1].as_bytes()));
    assert_eq!(found.os_release, Some(release.as_bytes()));
    assert_eq!(found.initrd, Some(support::initramfs().as_slice()));
    assert_eq!(found.linux, lab.read("vmlinuz"));
    assert_eq!((mode(&lab.path("stmgr.uki")), mode(&lab.path("stmgr.iso"))), (0o644, 0o644));
    // The same UKI in an ISO of its own.
    refused(&lab, "uki to-iso -in stmgr.uki", "exists already");
    fs::remove_file(lab.path("stmgr.iso")).unwrap();
    ok(&lab, "uki to-iso -in stmgr.uki");
    assert_eq!(json(&lab.ok("boot-image inspect stmgr.iso --json"))["command_line"], line[1]);
    refused(&lab, "uki to-iso", "missing in");
    refused(&lab, UKI, "stmgr.iso exists already");
    ok(&lab, &format!("{UKI} -force"));
    refused(&lab, &format!("{UKI} -format efi -out x"), "efi");
    refused(&lab, "uki create -kernel vmlinuz", "missing initramfs");
    refused(&lab, &format!("{UKI} -signkey x"), "signcert");
}

#[test]
fn sbat_is_replaced_or_appended_to() {
    let lab = uki_lab();
    lab.write("sbat", "mine,2,Me,mine,1,https://a.example\n");
    let lines = |flag: &str| {
        ok(&lab, &format!("{UKI} -format uki -out x.uki -force {flag}"));
        let image = lab.read("x.uki");
        let sbat = bootmedia::uki::read(&image).unwrap().sbat.unwrap().to_vec();
        let sbat = String::from_utf8(sbat).unwrap();
        let names =
            sbat.trim_end_matches('\0').lines().map(|it| it.split(',').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(lines("-sbat sbat"), ["sbat", "mine"]);
    assert_eq!(lines("-append-sbat sbat"), ["sbat", "stub", "mine"]);
    assert_eq!(lines(""), ["sbat", "stub", "ramstrap"]);
}

#[test]
fn signed_images_are_what_sbverify_takes() {
    if Command::new("sbverify").arg("--version").output().is_err() {
        eprintln!("skipped: no sbverify on PATH (Debian's package sbsigntool)");
        return;
    }
    let lab = uki_lab();
    lab.ok("secure-boot keygen --out keys --bits 2048");
    let sign = "-signkey keys/db.key -signcert keys/db.crt";
    ok(&lab, &format!("{UKI} -format uki -out signed {sign}"));
    let verify = |file: &str| {
        let mut command = Command::new("sbverify");
        command.arg("--cert").arg(lab.path("keys/db.crt")).arg(lab.path(file));
        command.output().unwrap().status.success()
    };
    assert!(verify("signed.uki"));
    ok(&lab, &format!("{UKI} -format uki -out unsigned"));
    assert!(!verify("unsigned.uki"));
}

/// A proof of version 2 in a log with this one leaf. Log and tree head are made up: what is asked for
/// when it is attached is whose it is, and of what.
fn proof(lab: &Lab, key: &str, archive: &str) -> String {
    let key = PrivateKey::from_pem(&lab.read(key)).unwrap();
    let sha256 = |bytes: &[u8]| Sha256::digest(bytes);
    let checksum = sha256(&sha256(&lab.read(archive)));
    let leaf = [b"sigsum.org/v1/tree-leaf\0".as_slice(), &checksum].concat();
    let key_hash = hex::encode(sha256(key.public().as_bytes()));
    let (signature, other) = (hex::encode(key.sign(&leaf)), "17".repeat(32));
    let tree_head = "2a".repeat(64);
    format!(
        "version=2\nlog={other}\nleaf={key_hash} {signature}\n\n\
         size=1\nroot_hash={other}\nsignature={tree_head}\n"
    )
}

#[test]
fn proofs_are_kept_to_the_byte() {
    let lab = lab();
    refused(&lab, "ospkg sigsum -cert cert.pem -ospkg os", "missing proof");
    ok(&lab, &format!("{CREATE} -out os"));
    let proof = proof(&lab, "key.pem", "os.zip");
    lab.write("os.zip.proof", &proof);
    let attach = "ospkg sigsum -proof os.zip.proof -ospkg os.zip -cert";
    refused(&lab, &format!("{attach} rootcert.pem"), "error");
    assert_eq!(descriptor(&lab, "os.json")["signatures"], Value::Null);
    let ran = ok(&lab, &format!("{attach} cert.pem"));
    // What is said of options is said of those of the command behind it.
    let whose = "(options of `ramstrap ospkg sigsum attach`";
    assert!(ran.stderr.contains(whose), "{}", ran.stderr);
    lab.write("os.zip.proof", proof.replace(&"2a".repeat(64), &"2b".repeat(64)));
    let ran = stmgr(&lab, &format!("{attach} cert.pem"));
    assert!(ran.status == 1 && ran.stderr.contains("--replace"), "{}", ran.stderr);
    assert!(ran.stderr.split("help: ").nth(1).unwrap().contains(whose), "{}", ran.stderr);
    lab.write("os.zip.proof", &proof);
    let descriptor = descriptor(&lab, "os.json");
    let decode = |key: &str| STANDARD.decode(descriptor[key][0].as_str().unwrap()).unwrap();
    assert_eq!(decode("signatures"), proof.as_bytes());
    assert!(decode("certificates").starts_with(b"-----BEGIN CERTIFICATE-----"));
    // Without a Sigsum policy proofs do not count.
    refused(&lab, "ospkg verify -trustPolicy policy -ospkg os.json", "error[E0");
}

/// `-key`, `-rootKey` may be public keys, as `ssh-ed25519` lines: the agent has the private ones.
#[test]
fn keys_may_be_in_an_agent() {
    let lab = lab();
    let socket = lab.path("agent.sock");
    let mut agent = Command::new("ssh-agent");
    let Ok(mut agent) = agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn() else {
        eprintln!("skipped: no ssh-agent on PATH (Debian's package openssh-client)");
        return;
    };
    let with = |program: &str, words: &str| {
        let mut command = match program {
            "stmgr" => lab.command(),
            other => Command::new(other),
        };
        if program == "stmgr" {
            command.arg("stmgr");
        }
        command.current_dir(lab.path("")).env("SSH_AUTH_SOCK", &socket);
        command.args(words.split(' ')).output().unwrap()
    };
    while with("ssh-add", "-l").status.code() == Some(2) {
        std::thread::sleep(core::time::Duration::from_millis(20));
    }
    for name in ["root", "signer"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name])
            .current_dir(lab.path(""))
            .status();
        assert!(made.unwrap().success());
        assert!(with("ssh-add", &format!("-q {name}")).status.success());
        fs::remove_file(lab.path(name)).unwrap();
    }
    let done = |words: &str| {
        let output = with("stmgr", words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    done("keygen certificate -isCA -rootKey root.pub -certOut r.pem");
    done("keygen certificate -rootCert r.pem -rootKey root.pub -leafKey signer.pub -certOut s.pem");
    done(&format!("{CREATE} -out os"));
    done("ospkg sign -key signer.pub -cert s.pem -ospkg os");
    done("ospkg verify -rootCerts r.pem -ospkg os");
    let _ = agent.kill();
    let _ = agent.wait();
}

/// Packages of ours under stmgr's eyes, and its under ours.
#[test]
fn packages_are_exchanged_with_stmgr_itself() {
    let real = |words: &[&str], lab: &Lab| {
        let mut command = Command::new("stmgr");
        command.current_dir(lab.path("")).args(words).output()
    };
    let lab = lab();
    let there = real(&["ospkg", "verify", "-help"], &lab);
    // The alias by this name would only meet itself.
    let alias =
        there.as_ref().is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("not stmgr's"));
    if there.is_err() || alias {
        eprintln!("skipped: no stmgr on PATH");
        return;
    }
    let run = |words: &str| {
        let output = real(&words.split(' ').collect::<Vec<_>>(), &lab).unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    lab.package();
    let verify = "ospkg verify -rootCerts rootcert.pem -ospkg";
    ok(&lab, "ospkg sign -key key.pem -cert cert.pem -ospkg os.json");
    run(&format!("{verify} os.json"));
    run("ospkg verify -trustPolicy policy -ospkg os.json");
    run("ospkg create -kernel vmlinuz -initramfs initramfs -url theirs.zip -out theirs");
    run("ospkg sign -key key.pem -cert cert.pem -ospkg theirs.json");
    ok(&lab, &format!("{verify} theirs.json"));
    run("keygen certificate -isCA -certOut r.pem -keyOut r.key");
    run("keygen certificate -rootCert r.pem -rootKey r.key -certOut s.pem -keyOut s.key");
    ok(&lab, "ospkg create -kernel vmlinuz -initramfs initramfs -url mixed.zip -out mixed");
    ok(&lab, "ospkg sign -key s.key -cert s.pem -ospkg mixed");
    ok(&lab, "ospkg verify -rootCerts r.pem -ospkg mixed");
    run("ospkg verify -rootCerts r.pem -ospkg mixed.json");
    let signature = descriptor(&lab, "mixed.json")["signatures"][0].as_str().unwrap().to_owned();
    assert_eq!(STANDARD.decode(signature).unwrap().len(), 64);
}

/// `dir/` is no name: it would be a hidden file `.uki` in there. And a stub that was named and is not
/// there is not to be installed.
#[test]
fn a_directory_is_no_name_and_a_named_stub_is_not_installed() {
    let lab = uki_lab();
    let words = "uki create -kernel kernel -initramfs initramfs";
    for out in ["images/", ".."] {
        refused(&lab, &format!("{words} -out {out}"), "is a directory");
        lab.refused(
            &format!("uki create --kernel kernel --initramfs initramfs --out {out}"),
            "is a directory",
        );
    }
    let ran = refused(&lab, &format!("{words} -format uki -stub none -out x"), "there is no none");
    assert!(!ran.stderr.contains("apt-get") && ran.stderr.contains("--stub"), "{}", ran.stderr);
}

#[test]
fn an_expired_root_issues_nothing_that_counts() {
    let lab = Lab::new();
    lab.ok("keygen root --valid-from 2020-01-01 --valid-until 2021-01-01");
    let words = "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem \
                 --valid-from 2020-01-01 --valid-until 2020-06-01";
    lab.refused(words, "the root has expired on 2021");
    assert!(!lab.path("cert.pem").exists() && !lab.path("key.pem").exists());
    let ran = lab.ok(&format!("{words} --force"));
    assert!(ran.stderr.contains("nothing that it issues counts"), "{}", ran.stderr);
}

#[test]
fn advice_names_the_command_that_has_the_option() {
    let lab = lab();
    let create = "ospkg create -kernel vmlinuz -initramfs initramfs -url os.zip -out os";
    lab.write("vmlinuz", support::kernel());
    lab.write("initramfs", support::initramfs());
    ok(&lab, create);
    ok(&lab, "ospkg sign -key key.pem -cert cert.pem -ospkg os.json");
    lab.write("os.zip", [lab.read("os.zip"), b"x".to_vec()].concat());
    let sign = "ospkg sign -key key.pem -cert cert.pem -ospkg os.json";
    let ran = stmgr(&lab, sign);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("(options of `ramstrap ospkg sign`"), "{}", ran.stderr);
    let details = json(&stmgr(&lab, &format!("{sign} -json")))["details"].to_string();
    assert!(details.contains("(options of `ramstrap ospkg sign`"), "{details}");
}

#[test]
fn a_root_that_is_not_ed25519_is_told_who_issues_by_it() {
    let lab = lab();
    let run = |words: &str| {
        let status = Command::new("openssl")
            .args(words.split(' '))
            .current_dir(lab.path(""))
            .status()
            .unwrap();
        assert!(status.success(), "{words}");
    };
    run("genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.key");
    run("req -x509 -new -key ec.key -subj /CN=r -days 9 -out ec.pem -config /dev/null");
    let words = "keygen certificate -rootCert ec.pem -rootKey ec.key -certOut s -keyOut t";
    let ran = stmgr(&lab, words);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for part in ["Ed25519 roots only", "openssl x509 -req", "help: issue by that root with OpenSSL"]
    {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!lab.path("s").exists() && !lab.path("t").exists());
}

#[test]
fn a_host_configuration_is_printed_with_the_strings_of_stmgr() {
    let lab = Lab::new();
    let text = r#"{"network_mode":"dhcp","ospkg_pointer":"https://a.example/$ID.json",
        "identity":"web","network_interfaces":["eth0"]}"#;
    let ran = lab.run_args(&["stmgr", "hostconfig", "check", text]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["network_interfaces"][0]["mac_address"], "", "{value}");
    assert_eq!(
        (&value["identity"], &value["ospkg_pointer"]),
        (&"***".into(), &"https://a.example/web.json".into())
    );
}
