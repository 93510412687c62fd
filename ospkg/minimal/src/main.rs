//! A RAM-only OS that prints the boot report it was handed and powers off.

fn main() {}
