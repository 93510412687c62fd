//! Sends the log of a boot to a server while the boot runs: syslog over UDP or TLS, or JSON lines by
//! HTTPS POST, as `remote_log` of the host configuration says. Without it, nothing is sent anywhere.
//!
//! The boot never waits for it. Lines go into a queue of fixed size; when it is full the oldest are
//! dropped, and how many is said. A task of its own sends them over the link that the boot uses, with
//! sockets bound to that link. Only [`RemoteLog::flush`] and
//! [`RemoteLog::send_rest`] wait, for as long as their caller says.
//!
//! Lines hold what the consoles show, and like those no secret: URLs are redacted before they get here.

#![forbid(unsafe_code)]

mod deliver;
mod format;
mod log;
mod queue;

pub use log::Link;
pub use log::RemoteLog;
pub use queue::MAX_BYTES;
pub use queue::MAX_LINES;
