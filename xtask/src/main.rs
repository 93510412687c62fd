//! `cargo xtask`: set-up, demo, tests, benchmarks and the QEMU harness on the command line.

mod commands;

use std::env;
use std::process::ExitCode;

use clap::Parser;

use commands::Xtask;

fn main() -> ExitCode {
    // What operators use is in a program of its own; here the same code runs from the source tree.
    let mut operator = env::args_os().skip(1).peekable();
    if operator.peek().is_some_and(|name| commands::is_operators(name)) {
        let program = Some("cargo xtask".into());
        return ramstrap_cli::run_with_init(program.into_iter().chain(operator), &commands::init);
    }
    match commands::run(Xtask::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
