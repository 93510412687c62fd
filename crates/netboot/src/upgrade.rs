//! An OS fetches its successor: the next release, under the trust policy that it was booted by.
//!
//! What the bootloader left in `/ramstrap` is all that is needed: trust policy, host configuration,
//! and the boot report, which says what runs. The same code as in the bootloader fetches and
//! verifies; what is new is that a package must be newer than the one that runs, so that a mirror
//! cannot take a machine back to a release with a hole in it. Links, addresses and routes are the
//! running OS's and are left alone.
//!
//! ```no_run
//! # async fn upgrade() -> Result<(), report::Failure> {
//! use netboot::upgrade::{Handover, Journal, Next, fetch_next};
//!
//! let now = trust::Timestamp::from_unix(1_795_298_837);
//! let handover = Handover::read("/ramstrap".as_ref(), now)?;
//! let journal = Journal::new(&handover, |line| println!("{line}"));
//! let patience = std::time::Duration::from_secs(600);
//! match fetch_next(&handover, &handover.network(), patience, &journal).await? {
//!     Next::Already => println!("nothing newer"),
//!     Next::Newer(candidate) => {
//!         // Here everything that runs is stopped, and every secret wiped.
//!         let loaded = candidate.load(&handover, &journal)?;
//!         // Here the links are switched off.
//!         return Err(netboot::kexec_failure(loaded.execute()));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Firmware and bootloader do not run, so nothing is measured anew, and a new trust policy does not
//! come this way: for that the machine is restarted.

mod current;
mod handover;
mod journal;
mod search;

pub use current::Current;
pub use handover::Handover;
pub use handover::Network;
pub use journal::Journal;
pub use search::Candidate;
pub use search::Next;
pub use search::fetch_next;

#[cfg(test)]
pub(crate) mod tests;
