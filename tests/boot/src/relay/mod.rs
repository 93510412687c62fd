//! The Tor relay in service: its keys, and what it proves with them to whoever connects.

pub mod cells;
pub mod keys;

/// Where the relay listens for other relays.
pub const PORT: u16 = 9001;

/// The user that Tor runs as, on the relay.
pub const USER: u32 = 103;
