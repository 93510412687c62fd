//! PID 1 of the boot image: read, connect, fetch, verify, kexec.

fn main() {}
