//! PID 1 of our RAM-only OSes: the VPN server and the Tor relay.
//!
//! The machine comes up closed: no link before the firewall stands, no service before staff have
//! provisioned it over a channel on which both sides proved their keys. What staff bring lives in
//! memory only, and every way out (reboot, power-off, upgrade, a panic of ours) wipes it first.
//!
//! There is no log: services write to nothing, and what is said on the consoles is about the machine,
//! never about its customers.

pub mod render;
pub mod wiping_allocator;

mod app;
mod control;
mod firewall;
mod handover;
mod log;
mod machine;
mod network;
mod process;
mod random;
mod secret_files;
mod services;
mod supervise;
mod upgrade;
mod uplink;
mod watchdog;
mod wipe;
mod wireguard;

use std::process::ExitCode;

/// Name that PID 1 gives itself when it starts anew to leave the machine: nothing else, neither the
/// kernel nor its command line, can set it.
const LEAVING: &str = "ramstrap-leave";

/// The whole program, by the name that it was called by.
pub fn run() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if std::process::id() == 1 {
        pid1::start_clock();
        if name == LEAVING {
            wipe::leave(&arguments.next().unwrap_or_default());
        }
        app::boot();
    }
    let words: Vec<String> = arguments.collect();
    control::command_line(&words)
}
