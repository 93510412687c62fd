//! `ramstrap keygen`: roots and signing certificates; keys of staff, of WireGuard servers, for age.

mod age;
mod lifetime;
mod public;
mod staff;
mod wireguard;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use self::lifetime::Dates;
use crate::Result;
use crate::certificate;
use crate::certificate::Certificate;
use crate::commands::signer_args::KEY_SOURCES;
use crate::commands::signer_args::OpenKey;
use crate::dates;
use crate::error::Error;
use crate::files;
use crate::files::NewFile;
use crate::keys::KeyFormat;
use crate::keys::PrivateKey;
use crate::keys::PublicKey;
use crate::keys::Signer;
use crate::keys::SignerOptions;
use crate::output::Output;

/// Make keys and certificates for signing OS packages, keys for encrypting them, and keys for taking
/// machines into service.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap keygen root
  ramstrap keygen certificate --root-cert rootcert.pem --root-key rootkey.pem \\
      --out-cert alice.pem --out-key alice.key
  ramstrap keygen staff --out staff/alice
  ramstrap keygen wireguard --out vpn1.key
  ramstrap keygen age --out trust-policy/decryption_identities";

#[derive(Debug, Subcommand)]
enum What {
    Root(Root),
    Certificate(Issue),
    Public(public::Args),
    Staff(staff::Args),
    Wireguard(wireguard::Args),
    Age(age::Args),
}

/// Make a signing root: what boot images trust, and what signers are issued by.
///
/// Keep its key offline. It lives ten years unless told otherwise: replacing a root means a new
/// boot image on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = ROOT_EXAMPLES, after_long_help = format!("{KEY_SOURCES}\n\n{ROOT_EXAMPLES}"))]
struct Root {
    /// The root's own key, in a file, in ssh-agent or on a token. Without it a new key is made.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["out_key", "key_format"])]
    key: Option<OsString>,
    #[command(flatten)]
    open: OpenKey,
    /// Name in the certificate. Without it: the base64 of the key's SHA-256.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    subject_cn: Option<String>,
    /// Where the certificate goes: `ospkg_signing_root.pem` of a trust policy is such a file. Missing
    /// directories above it are made.
    #[arg(long, value_name = "FILE", default_value = "rootcert.pem")]
    out_cert: PathBuf,
    /// Where the private key goes, readable by you alone.
    #[arg(long, value_name = "FILE", default_value = "rootkey.pem")]
    out_key: PathBuf,
    /// Lifetime in days, from now or from --valid-from on.
    #[arg(
        long, value_name = "DAYS", default_value_t = certificate::ROOT_DAYS,
        value_parser = lifetime::days, allow_negative_numbers = true
    )]
    valid_days: u32,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    files: OutputFiles,
}

const ROOT_EXAMPLES: &str = "\
Examples:
  ramstrap keygen root
  ramstrap keygen root --subject-cn 'Example root 2026' --out-cert root.pem \\
      --out-key root.key
  ramstrap keygen root --key ssh-agent:root@safe --out-cert root.pem";

/// Issue a certificate for somebody who signs OS packages.
///
/// It lives one year unless told otherwise. A machine refuses packages whose signers' certificates
/// have expired: with the 72 hours that other tools default to, every package has to be signed
/// again each third day, or machines stop booting. Somebody who stops being a signer sooner is put
/// on the trust policy's `denied_keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = ISSUE_EXAMPLES, after_long_help = format!("{KEY_SOURCES}\n\n{ISSUE_EXAMPLES}"))]
struct Issue {
    /// The root's certificate.
    #[arg(long, value_name = "FILE")]
    root_cert: PathBuf,
    /// The root's private key: in a file, in ssh-agent or on a token.
    #[arg(long, value_name = "KEY")]
    root_key: OsString,
    #[command(flatten)]
    open: OpenKey,
    /// File with the signer's own key, of which only the public half is needed: PEM, or a line
    /// `ssh-ed25519 …`. Without it a new key is made.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out_key", "key_format"])]
    key: Option<PathBuf>,
    /// Name in the certificate. Without it: the base64 of the key's SHA-256.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    subject_cn: Option<String>,
    /// Where the certificate goes. Missing directories above it are made.
    #[arg(long, value_name = "FILE", default_value = "cert.pem")]
    out_cert: PathBuf,
    /// Where a new private key goes, readable by you alone.
    #[arg(long, value_name = "FILE", default_value = "key.pem")]
    out_key: PathBuf,
    /// Lifetime in days, from now or from --valid-from on.
    #[arg(
        long, value_name = "DAYS", default_value_t = certificate::SIGNER_DAYS,
        value_parser = lifetime::days, allow_negative_numbers = true
    )]
    valid_days: u32,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    files: OutputFiles,
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  ramstrap keygen certificate --root-cert rootcert.pem --root-key rootkey.pem
  ramstrap keygen certificate --root-cert rootcert.pem --root-key rootkey.pem \\
      --key ~/.ssh/id_ed25519.pub --out-cert alice.pem --valid-days 90
  ramstrap keygen certificate --root-cert rootcert.pem \\
      --root-key ssh-agent:root@safe \\
      --key alice.pub.pem --out-cert alice.pem";

#[derive(Debug, clap::Args)]
struct OutputFiles {
    /// Format of the private key.
    #[arg(long, value_enum, default_value_t = Format::Pkcs8, value_name = "FORMAT")]
    key_format: Format,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// PEM, for OpenSSL and everything else.
    Pkcs8,
    /// For ssh-keygen, ssh-agent.
    Openssh,
}

impl From<Format> for KeyFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pkcs8 => Self::Pkcs8,
            Format::Openssh => Self::OpenSsh,
        }
    }
}

pub(super) fn run(args: Args, output: &mut Output) -> Result<()> {
    match args.what {
        What::Root(args) => root(&args, output),
        What::Certificate(args) => issue(&args, output),
        What::Public(args) => public::run(&args, output),
        What::Staff(args) => staff::run(&args, output),
        What::Wireguard(args) => wireguard::run(&args, output),
        What::Age(args) => age::run(&args, output),
    }
}

fn root(args: &Root, output: &Output) -> Result<()> {
    let mut targets = vec![args.out_cert.as_path()];
    if args.key.is_none() {
        targets.push(&args.out_key);
    }
    files::spare_all(&targets, &args.open.inputs(args.key.as_deref())?)?;
    if !args.files.force {
        files::refuse_existing(&targets)?;
    }
    let validity = args.dates.validity(args.valid_days)?;
    let (signer, fresh) = match &args.key {
        Some(source) => (args.open.open(source)?, None),
        None => {
            let key = PrivateKey::generate()?;
            (Signer::from(&key), Some(key))
        }
    };
    let certificate = certificate::issue_root(&signer, args.subject_cn.as_deref(), validity)?;
    let place = NewFile::create(&args.out_cert)?;
    if let Some(key) = &fresh {
        write_key(&args.out_key, key, &args.files, "ramstrap root")?;
    }
    write_certificate(place, &certificate, args.files.force)?;
    tell(output, &certificate, &args.out_cert, fresh.is_some().then_some(args.out_key.as_path()))
}

fn issue(args: &Issue, output: &mut Output) -> Result<()> {
    let mut targets = vec![args.out_cert.as_path()];
    if args.key.is_none() {
        targets.push(&args.out_key);
    }
    let mut inputs = args.open.inputs(Some(&args.root_key))?;
    inputs.extend([&args.root_cert].into_iter().chain(&args.key).cloned());
    // Whatever --force says: the root's key may be the only copy, and machines trust no other.
    files::spare_all(&targets, &inputs)?;
    if !args.files.force {
        files::refuse_existing(&targets)?;
    }
    let validity = args.dates.validity(args.valid_days)?;
    certificate::check_name(args.subject_cn.as_deref())?;
    let root = read_certificate(&args.root_cert)?;
    if !root.is_ed25519() {
        return Err(not_ed25519(args));
    }
    let root_key = args.open.open(&args.root_key)?;
    let (public, fresh) = match &args.key {
        Some(file) => {
            let public = PublicKey::from_file(&files::read(file)?);
            (public.map_err(|error| error.on(file.display()))?, None)
        }
        None => {
            let key = PrivateKey::generate()?;
            (key.public(), Some(key))
        }
    };
    let name = args.subject_cn.as_deref();
    let certificate = certificate::issue_signer(&root, &root_key, &public, name, validity)
        .map_err(|error| error.on(args.root_cert.display()))?;
    if validity.not_after > root.validity().not_after {
        output.warning(format!(
            "the root ends before this certificate does, on {}: nothing is accepted after that",
            dates::format(root.validity().not_after)
        ));
    }
    if validity.not_after <= dates::now() {
        output.warning("the certificate has expired already");
    }
    let ended = root.validity().not_after;
    if ended <= dates::now() {
        let expired = format!(
            "the root has expired on {}: nothing that it issues counts",
            dates::format(ended)
        );
        if !args.files.force {
            return Err(Error::new(expired).on(args.root_cert.display()).remedy(
                "issue by a root that is valid: `ramstrap keygen root` makes one; --force issues all \
                 the same",
            ));
        }
        output.warning(expired);
    }
    let place = NewFile::create(&args.out_cert)?;
    if let Some(key) = &fresh {
        write_key(&args.out_key, key, &args.files, "ramstrap signer")?;
    }
    write_certificate(place, &certificate, args.files.force)?;
    tell(output, &certificate, &args.out_cert, fresh.is_some().then_some(args.out_key.as_path()))
}

/// Machines take such roots; what issues by them is not this tool.
fn not_ed25519(args: &Issue) -> Error {
    let root = args.root_cert.display();
    Error::new("the root's key is not Ed25519: ramstrap issues by Ed25519 roots only")
        .on(&root)
        .detail("machines take such a root (ECDSA, RSA); OpenSSL issues by it (docs/certificates.md):")
        .detail("openssl req -new -key NAME.key -subj /CN=NAME -config /dev/null -out NAME.csr")
        .detail("printf 'basicConstraints=critical,CA:FALSE\\n' > NAME.ext")
        .detail(format!(
            "openssl x509 -req -in NAME.csr -CA {root} -CAkey ROOT.key -days 365 -extfile NAME.ext -out \
             NAME.pem"
        ))
        .remedy("issue by that root with OpenSSL as above; the signer's own key must be Ed25519")
}

fn write_key(path: &Path, key: &PrivateKey, options: &OutputFiles, comment: &str) -> Result<()> {
    let pem = key.to_pem(options.key_format.into(), comment)?;
    files::write(path, pem.as_bytes(), files::SECRET, options.force)
}

/// Into a place that was made before the key was written: no key without its certificate.
fn write_certificate(mut place: NewFile, certificate: &Certificate, replace: bool) -> Result<()> {
    let written = place.write_all(certificate.to_pem()?.as_bytes());
    written.map_err(|error| Error::io("write", place.path(), &error))?;
    place.publish(files::PUBLIC, replace)
}

fn tell(
    output: &Output,
    certificate: &Certificate,
    certificate_file: &Path,
    key_file: Option<&Path>,
) -> Result<()> {
    let validity = certificate.validity();
    let fingerprint = certificate.key_fingerprint()?;
    output.field("certificate", certificate_file.display());
    if let Some(file) = key_file {
        output.field("private key", file.display());
    }
    output.field("subject", certificate.subject());
    output.field("key SHA-256", &fingerprint);
    output.field("valid from", dates::format(validity.not_before));
    output.field("valid until", dates::format(validity.not_after));
    output.result(json!({
        "certificate": certificate_file,
        "private_key": key_file,
        "subject": certificate.subject(),
        "key": fingerprint,
        "not_before": dates::format(validity.not_before),
        "not_after": dates::format(validity.not_after),
    }));
    Ok(())
}

/// Reads a certificate, with the file's name in errors.
pub(super) fn read_certificate(path: &Path) -> Result<Certificate> {
    Certificate::from_pem(&files::read(path)?).map_err(|error| error.on(path.display()))
}

/// Reads a private key file, with the file's name in errors; asks for its passphrase if it has one.
pub(super) fn read_private_key(path: &Path) -> Result<PrivateKey> {
    PrivateKey::open(path, &SignerOptions::default())
}
