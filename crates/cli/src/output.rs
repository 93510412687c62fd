//! What goes to the terminal: results on stdout, warnings and errors on stderr.
//!
//! Colours only where a terminal shows them, and never with `NO_COLOR`. With `--json` stdout has
//! exactly one JSON document.

use core::fmt::Display;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::OnceLock;

use serde_json::Map;
use serde_json::Value;

use crate::Error;
use crate::Result;
use crate::error::io_reason;

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const GREEN: &str = "1;32";
const CYAN: &str = "1;36";

/// Where a command tells what it did.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    /// Whether each JSON document is on one line.
    lines: bool,
    /// Whether people read what was done, beside warnings and errors.
    quiet: bool,
    /// Whether people read remarks beside the result.
    notes: bool,
    /// Whether errors begin as stmgr's do.
    stmgr: bool,
    /// The command of ours behind one of stmgr's, while it runs: whose options are meant.
    behind: Option<String>,
    colour_out: bool,
    colour_err: bool,
    warnings: Vec<String>,
    /// Why stdout did not take everything.
    unwritten: OnceLock<std::io::Error>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let colours = |terminal: bool| {
            colours(
                variable("NO_COLOR").is_some(),
                variable("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
                terminal && variable("TERM").is_none_or(|value| value != "dumb"),
            )
        };
        Self {
            json,
            lines: false,
            quiet: false,
            notes: true,
            stmgr: false,
            behind: None,
            colour_out: colours(std::io::stdout().is_terminal()),
            colour_err: colours(std::io::stderr().is_terminal()),
            warnings: Vec::new(),
            unwritten: OnceLock::new(),
        }
    }

    /// Asked at the end: whether all of the result was written.
    ///
    /// # Errors
    /// If stdout did not take it. A reader that went away (`| head`) is no error.
    pub(crate) fn finish(&self) -> Result<()> {
        self.note_failure(std::io::stdout().flush());
        match self.unwritten.get() {
            Some(error) => Err(unwritten(error)),
            None => Ok(()),
        }
    }

    /// Bytes of the result as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        self.note_failure(std::io::stdout().write_all(bytes));
    }

    /// A line on stdout.
    fn put(&self, text: &str) {
        self.note_failure(writeln!(std::io::stdout(), "{text}"));
    }

    /// The first failure is the one that is told.
    fn note_failure(&self, written: std::io::Result<()>) {
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.unwritten.get_or_init(|| error);
        }
    }

    /// From now on a script reads stdout.
    pub(crate) fn set_json(&mut self) {
        self.json = true;
    }

    /// From now on there may be several JSON documents, each on one line.
    pub(crate) fn json_lines(&mut self) {
        self.lines = true;
    }

    /// From now on only warnings and errors are for people.
    pub(crate) fn be_quiet(&mut self) {
        self.quiet = true;
        self.notes = false;
    }

    /// From now on there are no remarks beside the result, and it is exactly that.
    pub(crate) fn only_result(&mut self) {
        self.notes = false;
    }

    /// From now on errors begin with the word that scripts around stmgr look for.
    pub(crate) fn as_stmgr(&mut self) {
        self.stmgr = true;
    }

    /// From now on what is advised is about this command, which nobody has called by its name.
    pub(crate) fn behind(&mut self, command: String) {
        self.behind = Some(command);
    }

    /// Advice that can be followed: stmgr's command line has none of our options.
    fn advice(&self, text: &str) -> String {
        // In backticks stands a whole command, which says by itself which one it is, or an option.
        let parts = text.split('`').enumerate();
        let bare: String = parts
            .filter(|(number, part)| number % 2 == 0 || part.starts_with("--"))
            .map(|(_, part)| part)
            .collect();
        match &self.behind {
            Some(command)
                if !bare.contains("ramstrap ")
                    && bare.split_whitespace().any(|word| word.starts_with("--")) =>
            {
                format!("{text} (options of `{command}`, which stmgr does not have)")
            }
            _ => text.to_owned(),
        }
    }

    /// Whether a script reads stdout.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the result, for people only.
    pub(crate) fn line(&self, text: impl Display) {
        if !self.json && !self.quiet {
            self.put(&clean(&text.to_string()));
        }
    }

    /// Lines of the result that are the tool's own, such as a normal form or PEM. Never for a value as
    /// somebody else wrote it: its line feeds would begin lines of their own.
    pub(crate) fn text(&self, text: impl Display) {
        if !self.json && !self.quiet {
            self.put(&clean_lines(&text.to_string()));
        }
    }

    /// A verdict such as `accepted` in its colour, then words.
    pub(crate) fn verdict(&self, good: bool, word: &str, text: impl Display) {
        let colour = if good { GREEN } else { RED };
        let word = paint(self.colour_out, colour, word);
        if !self.json && !self.quiet {
            self.put(&format!("{word}: {}", clean(&text.to_string())));
        }
    }

    /// A name and its value, in columns.
    pub(crate) fn field(&self, name: &str, value: impl Display) {
        if !self.json && !self.quiet {
            let name = paint(self.colour_out, BOLD, &format!("{:<14}", clean(name)));
            self.put(&format!("{name} {}", clean(&value.to_string())));
        }
    }

    /// Something that works but is probably not meant.
    pub(crate) fn warning(&mut self, text: impl Display) {
        self.warning_list(text, &[]);
    }

    /// A warning with lines below it.
    pub(crate) fn warning_list(&mut self, text: impl Display, lines: &[String]) {
        let below = lines.iter().map(|line| format!("\n  {}", clean(line)));
        let text: String =
            core::iter::once(clean(&self.advice(&text.to_string()))).chain(below).collect();
        let word = paint(self.colour_err, YELLOW, "warning");
        tell(&format!("{word}: {text}"));
        self.warnings.push(text);
    }

    /// Progress that a person wants to see, on stderr.
    pub(crate) fn note(&self, text: impl Display) {
        if self.notes {
            tell(&clean(&text.to_string()));
        }
    }

    /// The result for a script: `ok` and the warnings are added to it.
    pub(crate) fn result(&self, value: Value) {
        if !self.json {
            return;
        }
        let mut object = match value {
            Value::Object(object) => object,
            other => Map::from_iter([("result".to_owned(), other)]),
        };
        object.insert("ok".to_owned(), Value::Bool(true));
        if !self.warnings.is_empty() {
            object.insert("warnings".to_owned(), self.warnings.clone().into());
        }
        self.document(&object);
    }

    fn document(&self, object: &Map<String, Value>) {
        let text = match self.lines {
            true => serde_json::to_string(object),
            false => serde_json::to_string_pretty(object),
        };
        self.put(&text.unwrap_or_default());
    }

    /// One JSON document a line, for what goes on happening.
    pub(crate) fn event(&self, value: &impl serde::Serialize) {
        if self.json {
            self.put(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    /// The only place that prints errors.
    pub(crate) fn error(&self, error: &Error) {
        self.explain(error);
        self.failed(error);
    }

    /// The error for a script, if one reads.
    pub(crate) fn failed(&self, error: &Error) {
        if !self.json {
            return;
        }
        let mut object = error.data_for_scripts().clone();
        object.insert("ok".to_owned(), Value::Bool(false));
        let mut add = |name: &str, value: Value| object.insert(name.to_owned(), value);
        if let Some(code) = error.code() {
            add("code", code.id().into());
            add("class", code.class().to_string().into());
            add("title", code.title().into());
        }
        add("error", clean(&error.to_string()).into());
        if !error.details().is_empty() {
            add("details", error.details().iter().map(|it| clean(&self.advice(it))).collect());
        }
        if let Some(remedy) = error.remedy_text() {
            add("remedy", self.advice(remedy).into());
        }
        if !self.warnings.is_empty() {
            add("warnings", self.warnings.clone().into());
        }
        self.document(&object);
    }

    fn explain(&self, error: &Error) {
        let mut lines = Vec::new();
        match error.code() {
            Some(code) => {
                let word = paint(self.colour_err, RED, &format!("error[{code}]"));
                lines.push(format!("{word}: {}", code.title()));
                lines.push(format!("  {}", clean(&error.to_string())));
            }
            // The mark in front says it.
            None if self.stmgr => lines.push(clean(&error.to_string())),
            None => {
                let word = paint(self.colour_err, RED, "error");
                lines.push(format!("{word}: {}", clean(&error.to_string())));
            }
        }
        let details = error.details().iter().map(|line| self.advice(line));
        lines.extend(details.map(|line| format!("  {}", clean(&line))));
        if let Some(remedy) = error.remedy_text() {
            lines.push(format!(
                "{}: {}",
                paint(self.colour_err, CYAN, "help"),
                clean(&self.advice(remedy))
            ));
        }
        let mark = if self.stmgr { "[ERROR] " } else { "" };
        tell(&format!("{mark}{}", lines.join("\n")));
    }
}

/// Whether to print in colours: <https://no-color.org> and <https://bixense.com/clicolors>.
fn colours(no: bool, force: bool, terminal: bool) -> bool {
    !no && (force || terminal)
}

fn paint(colours: bool, colour: &str, text: &str) -> String {
    if colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// One line, whatever is in it. What comes out of files must not steer the terminal, nor begin a line
/// that looks like one of ours: control characters, other ends of lines, and marks that turn the
/// direction of text around are written as Rust writes them, such as `\n`.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_steering(letter) {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// As [`clean`], line by line.
fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Separators of lines and paragraphs, and marks of direction, which are not control characters.
fn is_steering(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The error about a stdout that did not take everything.
pub(crate) fn unwritten(error: &std::io::Error) -> Error {
    Error::new(format!("cannot write the result to stdout: {}", io_reason(error)))
        .remedy("make room where stdout goes to, then run the command again")
}

/// A line on stderr. If that cannot be written there is nobody to tell.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::clean;
    use super::clean_lines;
    use super::colours;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_insist() {
        assert!(colours(false, false, true) && colours(false, true, false));
        assert!(!colours(false, false, false));
        assert!(!colours(true, true, true), "who wants none gets none");
    }

    #[test]
    fn escapes_from_files_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\u{202e}c\nd\r"), r"a\u{1b}[31mb\u{202e}c\nd\r");
        assert_eq!(clean("\u{85}\u{2028}é"), r"\u{85}\u{2028}é");
        assert_eq!(clean_lines("a\nb\x1b"), "a\nb\\u{1b}");
    }
}
