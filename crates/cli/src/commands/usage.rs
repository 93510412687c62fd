//! Wrong usage, help and version: what the parser of the command line says itself.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;
use serde_json::Value;
use serde_json::json;

use super::command;
use crate::Error;
use crate::output::Output;
use crate::output::unwritten;

/// The flag by which a script reads stdout.
const JSON: &str = "--json";

/// Tells what the parser found, and ends with the status that fits.
pub(super) fn tell(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let json = options(args).any(|arg| arg == JSON);
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return show(error, json, args);
    }
    let elsewhere = elsewhere(error);
    if json && elsewhere.is_none() && asks_for_json_help(error) {
        return help_in_json(args);
    }
    // If it cannot be printed there is nobody to tell.
    let _ = error.print();
    if let Some(command) = &elsewhere {
        eprintln!("\nhelp: did you mean `ramstrap {command}`?");
    }
    if json {
        // clap's own words are on stderr already.
        let usage = usage_error(&error.to_string());
        let usage = match elsewhere {
            Some(command) => usage.remedy(format!("did you mean `ramstrap {command}`?")),
            None => with_remedy(usage, args),
        };
        let mut output = Output::new(true);
        if Named::of(args).is("serve") {
            output.json_lines();
        }
        output.failed(&usage);
    }
    ExitCode::from(2)
}

/// Gives wrong usage a remedy if it has none: where to read how it is meant.
pub(super) fn with_remedy(error: Error, args: &[OsString]) -> Error {
    if error.remedy_text().is_some() {
        return error;
    }
    let Named { line, command } = Named::of(args);
    let shows =
        if command.has_subcommands() { "lists its commands" } else { "shows what it takes" };
    let see = format!("`{line} --help` {shows}");
    let tip = error.details().iter().find_map(|line| line.strip_prefix("tip: "));
    let remedy = tip.map_or_else(|| see.clone(), |tip| format!("{tip}; {see}"));
    error.remedy(remedy)
}

/// What clap says in several lines: the first is the message; those up to the usage line name
/// missing arguments, possible values and what was probably meant.
pub(super) fn usage_error(text: &str) -> Error {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let list = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            list.filter(|list| list.contains(": ")).unwrap_or(line)
        })
        .fold(Error::usage(first.trim_end_matches(':')), Error::detail)
}

/// The words before `--`, behind which nothing is an option.
fn options(args: &[OsString]) -> impl Iterator<Item = &OsString> {
    args.iter().skip(1).take_while(|arg| *arg != "--")
}

/// Help and version are results: on stdout, for scripts as one object.
fn show(error: &clap::Error, json: bool, args: &[OsString]) -> ExitCode {
    let written = if json {
        let output = Output::new(true);
        output.result(match error.kind() {
            ErrorKind::DisplayVersion => {
                json!({ "name": "ramstrap", "version": env!("CARGO_PKG_VERSION") })
            }
            _ => help(&error.to_string(), &Named::of(args)),
        });
        output.finish()
    } else {
        match error.print() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
            _ => Ok(()),
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Output::new(json).error(&error);
            ExitCode::FAILURE
        }
    }
}

fn help(text: &str, Named { line, command }: &Named) -> Value {
    let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let names = subcommands.map(clap::Command::get_name).filter(|name| *name != "help");
    let names: Vec<&str> = names.collect();
    json!({ "command": line, "help": text.trim_end(), "subcommands": names })
}

/// `help COMMAND --json`: the parser takes all words behind `help` for names of commands.
fn asks_for_json_help(error: &clap::Error) -> bool {
    let word = error.get(ContextKind::InvalidSubcommand);
    matches!(word, Some(ContextValue::String(word)) if word == JSON)
}

fn help_in_json(args: &[OsString]) -> ExitCode {
    let mut named = Named::of(args);
    let text = named.command.render_long_help().to_string();
    let output = Output::new(true);
    output.result(help(&text, &named));
    if output.finish().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command that the words lead to.
struct Named {
    /// Such as `ramstrap ospkg sign`.
    line: String,
    command: clap::Command,
}

impl Named {
    fn of(args: &[OsString]) -> Self {
        let program = args.first().and_then(|name| Path::new(name).file_name());
        let mut line =
            program.map_or_else(|| "ramstrap".to_owned(), |it| it.to_string_lossy().into_owned());
        let mut command = command();
        // Usage lines name all of the command then.
        command.build();
        for word in options(args).filter_map(|word| word.to_str()) {
            if word.starts_with('-') || word == "help" {
                continue;
            }
            let Some(below) = command.find_subcommand(word) else { break };
            line = format!("{line} {word}");
            command = below.clone();
        }
        Self { line, command }
    }

    fn is(&self, name: &str) -> bool {
        self.command.get_name() == name
    }
}

/// Where a command is that was looked for in the wrong place, such as `upgrade` for `host upgrade`.
fn elsewhere(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let all = command();
    let groups = all.get_subcommands();
    let mut found = groups.filter_map(|group| {
        let below = group.get_subcommands().find(|it| it.get_name() == word)?;
        Some(format!("{} {}", group.get_name(), below.get_name()))
    });
    found.next()
}
