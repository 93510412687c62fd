//! What a command writes never takes the place of what it reads, whatever it is told to replace.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use support::Lab;

const ISSUE: &str = "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem";

/// Runs it and insists that it is refused for this reason, and that these files are as they were.
fn spares(lab: &Lab, words: &str, reason: &str, files: &[&str]) {
    let before: Vec<_> = files.iter().map(|file| lab.read(file)).collect();
    let ran = lab.run(words);
    assert_ne!(ran.status, 0, "{words}: {}", ran.stderr);
    assert!(ran.stderr.contains(reason), "{words}: {}", ran.stderr);
    assert!(ran.stderr.contains("\nhelp: "), "{words}: {}", ran.stderr);
    let after: Vec<_> = files.iter().map(|file| lab.read(file)).collect();
    assert!(before == after, "{words} changed its inputs");
}

#[test]
fn issuing_spares_the_root_and_all_that_is_read() {
    let lab = Lab::new();
    lab.ok("keygen root");
    lab.ok(&format!("{ISSUE} --out-cert a.pem --out-key a.key"));
    lab.ok("keygen public --key a.key --out a.pub");
    lab.write("pass", "word\n");
    std::fs::create_dir(lab.path("d")).unwrap();
    std::fs::hard_link(lab.path("rootkey.pem"), lab.path("hard.pem")).unwrap();
    std::os::unix::fs::symlink(lab.path("rootkey.pem"), lab.path("soft.pem")).unwrap();
    let files = ["rootcert.pem", "rootkey.pem", "a.pub", "a.key", "pass"];
    for force in ["", " --force"] {
        for outputs in [
            "--out-cert rootkey.pem",
            "--out-cert rootcert.pem",
            "--out-key rootkey.pem",
            "--out-key rootcert.pem",
            "--out-cert d/../rootkey.pem",
            "--out-key hard.pem",
            "--out-cert soft.pem",
            "--key a.pub --out-cert a.pub",
            "--passphrase-file pass --out-cert pass",
        ] {
            spares(&lab, &format!("{ISSUE} {outputs}{force}"), "would replace the input", &files);
        }
        for outputs in ["--out-cert x --out-key ./x", "--out-cert new/x --out-key new/../new/x"] {
            spares(&lab, &format!("{ISSUE} {outputs}{force}"), "cannot be the same file", &files);
        }
        let root = format!("keygen root --key a.key --out-cert a.key{force}");
        spares(&lab, &root, "would replace the input", &files);
        let public = format!("keygen public --key a.key --out ./a.key{force}");
        spares(&lab, &public, "would replace the input", &files);
    }
    // Nothing else that is there is spared from --force.
    lab.ok(&format!("{ISSUE} --out-cert a.pem --out-key a.key --force"));
}

#[test]
fn the_names_that_stmgr_takes_by_itself_spare_the_root() {
    let lab = Lab::new();
    // Without flags the root has the names that a signer's files are to get.
    lab.ok("stmgr keygen certificate");
    let files = ["cert.pem", "key.pem"];
    let issue = "stmgr keygen certificate -rootCert cert.pem -rootKey key.pem";
    for more in ["", " -certOut s.pem", " -keyOut s.key", " -certOut s.pem -keyOut ./key.pem"] {
        spares(&lab, &format!("{issue}{more}"), "would replace the input", &files);
    }
    spares(&lab, &format!("{issue} -certOut s -keyOut ./s"), "cannot be the same file", &files);
    let root = "stmgr keygen certificate -isCA -rootKey key.pem -certOut key.pem";
    let told = "give other names with -certOut FILE and -keyOut FILE";
    spares(&lab, root, told, &files);
    lab.ok(&format!("{issue} -certOut s.pem -keyOut s.key"));
    // With a key that is there no new one is written: its default name is free.
    lab.ok("keygen public --key s.key --out s.pub");
    lab.ok(&format!("{issue} -leafKey s.pub -certOut s.pem"));
    lab.ok("stmgr keygen certificate -isCA -rootCert s.pem -rootKey key.pem");
}

#[test]
fn packages_and_variables_do_not_replace_what_they_are_made_of() {
    let lab = Lab::with_signers();
    lab.package();
    lab.write("k.zip", support::kernel());
    lab.write("i.json", lab.read("initramfs"));
    let create = "ospkg create --url k.zip --initramfs";
    let files = ["k.zip", "i.json"];
    for words in ["initramfs --kernel k.zip --out k", "i.json --kernel vmlinuz --out i"] {
        let words = format!("{create} {words} --unsigned");
        spares(&lab, &words, "would replace the input", &files);
    }
    lab.write("sb/PK.esl", "x");
    lab.write("vars.fd", "x");
    for out in ["vars.fd", "sb/PK.esl"] {
        let words = format!("secure-boot vm-vars --dir sb --template vars.fd --out {out} --force");
        spares(&lab, &words, "would replace the input", &["vars.fd", "sb/PK.esl"]);
    }
}
