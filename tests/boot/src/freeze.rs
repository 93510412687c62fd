//! Freezes a machine for minutes, but for moments, while its clock goes on: what a kernel can do only with
//! time in which it runs, it then cannot do in time.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// What the console says when `/init` begins.
const BEGINNING: &str = "network boot, verified before it runs";

/// How long it is frozen at a time: shorter than what makes a kernel think that it hangs.
const FROZEN: Duration = Duration::from_secs(10);

/// How long it runs in between: without timing of its own, the kernel gathers a bit of entropy every
/// hundredth of a second, and wants 256.
const MOMENT: Duration = Duration::from_millis(30);

/// Longer than the two minutes that `/init` waits.
const TIMES: usize = 14;

/// How often the console is looked at. `/init` waits for seconds, when nothing freezes it.
const PAUSE: Duration = Duration::from_millis(5);

/// What freezes a machine, whose process is not known before it runs.
#[derive(Debug)]
pub(crate) struct Freezer {
    pid: PathBuf,
    console: PathBuf,
}

impl Freezer {
    /// For a machine with this console.
    pub(crate) fn new(directory: &Path, console: PathBuf) -> Self {
        Self { pid: directory.join("pid"), console }
    }

    /// QEMU's arguments for [`Self::freeze`].
    pub(crate) fn qemu_args(&self) -> [String; 2] {
        ["-pidfile".to_owned(), self.pid.display().to_string()]
    }

    /// Waits for `/init`, and freezes the machine over and over. It always runs in the end.
    ///
    /// # Errors
    /// If `/init` never began, or the machine cannot be frozen.
    pub(crate) fn freeze(&self, over: &AtomicBool) -> Result<()> {
        while !self.has_begun() {
            ensure!(!over.load(Ordering::Relaxed), "/init never began");
            thread::sleep(PAUSE);
        }
        for _ in 0..TIMES {
            if over.load(Ordering::Relaxed) {
                break;
            }
            self.signal("-STOP")?;
            thread::sleep(FROZEN);
            self.signal("-CONT")?;
            thread::sleep(MOMENT);
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        let said = fs::read(&self.console).unwrap_or_default();
        said.windows(BEGINNING.len()).any(|words| words == BEGINNING.as_bytes())
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let pid = fs::read_to_string(&self.pid).context("QEMU has not told its process")?;
        let status = Command::new("kill").args([signal, pid.trim()]).status()?;
        ensure!(status.success(), "kill {signal} {}: {status}", pid.trim());
        Ok(())
    }
}
