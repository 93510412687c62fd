//! A TPM 2.0 for a machine: a program beside QEMU, with a state of its own that is gone afterwards.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use xtask::setup;

/// How long it may take to start: hosts are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often its socket is looked for.
const PAUSE: Duration = Duration::from_millis(20);

/// The program. It ends with QEMU, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Tpm {
    program: Child,
    socket: PathBuf,
}

impl Tpm {
    /// Starts one that has never been used. Its state is kept in `directory`.
    ///
    /// # Errors
    /// If swtpm is not there, or does not start.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let socket = directory.join("tpm");
        let program = setup::command("swtpm")
            .args(["socket", "--tpm2", "--terminate"])
            .arg("--tpmstate")
            .arg(format!("dir={}", directory.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .stdout(Stdio::null())
            .spawn()
            .context("swtpm cannot be started: `cargo xtask setup` installs it")?;
        let mut tpm = Self { program, socket };
        let begun = Instant::now();
        while !tpm.socket.exists() {
            if let Some(status) = tpm.program.try_wait()? {
                bail!("swtpm has ended: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("swtpm does not listen");
            }
            thread::sleep(PAUSE);
        }
        Ok(tpm)
    }

    /// QEMU's arguments for a machine that has it, as a chip: of those in AMD's firmware, and QEMU's
    /// processor is AMD's, the kernel takes no random numbers.
    pub(crate) fn qemu_args(&self) -> [String; 6] {
        let socket = format!("socket,id=tpm,path={}", self.socket.display());
        let words = [
            "-chardev",
            &socket,
            "-tpmdev",
            "emulator,id=tpm,chardev=tpm",
            "-device",
            "tpm-tis,tpmdev=tpm",
        ];
        words.map(str::to_owned)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It has ended already if QEMU has.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
