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
mod bond;
mod config;
mod document;
mod error;
mod fields;
mod host;
mod legacy;
mod mac;
mod masked;
mod mirror;
mod nearest;
mod network;
mod package_name;
mod pointer;
mod provisioning_url;
mod proxy;
mod read;
mod remote_log;
mod secret;
pub mod sources;

/// The JSON Schema (draft 2020-12) of host configurations.
pub const SCHEMA: &str = include_str!("../schema/host_configuration.json");

pub use address::Cidr;
pub use address::CidrError;
pub use bond::BondMode;
pub use bond::BondOptions;
pub use bond::Bonding;
pub use bond::LacpRate;
pub use bond::XmitHashPolicy;
pub use config::HostConfig;
pub use config::MAX_LEN;
pub use error::HostConfigError;
pub use mac::Mac;
pub use mac::MacError;
pub use mirror::ClientIdentity;
pub use mirror::Mirror;
pub use network::Addressing;
pub use network::InterfaceSelector;
pub use network::Route;
pub use network::StaticAddressing;
pub use package_name::PackageName;
pub use provisioning_url::Credentials;
pub use provisioning_url::ProvisioningUrl;
pub use provisioning_url::UrlError;
pub use proxy::NoProxy;
pub use proxy::Proxy;
pub use remote_log::LogLevel;
pub use remote_log::RemoteLog;
pub use remote_log::RemoteLogTarget;
pub use secret::Secret;
