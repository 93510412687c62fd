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
        render(&command, &mut page).map_err(failed)?;
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

/// A page as clap_mangen has it, but for what stands behind the options: examples have to be pasted
/// from a page, so that nothing in them may be filled, hyphenated or justified.
fn render(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    // Without a date, so that the same version writes the same page.
    let man = clap_mangen::Man::new(command.clone()).date("");
    man.render_title(page)?;
    page.extend_from_slice(b".nh\n.ad l\n");
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if command.get_arguments().any(|it| !it.is_hide_set()) {
        man.render_options_section(page)?;
    }
    if command.get_subcommands().any(|it| !it.is_hide_set()) {
        man.render_subcommands_section(page)?;
    }
    page.extend_from_slice(EXIT_STATUS.as_bytes());
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.extend_from_slice(sections(&text.to_string()).as_bytes());
    }
    if command.get_version().is_some() {
        man.render_version_section(page)?;
    }
    Ok(())
}

const EXIT_STATUS: &str = "\
.SH \"EXIT STATUS\"
.TP
0
Done, or accepted.
.TP
1
Refused, failed or different; the reason is on stderr.
.TP
2
Wrong usage.
.TP
130
Interrupted by Ctrl\\-C.
";

/// What stands behind the options, as it is: a line of one word and a colon is a heading, such as
/// `Examples:`.
fn sections(text: &str) -> String {
    let mut page = String::new();
    let mut open = false;
    for line in text.lines() {
        let heading = line.strip_suffix(':').filter(|it| it.chars().all(char::is_alphabetic));
        match heading {
            Some(word) => {
                page.push_str(if open { ".fi\n" } else { "" });
                page.push_str(&format!(".SH {}\n.nf\n", word.to_uppercase()));
                open = true;
            }
            None => {
                if !open {
                    page.push_str(".SH NOTES\n.nf\n");
                    open = true;
                }
                page.push_str(&literal(line));
                page.push('\n');
            }
        }
    }
    page.push_str(if open { ".fi\n" } else { "" });
    page
}

/// A line of text that roff takes for nothing else.
fn literal(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let escaped = escaped.replace('^', "\\(ha").replace('`', "\\(ga").replace('~', "\\(ti");
    // A dot in front would begin a request.
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::literal;
    use super::sections;

    #[test]
    fn examples_stay_as_they_are() {
        assert_eq!(
            sections("Keys:\n  a-b\n\nExamples:\n  x 'y' \\\n      --z"),
            ".SH KEYS\n.nf\n  a\\-b\n\n.fi\n.SH EXAMPLES\n.nf\n  x \\(aqy\\(aq \\e\n      \\-\\-z\n.fi\n"
        );
        assert!(sections("Two words:\nExamples:").starts_with(".SH NOTES\n.nf\nTwo words:\n.fi\n"));
        assert_eq!(literal(".x ~"), "\\&.x \\(ti");
    }
}
