//! Set-up, demo, tests, benchmarks and the QEMU harness.
