//! Every program of this package is this file: its name says which target it runs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::run(env!("CARGO_BIN_NAME"), bytes);
});
