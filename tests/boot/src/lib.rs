//! Boot tests: the real `/init` in QEMU, with everything that can go wrong around it.
//!
//! A [`case::Case`] boots a [`scenario::Scenario`] (a machine, its configuration, the mirrors it is
//! pointed at, the cables it hangs on) and judges what came of it; [`cases`] has the table.
//! A [`story::Story`] is a test of another kind: many steps with machines that run meanwhile, one of
//! them the lab VM. `tests/boot.rs` runs all, two guests at a time.

pub mod bench;
pub mod canary;
pub mod case;
pub mod cases;
pub mod facts;
mod freeze;
mod hang;
pub mod keys;
pub mod lab_vm;
pub mod medium;
pub mod net;
pub mod package;
pub mod page;
pub mod relay;
pub mod results;
pub mod scenario;
pub mod secure_boot;
pub mod site;
pub mod story;
mod tpm;
pub mod turns;
pub mod vpn;
pub mod wire;
