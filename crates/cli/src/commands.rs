//! The command line. One module a subcommand.

mod boot_image;
pub(crate) mod compare;
mod completions;
mod explain;
mod host;
mod host_config;
mod keygen;
mod man;
mod ospkg;
mod pair;
mod provision;
mod secure_boot;
mod serve;
mod signer_args;
mod stmgr;
mod store;
mod trust_policy;
mod uki;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use crate::Exit;
use crate::Result;
use crate::boot_image::Built;
use crate::output::Output;
use crate::unfinished;

/// Finds the static executable that becomes `/init`. It is told the kernel of the image, if there is
/// one, to say where that comes from.
pub type FindInit<'a> = &'a dyn Fn(Option<&[u8]>) -> Result<FoundInit>;

/// The static executable that becomes `/init`.
#[derive(Clone, Debug)]
pub struct FoundInit {
    /// The file.
    pub file: PathBuf,
    /// What it was built of, if that is known for sure.
    pub built: Option<Built>,
}

/// The operator's tool of ramstrap: keys, OS packages, configuration checks, boot images, and
/// machines that are taken into service.
///
/// What a command writes (--out and the like) appears whole or not at all; directories above it that
/// are missing are made.
///
/// Exit status: 0 done or accepted, 1 refused or failed (the reason on stderr, with its code), 2
/// wrong usage, 130 interrupted by Ctrl-C. Colours are for terminals; NO_COLOR takes them away,
/// CLICOLOR_FORCE insists on them.
#[derive(Debug, Parser)]
#[command(
    name = "ramstrap",
    version,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    max_term_width = 100,
)]
pub(crate) struct Cli {
    /// Write the result as one JSON object on stdout, errors too (`serve`: one a line).
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen root
  ramstrap keygen certificate --root-cert rootcert.pem --root-key rootkey.pem
  ramstrap ospkg create --kernel vmlinuz --initramfs initramfs.cpio.zst \\
      --url os.zip --out os
  ramstrap ospkg sign --key key.pem --cert cert.pem os.json
  ramstrap ospkg verify --trust-policy trust-policy/ os.json
  ramstrap provision check vpn1.json
  ramstrap explain E0404";

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Ospkg(ospkg::Args),
    TrustPolicy(trust_policy::Args),
    HostConfig(host_config::Args),
    BootImage(boot_image::Args),
    SecureBoot(secure_boot::Args),
    Provision(Box<provision::Args>),
    Host(host::Args),
    Serve(serve::Args),
    Compare(compare::Args),
    Store(store::Args),
    Uki(uki::Args),
    Stmgr(stmgr::Args),
    Explain(explain::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the command line `args`, the first of which is the program's name.
///
/// Status 0: done or accepted. 1: refused or failed, with the reason on stderr. 2: wrong usage.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    run_with_init(args, &boot_image::init_beside_this_tool)
}

/// As [`run`], for a program that has a way of its own to find the static executable that becomes
/// `/init` of a boot image. It is asked only when a boot image is built without `--init`.
pub fn run_with_init(args: impl Iterator<Item = OsString>, init: FindInit<'_>) -> ExitCode {
    let args = stmgr::by_name(args.collect());
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage::tell(&error, &args),
    };
    let mut output = Output::new(cli.json);
    match dispatch(cli.command, &mut output, init).and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            unfinished::let_it_end();
            let error = match error.exit() {
                Exit::Refused => error,
                Exit::Usage => usage::with_remedy(error, &args),
            };
            output.error(&error);
            match error.exit() {
                Exit::Refused => ExitCode::FAILURE,
                Exit::Usage => ExitCode::from(2),
            }
        }
    }
}

fn dispatch(command: Command, output: &mut Output, init: FindInit<'_>) -> Result<()> {
    match command {
        Command::Keygen(args) => keygen::run(args, output),
        Command::Ospkg(args) => ospkg::run(args, output),
        Command::TrustPolicy(args) => trust_policy::run(&args, output),
        Command::HostConfig(args) => host_config::run(&args, output),
        Command::BootImage(args) => boot_image::run(args, output, init),
        Command::SecureBoot(args) => secure_boot::run(&args, output),
        Command::Provision(args) => provision::run(&args, output),
        Command::Host(args) => host::run(&args, output),
        Command::Serve(args) => {
            output.json_lines();
            serve::run(args, output)
        }
        Command::Compare(args) => compare::run(&args, output),
        Command::Store(args) => store::run(&args, output),
        Command::Uki(args) => uki::run(args, output),
        Command::Stmgr(args) => stmgr::run(&args, output, init),
        Command::Explain(args) => explain::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Man(args) => man::run(&args, output),
    }
}

/// The command line as a value, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}

/// A sentence about a number of things: `1 key`, `3 keys`.
fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// A length for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000),
    }
}
