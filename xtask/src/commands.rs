//! The command line.

mod boot;
mod demo;
mod minimal;
mod test;

use std::ffi::OsStr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;

/// Commands that the operator's tool has and that are reachable here as well.
const OPERATORS: [&str; 7] =
    ["boot-image", "explain", "host-config", "keygen", "ospkg", "serve", "trust-policy"];

/// Builds, boots, shows, tests and measures ramstrap.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "The operator's commands work here, too: keygen, ospkg, trust-policy, host-config, \
                  boot-image, serve, explain. Try `cargo xtask ospkg --help`."
)]
pub(crate) struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot a machine in QEMU with a trust policy and a host configuration of yours
    Boot(boot::Args),
    /// Show the whole chain with throw-away keys
    Demo(demo::Args),
    /// Write the minimal OS as an initramfs
    Minimal(minimal::Args),
    /// Check and test everything
    Test(test::Args),
}

/// Whether this is a command of the operator's tool.
pub(crate) fn is_operators(name: &OsStr) -> bool {
    OPERATORS.iter().any(|&operators| name == operators)
}

/// Runs a command and returns the exit status.
///
/// # Errors
///
/// Whatever keeps the command from doing what it is for; the exit status is 1 then.
pub(crate) fn run(xtask: Xtask) -> Result<ExitCode> {
    match xtask.command {
        Command::Boot(args) => boot::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Minimal(args) => minimal::run(&args),
        Command::Test(args) => test::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::Parser;

    use super::Xtask;

    #[test]
    fn the_command_line_is_consistent() {
        Xtask::command().debug_assert();
    }

    #[test]
    fn values_may_begin_with_dashes() {
        let args = "xtask boot --trust-policy p --host-config h";
        let words = args.split(' ').chain(["--append", "-- --dryrun", "--qemu-arg", "-smp"]);
        Xtask::try_parse_from(words).unwrap();
    }

    #[test]
    fn operators_commands_are_not_ours() {
        for name in super::OPERATORS {
            assert!(Xtask::command().find_subcommand(name).is_none(), "{name}");
        }
    }
}
