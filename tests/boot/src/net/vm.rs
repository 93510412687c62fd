//! A lab VM that outlives the case that has started it.

use std::fs;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

use anyhow::Context;
use anyhow::Result;
use xtask::harness::Guest;
use xtask::harness::Netdev;

use crate::bench::Bench;
use crate::lab_vm;
use crate::lab_vm::LabVm;

/// A lab VM, on a thread of its own: a machine ends with the thread that has started it, and those
/// of cases may end before this does.
#[derive(Debug)]
pub(super) struct Kept {
    vm: LabVm,
    /// The thread ends when this is dropped.
    _over: mpsc::Sender<()>,
    _thread: JoinHandle<()>,
}

impl Kept {
    pub(super) fn start(bench: &Bench, nics: Vec<Netdev>) -> Result<Self> {
        let directory = bench.output.join("lab");
        fs::create_dir_all(&directory)?;
        let (options, accel) = lab_vm::options(bench, "lab", nics, Vec::new())?;
        let initramfs = bench.lab()?.to_vec();
        let (started, starting) = mpsc::channel();
        let (over, is_over) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _ = started.send(Guest::start_with(&options, accel, &initramfs));
            // Nothing is ever sent: this returns when the other end is gone.
            let _ = is_over.recv();
        });
        let guest = starting.recv().context("the lab VM's thread has ended")??;
        Ok(Self { vm: LabVm::of(guest, &directory, "lab")?, _over: over, _thread: thread })
    }
}

impl Deref for Kept {
    type Target = LabVm;

    fn deref(&self) -> &LabVm {
        &self.vm
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut LabVm {
        &mut self.vm
    }
}
