//! `ramstrap keygen age`.

use std::path::PathBuf;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use serde_json::json;
use zeroize::Zeroizing;

use crate::Result;
use crate::dates;
use crate::files;
use crate::output::Output;

/// Make an age identity, which machines decrypt OS packages with.
///
/// The file has the form that `age-keygen` writes: with the name `decryption_identities` in a trust policy
/// it goes into the boot image. `ospkg encrypt` encrypts to its public half, the recipient.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the identity goes, readable by you alone.
    #[arg(long, value_name = "FILE", default_value = "decryption_identities")]
    out: PathBuf,
    /// Replace a file that exists. What was encrypted to its identity alone, nobody decrypts then.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen age --out trust-policy/decryption_identities
  ramstrap ospkg encrypt --trust-policy trust-policy/ --out public/ os.json";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let text = Zeroizing::new(format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        dates::format(dates::now()),
        identity.to_string().expose_secret()
    ));
    files::write(&args.out, text.as_bytes(), files::SECRET, args.force)?;
    output.field("identity", args.out.display());
    output.field("recipient", &recipient);
    output.result(json!({ "identity_file": args.out, "recipient": recipient }));
    Ok(())
}
