//! The agent's end of the line: a port of virtio-serial, found by its name.

use std::fs;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use lab::PORT;
use lab::protocol;
use lab::protocol::Answer;
use lab::protocol::Call;
use lab::protocol::Reply;

const PORTS: &str = "/sys/class/virtio-ports";

/// How long the port may take to appear: its driver asks the host for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    reader: Mutex<File>,
    writer: Mutex<File>,
}

impl Line {
    pub(crate) fn open() -> Result<Self> {
        let limit = Instant::now() + PATIENCE;
        let device = loop {
            if let Some(device) = find() {
                break device;
            }
            if Instant::now() > limit {
                bail!("there is no virtio-serial port {PORT}");
            }
            thread::sleep(Duration::from_millis(20));
        };
        let device = format!("/dev/{device}");
        let writer = File::options().read(true).write(true).open(&device);
        let writer = writer.with_context(|| format!("cannot open {device}"))?;
        // The same open file: the driver lets a port be opened once.
        Ok(Self { reader: Mutex::new(writer.try_clone()?), writer: Mutex::new(writer) })
    }

    pub(crate) fn next_call(&self) -> io::Result<Call> {
        protocol::receive(&mut *self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn answer(&self, id: u64, reply: Reply) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::send(&mut *writer, &Answer { id, reply })
    }
}

/// The device of the port with our name.
fn find() -> Option<String> {
    fs::read_dir(PORTS).ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim() == PORT).then(|| entry.file_name().to_string_lossy().into_owned())
    })
}
