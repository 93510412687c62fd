//! Keys on PKCS#11 tokens: the program `ramstrap-pkcs11` loads the token's driver and is asked.

use core::fmt;
use core::time::Duration;
use std::cell::RefCell;
use std::env;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;

use ramstrap_pkcs11::PROGRAM;
use ramstrap_pkcs11::Uri;
use ramstrap_pkcs11::protocol::Answer;
use ramstrap_pkcs11::protocol::Failure;
use ramstrap_pkcs11::protocol::MAX_LINE;
use ramstrap_pkcs11::protocol::Pin;
use ramstrap_pkcs11::protocol::Request;
use zeroize::Zeroizing;

use super::PublicKey;
use super::SignerOptions;
use super::secret;
use crate::Error;
use crate::Result;
use crate::error::io_reason;

/// How long a driver may take. Slow readers need seconds; a keypad or a touch needs a person.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key on a token, ready to sign.
pub(super) struct TokenKey {
    key: PublicKey,
    /// Asked while it is only borrowed: [`super::Signer::sign`] changes nothing that is seen.
    helper: RefCell<Helper>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKey").field(&self.key).finish()
    }
}

/// The running program.
struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// Finds the key that the URI means, with the PIN if the token wants one.
pub(super) fn find(uri: &Uri, options: &SignerOptions) -> Result<TokenKey> {
    let module = uri.module_path.clone().or_else(|| options.pkcs11_module.clone());
    let module = module.ok_or_else(|| {
        Error::usage("which driver does the token have? no PKCS#11 module is given").remedy(
            "give it with --pkcs11-module, RAMSTRAP_PKCS11_MODULE or `?module-path=` in the URI: a \
             shared library such as /usr/lib/x86_64-linux-gnu/opensc-pkcs11.so, or \
             p11-kit-proxy.so for all tokens that p11-kit knows",
        )
    })?;
    let mut helper = Helper::start()?;
    let mut answer = helper.ask(&Request::Open { module, uri: Box::new(uri.clone()) })?;
    if let Answer::PinNeeded { token, last_attempt } = &answer {
        let pin = pin(uri, options, token, *last_attempt)?;
        answer = helper.ask(&Request::Pin(Pin(pin)))?;
    }
    let Answer::Ready { public_key, .. } = answer else { return Err(not_understood()) };
    let mut bytes = [0; 32];
    hex::decode_to_slice(public_key, &mut bytes).map_err(|_| not_understood())?;
    Ok(TokenKey { key: PublicKey::from_bytes(&bytes)?, helper: RefCell::new(helper) })
}

fn pin(
    uri: &Uri,
    options: &SignerOptions,
    token: &str,
    last_attempt: bool,
) -> Result<Zeroizing<String>> {
    let sources = secret::Sources {
        name: "PIN",
        file: options.pin_file.as_deref().or(uri.pin_source.as_deref()),
        option: "--pin-file",
        variable: "RAMSTRAP_PIN",
    };
    let warning = if last_attempt { " (the last attempt before it locks itself)" } else { "" };
    if last_attempt && sources.is_unattended() {
        return Err(Error::new(format!(
            "the token {token} locks itself if the next PIN is wrong: it is not sent one from a file"
        ))
        .remedy("give the PIN on the terminal this once; that resets the token's counter"));
    }
    sources.find(&format!("PIN of the token {token}{warning}"))
}

impl TokenKey {
    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Has the token sign a message. The caller verifies what comes back.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let request = Request::Sign(hex::encode(message));
        let Answer::Signature(signature) = self.helper.borrow_mut().ask(&request)? else {
            return Err(not_understood());
        };
        let length = signature.len() / 2;
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).map_err(|_| {
            Error::new(format!("the token's signature has {length} bytes, not 64"))
                .remedy("this token does not sign with Ed25519 as RFC 8032 says: use another")
        })?;
        Ok(bytes)
    }
}

impl Helper {
    fn start() -> Result<Self> {
        let program = program();
        let mut command = Command::new(&program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What the tool was told in the environment is not for a vendor's library.
        command.env_remove("RAMSTRAP_PIN").env_remove("RAMSTRAP_PASSPHRASE");
        let mut child = command.spawn().map_err(|error| {
            let what = format!("cannot run {}: {}", program.display(), io_reason(&error));
            match error.kind() {
                ErrorKind::NotFound => Error::new(what)
                    .detail("keys on PKCS#11 tokens need this second program, which loads the token's driver")
                    .remedy(
                        "install it beside ramstrap (`cargo install --path crates/pkcs11`), or say \
                         where it is with RAMSTRAP_PKCS11_HELPER; a key in ssh-agent needs none",
                    ),
                _ => Error::new(what).remedy("check its permissions, or install it anew"),
            }
        })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(not_understood)?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                match reader.by_ref().take(MAX_LINE as u64).read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        Ok(Self { child, stdin, lines })
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        // Room from the start: a PIN must not stay behind in memory that growing gave back.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
        serde_json::to_writer(&mut *line, request).map_err(|_| not_understood())?;
        line.push(b'\n');
        let sent = match &mut self.stdin {
            Some(stdin) => stdin.write_all(&line).and_then(|()| stdin.flush()),
            None => Err(ErrorKind::BrokenPipe.into()),
        };
        // If it has ended, what it said last is waited for all the same.
        let _ = sent;
        let line = self.lines.recv_timeout(PATIENCE).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => Error::new(format!(
                "the token did not answer within {} seconds",
                PATIENCE.as_secs()
            ))
            .remedy("touch it or enter its PIN in time; take it out and plug it in again"),
            mpsc::RecvTimeoutError::Disconnected => {
                let how =
                    self.child.wait().map_or_else(|error| error.to_string(), |it| it.to_string());
                Error::new(format!("{PROGRAM} broke off ({how})"))
                    .remedy("the token's driver may have crashed: try its vendor's newest")
            }
        })?;
        match serde_json::from_str(&line).map_err(|_| not_understood())? {
            Answer::Failed(failure) => Err(error_of(failure)),
            answer => Ok(answer),
        }
    }
}

impl Drop for Helper {
    /// Its input ends, so that it logs out and ends; one that hangs is ended.
    fn drop(&mut self) {
        self.stdin = None;
        for _ in 0..20 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the program is: as told, beside this one, or on PATH.
fn program() -> PathBuf {
    if let Some(told) = env::var_os("RAMSTRAP_PKCS11_HELPER").filter(|it| !it.is_empty()) {
        return told.into();
    }
    let beside = env::current_exe().ok().and_then(|it| it.parent().map(|it| it.join(PROGRAM)));
    beside.filter(|it| it.is_file()).unwrap_or_else(|| Path::new(PROGRAM).to_owned())
}

fn error_of(failure: Failure) -> Error {
    let error = Error::new(failure.what).remedy(failure.remedy);
    failure.details.into_iter().fold(error, Error::detail)
}

fn not_understood() -> Error {
    Error::new(format!("{PROGRAM} gave an answer that is not understood"))
        .remedy("install ramstrap and ramstrap-pkcs11 from the same release")
}
