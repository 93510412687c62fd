//! `ramstrap keygen wireguard`.

use std::path::PathBuf;

use provision::wireguard;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::files;
use crate::output::Output;

/// Make a private key for a WireGuard server, and show its public key.
///
/// The file has the form that `wg genkey` writes. The public key is what clients are configured
/// with; a restart of the server changes neither, because the key is handed over again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the private key goes, readable by you alone.
    #[arg(long, value_name = "FILE", default_value = "wireguard.key")]
    out: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen wireguard --out vpn1.key
  jq --rawfile key vpn1.key \\
      '.wireguard.private_key = ($key | rtrimstr(\"\\n\"))' vpn1.json";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let failed = |error: provision::KeyError| Error::new(error.to_string());
    let private = wireguard::generate().map_err(failed)?;
    let public = wireguard::public_key(&private).unwrap_or_default();
    let mut line = private.expose().as_bytes().to_vec();
    line.push(b'\n');
    files::write(&args.out, &line, files::SECRET, args.force)?;
    output.field("private key", args.out.display());
    output.field("public key", &public);
    output.result(json!({ "private_key": args.out, "public_key": public }));
    Ok(())
}
