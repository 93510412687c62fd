//! `ramstrap stmgr`: the command line of System Transparency's stmgr, in front of our own commands.
//!
//! Every command of stmgr is translated into one of ours and run as that: there is one
//! implementation, and what it refuses is refused here. Flags, default names of files and exit
//! statuses are stmgr's (v0.6.6, from its documents), but for verdicts that would be laxer than
//! ours; docs/system-transparency.md lists those.

mod check;
mod flags;
mod keygen;
mod ospkg;
mod tree;
mod uki;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use serde_json::json;

use super::Cli;
use super::FindInit;
use super::dispatch;
use super::usage::usage_error;
use crate::Error;
use crate::Result;
use crate::nearest::nearest;
use crate::output::Output;

use flags::Flag;
use flags::Flags;

pub(super) use tree::tree;

/// The name by which the tool is stmgr.
const NAME: &str = "stmgr";

/// Take stmgr's command line: its commands, its flags, its files. For scripts that are to go on
/// working; `ln -s ramstrap stmgr` gives them the name, too.
///
/// Each command is one of ours behind it: `-loglevel debug` shows which. Exit status: 0 done, 1
/// refused or failed, 2 wrong usage; unknown commands are wrong usage, where stmgr ends with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, disable_help_subcommand = true)]
pub(super) struct Args {
    /// COMMAND SUBCOMMAND [FLAGS], as stmgr takes them.
    #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

const HELP: &str = "\
Commands of stmgr, and ours:
  ospkg create        ramstrap ospkg create
  ospkg sign          ramstrap ospkg sign
  ospkg sigsum        ramstrap ospkg sigsum attach
  ospkg verify        ramstrap ospkg verify
  keygen certificate  ramstrap keygen certificate, ramstrap keygen root
  uki create          ramstrap uki create
  uki to-iso          ramstrap boot-image build --uki FILE --format iso
  hostconfig check    ramstrap host-config check
  trustpolicy check   ramstrap trust-policy check

Examples:
  ramstrap stmgr ospkg create -kernel vmlinuz -initramfs initramfs.cpio.gz \\
      -url os.zip -out os
  ramstrap stmgr ospkg sign -key key.pem -cert cert.pem -ospkg os.json
  ramstrap stmgr ospkg verify -trustPolicy trust_policy -ospkg os.json
  ln -s ramstrap ~/bin/stmgr && stmgr keygen certificate -isCA";

/// What a subcommand is.
struct Subcommand {
    command: &'static str,
    name: &'static str,
    flags: &'static [Flag],
    run: fn(&Flags, &mut Run<'_>) -> Result<()>,
}

const TABLE: &[Subcommand] = &[
    Subcommand { command: "ospkg", name: "create", flags: ospkg::CREATE, run: ospkg::create },
    Subcommand { command: "ospkg", name: "sign", flags: ospkg::SIGN, run: ospkg::sign },
    Subcommand { command: "ospkg", name: "sigsum", flags: ospkg::SIGSUM, run: ospkg::sigsum },
    Subcommand { command: "ospkg", name: "verify", flags: ospkg::VERIFY, run: ospkg::verify },
    Subcommand {
        command: "keygen",
        name: "certificate",
        flags: keygen::CERTIFICATE,
        run: keygen::certificate,
    },
    Subcommand { command: "uki", name: "create", flags: uki::CREATE, run: uki::create },
    Subcommand { command: "uki", name: "to-iso", flags: uki::TO_ISO, run: uki::to_iso },
    Subcommand { command: "hostconfig", name: "check", flags: &[], run: check::host_config },
    Subcommand { command: "trustpolicy", name: "check", flags: &[], run: check::trust_policy },
];

/// What a command works with.
struct Run<'a> {
    output: &'a mut Output,
    find_init: FindInit<'a>,
    /// Whether translations are shown.
    debug: bool,
}

/// If the tool was started by the name `stmgr`, the words of `ramstrap stmgr`.
pub(super) fn by_name(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.first().and_then(|name| Path::new(name).file_name());
    if name == Some(OsStr::new(NAME)) {
        // Else it is the usage of `stmgr stmgr` that is shown.
        if let Some(first) = args.first_mut() {
            *first = OsString::from("ramstrap");
        }
        args.insert(1, OsString::from(NAME));
    }
    args
}

pub(super) fn run(args: &Args, output: &mut Output, find_init: FindInit<'_>) -> Result<()> {
    output.as_stmgr();
    let is_json = |word: &OsString| word == "--json" || word == "-json";
    if args.words.iter().any(is_json) {
        output.set_json();
    }
    // In front of flags it is none of a subcommand's yet.
    let mut words = args.words.clone();
    while let Some(at) = words.iter().take(2).position(is_json) {
        words.remove(at);
    }
    let is_help = |word: &OsString| ["help", "-h", "-help", "--help"].iter().any(|it| word == it);
    let [command, name, words @ ..] = words.as_slice() else {
        return match words.first() {
            Some(word) if is_help(word) => help(HELP, output),
            Some(word) if word == "version" => version(output),
            Some(word) => Err(no_subcommand(&word.to_string_lossy())),
            None => Err(Error::usage("no command was given").remedy(LIST)),
        };
    };
    if is_help(command) || is_help(name) {
        return help(HELP, output);
    }
    let found = TABLE.iter().find(|it| command == it.command && name == it.name);
    let found =
        found.ok_or_else(|| unknown(&command.to_string_lossy(), &name.to_string_lossy()))?;
    let flags = Flags::parse(found.flags, words)?;
    if flags.wants_help {
        let Subcommand { command, name, flags, .. } = found;
        let text = format!("Usage: stmgr {command} {name} [flags]\n{}", flags::usage(flags));
        return help(text.trim_end(), output);
    }
    let level = flags.get("loglevel").and_then(OsStr::to_str);
    if level == Some("warn") && !found.flags.is_empty() {
        output.be_quiet();
    }
    (found.run)(&flags, &mut Run { output, find_init, debug: level == Some("debug") })
}

const LIST: &str = "`ramstrap stmgr --help` lists the commands";

fn help(text: &str, output: &Output) -> Result<()> {
    output.text(text);
    output.result(json!({ "help": text }));
    Ok(())
}

/// Ours: what is asked for is what runs.
fn version(output: &Output) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    output.line(format!("ramstrap {version} (takes the command line of stmgr 0.6.6)"));
    output.result(json!({ "name": "ramstrap", "version": version }));
    Ok(())
}

fn no_subcommand(command: &str) -> Error {
    let names: Vec<&str> =
        TABLE.iter().filter(|it| it.command == command).map(|it| it.name).collect();
    if names.is_empty() {
        return unknown(command, "");
    }
    Error::usage(format!("{command} needs a subcommand"))
        .remedy(format!("{command}: {}", names.join(", ")))
}

fn unknown(command: &str, name: &str) -> Error {
    let words = format!("{command} {name}");
    let words = words.trim_end();
    let all: Vec<String> = TABLE.iter().map(|it| format!("{} {}", it.command, it.name)).collect();
    let error = Error::usage(format!("stmgr has no command `{words}`"));
    if matches!(command, "provision" | "mkosi") {
        return error.remedy(
            "it was gone before stmgr 0.6.6: a host configuration is a JSON file, which `ramstrap \
             host-config check` judges; images are built by `ramstrap boot-image build`",
        );
    }
    match nearest(words, all.iter().map(String::as_str)) {
        Some(it) => error.remedy(format!("did you mean `{it}`?")),
        None => error.remedy(LIST),
    }
}

impl Run<'_> {
    /// Runs one of our own commands. Whatever it refuses is status 1, as with stmgr.
    fn ours(&mut self, words: Words) -> Result<()> {
        let line = words.to_string();
        if self.debug {
            self.output.note(format!("runs: {line}"));
        }
        // For people: its name without options.
        let is_name = |word: &&OsString| !word.to_string_lossy().starts_with('-');
        let name: Vec<_> =
            words.0.iter().take_while(is_name).map(|word| word.to_string_lossy()).collect();
        self.output.behind(name.join(" "));
        let cli = Cli::try_parse_from(&words.0)
            .map_err(|error| usage_error(&error.to_string()).detail(format!("in: {line}")))
            .map_err(Error::into_refusal)?;
        dispatch(cli.command, self.output, self.find_init).map_err(Error::into_refusal)
    }
}

/// A command line of ours in the making.
#[derive(Debug)]
struct Words(Vec<OsString>);

impl Words {
    fn new(command: &[&str]) -> Self {
        let name = core::iter::once(&"ramstrap");
        Self(name.chain(command).map(OsString::from).collect())
    }

    /// `--name=value`, whatever the value begins with; nothing if there is none.
    fn option(mut self, name: &str, value: Option<impl AsRef<OsStr>>) -> Self {
        if let Some(value) = value {
            let mut word = OsString::from(format!("--{name}="));
            word.push(value);
            self.0.push(word);
        }
        self
    }

    fn switch(mut self, name: &str, on: bool) -> Self {
        if on {
            self.0.push(OsString::from(format!("--{name}")));
        }
        self
    }

    /// The last word, which is no option.
    fn file(mut self, file: impl AsRef<OsStr>) -> Self {
        self.0.push(OsString::from("--"));
        self.0.push(file.as_ref().to_owned());
        self
    }
}

/// As a shell would take it, near enough for people.
impl core::fmt::Display for Words {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (number, word) in self.0.iter().enumerate() {
            let word = word.to_string_lossy();
            let space = if number == 0 { "" } else { " " };
            if word.contains([' ', '\'', '"', '$', '\\', '*', '?', '&', ';', '|', '<', '>', '(']) {
                write!(f, "{space}'{}'", word.replace('\'', r"'\''"))?;
            } else {
                write!(f, "{space}{word}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_name_stmgr_is_enough() {
        assert_eq!(by_name(words("/x/stmgr ospkg sign")), words("ramstrap stmgr ospkg sign"));
        assert_eq!(by_name(words("stmgr-old ospkg")), words("stmgr-old ospkg"));
        assert_eq!(by_name(words("ramstrap stmgr")), words("ramstrap stmgr"));
    }

    #[test]
    fn a_slip_in_a_command_is_understood() {
        assert_eq!(unknown("ospkg", "crate").remedy_text(), Some("did you mean `ospkg create`?"));
        assert_eq!(unknown("frobnicate", "all").remedy_text(), Some(LIST));
        assert!(unknown("provision", "hostconfig").remedy_text().unwrap().contains("JSON file"));
    }

    #[test]
    fn translations_can_be_pasted() {
        let line = Words::new(&["ospkg", "create"])
            .option("cmdline", Some("a 'b'"))
            .option("label", None::<&str>)
            .file("-x.json")
            .to_string();
        assert_eq!(line, r"ramstrap ospkg create '--cmdline=a '\''b'\''' -- -x.json");
    }
}
