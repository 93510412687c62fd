//! `ramstrap completions`: for shells.

use clap_complete::Shell;
use serde_json::json;

use super::stmgr;
use crate::Result;
use crate::output::Output;

/// Print completions for a shell.
///
/// They also know the commands and flags behind `ramstrap stmgr`. For a link to this tool that is named
/// stmgr they are of their own: --stmgr.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
    /// For the name stmgr, in place of ramstrap.
    #[arg(long)]
    stmgr: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap completions bash > \\
      ~/.local/share/bash-completion/completions/ramstrap
  ramstrap completions bash \\
      --stmgr > ~/.local/share/bash-completion/completions/stmgr";

#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as the other subcommands', though nothing can go wrong here"
)]
pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let mut script = Vec::new();
    let (mut command, name) = if args.stmgr {
        (stmgr::tree(), "stmgr")
    } else {
        (super::command().mut_subcommand("stmgr", |_| stmgr::tree()), "ramstrap")
    };
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    if output.is_json() {
        let script = String::from_utf8_lossy(&script);
        output.result(json!({ "shell": args.shell.to_string(), "script": script }));
        return Ok(());
    }
    output.raw(&script);
    Ok(())
}
