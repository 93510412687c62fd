//! The parts of a host configuration, each read from its keys.

mod addressing;
mod bonding;
mod headers;
mod interfaces;
mod logging;
mod mirrors;
mod names;
mod pem;
mod proxy;
mod servers;

pub(crate) use addressing::addressing;
pub(crate) use addressing::mtu;
pub(crate) use addressing::routes;
pub(crate) use addressing::vlan;
pub(crate) use bonding::bonding;
pub(crate) use interfaces::interfaces;
pub(crate) use logging::remote_log;
pub(crate) use mirrors::mirrors;
pub(crate) use mirrors::warn_of_mirrors;
pub(crate) use names::warn_of_names;
pub(crate) use proxy::no_proxy;
pub(crate) use proxy::proxy;
pub(crate) use servers::dns;
pub(crate) use servers::dns_search;
pub(crate) use servers::ntp;
