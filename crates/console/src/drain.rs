//! Waiting until what was written has left the machine.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use nix::sys::termios::tcdrain;

use crate::DRAIN_PATIENCE;
use crate::Terminal;
use crate::terminals;

/// Small: the thread does nothing but one system call.
const STACK: usize = 64 << 10;

/// Waits until every console, and `other` besides, has sent what was written to it; at most
/// [`DRAIN_PATIENCE`] for all of them together.
pub fn drain(other: Option<&Terminal>) {
    let started = Instant::now();
    let (done, wait) = mpsc::channel();
    let mut waiting = 0;
    for terminal in terminals().iter().chain(other) {
        let Ok(file) = terminal.file().try_clone() else { continue };
        let done = done.clone();
        // In a thread of its own: a terminal under flow control may never drain.
        let spawned = thread::Builder::new().stack_size(STACK).spawn(move || {
            let _ = tcdrain(&file);
            let _ = done.send(());
        });
        waiting += usize::from(spawned.is_ok());
    }
    for _ in 0..waiting {
        if wait.recv_timeout(DRAIN_PATIENCE.saturating_sub(started.elapsed())).is_err() {
            return;
        }
    }
}
