//! The QEMU process and the sockets to it.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use serde_json::json;

use crate::setup;

/// How long QEMU may take to end by itself once it has nothing more to say.
const GRACE: Duration = Duration::from_secs(5);

/// How long QEMU may take to answer: a picture of the screen takes it some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes out of QEMU, with the time at which it was read.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) at: Instant,
    pub(super) from: Source,
}

#[derive(Debug)]
pub(super) enum Source {
    Console(Vec<u8>),
    Report(Vec<u8>),
    Qmp(Value),
    /// QEMU has closed its control channel: it ends.
    Closed,
}

/// Our ends of pairs of connected sockets, and QEMU's, which it inherits by number.
#[derive(Debug)]
pub(super) struct Sockets {
    console: (UnixStream, UnixStream),
    report: (UnixStream, UnixStream),
    qmp: (UnixStream, UnixStream),
    ports: Vec<(UnixStream, UnixStream)>,
}

impl Sockets {
    /// The sockets of a machine with so many ports of virtio-serial.
    pub(super) fn new(ports: usize) -> Result<Self> {
        Ok(Self {
            console: UnixStream::pair()?,
            report: UnixStream::pair()?,
            qmp: UnixStream::pair()?,
            ports: (0..ports).map(|_| UnixStream::pair()).collect::<std::io::Result<_>>()?,
        })
    }

    /// QEMU's ends: console, report channel, QMP.
    pub(super) fn fds(&self) -> [i32; 3] {
        [self.console.1.as_raw_fd(), self.report.1.as_raw_fd(), self.qmp.1.as_raw_fd()]
    }

    /// QEMU's ends of the ports.
    pub(super) fn port_fds(&self) -> Vec<i32> {
        self.ports.iter().map(|(_, theirs)| theirs.as_raw_fd()).collect()
    }
}

/// A running QEMU. It is killed when this is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub(super) struct Qemu {
    child: Child,
    qmp: UnixStream,
    stderr: Option<JoinHandle<String>>,
    pub(super) started: Instant,
    pub(super) messages: mpsc::Receiver<Message>,
    /// Our ends of the ports of virtio-serial.
    pub(super) ports: Vec<UnixStream>,
}

impl Qemu {
    /// Starts QEMU, paused. It inherits its ends of the sockets, and these files.
    pub(super) fn start(arguments: &[String], sockets: Sockets, files: &[i32]) -> Result<Self> {
        let inherited = [files, &sockets.fds(), &sockets.port_fds()].concat();
        let mut command = setup::command("qemu-system-x86_64");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only prctl, fcntl and getppid are called, which are
        // async-signal-safe; nothing is allocated.
        unsafe {
            let parent = libc::getpid();
            command.pre_exec(move || {
                for &fd in &inherited {
                    if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // The parent may have died before the line above.
                if libc::getppid() != parent {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let started = Instant::now();
        let mut child = command.spawn().context("cannot start qemu-system-x86_64")?;
        // QEMU's ends must close here, or the end of QEMU would not be seen.
        let Sockets { console: (console, _), report: (report, _), qmp: (qmp, _), ports } = sockets;
        let ports = ports.into_iter().map(|(ours, _)| ours).collect();
        let (sender, messages) = mpsc::channel();
        let writer = qmp.try_clone()?;
        read_bytes(console, sender.clone(), Source::Console);
        read_bytes(report, sender.clone(), Source::Report);
        read_qmp(qmp, sender);
        let stderr = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let mut qemu = Self { child, qmp: writer, stderr, started, messages, ports };
        // If QEMU has already failed, its end says why, not this write.
        let _ = qemu.command("qmp_capabilities", &json!({}));
        Ok(qemu)
    }

    /// Sends a QMP command. Answers are not waited for.
    pub(super) fn command(&mut self, name: &str, arguments: &Value) -> std::io::Result<()> {
        let line = json!({ "execute": name, "arguments": arguments, "id": name });
        writeln!(self.qmp, "{line}")
    }

    /// Sends a QMP command and waits for its answer; other messages that come meanwhile are lost.
    ///
    /// # Errors
    ///
    /// QEMU refuses, with its words, or does not answer.
    pub(super) fn ask(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        self.command(name, arguments).context("QEMU does not listen")?;
        let limit = Instant::now() + PATIENCE;
        loop {
            let wait = limit.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(wait);
            let message = message.with_context(|| format!("QEMU does not answer {name}"))?;
            let Source::Qmp(answer) = message.from else { continue };
            if answer["id"] != name {
                continue;
            }
            if let Some(words) = answer["error"]["desc"].as_str() {
                bail!("QEMU refuses {name}: {words}");
            }
            return Ok(answer["return"].clone());
        }
    }

    /// Plugs or pulls the cable of a NIC.
    pub(super) fn set_link(&mut self, nic: &str, up: bool) {
        let _ = self.command("set_link", &json!({ "name": nic, "up": up }));
    }

    /// Ends QEMU at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for the end of QEMU, which is near, and returns its status and what it complained of.
    pub(super) fn wait(&mut self) -> Result<(ExitStatus, String)> {
        let limit = Instant::now() + GRACE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > limit {
                self.kill();
            }
            thread::sleep(Duration::from_millis(10));
        };
        let complaints = self.stderr.take().and_then(|thread| thread.join().ok());
        Ok((status, complaints.unwrap_or_default()))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn read_bytes(mut from: UnixStream, to: mpsc::Sender<Message>, source: fn(Vec<u8>) -> Source) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if to.send(Message { at: Instant::now(), from: source(bytes) }).is_err() {
                return;
            }
        }
    });
}

fn read_qmp(from: UnixStream, to: mpsc::Sender<Message>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let Ok(value) = serde_json::from_str(&line) else { continue };
            if to.send(Message { at: Instant::now(), from: Source::Qmp(value) }).is_err() {
                return;
            }
        }
        let _ = to.send(Message { at: Instant::now(), from: Source::Closed });
    });
}
