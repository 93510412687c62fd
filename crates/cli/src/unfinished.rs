//! Files in the making, which an interrupted command must not leave behind.
//!
//! Files and directories in the making remove themselves when they are dropped; a signal drops
//! nothing. So each is also noted here, and a signal that ends the process (Ctrl-C, a request to end, a
//! terminal that goes away) removes what is noted.

use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::Once;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::process_status;

/// What a shell reports of a command that a signal ended: this and the signal's number.
const SIGNALLED: i32 = 128;

/// How often a directory is removed that somebody still writes into.
const REMOVALS: u32 = 100;

static NOTED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static HANDLER: Once = Once::new();
/// Held while several files take their names together.
static TOGETHER: Mutex<()> = Mutex::new(());
static ENDS_BY_ITSELF: AtomicBool = AtomicBool::new(false);
static ENDING: AtomicBool = AtomicBool::new(false);

/// A file or directory that is noted for as long as this lives.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    /// Notes a path.
    pub(crate) fn note(path: &Path) -> Self {
        // Only once there is something to remove: until then Ctrl-C does what it always does.
        HANDLER.call_once(|| drop(wait_for_signals()));
        if let Ok(mut noted) = NOTED.lock() {
            noted.insert(path.to_owned());
        }
        Self(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Ok(mut noted) = NOTED.lock() {
            noted.remove(&self.0);
        }
    }
}

/// From now on the process ends by itself when it is interrupted, and with a status of its own.
pub(crate) fn leave_the_end_to_others() {
    ENDS_BY_ITSELF.store(true, Ordering::Relaxed);
}

/// While this is held, an interruption waits: for the short time in which files that belong together
/// take their names.
pub(crate) fn together() -> MutexGuard<'static, ()> {
    TOGETHER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asked when the work has failed: if that is because its files were removed under it, the process is
/// about to end with the status of that, and this does not come back.
pub(crate) fn let_it_end() {
    while ENDING.load(Ordering::Relaxed) && !ENDS_BY_ITSELF.load(Ordering::Relaxed) {
        thread::park();
    }
}

fn wait_for_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if !process_status::ignores_hangup() {
        kinds.push(SignalKind::hangup());
    }
    let inside = runtime.enter();
    let mut signals = Vec::new();
    for kind in kinds {
        signals.push((kind.as_raw_value(), signal(kind)?));
    }
    drop(inside);
    thread::Builder::new().spawn(move || {
        let came = runtime.block_on(core::future::poll_fn(|context| {
            let mut came = signals.iter_mut().filter_map(|(number, signal)| {
                signal.poll_recv(context).is_ready().then_some(*number)
            });
            came.next().map_or(Poll::Pending, Poll::Ready)
        }));
        remove_all_and_exit(came);
    })?;
    Ok(())
}

fn remove_all_and_exit(signal: i32) {
    let _all_or_none = together();
    if ENDS_BY_ITSELF.load(Ordering::Relaxed) {
        remove_all();
        return;
    }
    ENDING.store(true, Ordering::Relaxed);
    remove_all();
    process::exit(SIGNALLED + signal);
}

fn remove_all() {
    let Ok(noted) = NOTED.lock() else { return };
    for path in noted.iter() {
        remove(path);
    }
}

/// What cannot be removed stays: there is nobody left to tell.
fn remove(path: &Path) {
    if !path.is_dir() {
        let _ = fs::remove_file(path);
        return;
    }
    // The work goes on meanwhile, and so may a program that it started.
    for _ in 0..REMOVALS {
        let removed = fs::remove_dir_all(path);
        if removed.is_ok() && !path.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
