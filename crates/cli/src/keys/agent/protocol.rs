//! The two requests to ssh-agent, over its socket, with a deadline and limits.

use core::time::Duration;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use crate::Error;
use crate::Result;
use crate::error::io_reason;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Longest answer that is read, in bytes; what OpenSSH's own programs take.
const MAX_ANSWER: usize = 256 << 10;

/// One connection; its deadline holds for all that is done with it.
pub(super) struct Connection {
    stream: UnixStream,
    patience: Duration,
    deadline: Instant,
}

/// A key that the agent has.
pub(super) struct Identity {
    /// The public key's wire form.
    pub(super) blob: Vec<u8>,
    /// What the agent calls it.
    pub(super) comment: String,
}

impl Connection {
    /// Connects to the agent.
    pub(super) fn open(socket: &Path, patience: Duration) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            Error::new(format!(
                "cannot reach ssh-agent at {}: {}",
                socket.display(),
                io_reason(&error)
            ))
            .remedy("start it (`eval \"$(ssh-agent)\"`), or set SSH_AUTH_SOCK to its socket")
        })?;
        Ok(Self { stream, patience, deadline: Instant::now() + patience })
    }

    /// All keys that the agent has.
    pub(super) fn identities(&mut self) -> Result<Vec<Identity>> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let (kind, mut rest) = answer.split_first().ok_or_else(not_understood)?;
        match *kind {
            IDENTITIES_ANSWER => {}
            FAILURE => {
                return Err(Error::new("ssh-agent does not tell its keys")
                    .remedy("unlock it: `ssh-add -X`"));
            }
            _ => return Err(not_understood()),
        }
        let count = number(&mut rest).ok_or_else(not_understood)?;
        let mut identities = Vec::new();
        for _ in 0..count {
            let blob = string(&mut rest).ok_or_else(not_understood)?.to_vec();
            let comment = string(&mut rest).ok_or_else(not_understood)?;
            let comment = String::from_utf8_lossy(comment).into_owned();
            identities.push(Identity { blob, comment });
        }
        Ok(identities)
    }

    /// A signature over `message` by the key whose wire form is `blob`.
    pub(super) fn sign(&mut self, blob: &[u8], message: &[u8]) -> Result<[u8; 64]> {
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, blob)?;
        put(&mut request, message)?;
        request.extend_from_slice(&0_u32.to_be_bytes());
        let answer = self.ask(&request)?;
        let (kind, mut rest) = answer.split_first().ok_or_else(not_understood)?;
        match *kind {
            SIGN_RESPONSE => {}
            FAILURE => {
                return Err(Error::new("ssh-agent refused to sign with this key").remedy(
                    "was its question answered with no, the token not touched or taken out, or is \
                     the agent locked (`ssh-add -X`)? then try again",
                ));
            }
            _ => return Err(not_understood()),
        }
        let mut signature = string(&mut rest).ok_or_else(not_understood)?;
        let algorithm = string(&mut signature).ok_or_else(not_understood)?;
        let bytes = string(&mut signature).ok_or_else(not_understood)?;
        match <[u8; 64]>::try_from(bytes) {
            Ok(bytes) if algorithm == b"ssh-ed25519" => Ok(bytes),
            _ => Err(Error::new(format!(
                "ssh-agent answered with a signature of {} bytes by {}, not with one by ssh-ed25519",
                bytes.len(),
                String::from_utf8_lossy(algorithm)
            ))
            .remedy("use another agent: this one does not keep to the protocol")),
        }
    }

    /// Sends one message and reads the answer.
    fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let mut request = Vec::new();
        put(&mut request, message)?;
        let mut rest = request.as_slice();
        while !rest.is_empty() {
            let left = self.time_left()?;
            let written = self
                .stream
                .set_write_timeout(Some(left))
                .and_then(|()| self.stream.write(rest))
                .or_else(again)
                .map_err(|error| self.broken(&error))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_ANSWER {
            return Err(not_understood());
        }
        let mut answer = vec![0; length];
        self.read(&mut answer)?;
        Ok(answer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let left = self.time_left()?;
            let answered = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(rest))
                .and_then(|count| match count {
                    0 => Err(ErrorKind::UnexpectedEof.into()),
                    count => Ok(count),
                })
                .or_else(again)
                .map_err(|error| self.broken(&error))?;
            rest = rest.get_mut(answered..).unwrap_or_default();
        }
        Ok(())
    }

    fn time_left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(format!(
                "ssh-agent did not answer within {} seconds",
                self.patience.as_secs()
            ))
            .remedy("answer its question or touch the token in time; is the agent still alive?"));
        }
        Ok(left)
    }

    fn broken(&self, error: &std::io::Error) -> Error {
        Error::new(format!("ssh-agent broke the connection off: {}", io_reason(error)))
            .remedy("is it the agent's own socket that SSH_AUTH_SOCK names?")
    }
}

/// A wait that ended is looked at by the deadline, not here.
fn again(error: std::io::Error) -> std::io::Result<usize> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

fn not_understood() -> Error {
    Error::new("ssh-agent's answer is not of its protocol")
        .remedy("does SSH_AUTH_SOCK name the socket of an ssh-agent?")
}

/// The first two strings of a public key's wire form: its kind, and for Ed25519 all of the key.
pub(super) fn split(mut blob: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((string(&mut blob)?, string(&mut blob)?))
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

/// A length and that many bytes (RFC 4251, section 5).
fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (string, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(string)
}

fn put(message: &mut Vec<u8>, string: &[u8]) -> Result<()> {
    let length = u32::try_from(string.len())
        .map_err(|_| Error::new("the message is too long for ssh-agent"))?;
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(string);
    Ok(())
}
