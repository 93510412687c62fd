//! The command line.

mod bench;
mod boot;
mod boot_image;
mod demo;
mod init;
mod kernel;
mod minimal;
mod ospkg;
mod test;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use anyhow::bail;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use ramstrap_cli::FoundInit;
use xtask::build;
use xtask::locked::Locked;
use xtask::provenance;

/// Commands that the operator's tool has and that are reachable here as well.
const OPERATORS: [&str; 12] = [
    "boot-image",
    "compare",
    "explain",
    "host-config",
    "keygen",
    "ospkg",
    "secure-boot",
    "serve",
    "stmgr",
    "store",
    "trust-policy",
    "uki",
];

/// Commands among those of the operator's tool that need the source tree, and are here alone.
const OURS: [(&str, &[&str]); 2] =
    [("boot-image", &["rebuild"]), ("ospkg", &["build", "list", "lock", "new", "rebuild"])];

/// Builds, boots, shows, tests and measures ramstrap.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "The operator's commands work here, too: keygen, ospkg, trust-policy, host-config, \
                  boot-image, uki, secure-boot, serve, compare, store, stmgr, \
                  explain. Try `cargo xtask ospkg --help`."
)]
pub(crate) struct Xtask {
    #[command(subcommand)]
    command: Command,
}

// Their words in the help are those of the `Args`: a comment here would take the place of them.
#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Args),
    Boot(Box<boot::Args>),
    BootImage(boot_image::Args),
    Demo(demo::Args),
    Init(init::Args),
    Kernel(kernel::Args),
    Minimal(minimal::Args),
    Ospkg(ospkg::Args),
    Test(test::Args),
}

/// Whether this is a command of the operator's tool: its name and, if there is one, the word behind.
pub(crate) fn is_operators(name: &OsStr, next: Option<&OsStr>) -> bool {
    let ours = |(of, words): &(&str, &[&str])| {
        name == *of && next.is_some_and(|next| words.iter().any(|word| next == *word))
    };
    OPERATORS.iter().any(|&operators| name == operators) && !OURS.iter().any(ours)
}

/// `/init` for a boot image that the operator's tool builds: the source tree's own, and what it is
/// built of.
///
/// # Errors
///
/// It does not build.
pub(crate) fn init(kernel: Option<&[u8]>, locked: bool) -> ramstrap_cli::Result<FoundInit> {
    let found = || -> Result<FoundInit> {
        let locked =
            if locked { Some(Locked::open(&xtask::ospkg::debs(None, None)?)?) } else { None };
        let locked = locked.as_ref();
        let before = provenance::of_image(None, locked)?;
        let file = match locked {
            Some(locked) => build::locked_binary(locked, "init", "init")?,
            None => build::init()?,
        };
        let mut built = provenance::of_image(kernel, locked)?;
        // Somebody who works in the tree meanwhile leaves it unknown what was compiled.
        if let (Some(before), Some(built)) = (before, &mut built) {
            built.source.dirty |= before.source != built.source;
        }
        Ok(FoundInit { file, built })
    };
    found().map_err(|error| {
        ramstrap_cli::Error::new(format!("{error:#}"))
            .remedy("see cargo's words above, or give a built one with --init")
    })
}

/// What the help of a group of commands has besides those of the operator's tool, if these words ask
/// for it.
pub(crate) fn more_help(words: &[OsString]) -> Option<String> {
    let mut words = words.iter().filter_map(|word| word.to_str());
    let (first, second) = (words.next()?, words.next());
    let name = if first == "help" { second? } else { first };
    let asks = first == "help" || second.is_none_or(|it| ["--help", "-h", "help"].contains(&it));
    if !asks || words.next().is_some() {
        return None;
    }
    let xtask = Xtask::command();
    let group = xtask.find_subcommand(name)?;
    let mut text = format!("\nFrom this source tree (cargo xtask {name} …):\n");
    for command in group.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!("  {:<8} {about}\n", command.get_name());
    }
    if let Some(examples) = group.get_after_help() {
        text += &format!("\n{examples}\n");
    }
    Some(text)
}

/// Takes `--locked` out of the words of `boot-image build`, which is for the source tree alone: the
/// operator's tool compiles nothing.
///
/// # Errors
///
/// Nothing would be compiled: `/init` is given.
pub(crate) fn take_locked(words: &mut Vec<OsString>) -> Result<bool> {
    let building = words.iter().take(2).map(OsString::as_os_str).eq(["boot-image", "build"]);
    let before = words.len();
    if building {
        words.retain(|word| word != "--locked");
    }
    let locked = words.len() < before;
    let given = words
        .iter()
        .filter_map(|word| word.to_str())
        .find(|word| ["--init", "--uki"].iter().any(|it| word.split('=').next() == Some(it)));
    match given {
        Some(word) if locked => bail!("--locked compiles /init, and {word} gives a compiled one"),
        _ => Ok(locked),
    }
}

/// Runs a command and returns the exit status.
///
/// # Errors
///
/// Whatever keeps the command from doing what it is for; the exit status is 1 then.
pub(crate) fn run(xtask: Xtask) -> Result<ExitCode> {
    match xtask.command {
        Command::Bench(args) => bench::run(&args),
        Command::Boot(args) => boot::run(*args),
        Command::BootImage(args) => Ok(boot_image::run(&args)),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Kernel(args) => kernel::run(&args),
        Command::Minimal(args) => minimal::run(&args),
        Command::Ospkg(args) => Ok(ospkg::run(&args)),
        Command::Test(args) => test::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

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
    fn help_says_what_every_command_does() {
        for command in Xtask::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((10..80).contains(&about.len()), "{}: {about:?}", command.get_name());
        }
        let mut boot = Xtask::command().find_subcommand("boot").unwrap().clone();
        let help = boot.render_long_help().to_string();
        assert!(help.contains("Exit status: 0") && help.contains("10.0.2.2"), "{help}");
    }

    #[test]
    fn help_shows_both_kinds_of_commands() {
        let more =
            |line: &str| super::more_help(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["ospkg", "ospkg --help", "ospkg -h", "ospkg help", "help ospkg"] {
            let text = more(line).unwrap();
            for word in ["build ", "lock ", "new ", "list ", "rebuild ", "Examples:", "--locked"] {
                assert!(text.contains(word), "{line}: {word}: {text}");
            }
        }
        assert!(more("boot-image --help").unwrap().contains("cargo xtask boot-image rebuild"));
        for line in ["keygen --help", "ospkg sign --help", "ospkg sign", "serve", "help"] {
            assert_eq!(more(line), None, "{line}");
        }
    }

    #[test]
    fn only_building_an_image_can_be_locked() {
        let take = |line: &str| {
            let mut words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let locked = super::take_locked(&mut words).unwrap();
            (locked, words.len())
        };
        assert_eq!(take("boot-image build --locked --format iso"), (true, 4));
        assert_eq!(take("boot-image build --format iso"), (false, 4));
        assert_eq!(take("boot-image inspect --locked"), (false, 3));
        for line in ["boot-image build --locked --init x", "boot-image build --uki=x --locked"] {
            let mut words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = super::take_locked(&mut words).unwrap_err().to_string();
            assert!(error.contains("compiled one"), "{error}");
        }
    }

    #[test]
    fn operators_commands_are_not_ours() {
        let operators = |name: &str, next: Option<&str>| {
            super::is_operators(name.as_ref(), next.map(AsRef::as_ref))
        };
        for name in super::OPERATORS {
            assert!(operators(name, None) && operators(name, Some("--help")), "{name}");
            let ours = super::OURS.iter().find(|(of, _)| *of == name);
            let found = Xtask::command().find_subcommand(name).is_some();
            assert_eq!(found, ours.is_some(), "{name}");
        }
        assert!(operators("ospkg", Some("sign")) && !operators("boot", None));
        for (name, words) in super::OURS {
            let command = Xtask::command().find_subcommand(name).unwrap().clone();
            for word in words {
                assert!(!operators(name, Some(word)), "{name} {word}");
                assert!(command.find_subcommand(word).is_some(), "{name} {word}");
            }
        }
    }
}
