//! Leaving the machine with nothing in its memory.
//!
//! The kernel clears every page that is given back to it (`init_on_free`). What is left to do is to give
//! everything back: services end, the tunnel's interface goes, file systems in memory are unmounted,
//! and PID 1 itself, which held keys while it handed them on, replaces itself by a fresh copy that
//! knows only how to leave.

use std::ffi::CString;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pid1::Leave;

use crate::LEAVING;
use crate::firewall;
use crate::handover;
use crate::machine;
use crate::process;
use crate::secret_files;
use crate::services;
use crate::watchdog;
use crate::wireguard;

/// How long services may take to end by themselves.
const SERVICE_PATIENCE: Duration = Duration::from_secs(5);

/// How long the links may take to go down.
const QUIESCE_PATIENCE: Duration = Duration::from_secs(3);

/// How long all of it may take where something is wrong with us already.
const EMERGENCY_PATIENCE: Duration = Duration::from_secs(15);

/// Ends everything that holds a secret or an address of a client. Goes on where something fails: what
/// comes later must not be left out.
pub(crate) async fn secrets() {
    if let Err(error) = firewall::forward(false) {
        console::line(&format!("wiping: {error}"));
    }
    // Its sets of clients go with the old ruleset; what is left lets nobody through.
    if let Err(error) = firewall::close(&Default::default()).await {
        console::line(&format!("wiping: {error}"));
    }
    process::end_all(SERVICE_PATIENCE);
    watchdog::pet();
    wireguard::remove().await;
    firewall::forget_connections();
    for directory in
        [services::TOR_DATA, services::SSH_HOME, services::DIRECTORY, "/tmp", "/dev/shm"]
    {
        secret_files::wipe(Path::new(directory));
        machine::unmount(directory);
    }
    console::line("wiped: services have ended, the tunnel and its keys are gone");
}

/// Gives up what only a start of another release still needed.
fn last_files() {
    secret_files::wipe(Path::new(handover::DIRECTORY));
    machine::unmount_memory();
}

/// Replaces this process by one that leaves. Everything that it had in memory is cleared by that.
pub(crate) fn replace(how: Leave) -> ! {
    last_files();
    drop_caches();
    let words = [LEAVING, how.name()].map(|word| CString::new(word).unwrap_or_default());
    let none: [CString; 0] = [];
    for path in [c"/proc/self/exe", c"/init"] {
        // Comes back only when it fails.
        let _ = nix::unistd::execve(path, &words, &none);
    }
    console::line("PID 1 cannot start anew: leaving with what it had in memory");
    leave(how.name())
}

/// The second life of PID 1: silence on the network, last lines out, and away.
pub(crate) fn leave(how: &str) -> ! {
    let how = Leave::from_name(how);
    console::open_listed();
    // Best effort: what does not go down in time stays up.
    let _ = netup::quiesce_within(QUIESCE_PATIENCE);
    drop_caches();
    console::line(match how {
        Leave::Reboot => "restarting",
        Leave::PowerOff => "switching off",
        Leave::Jump => "starting the next release",
    });
    console::drain(None);
    pid1::leave(how)
}

/// Best effort: what was cached of files in the initramfs is no secret.
fn drop_caches() {
    let _ = fs::write("/proc/sys/vm/drop_caches", "3");
}

/// After a panic of ours: wipes as far as that still works, then restarts.
pub(crate) fn emergency() -> ! {
    let (done, wait) = mpsc::channel();
    // In a thread: this one may be inside of a runtime, or of anything else.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                tokio::select! {
                    _ = process::reap() => {}
                    () = secrets() => {}
                }
            });
        }
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(work).is_ok() {
        let _ = wait.recv_timeout(EMERGENCY_PATIENCE);
    }
    replace(Leave::Reboot)
}
