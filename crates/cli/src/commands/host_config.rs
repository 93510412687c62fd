//! `ramstrap host-config`: checks before a host configuration is embedded or stored.

use std::path::PathBuf;

use clap::Subcommand;
use hostcfg::Addressing;
use hostcfg::HostConfig;
use hostcfg::InterfaceSelector;
use report::Coded;
use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::files;
use crate::output::Output;

/// Check a host configuration.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap host-config check host_configuration.json";

const CHECK_EXAMPLES: &str = "\
Examples:
  ramstrap host-config check host_configuration.json

To store it on a machine with UEFI, as root (4 bytes of attributes, then the file, in one write;
a variable that exists is immutable until chattr has been told otherwise):
  V=/sys/firmware/efi/efivars/STHostConfig-f401f2c1-b005-4be0-8cee-f2e5945bcbe7
  chattr -i $V; { printf '\\7\\0\\0\\0'; cat host_configuration.json; } > v && cat v > $V";

#[derive(Debug, Subcommand)]
enum What {
    Check(Check),
}

/// Judge a host configuration. The normal form goes to stdout, with passwords replaced by `***`.
///
/// What a machine refuses is refused here, but for one thing: `ospkg_pointer` may be without a
/// usable URL, as an OS package in the initramfs needs none. A warning says so then, because a
/// machine that boots from the network refuses it, and so does `boot-image build` (E0114).
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// The configuration.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let What::Check(Check { file }) = &args.what;
    let config = HostConfig::parse(&files::read(file)?)
        .map_err(|error| Error::coded(&error).on(file.display()).in_check())?;
    for warning in &config.warnings {
        output.warning(warning);
    }
    if let Err(error) = config.provisioning_urls() {
        let code = error.code();
        output.warning(format!(
            "a machine that boots from the network refuses this: {code} {}",
            code.title()
        ));
    }
    let meaning = meaning(&config);
    let normal = config.redacted_json();
    output.line(&normal);
    if !output.is_json() {
        for sentence in &meaning {
            output.note(sentence);
        }
    }
    let normal: Value = serde_json::from_str(&normal).unwrap_or_default();
    output.result(json!({ "host_configuration": normal, "meaning": meaning }));
    Ok(())
}

fn meaning(config: &HostConfig) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(bonding) = &config.bonding {
        sentences.push(format!("Bonds its interfaces as {} ({}).", bonding.name, bonding.mode));
    }
    let names: Vec<String> = config.interfaces.iter().map(selector).collect();
    sentences.push(if names.is_empty() {
        "Tries every interface that has a carrier.".to_owned()
    } else {
        format!("Uses {}.", names.join(", "))
    });
    sentences.push(match &config.network {
        Addressing::Dhcp => "Gets its address by DHCP.".to_owned(),
        Addressing::Auto => "Gets its address by DHCP or from routers.".to_owned(),
        Addressing::Static(own) => {
            format!("Has the addresses {:?} and the gateways {:?}.", own.addresses, own.gateways)
        }
    });
    if !config.dns.is_empty() {
        let servers: Vec<String> = config.dns.iter().map(ToString::to_string).collect();
        sentences.push(format!("Resolves names at {}.", servers.join(", ")));
    }
    sentences.extend(config.urls().enumerate().map(|(index, url)| {
        if index == 0 { format!("Fetches {url}.") } else { format!("Failing that, {url}.") }
    }));
    sentences
}

fn selector(interface: &InterfaceSelector) -> String {
    match (&interface.mac, &interface.name) {
        (Some(mac), _) => format!("the interface with address {mac}"),
        (None, Some(name)) => format!("the interface {name}"),
        (None, None) => "any interface".to_owned(),
    }
}
