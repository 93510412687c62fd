//! Files in the making, which an interrupted command must not leave behind.
//!
//! Files and directories in the making remove themselves when they are dropped; a signal drops
//! nothing. So each is also noted here, and a signal that ends the process removes what is noted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::Once;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What a shell reports of a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

static NOTED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static HANDLER: Once = Once::new();
/// Held while several files take their names together.
static TOGETHER: Mutex<()> = Mutex::new(());
static ENDS_BY_ITSELF: AtomicBool = AtomicBool::new(false);

/// A file or directory that is noted for as long as this lives.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    /// Notes a path.
    pub(crate) fn note(path: &Path) -> Self {
        // Only once there is something to remove: until then Ctrl-C does what it always does.
        HANDLER.call_once(|| drop(ctrlc::set_handler(remove_all_and_exit)));
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

fn remove_all_and_exit() {
    let _all_or_none = together();
    if let Ok(noted) = NOTED.lock() {
        for path in noted.iter() {
            // What cannot be removed stays: there is nobody left to tell.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
    if !ENDS_BY_ITSELF.load(Ordering::Relaxed) {
        process::exit(INTERRUPTED);
    }
}
