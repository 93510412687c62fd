//! A machine that a test talks to while it runs. [`super::boot`] is for those that are only looked
//! at.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use report::BootReport;
use report::channel::Event;
use serde_json::Value;
use serde_json::json;

use super::memory;
use super::memory::Find;
use super::memory::Needle;
use super::options::BootOptions;
use super::options::Echo;
use super::process::Message;
use super::process::Qemu;
use super::process::Source;
use super::watch;
use crate::accel::Accel;

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long QEMU may take to write a machine's memory to a file.
const DUMP: Duration = Duration::from_secs(120);

/// A line of the console.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// When it was complete.
    pub at: Instant,
    /// Its text, without white space at both ends.
    pub text: String,
}

/// A running machine. It ends when this is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct Guest {
    qemu: Qemu,
    memory_mib: u32,
    ports: Vec<(String, UnixStream)>,
    echo: Echo,
    serial: Vec<u8>,
    partial: watch::Lines,
    lines: Vec<Line>,
    /// Lines before this one were returned by [`Guest::wait_for`].
    next: usize,
    channel: watch::Lines,
    reports: Vec<BootReport>,
    answers: Vec<Value>,
    events: Vec<(Instant, String)>,
    ended: bool,
}

impl Guest {
    /// Switches a machine on that starts as these options say.
    ///
    /// # Errors
    ///
    /// The boot image could not be made or QEMU could not be started.
    pub fn start(options: &BootOptions) -> Result<Self> {
        let (accel, initramfs) = super::prepare(options)?;
        Self::start_with(options, accel, &initramfs)
    }

    /// Switches a machine on with this initramfs, whatever it holds; policy and host configuration
    /// of the options are not looked at.
    ///
    /// # Errors
    ///
    /// QEMU could not be started, or the options contradict each other.
    pub fn start_with(options: &BootOptions, accel: Accel, initramfs: &[u8]) -> Result<Self> {
        let mut qemu = super::switch_on(options, accel, initramfs)?;
        let ends = std::mem::take(&mut qemu.ports);
        Ok(Self {
            qemu,
            memory_mib: options.memory_mib,
            ports: options.ports.iter().cloned().zip(ends).collect(),
            echo: options.echo,
            serial: Vec::new(),
            partial: watch::Lines::default(),
            lines: Vec::new(),
            next: 0,
            channel: watch::Lines::default(),
            reports: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            ended: false,
        })
    }

    /// When it was switched on.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.qemu.started
    }

    /// Our end of a virtio-serial port of this name. There is one for each.
    ///
    /// # Errors
    ///
    /// The options named no such port, or its end was taken before.
    pub fn port(&mut self, name: &str) -> Result<UnixStream> {
        let place = self.ports.iter().position(|(port, _)| port == name);
        let place = place.with_context(|| format!("no port {name} is left"))?;
        Ok(self.ports.swap_remove(place).1)
    }

    /// Waits for a line of the console that has this text in it and was not waited past before.
    ///
    /// # Errors
    ///
    /// It does not come in time, the machine ends, or its kernel panics: with its last lines.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<Line> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(line) = self.lines.get(self.next) {
                self.next += 1;
                if line.text.contains(text) {
                    return Ok(line.clone());
                }
                if line.text.contains("Kernel panic - not syncing") {
                    bail!("a kernel panicked; {text:?} was waited for{}", self.last_words());
                }
            }
            if self.ended {
                bail!("the machine ended; {text:?} was waited for{}", self.last_words());
            }
            if !self.pump(deadline) {
                bail!("no {text:?} on the console within {limit:?}{}", self.last_words());
            }
        }
    }

    /// Reads what has come until now. To be called now and then by who waits for something else.
    pub fn catch_up(&mut self) {
        while self.pump(Instant::now()) {}
    }

    /// Everything that the console has said.
    #[must_use]
    pub fn console(&mut self) -> String {
        self.catch_up();
        String::from_utf8_lossy(&self.serial).into_owned()
    }

    /// The lines of the console.
    #[must_use]
    pub fn lines(&mut self) -> &[Line] {
        self.catch_up();
        &self.lines
    }

    /// Reports of `/init` so far, one for each boot.
    #[must_use]
    pub fn reports(&mut self) -> &[BootReport] {
        self.catch_up();
        &self.reports
    }

    /// When QEMU said that an event of this name happened: `RESET`, `SHUTDOWN`.
    #[must_use]
    pub fn events(&mut self, name: &str) -> Vec<Instant> {
        self.catch_up();
        let ours = self.events.iter().filter(|(_, event)| event == name);
        ours.map(|(at, _)| *at).collect()
    }

    /// Asks QEMU for something and waits for its answer.
    ///
    /// # Errors
    ///
    /// QEMU refuses, with its words, or does not answer.
    pub fn qmp(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        self.ask(command, arguments, PATIENCE)
    }

    /// Resets the machine as its reset button does: memory keeps what it holds. Wants
    /// [`BootOptions::restarts`].
    ///
    /// # Errors
    ///
    /// As [`Guest::qmp`].
    pub fn reset(&mut self) -> Result<()> {
        self.qmp("system_reset", &json!({})).map(drop)
    }

    /// Looks for these in the machine's whole memory, which stands still meanwhile. `directory` needs
    /// room for as many bytes as there is memory; nothing is left in it.
    ///
    /// # Errors
    ///
    /// QEMU refuses, or there is no room.
    pub fn search_memory(&mut self, directory: &Path, needles: &[Needle]) -> Result<Vec<Find>> {
        self.with_memory(directory, |file| memory::search(file, needles))
    }

    /// Hands a copy of the machine's whole memory to a function, as a file that is deleted
    /// afterwards. The machine stands still while the copy is made.
    ///
    /// # Errors
    ///
    /// QEMU refuses, there is no room, or the function fails.
    pub fn with_memory<T>(
        &mut self,
        directory: &Path,
        look: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<T> {
        let scratch = tempfile::Builder::new().prefix("memory").tempdir_in(directory);
        let scratch = scratch.context("no temporary directory")?;
        let file = scratch.path().join("dump");
        let size = u64::from(self.memory_mib) << 20;
        self.qmp("stop", &json!({}))?;
        let arguments = json!({ "val": 0, "size": size, "filename": file });
        let dumped = self.ask("pmemsave", &arguments, DUMP);
        self.qmp("cont", &json!({}))?;
        dumped?;
        let written = fs::metadata(&file).context("QEMU wrote no memory")?.len();
        if written != size {
            bail!(
                "QEMU wrote {written} of {size} bytes of memory: is {} full?",
                directory.display()
            );
        }
        look(&file)
    }

    fn ask(&mut self, command: &str, arguments: &Value, limit: Duration) -> Result<Value> {
        self.catch_up();
        self.answers.clear();
        self.qemu.command(command, arguments).context("QEMU does not listen")?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(place) = self.answers.iter().position(|answer| answer["id"] == command) {
                let answer = self.answers.swap_remove(place);
                if let Some(words) = answer["error"]["desc"].as_str() {
                    bail!("QEMU refuses {command}: {words}");
                }
                return Ok(answer["return"].clone());
            }
            if self.ended || !self.pump(deadline) {
                bail!("QEMU does not answer {command}{}", self.last_words());
            }
        }
    }

    /// Takes in one message; false if none came until then.
    fn pump(&mut self, deadline: Instant) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.qemu.messages.recv_timeout(wait) {
            Ok(Message { at, from }) => self.take(at, from),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => {
                let first = !self.ended;
                self.ended = true;
                return first;
            }
        }
        true
    }

    fn take(&mut self, at: Instant, from: Source) {
        match from {
            Source::Console(bytes) => {
                super::echo(self.echo, &bytes);
                self.serial.extend_from_slice(&bytes);
                let lines = self.partial.feed(&bytes);
                self.lines.extend(lines.into_iter().map(|text| Line { at, text }));
            }
            Source::Report(bytes) => {
                for line in self.channel.feed(&bytes) {
                    if let Some(Event::End { report }) = Event::from_line(&line) {
                        self.reports.push(report);
                    }
                }
            }
            Source::Qmp(message) => match message["event"].as_str() {
                Some(name) => self.events.push((at, name.to_owned())),
                None => self.answers.push(message),
            },
            Source::Closed => self.ended = true,
        }
    }

    /// The end of the console, for errors.
    fn last_words(&mut self) -> String {
        self.catch_up();
        const LINES: usize = 12;
        let from = self.lines.len().saturating_sub(LINES);
        let last = self.lines.iter().skip(from);
        last.fold("; its last lines:".to_owned(), |words, line| words + "\n  " + &line.text)
    }
}
