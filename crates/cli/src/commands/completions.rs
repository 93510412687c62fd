//! `ramstrap completions`: for shells.

use clap_complete::Shell;

use serde_json::json;

use crate::Result;
use crate::output::Output;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap completions bash > ~/.local/share/bash-completion/completions/ramstrap";

#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as the other subcommands', though nothing can go wrong here"
)]
pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "ramstrap", &mut script);
    if output.is_json() {
        let script = String::from_utf8_lossy(&script);
        output.result(json!({ "shell": args.shell.to_string(), "script": script }));
        return Ok(());
    }
    output.raw(&script);
    Ok(())
}
