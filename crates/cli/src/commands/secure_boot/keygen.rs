//! `ramstrap secure-boot keygen`: a set of keys.

use std::path::Path;
use std::path::PathBuf;

use bootmedia::secure_boot::Guid;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::unix;
use crate::Result;
use crate::dates;
use crate::output::Output;
use crate::progress::Progress;
use crate::secure_boot;
use crate::secure_boot::KeySet;
use crate::secure_boot::Request;

/// Days in a year, with its share of leap days rounded away.
const YEAR: i64 = 365 * dates::DAY;

/// Make PK, KEK and db: the keys of a machine's owner, of those who may change what it starts, and
/// of what it starts.
///
/// For each of them there is the private key (.key), the certificate as PEM (.crt) and as DER (.cer,
/// for firmware menus), the signature list (.esl), and the signed update that enters it (.auth).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// New directory for the files. Missing directories above it are made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the names in the certificates start with.
    #[arg(long, value_name = "NAME", default_value = "ramstrap", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Lifetime of the certificates. Firmware does not look at it.
    #[arg(
        long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    valid_years: u8,
    /// Length of the RSA keys. Not all firmware verifies more than 2048 bits.
    #[arg(long, value_name = "BITS", default_value_t = secure_boot::DEFAULT_BITS, value_parser = bits)]
    bits: u16,
    /// GUID of whoever enters the keys. Without it: a new one.
    #[arg(long, value_name = "GUID")]
    owner: Option<Guid>,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot keygen --out secure-boot-keys
  ramstrap secure-boot keygen --out keys-2026 --name 'Example Hosting 2026' \\
      --bits 3072";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    secure_boot::refuse_used(&args.out)?;
    let now = dates::now();
    // Whoever does look at the dates may have a clock that is slow.
    let validity = (now - dates::DAY, now.saturating_add(i64::from(args.valid_years) * YEAR));
    let progress = Progress::spinner("making three RSA keys");
    let keys = KeySet::generate(&Request {
        name: args.name.clone(),
        bits: args.bits,
        validity,
        owner: args.owner,
        time: unix(now),
    })?;
    drop(progress);
    keys.write(&args.out)?;
    output.field("directory", args.out.display());
    output.field("owner", keys.owner);
    output.field("valid until", dates::format(validity.1));
    output.text(next_steps(&args.out));
    output.result(json!({
        "directory": args.out,
        "owner": keys.owner.to_string(),
        "files": keys.names().collect::<Vec<_>>(),
        "not_after": dates::format(validity.1),
    }));
    Ok(())
}

fn next_steps(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "
Next:
  1. Put PK.key and KEK.key away, offline: they are needed only to change keys.
  2. Sign boot images:
       ramstrap secure-boot sign IMAGE --key {directory}/db.key --cert {directory}/db.crt --out FILE
  3. In the firmware's menu of each machine, delete the platform key (\"setup mode\"). Then either
     enter db.cer, KEK.cer and PK.cer there, in this order, or start any Linux by UEFI and run:
       ramstrap secure-boot enroll --dir {directory}
     Only the .auth files have to be on that machine. Never take a private key there."
    )
}

fn bits(text: &str) -> Result<u16, String> {
    match text {
        "2048" => Ok(2048),
        "3072" => Ok(3072),
        "4096" => Ok(4096),
        _ => Err("it must be 2048, 3072 or 4096".to_owned()),
    }
}
