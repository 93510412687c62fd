//! `ramstrap man`: manual pages.

use std::path::PathBuf;

use serde_json::json;

use crate::Error;
use crate::Result;
use crate::files;
use crate::output::Output;

/// Write the manual pages, one for every subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory for the pages; made if it is missing.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap man ~/.local/share/man/man1";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let failed = |error: std::io::Error| Error::io("write", &args.directory, &error);
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let mut written = Vec::new();
    let mut queue = vec![command];
    while let Some(command) = queue.pop() {
        queue.extend(command.get_subcommands().filter(|it| !it.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut page = Vec::new();
        // Without a date, so that the same version writes the same page.
        clap_mangen::Man::new(command).date("").render(&mut page).map_err(failed)?;
        let path = args.directory.join(format!("{name}.1"));
        files::write(&path, &page, files::PUBLIC, true)?;
        written.push(path);
    }
    written.sort();
    for path in &written {
        output.line(path.display());
    }
    output.result(json!({ "pages": written }));
    Ok(())
}
