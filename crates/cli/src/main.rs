//! The operator's tool: keys, OS packages, signing, configuration checks, boot images, a
//! provisioning server.

use std::process::ExitCode;

fn main() -> ExitCode {
    ramstrap_cli::run(std::env::args_os())
}
