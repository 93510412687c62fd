//! `ramstrap completions`: for shells.

use clap_complete::Shell;

use crate::Result;

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
pub(super) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "ramstrap", &mut script);
    // A reader that went away is no error.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
    Ok(())
}
