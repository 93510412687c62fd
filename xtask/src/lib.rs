//! Set-up, demo, tests, benchmarks and the QEMU harness.
//!
//! The command is `cargo xtask …`; this library is what it is made of, so that the boot tests use
//! the very same harness as an operator at the command line. [`harness::boot`] is the heart of it.

pub mod accel;
pub mod again;
pub mod apt;
pub mod bench;
pub mod build;
pub mod cache;
pub mod check;
pub mod demo;
pub mod harness;
pub mod image;
pub mod installed;
pub mod kernel_build;
pub mod kernels;
pub mod lab;
pub mod locked;
pub mod minimal;
pub mod ospkg;
pub mod progress;
pub mod provenance;
pub mod rebuild;
pub mod setup;
pub mod timeline;
