//! Boot tests: the real `/init` in QEMU, with everything that can go wrong around it.
//!
//! A [`case::Case`] boots a [`scenario::Scenario`] (a machine, its configuration, the mirrors it is
//! pointed at, the cables it hangs on) and judges what came of it; [`cases`] has the table.
//! `tests/boot.rs` runs it, two guests at a time.

pub mod bench;
pub mod canary;
pub mod case;
pub mod cases;
pub mod facts;
mod hang;
pub mod keys;
pub mod medium;
pub mod package;
pub mod results;
pub mod scenario;
pub mod secure_boot;
pub mod site;
pub mod wire;
