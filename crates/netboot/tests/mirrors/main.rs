//! From host configuration to verified package in a world that is made up, in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of this is a test")]

mod blame;
mod herd;
mod package;
mod world;
