//! Messages between a test and the agent: each is a length (u32, big-endian) and so many bytes of
//! JSON. A call has a number, and the answer to it has the same: answers may overtake each other.

use std::io;
use std::io::Read;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::DeserializeOwned;

/// Longer messages are refused: something has gone wrong with the line then.
const MAX_LEN: usize = 64 * 1024 * 1024;

/// What a test asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call {
    /// The number of the call; the agent's first words have the number 0.
    pub id: u64,
    /// What is to be done.
    pub request: Request,
}

/// What the agent can do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Run a program to its end.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// What it reads.
        stdin: Bytes,
        /// When it is killed, with all that it started.
        timeout_ms: u64,
    },
    /// Start a program and let it run.
    Start {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// Kill a program that was started, with all that it started, and return what it wrote.
    Stop {
        /// As [`Reply::Started`] named it.
        process: u32,
    },
    /// Write a file.
    Put {
        /// Where; directories on the way are made.
        path: String,
        /// Permissions.
        mode: u32,
        /// What it holds.
        content: Bytes,
    },
    /// Switch the machine off. There is no answer.
    PowerOff,
}

/// The answer to a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The number of the call.
    pub id: u64,
    /// What came of it.
    pub reply: Reply,
}

/// What came of a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The agent's first words, which nobody asked for: it listens.
    Ready,
    /// It is done.
    Done,
    /// The program has ended.
    Ended(Output),
    /// The program runs.
    Started {
        /// What it is called from now on.
        process: u32,
    },
    /// It could not be done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a program left behind.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Output {
    /// Its exit status; none if it was killed.
    pub code: Option<i32>,
    /// Whether its time was up.
    pub timed_out: bool,
    /// What it wrote.
    pub stdout: Bytes,
    /// What it complained of.
    pub stderr: Bytes,
}

impl Output {
    /// Whether it ended with status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// What it wrote, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout.0).into_owned()
    }

    /// What it complained of, as text.
    #[must_use]
    pub fn complaints(&self) -> String {
        String::from_utf8_lossy(&self.stderr.0).into_owned()
    }
}

/// Bytes, in base64 on the line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Writes a message.
///
/// # Errors
/// If the line is broken, or the message is too long for it.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).ok().filter(|&it| it as usize <= MAX_LEN);
    let length = length.ok_or_else(|| io::Error::other("the message is too long"))?;
    // In one piece: a reader that sees the length sees the rest at once.
    to.write_all(&[&length.to_be_bytes()[..], &json].concat())?;
    to.flush()
}

/// Reads a message.
///
/// # Errors
/// If the line is broken, or what comes is no message of this kind.
pub fn receive<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_LEN {
        return Err(io::Error::other("no message: it would be too long"));
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let calls = [
            Request::Run { argv: vec!["cat".into()], stdin: Bytes(vec![0, 255]), timeout_ms: 5 },
            Request::Stop { process: 7 },
            Request::PowerOff,
        ];
        let mut line = Vec::new();
        for (id, request) in (1..).zip(calls.clone()) {
            send(&mut line, &Call { id, request }).unwrap();
        }
        let mut line = &line[..];
        for request in calls {
            assert_eq!(receive::<Call>(&mut line).unwrap().request, request);
        }
        receive::<Call>(&mut line).unwrap_err();
    }

    #[test]
    fn noise_is_no_message() {
        receive::<Answer>(&mut &b"\xff\xff\xff\xff{}"[..]).unwrap_err();
        receive::<Answer>(&mut &b"\0\0\0\x02[]"[..]).unwrap_err();
        receive::<Answer>(&mut &b"\0\0\0\x09{}"[..]).unwrap_err();
    }
}
