//! `ramstrap host-config`: checks before a host configuration is embedded or stored.

mod identity;
mod meaning;
mod reach;

use std::path::Path;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use hostcfg::HostConfig;
use hostcfg::sources::CommandLine;
use hostcfg::sources::MAX_COMMAND_LINE_LEN;
use hostcfg::sources::Settings;
use report::Coded;
use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::files;
use crate::host_config;
use crate::output::Output;

/// Check a host configuration, or bring it into another form.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

/// Where the kernel cuts its command line on x86, in bytes.
const KERNEL_COMMAND_LINE: usize = 2047;

const ON_A_COMMAND_LINE: &str = "it holds secrets: the kernel prints its command line, and every program \
                                 of a running machine can read it";

const EXAMPLES: &str = "\
Examples:
  ramstrap host-config check host_configuration.json
  ramstrap host-config check \\
      --command-line 'ramstrap.url=https://boot.example/os.json'
  ramstrap host-config schema > host_configuration.schema.json";

const ENCODE_EXAMPLES: &str = "\
Examples:
  ramstrap host-config encode host_configuration.json

QEMU takes the line as -smbios type=11,value=LINE";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  ramstrap host-config schema > host_configuration.schema.json";

const CHECK_EXAMPLES: &str = "\
Examples:
  ramstrap host-config check host_configuration.json
  ramstrap host-config check \\
      --command-line 'ramstrap.url=https://boot.example/os.json'

To store it on a machine with UEFI, as root (4 bytes of attributes, then the
file, in one write; a variable that exists is immutable until chattr has been
told otherwise):
  V=/sys/firmware/efi/efivars/STHostConfig-f401f2c1-b005-4be0-8cee-f2e5945bcbe7
  { printf '\\7\\0\\0\\0'; cat host_configuration.json; } > v
  chattr -i $V; cat v > $V";

#[derive(Debug, Subcommand)]
enum What {
    Check(Check),
    Encode(Encode),
    Schema(Schema),
}

/// Judge a host configuration. The normal form goes to stdout, with passwords replaced by `***`; what
/// the machine will do with it goes to stderr, in words.
///
/// What a machine refuses is refused here, but for one thing: `ospkg_pointer` may be the name of an OS
/// package in the boot image. A warning says so then, because a machine that boots from the network
/// refuses it, and so does `boot-image build` (E0114).
///
/// What is printed with `***` is no configuration to use: fed back, it is refused.
///
/// A configuration in a form of 2021 to 2023 is accepted with warnings, and printed in today's form: put
/// in its passwords again, and it takes the place of the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct Check {
    /// The configuration; `-` reads it from stdin.
    #[arg(value_name = "FILE", required_unless_present_any = ["command_line", "oem_string"])]
    file: Option<PathBuf>,

    /// Judge these settings of a kernel command line in place of a file.
    #[arg(long, value_name = "WORDS", conflicts_with = "file")]
    command_line: Option<String>,

    /// Judge this setting of an OEM string (SMBIOS type 11), which may be longer than a command line,
    /// in place of a file; may be given several times.
    #[arg(long, value_name = "SETTING", conflicts_with_all = ["file", "command_line"])]
    oem_string: Vec<String>,
}

/// Print a host configuration as the setting `ramstrap.host_config=…`, for the kernel command line or
/// for OEM strings (SMBIOS type 11). It must be one that `check` accepts.
#[derive(Debug, clap::Args)]
#[command(after_help = ENCODE_EXAMPLES)]
struct Encode {
    /// The configuration; `-` reads it from stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Print the JSON Schema of host configurations (draft 2020-12), for editors and other tools.
///
/// It knows every key and form. `check` knows more: what contradicts itself, and what cannot work.
#[derive(Debug, clap::Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
struct Schema {}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.what {
        What::Check(Check { command_line: Some(line), .. }) => {
            let line = CommandLine::parse(line);
            let config = check_settings(&line, "--command-line", output)?;
            if config.holds_secrets() {
                output.warning(ON_A_COMMAND_LINE);
            }
            Ok(())
        }
        What::Check(Check { file: Some(file), .. }) => {
            judge(&files::read_or_stdin(file)?, &name(file), output)
        }
        What::Check(Check { oem_string, .. }) => {
            if oem_string.iter().any(|it| it.split_whitespace().skip(1).any(is_setting)) {
                output.warning(
                    "an OEM string is one setting, blanks and all: give each setting a string, and \
                     an --oem-string, of its own",
                );
            }
            let settings = Settings::read(oem_string.iter().map(String::as_str));
            let line = CommandLine { settings, ..CommandLine::default() };
            check_settings(&line, "--oem-string", output).map(|_| ())
        }
        What::Encode(Encode { file }) => encode(file, output),
        What::Schema(Schema {}) => {
            print_schema(output);
            Ok(())
        }
    }
}

/// Whether a word looks like a setting of ours.
fn is_setting(word: &str) -> bool {
    word.starts_with("ramstrap.")
}

fn check_settings(line: &CommandLine, name: &str, output: &mut Output) -> Result<HostConfig> {
    let CommandLine { settings, boot_interface, warnings } = line;
    for warning in warnings.iter().chain(settings.warnings()) {
        output.warning(warning);
    }
    if settings.is_empty() {
        let none = Error::new("no host configuration here: there is no setting of one");
        return Err(none
            .on(name)
            .remedy("give settings such as ramstrap.url=https://boot.example/os.json"));
    }
    let document = settings.document().map_err(|error| Error::coded(&error).on(name).in_check())?;
    for warning in &document.warnings {
        output.warning(warning);
    }
    let config =
        judged(&document.json, name, &|it| settings.renamed_warning(it), &|normal| normal, output)?;
    if let Some(mac) = boot_interface.filter(|_| !output.is_json()) {
        output.note(if config.interfaces.is_empty() {
            format!("BOOTIF: the interface {mac} goes first.")
        } else {
            format!("BOOTIF: {mac} counts for nothing, because interfaces are named.")
        });
    }
    Ok(config)
}

fn encode(file: &Path, output: &mut Output) -> Result<()> {
    let bytes = files::read_or_stdin(file)?;
    let refuse = |error: Error| error.on(name(file)).in_check();
    let config = host_config::read(&bytes).map_err(refuse)?;
    for warning in &config.warnings {
        output.warning(warning);
    }
    if config.package.is_none() {
        config.provisioning_urls().map_err(|error| refuse(Error::coded(&error)))?;
    }
    if config.holds_secrets() {
        output.warning(ON_A_COMMAND_LINE);
    }
    // Without the blanks; a text with NULs behind it is read as well.
    let compact = serde_json::from_slice::<Value>(bytes.trim_ascii_end())
        .map_or(bytes, |value| value.to_string().into_bytes());
    let setting = format!("ramstrap.host_config={}", URL_SAFE_NO_PAD.encode(compact));
    if setting.len() > KERNEL_COMMAND_LINE {
        output.warning(format!(
            "{} bytes: the kernel cuts its command line at {KERNEL_COMMAND_LINE}, and no more than \
             {MAX_COMMAND_LINE_LEN} are read; OEM strings may be longer",
            setting.len()
        ));
    }
    output.line(&setting);
    output.result(json!({ "setting": setting }));
    Ok(())
}

fn print_schema(output: &Output) {
    output.text(hostcfg::SCHEMA.trim_end());
    let schema: Value = serde_json::from_str(hostcfg::SCHEMA).unwrap_or_default();
    output.result(json!({ "schema": schema }));
}

/// What a file is called in errors.
fn name(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}

/// Judges the text of a host configuration and prints its normal form; `name` is for errors.
pub(super) fn judge(document: &[u8], name: &str, output: &mut Output) -> Result<()> {
    judge_as(document, name, output, &|normal| normal)
}

/// As [`judge`], with the normal form brought into another one before it is printed.
pub(super) fn judge_as(
    document: &[u8],
    name: &str,
    output: &mut Output,
    form: &dyn Fn(String) -> String,
) -> Result<()> {
    judged(document, name, &str::to_owned, form, output).map(|_| ())
}

/// The same; each warning is shown as `shown` has it. Gives what was judged.
fn judged(
    document: &[u8],
    name: &str,
    shown: &dyn Fn(&str) -> String,
    form: &dyn Fn(String) -> String,
    output: &mut Output,
) -> Result<HostConfig> {
    let config = host_config::read(document).map_err(|error| error.on(name).in_check())?;
    for warning in config.warnings.iter().chain(&reach::warnings(&config)) {
        output.warning(shown(warning));
    }
    if let Err(error) = config.provisioning_urls() {
        let code = error.code();
        match &config.package {
            Some(package) if package.is_provision() => {}
            Some(_) => output.warning(format!(
                "a machine that boots from the network refuses this: {code} {}",
                code.title()
            )),
            // No name of a package either: no machine boots with it.
            None => return Err(Error::coded(&error).on(name).in_check()),
        }
    }
    identity::check(&config, name, output)?;
    let meaning = meaning::sentences(&config);
    let normal = form(config.redacted_json());
    output.text(&normal);
    let hidden = config.holds_secrets();
    if !output.is_json() {
        if hidden {
            output
                .note("`***` stands for secrets: what is printed here is no configuration to use.");
        }
        for sentence in &meaning {
            output.note(sentence);
        }
    }
    let normal: Value = serde_json::from_str(&normal).unwrap_or_default();
    output.result(json!({
        "host_configuration": normal,
        "secrets_hidden": hidden,
        "meaning": meaning,
    }));
    Ok(config)
}
