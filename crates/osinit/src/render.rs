//! From a service's configuration to the text that its programs read. Pure: no file, no network, no
//! clock.
//!
//! Nothing that staff wrote reaches these texts but what [`provision::config`] has checked to be an
//! address, a number, a name or one of a list of options: nobody can put a line of his own in.

mod chrony;
mod net;
mod nft;
mod tor;
mod unbound;
mod wg;

pub use chrony::chrony;
pub use net::Network;
pub use nft::Ruleset;
pub use nft::Service;
pub use nft::translation;
pub use tor::TorPaths;
pub use tor::torrc;
pub use unbound::unbound;
pub use wg::setconf;

#[cfg(test)]
mod test_configurations;
