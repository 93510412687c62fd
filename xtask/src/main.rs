//! `cargo xtask`: set-up, demo, tests, benchmarks and the QEMU harness on the command line.

mod commands;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use commands::Xtask;

fn main() -> ExitCode {
    // What operators use is in a program of its own; here the same code runs from the source tree.
    let mut words: Vec<OsString> = env::args_os().skip(1).collect();
    let next = words.get(1).map(OsString::as_os_str);
    if words.first().is_some_and(|name| commands::is_operators(name, next)) {
        let program = Some("cargo xtask".into());
        let more = commands::more_help(&words);
        let locked = match commands::take_locked(&mut words) {
            Ok(locked) => locked,
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::from(2);
            }
        };
        let init = |kernel: Option<&[u8]>| commands::init(kernel, locked);
        let code = ramstrap_cli::run_with_init(program.into_iter().chain(words), &init);
        if let Some(more) = more {
            print!("{more}");
        }
        return code;
    }
    match commands::run(Xtask::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
