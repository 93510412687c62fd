//! Boots in simulated networks.
//!
//! What runs is the product's: bring-up, DHCP, router discovery, mirrors, resumption, verification of
//! real signatures. What is simulated is all that lies outside: cables, switches, DHCP servers,
//! routers, other hosts, proxies and mirrors, each with its weather. Time is virtual and chance is seeded, so
//! that twenty minutes of trouble take milliseconds and a failure comes again with its seed.
//!
//! A [`Scenario`] is made from a seed; [`boot()`] boots in it and returns an [`Outcome`].

#![forbid(unsafe_code)]

mod boot;
mod cable;
mod chance;
mod dhcp;
mod dhcp6;
mod extras;
mod lan;
mod links;
mod meter;
mod mirrors;
mod packages;
mod plug;
mod proxy;
mod router;
mod scenario;

pub use boot::Outcome;
pub use boot::boot;
pub use cable::Cable;
pub use cable::Segment;
pub use mirrors::Mood;
pub use mirrors::Phase;
pub use packages::Packages;

pub use proxy::Proxy;
pub use proxy::Weather;
pub use scenario::Promise;
pub use scenario::Scenario;
