//! `ramstrap keygen staff`.

use std::path::Path;
use std::path::PathBuf;

use provision::Identity;
use provision::Staff;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::files;
use crate::keys::KeyFormat;
use crate::keys::PrivateKey;
use crate::output::Output;

/// Make a key for a member of staff who takes machines into service.
///
/// Two files come of it: NAME.key, which stays with that person, and NAME.pem, which goes into the
/// directory that OS packages are built with (--staff-keys). Machines know the person by NAME.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the two files go, without .key and .pem. The directory is made if it is missing.
    #[arg(long, value_name = "DIR/NAME")]
    out: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen staff --out staff/alice
  # the package needs staff/alice.pem only
  mv staff/alice.key ~/.config/ramstrap/";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let (key_file, public_file) = (with(&args.out, ".key"), with(&args.out, ".pem"));
    let name = args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files::spare_all(&[&key_file, &public_file], &[])?;
    if !args.force {
        files::refuse_existing(&[&key_file, &public_file])?;
    }
    let key = PrivateKey::generate()?;
    let public = Identity::from_seed(&key.signing_key().to_bytes()).public();
    // What a machine would not take as a name is refused here, where it can still be changed.
    Staff::from_pems([(name.clone(), public.to_pem())]).map_err(|error| {
        Error::usage(error.to_string()).remedy("give --out a DIR/NAME with such a name")
    })?;
    files::create_directory_of(&key_file)?;
    let pem = key.to_pem(KeyFormat::Pkcs8, "")?;
    files::write(&key_file, pem.as_bytes(), files::SECRET, args.force)?;
    files::write(&public_file, public.to_pem().as_bytes(), files::PUBLIC, args.force)?;
    output.field("name", &name);
    output.field("private key", key_file.display());
    output.field("public key", public_file.display());
    output.field("fingerprint", public.fingerprint());
    output.note(
        "the public key goes into OS packages; machines take the key once they boot one with it",
    );
    output.result(json!({
        "name": name,
        "private_key": key_file,
        "public_key": public_file,
        "fingerprint": public.fingerprint(),
    }));
    Ok(())
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}
