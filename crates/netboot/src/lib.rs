//! From a trust policy and a host configuration to a loaded kernel: connect, fetch, verify, load.
//!
//! [`package`] tries interfaces and mirrors until a package is authorised, [`embedded`] takes one that
//! the boot image holds, [`load()`] hands it to the kernel together with what the next OS is told. `/init` of the boot image goes this way with what
//! the image holds; an OS that fetches its successor ([`upgrade`]) goes it with what it was handed.
//!
//! All that lies outside is a [`World`]: [`package_in`] runs in a simulated one as well.
//!
//! Nothing here prints or keeps a report: what happens is told to [`Events`]. Nothing here decides
//! what is trusted either: that is the [`trust`] crate's, by the policy that the caller read.

#![forbid(unsafe_code)]

mod acquire;
mod archive_file;
mod embedded;
mod events;
mod fairness;
mod handover;
mod inputs;
mod ledger;
mod load;
mod memory;
mod meter;
mod mirror;
mod pieces;
mod time;
pub mod upgrade;
mod verify;
mod world;

pub use fetch::ClientOptions;
pub use kexec_rs::Loaded;

pub use acquire::package;
pub use acquire::package_in;
pub use embedded::PACKAGES;
pub use embedded::embedded;
pub use embedded::is_embedded;
pub use events::Event;
pub use events::Events;
pub use events::Running;
pub use inputs::Host;
pub use inputs::Inputs;
pub use inputs::Origin;
pub use inputs::Policy;
pub use inputs::read_file;
pub use load::kexec_failure;
pub use load::load;
pub use mirror::Verified;
pub use time::LinkTime;
pub use time::clock_report;
pub use world::Machine;
pub use world::Memory;
pub use world::Online;
pub use world::Scratch;
pub use world::World;
pub use world::client_options;
pub use world::limits;
pub use world::over_link;
