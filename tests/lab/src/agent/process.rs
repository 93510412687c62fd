//! Programs that the agent runs. Each leads a process group of its own, so that it can be ended with
//! all that it started.

use std::collections::HashMap;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use lab::protocol::Bytes;
use lab::protocol::Output;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a program is asked whether it has ended.
const TICK: Duration = Duration::from_millis(5);

/// How long output is waited for behind the end of a program: what it left running may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs a program to its end, or kills it when its time is up.
pub(crate) fn run(argv: &[String], stdin: Vec<u8>, limit: Duration) -> Result<Output> {
    let mut process = Process::start(argv, Stdio::piped())?;
    if let Some(mut pipe) = process.child.stdin.take() {
        // A program that does not read all of it must not block this.
        thread::spawn(move || pipe.write_all(&stdin));
    }
    let end = Instant::now() + limit;
    let mut timed_out = false;
    while process.child.try_wait()?.is_none() {
        if Instant::now() > end {
            timed_out = true;
            process.kill();
        }
        thread::sleep(TICK);
    }
    Ok(Output { timed_out, ..process.finish()? })
}

/// Programs that were started and not stopped.
#[derive(Debug, Default)]
pub(crate) struct Processes(Mutex<HashMap<u32, Process>>);

impl Processes {
    pub(crate) fn start(&self, argv: &[String]) -> Result<u32> {
        let process = Process::start(argv, Stdio::null())?;
        let id = process.child.id();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, process);
        Ok(id)
    }

    pub(crate) fn stop(&self, id: u32) -> Result<Output> {
        let process = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let process = process.context("no such program runs")?;
        process.kill();
        process.finish()
    }
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

type Collected = Arc<Mutex<Vec<u8>>>;

impl Process {
    fn start(argv: &[String], stdin: Stdio) -> Result<Self> {
        let (program, arguments) = argv.split_first().context("no program is named")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/tmp"), ("LC_ALL", "C")])
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        Ok(Self { child, stdout, stderr })
    }

    fn kill(&self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    fn finish(mut self) -> Result<Output> {
        let code = self.child.wait()?.code();
        let end = Instant::now() + LAST_WORDS;
        // Each reader holds one more reference until it has read all.
        let reading = |it: &Collected| Arc::strong_count(it) > 1;
        while Instant::now() < end && (reading(&self.stdout) || reading(&self.stderr)) {
            thread::sleep(TICK);
        }
        let take = |it: &Collected| {
            Bytes(std::mem::take(&mut *it.lock().unwrap_or_else(PoisonError::into_inner)))
        };
        Ok(Output {
            code,
            timed_out: false,
            stdout: take(&self.stdout),
            stderr: take(&self.stderr),
        })
    }
}

/// Reads a pipe to its end on a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Collected {
    let collected = Collected::default();
    if let Some(mut pipe) = pipe {
        let into = Arc::clone(&collected);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let read = buffer.get(..length).unwrap_or_default();
                into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
            }
        });
    }
    collected
}
