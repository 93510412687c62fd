//! `ramstrap provision`: take a machine into service.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use provision::client::Ask;
use provision::config::ConfigError;
use provision::config::Document;
use report::Coded;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::commands::host::Access;
use crate::commands::host::Package;
use crate::commands::host::tell_answer;
use crate::files;
use crate::output::Output;

/// As many problems of a configuration as somebody reads.
const MAX_SHOWN: usize = 100;

/// Hand a machine its configuration, once it has proved who it is.
///
/// The machine must show the key whose fingerprint stands on its own console, and run the package
/// that you name; nothing is sent to another one. It keeps the configuration in memory alone: a
/// restart forgets it. A machine takes one configuration and no second one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    package: Package,
    /// The configuration.
    #[arg(value_name = "CONFIG.json", required = true)]
    config: Option<PathBuf>,
    /// A file as wg-quick reads it, in the place of the configuration's field `wireguard`.
    #[arg(long, value_name = "wg0.conf")]
    wireguard: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap provision check vpn1.json
  ramstrap provision vpn1.example --key alice.key --package vpn.json \\
      --fingerprint SHA256:Wd1Xk0rkJ9Ff2nSBzAgGbE5g9sJ1Wb3CwlrH2E3QvVA \\
      vpn1.json
  ramstrap provision 192.0.2.7:7443 --key alice.key --fingerprint SHA256:… \\
      --package-sha256 \\
      55d930f10bfcab3e771ff937c1a53fe5acee399a7b1c258b241efed0f953a6fb \\
      --wireguard wg0.conf vpn1.json";

#[derive(Debug, Subcommand)]
enum What {
    Check(Check),
}

/// Judge a configuration, and say in words what a machine will do with it. No machine is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// The configuration.
    #[arg(value_name = "CONFIG.json")]
    config: PathBuf,
    /// A file as wg-quick reads it, in the place of the configuration's field `wireguard`.
    #[arg(long, value_name = "wg0.conf")]
    wireguard: Option<PathBuf>,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  ramstrap provision check vpn1.json
  ramstrap provision check --wireguard wg0.conf vpn1.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.what {
        Some(What::Check(args)) => check(args, output),
        None => provision(args, output),
    }
}

fn check(args: &Check, output: &Output) -> Result<()> {
    let document = read(&args.config, args.wireguard.as_deref()).map_err(Error::in_check)?;
    let config = document.config();
    let meaning = config.explain();
    output.verdict(true, "usable", format!("{} ({})", args.config.display(), config.service()));
    for sentence in &meaning {
        output.line(sentence);
    }
    output.result(json!({ "configuration": config, "meaning": meaning }));
    Ok(())
}

fn provision(args: &Args, output: &mut Output) -> Result<()> {
    let target = args.access.target()?;
    args.access.fingerprint()?;
    let file = args.config.as_ref().ok_or_else(|| Error::usage("CONFIG.json is missing"))?;
    // Everything that can be wrong here is found before the machine hears of it.
    let document = read(file, args.wireguard.as_deref())?;
    let package = args.package.digest()?.ok_or_else(|| {
        Error::usage("--package is missing: which OS package must the machine run?")
            .remedy("give --package NAME.json, whose archive is beside it, or --package-sha256 HEX")
    })?;
    let asked = args.access.ask(Some(package), Ask::Provision(&document), output)?;
    output.verdict(true, "provisioned", target);
    tell_answer(&asked, output);
    output.result(json!({
        "host": target.to_string(),
        "request": "provision",
        "machine": asked.machine(),
        "details": asked.accepted.details,
    }));
    Ok(())
}

/// Reads both files and judges them.
fn read(config: &Path, wireguard: Option<&Path>) -> Result<Document> {
    let json = files::read(config)?;
    let document = match wireguard {
        None => Document::parse(&json),
        Some(path) => {
            let bytes = files::read(path)?;
            let text = core::str::from_utf8(&bytes).map_err(|_| {
                Error::new(format!("{} is not a text file", path.display()))
                    .remedy("give a file as wg-quick reads it")
            })?;
            Document::with_wireguard(&json, text)
        }
    };
    document.map_err(|error| explain(config, &error))
}

/// One line for each problem.
fn explain(config: &Path, error: &ConfigError) -> Error {
    match error.0.as_slice() {
        [problem] => Error::with_code(error.code(), problem.to_string()).on(config.display()),
        problems => {
            let message = format!("{}: {} problems", config.display(), problems.len());
            problems
                .iter()
                .take(MAX_SHOWN)
                .fold(Error::with_code(error.code(), message), |all, one| {
                    all.detail(one.to_string())
                })
        }
    }
}
