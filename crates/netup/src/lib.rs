//! Network bring-up in one process: links, bonds, VLANs, addresses and routes over netlink; DHCP,
//! DHCPv6 and router advertisements.
//!
//! [`connect()`] brings up every NIC that the [`Plan`] selects, side by side, and asks the caller's
//! probe over each that has an address. The first NIC over which the probe succeeds is the one
//! that is used; the others are taken down again. A NIC without cable, without DHCP server or on
//! the wrong network therefore costs nothing but its own time.
//!
//! On one NIC, too, everything goes on side by side: with [`hostcfg::Addressing::Auto`] both
//! families are asked for, and whichever leads to an answer first will do. A probe that is under
//! way when more addresses come is left in peace, and another one begins over all of them.
//!
//! What is guaranteed:
//!
//! - Nothing gives up before the deadline that may still heal: carrier that comes late, a switch
//!   port that swallows packets for a minute, a DHCP server that is being restarted. Links are
//!   never taken down and up again to "reset" them.
//! - Several NICs may be in the same subnet, or have the same static address: routes differ in
//!   their metric, and sockets are expected to be bound to [`Link::interface`].
//! - An address is used only when nobody else has it; one that somebody else has is tried again.
//! - What comes from the network is bounded in size and number, and reading it never panics.
//!
//! Everything goes through [`network::Network`], so that it can be tried on a network that is made
//! up, with a clock that jumps: see [`connect_over()`].
//!
//! Needs a tokio runtime with I/O and time; a current-thread runtime is enough.

#![forbid(unsafe_code)]

mod acd;
mod backoff;
mod bond;
mod configuration;
mod connect;
mod dhcp;
mod dhcp6;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod kernel;
mod lessons;
mod names;
pub mod network;
mod nic;
mod plan;
mod probes;
mod quiesce;
mod runner;
mod select;
mod session;
mod slaac;
mod state;
mod task;
mod v6;
mod vlan;

pub use connect::connect;
pub use connect::connect_over;
pub use follow::LinkNews;
pub use lessons::Lessons;
pub use plan::ConnectError;
pub use plan::Connected;
pub use plan::Link;
pub use plan::Method;
pub use plan::Plan;
pub use plan::ProbeError;
pub use quiesce::Quiesced;
pub use quiesce::quiesce;
pub use quiesce::quiesce_within;
