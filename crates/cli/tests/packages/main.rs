//! From keys to a package that is accepted, and every way in which it is not.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod creating;
mod encrypted;
mod judging;
mod keys;
mod mixed_up;
mod releases;
mod signing;
#[path = "../support/mod.rs"]
mod support;
mod told;

const VERIFY: &str = "ospkg verify --trust-policy policy os.json";
