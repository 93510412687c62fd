//! The test's end of the line to the agent.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::protocol;
use crate::protocol::Answer;
use crate::protocol::Bytes;
use crate::protocol::Call;
use crate::protocol::Output;
use crate::protocol::Reply;
use crate::protocol::Request;

/// How long a program may take unless told otherwise. The machine is emulated, and its host shared.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much longer than a program's own time its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(30);

/// A line to an agent that listens.
#[derive(Debug)]
pub struct Client {
    line: UnixStream,
    calls: u64,
}

impl Client {
    /// Waits until the agent at the far end of this line listens.
    ///
    /// # Errors
    /// If it does not do so in time.
    pub fn connect(line: UnixStream, limit: Duration) -> Result<Self> {
        let mut client = Self { line, calls: 0 };
        match client.receive(0, limit).context("the lab VM's agent does not speak")? {
            Reply::Ready => Ok(client),
            other => bail!("the lab VM's agent begins with {other:?}"),
        }
    }

    /// Runs a program to its end, whatever its end is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&mut self, argv: &[&str]) -> Result<Output> {
        self.run_with(argv, b"", PATIENCE)
    }

    /// The same with something to read, and another time after which it is killed.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(&mut self, argv: &[&str], stdin: &[u8], limit: Duration) -> Result<Output> {
        let request = Request::Run {
            argv: owned(argv),
            stdin: Bytes(stdin.to_vec()),
            timeout_ms: u64::try_from(limit.as_millis())?,
        };
        match self.call(request, limit + ON_THE_WAY)? {
            Reply::Ended(output) => Ok(output),
            other => bail!("{}: {}", argv.join(" "), refusal(&other)),
        }
    }

    /// Runs a program that must end with status 0, and returns what it wrote.
    ///
    /// # Errors
    /// If it cannot be started, or ends otherwise: with what it complained of.
    pub fn must(&mut self, argv: &[&str]) -> Result<String> {
        let output = self.run(argv)?;
        let Output { code, timed_out, .. } = output;
        ensure!(
            output.is_success(),
            "{} ended with {code:?}{}: {}",
            argv.join(" "),
            if timed_out { ", its time was up" } else { "" },
            [output.complaints(), output.text()].concat().trim(),
        );
        Ok(output.text())
    }

    /// Runs the lines of a script, each of which must succeed; words are separated by white space,
    /// and empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that fails, as [`Self::must`] says it.
    pub fn script(&mut self, script: &str) -> Result<()> {
        for line in script.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                self.must(&line.split_whitespace().collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// Starts a program and lets it run. [`Self::stop`] ends it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, argv: &[&str]) -> Result<u32> {
        match self.call(Request::Start { argv: owned(argv) }, PATIENCE)? {
            Reply::Started { process } => Ok(process),
            other => bail!("{}: {}", argv.join(" "), refusal(&other)),
        }
    }

    /// Ends a program that was started, and returns what it wrote.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn stop(&mut self, process: u32) -> Result<Output> {
        match self.call(Request::Stop { process }, PATIENCE)? {
            Reply::Ended(output) => Ok(output),
            other => bail!("cannot stop {process}: {}", refusal(&other)),
        }
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let content = Bytes(content.to_vec());
        match self.call(Request::Put { path: path.to_owned(), mode, content }, PATIENCE)? {
            Reply::Done => Ok(()),
            other => bail!("cannot write {path}: {}", refusal(&other)),
        }
    }

    /// Switches the machine off.
    ///
    /// # Errors
    /// If the line is broken.
    pub fn power_off(mut self) -> Result<()> {
        Ok(protocol::send(&mut self.line, &Call { id: 0, request: Request::PowerOff })?)
    }

    fn call(&mut self, request: Request, limit: Duration) -> Result<Reply> {
        self.calls += 1;
        let id = self.calls;
        protocol::send(&mut self.line, &Call { id, request }).context("the line is broken")?;
        self.receive(id, limit).context("the lab VM's agent does not answer")
    }

    fn receive(&mut self, id: u64, limit: Duration) -> io::Result<Reply> {
        self.line.set_read_timeout(Some(limit))?;
        let answer: Answer = protocol::receive(&mut self.line)?;
        if answer.id != id {
            return Err(io::Error::other(format!("answer {} to call {id}", answer.id)));
        }
        Ok(answer.reply)
    }
}

fn owned(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&word| word.to_owned()).collect()
}

fn refusal(reply: &Reply) -> String {
    match reply {
        Reply::Failed { reason } => reason.clone(),
        other => format!("unexpected answer {other:?}"),
    }
}
