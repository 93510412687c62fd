//! stmgr's command line as a tree, for completions: a shell that knows it proposes what the alias takes.
//!
//! Flags have two dashes here, which the alias takes as well as one.

use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::ValueHint;
use clap::builder::PossibleValuesParser;

use super::Flag;
use super::NAME;
use super::TABLE;
use super::flags::EVERYWHERE;

/// All commands of stmgr with their flags.
pub(in crate::commands) fn tree() -> Command {
    let root = Command::new(NAME)
        .about("stmgr's command line")
        .disable_help_subcommand(true)
        .subcommand(Command::new("version").about("Print the version"));
    let mut groups: Vec<&str> = TABLE.iter().map(|it| it.command).collect();
    groups.dedup();
    groups.into_iter().fold(root, |root, group| {
        let below = TABLE.iter().filter(|it| it.command == group).map(|it| {
            let flags = it.flags.iter().chain(EVERYWHERE);
            Command::new(it.name).args(flags.map(argument))
        });
        root.subcommand(Command::new(group).disable_help_subcommand(true).subcommands(below))
    })
}

fn argument(flag: &Flag) -> Arg {
    let argument = Arg::new(flag.name).long(flag.name).help(flag.help);
    let Some(value) = flag.value else { return argument.action(ArgAction::SetTrue) };
    match (flag.name, value) {
        ("loglevel", _) => {
            argument.value_parser(PossibleValuesParser::new(["debug", "info", "warn"]))
        }
        ("format", _) => {
            argument.value_parser(PossibleValuesParser::new(["iso", "uki", "iso,uki"]))
        }
        (_, "FILE" | "NAME") => argument.value_hint(ValueHint::FilePath),
        (_, "DIR") => argument.value_hint(ValueHint::DirPath),
        _ => argument.value_hint(ValueHint::Other),
    }
}
