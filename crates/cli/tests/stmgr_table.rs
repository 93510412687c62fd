//! The alias `ramstrap stmgr` against stmgr's table of commands, and the differences that the documents
//! promise.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use support::Lab;
use support::issue;

const CREATE: &str = "stmgr ospkg create -kernel vmlinuz -initramfs initramfs -url os.zip";

/// Every command of stmgr 0.6.6 with its flags.
const TABLE: &[(&str, &str)] = &[
    ("ospkg create", "out label url kernel initramfs cmdline loglevel"),
    ("ospkg sign", "key cert ospkg loglevel"),
    ("ospkg sigsum", "proof cert ospkg loglevel"),
    ("ospkg verify", "trustPolicy rootCerts ospkg loglevel"),
    (
        "keygen certificate",
        "isCA rootCert rootKey leafKey validFrom validUntil certOut keyOut loglevel",
    ),
    (
        "uki create",
        "out initramfs kernel cmdline osrelease force format stub sbat append-sbat signcert signkey",
    ),
    ("uki to-iso", "in out"),
    ("hostconfig check", ""),
    ("trustpolicy check", ""),
];

fn lab() -> Lab {
    let lab = Lab::with_signers();
    lab.write("vmlinuz", support::kernel());
    lab.write("initramfs", support::initramfs());
    lab
}

#[test]
fn every_flag_of_stmgr_is_one_of_ours() {
    let lab = Lab::new();
    for (command, flags) in TABLE {
        let help = lab.ok(&format!("stmgr {command} -help")).stdout;
        for flag in flags.split(' ').filter(|flag| !flag.is_empty()) {
            assert!(help.contains(&format!("\n  -{flag} ")), "{command} -{flag}: {help}");
            // And it is read: what is missing afterwards is no flag.
            for form in [format!("-{flag}=x"), format!("--{flag}=x")] {
                let value = if matches!(flag, "isCA" | "force") { "true" } else { "x" };
                let form = form.replace("=x", &format!("={value}"));
                let ran = lab.run(&format!("stmgr {command} {form} stray"));
                assert_eq!(ran.status, 1, "{command} {form}: {}", ran.stderr);
                assert!(ran.stderr.starts_with("[ERROR] "), "{command} {form}: {}", ran.stderr);
            }
        }
    }
}

/// What bash proposes behind these words.
fn completions(lab: &Lab, script: &str, words: &[&str]) -> Option<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (words.last().unwrap(), words[words.len() - 2]);
    let code = format!(
        "source ./{script}; COMP_WORDS=({}); COMP_CWORD={}; _{} {} '{last}' '{before}'; \
         echo \"${{COMPREPLY[*]}}\"",
        quoted.join(" "),
        words.len() - 1,
        words[0],
        words[0],
    );
    let output = Command::new("bash").arg("-c").arg(code).current_dir(lab.path("")).output();
    match output {
        Ok(output) => {
            assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "SKIPPED: bash: {error}");
            None
        }
    }
}

#[test]
fn shells_know_what_is_behind_the_alias() {
    let lab = Lab::new();
    lab.write("ramstrap.bash", lab.ok("completions bash").stdout);
    lab.write("stmgr.bash", lab.ok("completions bash --stmgr").stdout);
    for (script, first) in
        [("ramstrap.bash", &["ramstrap", "stmgr"][..]), ("stmgr.bash", &["stmgr"])]
    {
        let complete = |more: &[&str]| completions(&lab, script, &[first, more].concat());
        let Some(commands) = complete(&[""]) else { return };
        for command in ["ospkg", "keygen", "uki", "hostconfig", "trustpolicy"] {
            assert!(commands.contains(command), "{commands}");
        }
        assert_eq!(complete(&["ospkg", "ver"]).unwrap(), "verify");
        assert_eq!(complete(&["ospkg", "verify", "--trust"]).unwrap(), "--trustPolicy");
        assert_eq!(complete(&["uki", "create", "--append"]).unwrap(), "--append-sbat");
        let level = complete(&["ospkg", "sign", "--loglevel", "d"]).unwrap();
        assert_eq!(level, "debug");
    }
    for shell in ["zsh", "elvish", "powershell"] {
        let script = lab.ok(&format!("completions {shell}")).stdout;
        assert!(script.contains("trustPolicy"), "{shell}");
    }
    // fish is told of two levels of commands, and of no flags below.
    let script = lab.ok("completions fish --stmgr").stdout;
    assert!(script.contains("trustPolicy"));
    // What is proposed is taken.
    lab.refused("stmgr ospkg verify --trustPolicy none --ospkg none.json", "cannot read none");
}

#[test]
fn a_name_that_ends_as_a_directory_is_one() {
    let lab = lab();
    lab.ok(&format!("{CREATE} -out new/"));
    for suffix in ["json", "zip"] {
        assert!(lab.path(&format!("new/system-transparency-os-package.{suffix}")).is_file());
    }
}

#[test]
fn levels_that_nobody_knows_are_info() {
    let lab = lab();
    for (level, quiet) in [("warn", true), ("error", false), ("info", false), ("x", false)] {
        let ran = lab.ok(&format!("{CREATE} -out os -loglevel {level}"));
        assert_eq!(ran.stdout.is_empty(), quiet, "{level}: {}", ran.stdout);
    }
}

#[test]
fn what_is_gone_is_told_with_what_came_in_its_place() {
    let lab = Lab::new();
    for command in ["provision hostconfig", "mkosi build"] {
        let ran = lab.run(&format!("stmgr {command} -x"));
        assert_eq!(ran.status, 2);
        assert!(ran.stderr.contains("gone before stmgr 0.6.6"), "{}", ran.stderr);
    }
}

#[test]
fn verdicts_are_never_laxer() {
    let lab = lab();
    lab.ok(&format!("{CREATE} -out os"));
    // One key under two certificates counts once, so that not all count.
    lab.ok("stmgr ospkg sign -key a.key -cert a.pem -ospkg os");
    lab.ok("keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key a.key --out-cert a2.pem");
    lab.ok("stmgr ospkg verify -rootCerts rootcert.pem -ospkg os");
    lab.ok("stmgr ospkg sign -key a.key -cert a2.pem -ospkg os");
    lab.refused("stmgr ospkg verify -rootCerts rootcert.pem -ospkg os", "E0411");

    // Signing over what others did not sign.
    lab.write("other/vmlinuz", support::kernel());
    lab.write("initramfs2", [support::initramfs(), vec![1]].concat());
    lab.ok("stmgr ospkg create -kernel vmlinuz -initramfs initramfs2 -url os.zip -out second");
    lab.write("os.zip", lab.read("second.zip"));
    let ran = lab.run("stmgr ospkg sign -key b.key -cert b.pem -ospkg os");
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    // Signatures alone do not make a package: the archive is opened, too.
    lab.write("broken.zip", b"no archive at all");
    lab.write("broken.json", lab.read("second.json"));
    let ran = lab.run("stmgr ospkg sign -key b.key -cert b.pem -ospkg broken");
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    lab.ok(&issue("old", "--valid-from 2020-01-01 --valid-until 2021-01-01"));
    lab.ok("stmgr ospkg sign -key old.key -cert old.pem -ospkg second");
    lab.refused("stmgr ospkg verify -rootCerts rootcert.pem -ospkg second", "E0");
    let user = CREATE.replace("os.zip", "https://u:p@a.example/os.zip");
    lab.refused(&format!("{user} -out user"), "E0315");
    lab.refused(&format!("{} -out x", CREATE.replace("os.zip", "os")), "E0315");
    // A kernel without an EFI stub starts from no UKI.
    lab.write("text", "no kernel");
    let ran = lab.run("stmgr uki create -kernel text -initramfs initramfs -format uki");
    assert_eq!(ran.status, 1, "{}", ran.stdout);
}

#[test]
fn outputs_are_files_that_say_what_they_are() {
    let lab = lab();
    // A link is replaced by the file; what it led to stays.
    lab.write("precious", "as it was");
    symlink(lab.path("precious"), lab.path("cert.pem")).unwrap();
    lab.ok("stmgr keygen certificate -validUntil 2030-01-01T00:00:00Z");
    assert_eq!(lab.read("precious"), b"as it was");
    assert!(!lab.path("cert.pem").symlink_metadata().unwrap().is_symlink());
    // Kernel and initramfs of one name are two entries.
    lab.write("deep/vmlinuz", support::initramfs());
    lab.ok("stmgr ospkg create -kernel vmlinuz -initramfs deep/vmlinuz -url os.zip -out same");
    let archive = lab.read("same.zip");
    let manifest = String::from_utf8_lossy(&archive).into_owned();
    let names: Vec<&str> = manifest
        .lines()
        .filter(|line| line.contains("\"kernel\":") || line.contains("\"initramfs\":"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let name = |line: &str| line.split("\": ").nth(1).unwrap().trim_end_matches(',').to_owned();
    assert_ne!(name(names[0]), name(names[1]));
}
