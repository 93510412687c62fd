//! Signing with keys that have a passphrase, and with keys that the tool never sees.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use support::Lab;
use support::Ran;
use support::json;

const VERIFY: &str = "ospkg verify --trust-policy policy os.json";

/// Runs a program in the lab's directory; its absence is the only thing that skips a test, and says so.
fn program(lab: &Lab, name: &str, args: &[&str]) -> Option<()> {
    let output = match Command::new(name).args(args).current_dir(lab.path("")).output() {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("{name}: {error}"));
            return None;
        }
    };
    assert!(
        output.status.success(),
        "{name} {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(())
}

/// Past the test harness, which would keep it to itself.
fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {reason}");
}

/// Runs the tool without a terminal, with these variables.
fn run(lab: &Lab, variables: &[(&str, &str)], words: &str) -> Ran {
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_ramstrap")).args(words.split_whitespace());
    command.current_dir(lab.path("")).stdin(Stdio::null());
    for name in ["SSH_AUTH_SOCK", "RAMSTRAP_PASSPHRASE", "RAMSTRAP_PIN"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ok(lab: &Lab, variables: &[(&str, &str)], words: &str) -> Ran {
    let ran = run(lab, variables, words);
    assert_eq!(ran.status, 0, "{words}\n{}\n{}", ran.stdout, ran.stderr);
    ran
}

#[track_caller]
fn refused(lab: &Lab, variables: &[(&str, &str)], words: &str, reasons: &[&str]) {
    let before = std::fs::read(lab.path("os.json")).ok();
    let ran = run(lab, variables, words);
    assert_eq!(ran.status, 1, "{words}\n{}\n{}", ran.stdout, ran.stderr);
    for reason in reasons {
        assert!(ran.stderr.contains(reason), "{words}: no {reason:?} in\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("\nhelp: "), "{words}: no remedy in\n{}", ran.stderr);
    assert_eq!(std::fs::read(lab.path("os.json")).ok(), before, "nothing is written");
}

#[test]
fn pkcs8_keys_with_a_passphrase_sign() {
    let lab = Lab::with_signers();
    lab.package();
    // What OpenSSL makes by default, and its scrypt.
    let locked = |out: &str, more: &[&str]| {
        let args =
            ["pkcs8", "-topk8", "-in", "a.key", "-out", out, "-passout", "pass:correct horse"];
        program(&lab, "openssl", &[&args, more].concat())
    };
    if locked("locked.pem", &[]).is_none() {
        return;
    }
    locked("scrypt.pem", &["-scrypt"]);
    locked("old.pem", &["-v1", "PBE-SHA1-3DES"]);
    lab.write("passphrase", "correct horse\nthis is not read\n");
    lab.write("wrong", "Correct horse\n");
    lab.write("empty", "\n");
    let sign = "ospkg sign --cert a.pem os.json --key";
    refused(
        &lab,
        &[],
        &format!("{sign} locked.pem"),
        &[
            "locked.pem: there is no terminal to ask for the passphrase on",
            "--passphrase-file",
            "RAMSTRAP_PASSPHRASE",
        ],
    );
    for (file, reason) in [
        ("wrong", "the passphrase does not open the key"),
        ("empty", "the passphrase from empty is empty"),
        ("absent", "cannot read absent"),
    ] {
        refused(&lab, &[], &format!("{sign} locked.pem --passphrase-file {file}"), &[reason]);
    }
    let wrong = [("RAMSTRAP_PASSPHRASE", "wrong")];
    refused(&lab, &wrong, &format!("{sign} scrypt.pem"), &["scrypt.pem: the passphrase does not"]);
    let right = [("RAMSTRAP_PASSPHRASE", "correct horse")];
    refused(&lab, &right, &format!("{sign} old.pem"), &["not supported", "aes-256-cbc"]);

    let ran = ok(&lab, &[], &format!("{sign} locked.pem --passphrase-file passphrase"));
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("horse"));
    lab.package_again();
    ok(&lab, &right, &format!("{sign} scrypt.pem"));
    lab.sign("b");
    lab.ok(VERIFY);
}

#[test]
fn openssh_keys_with_a_passphrase_sign_and_issue() {
    let lab = Lab::with_signers();
    lab.package();
    let keygen = ["-q", "-t", "ed25519", "-N", "correct horse", "-C", "root", "-f", "locked"];
    if program(&lab, "ssh-keygen", &keygen).is_none() {
        return;
    }
    let right = [("RAMSTRAP_PASSPHRASE", "correct horse")];
    ok(&lab, &right, "keygen root --key locked --subject-cn vault --out-cert rootcert2.pem");
    let issue = "keygen certificate --root-cert rootcert2.pem --root-key locked --key a.key";
    refused(
        &lab,
        &[("RAMSTRAP_PASSPHRASE", "x")],
        issue,
        &["locked: the passphrase does not open"],
    );
    ok(&lab, &right, issue);
    lab.ok("ospkg sign --key a.key --cert cert.pem os.json");
    lab.ok("ospkg verify --signing-root rootcert2.pem --threshold 1 os.json");
    // Of the signer's key only the public half is needed: nobody is asked.
    ok(
        &lab,
        &[],
        "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key locked --out-cert l.pem",
    );
    ok(&lab, &right, "ospkg sign --key locked --cert l.pem os.json");
}

#[test]
fn the_terminal_is_asked_without_echo() {
    let lab = Lab::with_signers();
    lab.package();
    let keygen = ["-q", "-t", "ed25519", "-N", "correct horse", "-C", "", "-f", "locked"];
    if program(&lab, "ssh-keygen", &keygen).is_none() {
        return;
    }
    lab.ok("keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key locked.pub");
    // The prompt comes a moment before echo is off, and what is typed into that moment shows: under
    // load it is long, so a fast typist gets three tries.
    for wait in [200, 2000, 5000] {
        let Some(seen) = typed(&lab, wait) else { return };
        assert!(seen.contains("now has        1 signature"), "{seen}");
        if !seen.contains("horse") {
            return;
        }
        lab.package_again();
    }
    panic!("the passphrase was shown each time");
}

/// What the terminal shows of a signature whose passphrase is typed so many milliseconds after the
/// prompt. None if there is no way to make a terminal.
fn typed(lab: &Lab, wait: u64) -> Option<String> {
    let line = format!(
        "{} ospkg sign --key locked --cert cert.pem os.json",
        env!("CARGO_BIN_EXE_ramstrap")
    );
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(lab.path(""));
    command.env_remove("RAMSTRAP_PASSPHRASE").env("NO_COLOR", "1");
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        skip("script (bsdutils) is not there to make a terminal");
        return None;
    };
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = String::new();
    let mut byte = [0];
    while !seen.contains("Passphrase of locked: ") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{seen}");
        seen.push(char::from(byte[0]));
    }
    std::thread::sleep(core::time::Duration::from_millis(wait));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"correct horse\n").unwrap();
    while !seen.contains("Sign this? [y/N] ") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{seen}");
        seen.push(char::from(byte[0]));
    }
    stdin.write_all(b"y\n").unwrap();
    stdout.read_to_string(&mut seen).unwrap();
    assert!(child.wait().unwrap().success(), "{seen}");
    Some(seen)
}

/// An ssh-agent of this test's own. It ends with it.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(lab: &Lab) -> Option<Self> {
        let socket = lab.path("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                skip(&format!("ssh-agent: {error}"));
                return None;
            }
        };
        let agent = Self { child, socket };
        // It is there once it answers; a list without keys is status 1, no agent 2.
        while agent.add(lab, &["-l"]).code() == Some(2) {
            std::thread::sleep(core::time::Duration::from_millis(20));
        }
        Some(agent)
    }

    fn add(&self, lab: &Lab, args: &[&str]) -> std::process::ExitStatus {
        let mut command = Command::new("ssh-add");
        command.args(args).current_dir(lab.path("")).env("SSH_AUTH_SOCK", &self.socket);
        command.output().unwrap().status
    }

    /// Locks it (`-x`) or unlocks it (`-X`) with what `passphrase.sh` says. Whether it did.
    fn lock(&self, lab: &Lab, flag: &str) -> bool {
        let mut command = Command::new("setsid");
        command.args(["--wait", "ssh-add", flag]).current_dir(lab.path("")).stdin(Stdio::null());
        command.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS", lab.path("passphrase.sh"));
        command.env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
        command.output().is_ok_and(|ran| ran.status.success())
    }

    fn variables(&self) -> [(&'static str, &str); 1] {
        [("SSH_AUTH_SOCK", self.socket.to_str().unwrap())]
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_in_an_agent_signs_and_issues() {
    let lab = Lab::with_signers();
    lab.package();
    let Some(agent) = Agent::start(&lab) else { return };
    let with = agent.variables();
    let sign = "ospkg sign --cert a.pem os.json --key";
    let keygen = |name: &str, kind: &str| {
        program(&lab, "ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", name, "-f", name])
    };
    for (name, kind) in [("alice@desk", "ed25519"), ("root@vault", "ed25519"), ("old", "ecdsa")] {
        if keygen(name, kind).is_none() {
            return;
        }
    }
    lab.ok("keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key alice@desk.pub --out-cert a.pem --force");

    // No agent; an agent without keys; one with other keys.
    refused(&lab, &[], &format!("{sign} alice@desk.pub"), &["SSH_AUTH_SOCK is not set", "ssh-add"]);
    let nowhere = [("SSH_AUTH_SOCK", "/nonexistent")];
    refused(
        &lab,
        &nowhere,
        &format!("{sign} ssh-agent:"),
        &["cannot reach ssh-agent at /nonexistent"],
    );
    refused(
        &lab,
        &with,
        &format!("{sign} alice@desk.pub"),
        &["does not have this key (SHA256:", "no keys at all", "ssh-add KEY", "`ssh-add -X`"],
    );
    assert!(agent.add(&lab, &["old"]).success());
    refused(
        &lab,
        &with,
        &format!("{sign} ssh-agent:"),
        &["has no Ed25519 key", "old (ecdsa-sha2-nistp256)"],
    );
    refused(
        &lab,
        &with,
        &format!("{sign} ssh-agent:old"),
        &["ssh-agent's key old: the key is not Ed25519"],
    );
    refused(
        &lab,
        &with,
        &format!("{sign} ssh-agent:bob"),
        &["no key with the comment bob", "it has SHA256:"],
    );

    // A locked agent shows none of its keys, and does not say why.
    assert!(agent.add(&lab, &["alice@desk"]).success());
    lab.write("passphrase.sh", "#!/bin/sh\necho correct horse\n");
    program(&lab, "chmod", &["+x", "passphrase.sh"]);
    if agent.lock(&lab, "-x") {
        refused(
            &lab,
            &with,
            &format!("{sign} alice@desk.pub"),
            &["does not have this key (SHA256:", "or it is locked", "`ssh-add -X` unlocks it"],
        );
        assert!(agent.lock(&lab, "-X"));
    } else {
        skip("ssh-add does not lock the agent without a terminal");
    }

    // By its public key, in both forms; by fingerprint; by comment; as the only one.
    assert!(agent.add(&lab, &["alice@desk"]).success());
    ok(&lab, &with, &format!("{sign} alice@desk.pub"));
    lab.sign("b");
    lab.ok(VERIFY);
    let pem = lab.ok("keygen public --key alice@desk.pub").stdout;
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    lab.write("alice.pub.pem", pem);
    let told = json(&ok(&lab, &with, "keygen public --key ssh-agent:alice@desk --json"));
    let fingerprint = told["ssh_fingerprint"].as_str().unwrap().to_owned();
    for key in
        ["alice.pub.pem", "ssh-agent:", "ssh-agent:alice@desk", &format!("ssh-agent:{fingerprint}")]
    {
        lab.package_again();
        ok(&lab, &with, &format!("{sign} {key}"));
    }

    // Two keys: which one?
    assert!(agent.add(&lab, &["root@vault"]).success());
    lab.package_again();
    refused(
        &lab,
        &with,
        &format!("{sign} ssh-agent:"),
        &["more than one Ed25519 key", "root@vault", "alice@desk"],
    );
    refused(
        &lab,
        &with,
        &format!("{sign} ssh-agent:root@vault"),
        &["does not belong to the certificate"],
    );

    // A root that is only in an agent issues itself and a signer.
    ok(
        &lab,
        &with,
        "keygen root --key ssh-agent:root@vault --subject-cn vault --out-cert vault.pem",
    );
    assert!(!lab.path("rootkey.pem.new").exists());
    ok(
        &lab,
        &with,
        "keygen certificate --root-cert vault.pem --root-key root@vault.pub --key b.key --out-cert b2.pem",
    );
    lab.ok("ospkg sign --key b.key --cert b2.pem os.json");
    lab.ok("ospkg verify --signing-root vault.pem --threshold 1 os.json");
    refused(
        &lab,
        &with,
        "keygen certificate --root-cert vault.pem --root-key ssh-agent:alice@desk --out-cert x.pem --out-key x.key",
        &["the root key does not belong to the root certificate"],
    );
    assert!(!lab.path("x.key").exists());
}

#[test]
fn keys_of_fido_devices_are_refused_with_the_reason() {
    let lab = Lab::with_signers();
    lab.package();
    lab.write(
        "fido.pub",
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICUhVu/nTmbGu9V8FVgLYqxnT9WMGk3vSEkCVqXvSMiVAAAABHNzaDo= x\n",
    );
    refused(
        &lab,
        &[],
        "ospkg sign --key fido.pub --cert a.pem os.json",
        &[
            "fido.pub: sk-ssh-ed25519@openssh.com: the key of a FIDO device cannot sign OS packages",
            "flags and counter",
        ],
    );
}

/// An agent that answers every request with these bytes, or not at all.
fn false_agent(lab: &Lab, name: &str, answers: Vec<Vec<u8>>) -> PathBuf {
    let path = lab.path(name);
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let _ = stream.write_all(&answer);
        }
    });
    path
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

#[test]
fn an_agent_that_lies_signs_nothing() {
    let lab = Lab::with_signers();
    lab.package();
    let key = ramstrap_cli::keys::PublicKey::from_file(&lab.read("a.key")).unwrap();
    let blob = [string(b"ssh-ed25519"), string(key.as_bytes())].concat();
    let fido = [string(b"sk-ssh-ed25519@openssh.com"), string(&[1; 32]), string(b"ssh:")].concat();
    let listing =
        |blob: &[u8]| string(&[vec![12, 0, 0, 0, 1], string(blob), string(b"a")].concat());
    let signed = |kind: &[u8], bytes: &[u8]| {
        string(&[vec![14], string(&[string(kind), string(bytes)].concat())].concat())
    };
    let cases: [(&str, Vec<Vec<u8>>, &str); 9] = [
        (
            "wrong",
            vec![listing(&blob), signed(b"ssh-ed25519", &[7; 64])],
            "not this key's signature over the message",
        ),
        (
            "short",
            vec![listing(&blob), signed(b"ssh-ed25519", &[7; 63])],
            "a signature of 63 bytes by ssh-ed25519",
        ),
        ("kind", vec![listing(&blob), signed(b"rsa-sha2-512", &[7; 64])], "by rsa-sha2-512"),
        ("no", vec![listing(&blob), string(&[5])], "refused to sign with this key"),
        ("locked", vec![string(&[5])], "does not tell its keys"),
        ("fido", vec![listing(&fido)], "the key of a FIDO device"),
        ("huge", vec![0xffff_fff0_u32.to_be_bytes().to_vec()], "not of its protocol"),
        ("many", vec![string(&[12, 0xff, 0xff, 0xff, 0xff])], "not of its protocol"),
        ("gone", vec![vec![0, 0, 0, 9, 12]], "broke the connection off"),
    ];
    for (name, answers, reason) in cases {
        let socket = false_agent(&lab, name, answers);
        let with = [("SSH_AUTH_SOCK", socket.to_str().unwrap())];
        refused(&lab, &with, "ospkg sign --key ssh-agent:a --cert a.pem os.json", &[reason]);
    }
}
