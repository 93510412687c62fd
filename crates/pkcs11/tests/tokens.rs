//! Issuing and signing with keys on a token (SoftHSM), by the tool itself.
//!
//! The tool is this very program, started again: another package's executable is not there to tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;
use tempfile::TempDir;

const TOOL: &str = "RAMSTRAP_TEST_IS_TOOL";
const MODULES: &[&str] =
    &["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

fn main() -> ExitCode {
    if std::env::var_os(TOOL).is_some() {
        return ramstrap_cli::run(std::env::args_os());
    }
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("drivers_that_are_none", drivers_that_are_none)];
    match softhsm() {
        Ok(module) => {
            let (first, second) = (module.clone(), module);
            trials.push(Trial::test("a_token_issues_and_signs", move || {
                a_token_issues_and_signs(&first)
            }));
            trials.push(Trial::test("what_a_token_does_not_have_is_said", move || {
                what_a_token_does_not_have_is_said(&second)
            }));
        }
        Err(missing) => {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: {missing} is not installed (Debian: softhsm2, opensc): no token to sign with"
            );
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The driver, if the programs that fill a token are there as well.
fn softhsm() -> Result<PathBuf, &'static str> {
    for name in ["softhsm2-util", "pkcs11-tool", "openssl"] {
        let ran =
            Command::new(name).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ran.map_err(|_| name)?;
    }
    let found = MODULES.iter().map(Path::new).find(|it| it.is_file());
    found.map(Path::to_owned).ok_or("libsofthsm2.so")
}

struct Lab {
    directory: TempDir,
    module: PathBuf,
}

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Lab {
    /// A token `ceremony` with the PIN 1234, and on it: `root` (made there), `imported`, `weak`
    /// (ECDSA), `each` (asks for the PIN each time).
    fn new(module: &Path) -> Self {
        let lab = Self { directory: TempDir::new().unwrap(), module: module.to_owned() };
        fs::create_dir(lab.path("tokens")).unwrap();
        let tokens = lab.path("tokens");
        let conf = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        fs::write(lab.path("softhsm2.conf"), conf).unwrap();
        fs::write(lab.path("pin"), "1234\n").unwrap();
        lab.program(
            "softhsm2-util",
            "--init-token --free --label ceremony --so-pin 12345678 --pin 1234",
        );
        let tool =
            format!("--module {} --token-label ceremony --login --pin 1234", module.display());
        for key in [
            "EC:edwards25519 --label root --id 01",
            "EC:prime256v1 --label weak --id 03",
            "EC:edwards25519 --label each --id 04 --always-auth",
        ] {
            lab.program(
                "pkcs11-tool",
                &format!("{tool} --keypairgen --usage-sign --key-type {key}"),
            );
        }
        lab.program("openssl", "genpkey -algorithm ed25519 -out imported.key");
        lab.program(
            "softhsm2-util",
            "--import imported.key --token ceremony --label imported --id 02 --pin 1234",
        );
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str, words: &str) {
        let mut command = Command::new(name);
        command.args(words.split_whitespace()).current_dir(self.path(""));
        let output = command.env("SOFTHSM2_CONF", self.path("softhsm2.conf")).output().unwrap();
        assert!(
            output.status.success(),
            "{name} {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn run(&self, variables: &[(&str, &str)], words: &str) -> Ran {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(std::env::current_exe().unwrap());
        command.args(words.split_whitespace()).current_dir(self.path("")).stdin(Stdio::null());
        command.env(TOOL, "1").env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command.env("RAMSTRAP_PKCS11_HELPER", env!("CARGO_BIN_EXE_ramstrap-pkcs11"));
        command.env("RAMSTRAP_PKCS11_MODULE", &self.module).env_remove("RAMSTRAP_PIN");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Ran {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn ok(&self, variables: &[(&str, &str)], words: &str) -> Ran {
        let ran = self.run(variables, words);
        assert_eq!(ran.status, 0, "{words}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    fn refused(&self, status: i32, variables: &[(&str, &str)], words: &str, reasons: &[&str]) {
        let ran = self.run(variables, words);
        assert_eq!(ran.status, status, "{words}\n{}\n{}", ran.stdout, ran.stderr);
        for reason in reasons {
            assert!(ran.stderr.contains(reason), "{words}: no {reason:?} in\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("4321"), "the PIN is not told: {}", ran.stderr);
    }
}

/// The root's key never leaves the token: it issues itself and a signer, whose key is on the token as
/// well, and who signs.
fn a_token_issues_and_signs(module: &Path) -> Result<(), Failed> {
    let lab = Lab::new(module);
    let root = "pkcs11:token=ceremony;object=root";
    lab.ok(&[], &format!("keygen root --key {root} --pin-file pin --subject-cn vault"));
    let issue = format!("keygen certificate --root-cert rootcert.pem --root-key {root}");
    // The other one's PIN comes from the environment, and by `pin-source`.
    let pin = [("RAMSTRAP_PIN", "1234")];
    let public =
        lab.ok(&pin, "keygen public --key pkcs11:token=ceremony;id=%02 --out imported.pub");
    assert!(public.stdout.contains("SHA256:"), "{}", public.stdout);
    lab.program("openssl", "pkey -in imported.key -pubout -out openssl.pub");
    assert_eq!(fs::read(lab.path("imported.pub"))?, fs::read(lab.path("openssl.pub"))?);
    lab.ok(&pin, &format!("{issue} --key imported.pub --out-cert imported.pem"));
    lab.ok(&pin, &format!("{issue} --out-cert soft.pem --out-key soft.key"));

    let mut kernel = vec![0_u8; 0x400];
    for (at, bytes) in [(0x1fe, &[0x55, 0xaa][..]), (0x202, b"HdrS"), (0x206, &[0x0f, 0x02])] {
        kernel[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fs::write(lab.path("vmlinuz"), kernel)?;
    fs::write(lab.path("initramfs"), b"070701")?;
    lab.ok(
        &[],
        "ospkg create --any-kernel --kernel vmlinuz --initramfs initramfs --url os.zip --out os",
    );
    let key = "pkcs11:token=ceremony;object=imported;type=private?pin-source=file:pin";
    lab.ok(&[], &format!("ospkg sign --key {key} --cert imported.pem os.json"));
    lab.ok(&[], "ospkg sign --key soft.key --cert soft.pem os.json");
    let ran = lab.ok(&[], "ospkg inspect os.json");
    assert_eq!(
        ran.stdout.matches("the signature is over this archive").count(),
        2,
        "{}",
        ran.stdout
    );
    lab.refused(
        1,
        &pin,
        &format!("ospkg sign --key {root} --cert imported.pem os.json"),
        &["does not belong to the certificate"],
    );
    Ok(())
}

fn what_a_token_does_not_have_is_said(module: &Path) -> Result<(), Failed> {
    let lab = Lab::new(module);
    let pin = [("RAMSTRAP_PIN", "1234")];
    let public = |key: &str| format!("keygen public --key pkcs11:{key}");
    let cases: &[(&str, &[&str])] = &[
        ("token=other", &["there is no token with token=other", "there is token=ceremony"]),
        (
            "token=ceremony;object=boss",
            &["no private key with token=ceremony object=boss", "it has object=root id=%01"],
        ),
        ("token=ceremony", &["more than one private key", "object=imported id=%02 (EC_EDWARDS)"]),
        ("object=weak", &["object=weak id=%03 (EC) on the token ceremony is not Ed25519"]),
    ];
    for (key, reasons) in cases {
        lab.refused(1, &pin, &public(key), reasons);
    }
    lab.refused(
        1,
        &pin,
        "keygen root --key pkcs11:object=each",
        &["the key each asks for the PIN anew for every signature", "CKA_ALWAYS_AUTHENTICATE"],
    );
    let root = public("object=root");
    lab.refused(
        1,
        &[],
        &root,
        &["there is no terminal to ask for the PIN on", "--pin-file", "RAMSTRAP_PIN"],
    );
    lab.refused(
        1,
        &[("RAMSTRAP_PIN", "4321")],
        &root,
        &[
            "the PIN is not that of the token ceremony",
            "it counts wrong PINs, until the next right one",
            "locks itself",
        ],
    );
    let value = public("object=root?pin-value=4321");
    lab.refused(2, &[], &value, &["pin-value would show the PIN"]);
    lab.refused(
        2,
        &[],
        &public("token"),
        &["not of the form name=value", "help: it looks like `pkcs11:token="],
    );
    // The program that loads drivers is not there, or is another one.
    let none = [("RAMSTRAP_PKCS11_HELPER", "/nonexistent")];
    lab.refused(
        1,
        &none,
        &root,
        &["cannot run /nonexistent", "cargo install --path crates/pkcs11"],
    );
    let other = [("RAMSTRAP_PKCS11_HELPER", "/bin/true")];
    lab.refused(1, &other, &root, &["broke off (exit status: 0)"]);
    let other = [("RAMSTRAP_PKCS11_HELPER", "/bin/cat")];
    lab.refused(1, &other, &root, &["an answer that is not understood"]);
    Ok(())
}

fn drivers_that_are_none() -> Result<(), Failed> {
    let lab = Lab { directory: TempDir::new()?, module: "/nonexistent.so".into() };
    let public = "keygen public --key pkcs11:object=root";
    if MODULES.iter().any(|it| Path::new(it).is_file()) {
        lab.refused(1, &[], public, &["this machine has /usr/lib", "/libsofthsm2.so"]);
    }
    lab.refused(
        1,
        &[],
        public,
        &["cannot load the PKCS#11 module /nonexistent.so", "--pkcs11-module"],
    );
    let file = lab.path("text.so");
    fs::write(&file, "no library")?;
    let text = [("RAMSTRAP_PKCS11_MODULE", file.to_str().unwrap_or_default())];
    lab.refused(1, &text, public, &["cannot load the PKCS#11 module", "text.so"]);
    Ok(())
}
