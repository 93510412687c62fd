//! `ramstrap keygen public`.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::json;

use crate::Result;
use crate::commands::signer_args::KEY_SOURCES;
use crate::commands::signer_args::OpenKey;
use crate::files;
use crate::keys::KeySource;
use crate::keys::PublicKey;
use crate::output::Output;

/// Write the public half of a key, and what the key is known by.
///
/// A signer hands it to whoever has the root, who issues a certificate for it (`keygen certificate
/// --key`). The private half stays where it is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{KEY_SOURCES}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// The key: in a file, in ssh-agent or on a token.
    #[arg(long, value_name = "KEY")]
    key: OsString,
    #[command(flatten)]
    open: OpenKey,
    /// Where it goes, in PEM. Without it: to stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that exists.
    #[arg(long, requires = "out")]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen public --key alice.key --out alice.pub.pem
  ramstrap keygen public --key ssh-agent:alice@desk --out alice.pub.pem";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    if let Some(out) = &args.out {
        files::spare_all(&[out], &args.open.inputs(Some(&args.key))?)?;
    }
    // Of a file the private half need not be at hand.
    let of_file = match KeySource::parse(args.key.clone())? {
        KeySource::File(file) => PublicKey::from_file(&files::read(&file)?).ok(),
        _ => None,
    };
    let key = match of_file {
        Some(key) => key,
        None => args.open.open(&args.key)?.public_key().clone(),
    };
    let pem = key.to_pem()?;
    match &args.out {
        Some(file) => {
            files::write(file, pem.as_bytes(), files::PUBLIC, args.force)?;
            output.field("public key", file.display());
            output.field("key SHA-256", key.fingerprint()?);
            output.field("OpenSSH", key.ssh_fingerprint());
        }
        None => output.text(pem.trim_end()),
    }
    output.result(json!({
        "public_key": args.out,
        "pem": pem,
        "key": key.fingerprint()?,
        "ssh_fingerprint": key.ssh_fingerprint(),
    }));
    Ok(())
}
