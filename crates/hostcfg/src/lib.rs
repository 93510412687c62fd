//! Host configuration: schema, checks and secrets that do not print.
//!
//! A host configuration says how one machine gets its address and where it finds OS packages. It
//! is never a source of trust: whoever can write it can keep a machine from booting, but cannot
//! make it boot what the signers did not sign.
//!
//! [`HostConfig::parse`] takes the bytes of `host_configuration.json` (or of the EFI variable of
//! the same content) and gives a checked value, with [`HostConfig::warnings`] for everything that
//! is tolerated but cannot mean what its author hoped. No I/O, no clock, no network.
//!
//! Passwords in URLs and the `authentication` value never appear in `Debug`, `Display`, serialised
//! output, errors or warnings; [`Secret::expose`] is the one way to read them.

#![forbid(unsafe_code)]

mod address;
mod config;
mod error;
mod fields;
mod mac;
mod network;
mod pointer;
mod provisioning_url;
mod secret;

pub use address::Cidr;
pub use address::CidrError;
pub use config::HostConfig;
pub use config::MAX_LEN;
pub use error::HostConfigError;
pub use mac::Mac;
pub use mac::MacError;
pub use network::Addressing;
pub use network::BondMode;
pub use network::Bonding;
pub use network::InterfaceSelector;
pub use provisioning_url::Credentials;
pub use provisioning_url::ProvisioningUrl;
pub use provisioning_url::UrlError;
pub use secret::Secret;
