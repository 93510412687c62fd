//! The lab VM: a machine with switches, bonds, VLANs, delay, WireGuard and name servers, for tests
//! that need more of a network than the host has. Its PID 1 is the agent (`lab-agent`), which runs
//! what a test asks for; [`Client`] is the test's end of the line.
//!
//! They talk over a port of virtio-serial: [`protocol`] has the messages.

pub mod client;
pub mod protocol;

pub use client::Client;
pub use protocol::Output;

/// Name of the virtio-serial port that the agent listens on.
pub const PORT: &str = "ramstrap.lab";
