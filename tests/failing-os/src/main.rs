//! `/init` of the RAM-only OSes, with two ways to fail that the real one has not: a bug, and an event loop
//! that hangs. It takes the place of `/init` in a package for a test, and never leaves tests.
//!
//! Both are brought about by a signal, which comes to the thread with the event loop.

use std::process::ExitCode;

use nix::sys::signal::SaFlags;
use nix::sys::signal::SigAction;
use nix::sys::signal::SigHandler;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::sigaction;
use osinit::wiping_allocator::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        on(Signal::SIGALRM, bug);
        on(Signal::SIGUSR1, hang);
    }
    osinit::run()
}

fn on(signal: Signal, handler: extern "C" fn(i32)) {
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
    // SAFETY: neither handler comes back, so that nothing goes on with what it interrupted.
    if let Err(errno) = unsafe { sigaction(signal, &action) } {
        eprintln!("{signal}: {errno}");
    }
}

/// As code on the event loop panics. It mostly waits: nothing is locked then.
#[expect(clippy::panic, reason = "it is what this is for")]
extern "C" fn bug(_: i32) {
    panic!("on purpose");
}

/// Keeps the thread.
extern "C" fn hang(_: i32) {
    loop {
        // SAFETY: no pointers; it may be called anywhere.
        unsafe { libc::pause() };
    }
}
