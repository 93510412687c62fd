//! Members of staff at their own computer: the operator's tool, run as the program that it is.

use std::ffi::OsStr;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provision::Fingerprint;
use report::Code;
use tempfile::TempDir;
use trust::Sha256Digest;
use xtask::build;

/// How an Ed25519 private key begins in DER (RFC 8410); its seed follows.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Just after a machine has said that it waits, it may not be reachable yet.
const REACHABLE: Duration = Duration::from_secs(40);

/// Of a machine that is not reachable yet: the forwarded port is open before its own is.
const TOO_EARLY: [Code; 3] = [Code::HostUnreachable, Code::NotAHost, Code::AnswerCut];

/// The tool, the keys that it is given, and the machine that it is pointed at.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    host: String,
    directory: TempDir,
}

/// What the tool said.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// What it wrote to both its outputs.
    pub text: String,
}

/// Whose key is used.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// The member of staff whose key is in the package.
    Staff,
    /// Somebody who has a key.
    Stranger,
}

impl Tool {
    /// The tool of this source tree, for the machine at this place, with two keys: that of this seed,
    /// and one that it makes itself.
    ///
    /// # Errors
    /// If it cannot be built or makes no key.
    pub fn new(host: &str, seed: &[u8; 32]) -> Result<Self> {
        let program = build::operators_tool_here()?;
        let tool = Self { program, host: host.to_owned(), directory: tempfile::tempdir()? };
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode([&PKCS8[..], seed].concat())
        );
        tool.write("staff.key", pem.as_bytes())?;
        let stranger = tool.directory.path().join("stranger");
        let made = tool.run([
            OsStr::new("keygen"),
            "staff".as_ref(),
            "--out".as_ref(),
            stranger.as_ref(),
        ])?;
        ensure!(made.status == 0, "keygen staff: {}", made.text);
        Ok(tool)
    }

    /// Runs it with these arguments.
    ///
    /// # Errors
    /// If it cannot be started, or is killed.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Said> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_remove("RAMSTRAP_STAFF_KEY").stdin(Stdio::null());
        let output = command.output().context("the operator's tool does not start")?;
        let status = output.status.code().context("the operator's tool was killed")?;
        let text = [output.stdout, output.stderr].concat();
        Ok(Said { status, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// `ramstrap provision`, with or without a fingerprint.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn provision(
        &self,
        who: Who,
        identity: Option<Fingerprint>,
        package: Sha256Digest,
        configuration: &str,
    ) -> Result<Said> {
        let file = self.write("config.json", configuration.as_bytes())?;
        let more = ["--package-sha256".to_owned(), package.to_string(), file.display().to_string()];
        self.patiently(&["provision"], who, identity, &more)
    }

    /// `ramstrap host REQUEST`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn host(&self, request: &str, who: Who, identity: Fingerprint) -> Result<Said> {
        self.patiently(&["host", request], who, Some(identity), &[])
    }

    /// Asks again for a while as long as nobody answers.
    fn patiently(
        &self,
        command: &[&str],
        who: Who,
        identity: Option<Fingerprint>,
        more: &[String],
    ) -> Result<Said> {
        let key = match who {
            Who::Staff => "staff.key",
            Who::Stranger => "stranger.key",
        };
        let key = self.directory.path().join(key);
        let mut arguments: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        arguments.extend([self.host.clone(), "--key".to_owned(), key.display().to_string()]);
        if let Some(identity) = identity {
            arguments.extend(["--fingerprint".to_owned(), identity.to_string()]);
        }
        arguments.extend_from_slice(more);
        let limit = Instant::now() + REACHABLE;
        loop {
            let said = self.run(&arguments)?;
            let early = TOO_EARLY.iter().any(|code| said.text.contains(code.id()));
            if said.status == 0 || !early || Instant::now() >= limit {
                return Ok(said);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Writes a file that nobody else can read.
    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

impl Said {
    /// Asserts that it was done.
    ///
    /// # Errors
    /// What the tool said otherwise.
    pub fn done(self) -> Result<String> {
        ensure!(self.status == 0, "exit status {}: {}", self.status, self.text);
        Ok(self.text)
    }

    /// Asserts that it was refused with this code.
    ///
    /// # Errors
    /// What the tool said otherwise.
    pub fn refused(self, code: Code) -> Result<String> {
        let refused = self.status == 1 && self.text.contains(code.id());
        ensure!(refused, "not {code}, but exit status {}: {}", self.status, self.text);
        Ok(self.text)
    }

    /// Asserts that the command line was not taken, for this reason.
    ///
    /// # Errors
    /// What the tool said otherwise.
    pub fn misused(self, reason: &str) -> Result<()> {
        let misused = self.status == 2 && self.text.contains(reason);
        ensure!(misused, "exit status {} in place of 2: {}", self.status, self.text);
        Ok(())
    }
}
