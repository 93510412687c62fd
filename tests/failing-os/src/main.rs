//! `/init` of the RAM-only OSes, with two ways to fail that the real one has not: a bug, and an event loop
//! that hangs. It takes the place of `/init` in a package for a test, and never leaves tests.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::SaFlags;
use nix::sys::signal::SigAction;
use nix::sys::signal::SigHandler;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::sigaction;
use osinit::wiping_allocator::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

/// Who makes this file brings about a panic.
const PANIC: &str = "/run/panic";

fn main() -> ExitCode {
    if std::process::id() == 1 {
        thread::spawn(panic_when_told);
        let hang = SigAction::new(SigHandler::Handler(hang), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler makes one system call, over and over.
        let set = unsafe { sigaction(Signal::SIGUSR1, &hang) };
        if let Err(errno) = set {
            eprintln!("SIGUSR1: {errno}");
        }
    }
    osinit::run()
}

#[expect(clippy::panic, reason = "it is what this is for")]
fn panic_when_told() {
    while !Path::new(PANIC).exists() {
        thread::sleep(Duration::from_millis(200));
    }
    panic!("on purpose");
}

/// Keeps the thread that the signal came to, which is the one with the event loop.
extern "C" fn hang(_: i32) {
    loop {
        // SAFETY: no pointers; it may be called anywhere.
        unsafe { libc::pause() };
    }
}
