//! `ramstrap secure-boot`: keys of one's own, entering them, signing with them.

use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode;
use bootmedia::authenticode::SignError;
use bootmedia::authenticode::Signature;
use bootmedia::secure_boot::Guid;
use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;
use crate::output::Output;
use crate::secure_boot;
use crate::secure_boot::KeySet;
use crate::secure_boot::Request;
use crate::secure_boot::SetupMode;

/// Days in a year, with its share of leap days rounded away.
const YEAR: i64 = 365 * dates::DAY;

/// Where an OS has the firmware's variables.
const EFIVARS: &str = "/sys/firmware/efi/efivars";

/// Make keys for Secure Boot, enter them into machines, sign and verify images.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot keygen --out secure-boot-keys
  ramstrap secure-boot enroll --dir secure-boot-keys
  ramstrap secure-boot sign boot.efi --key secure-boot-keys/db.key --cert secure-boot-keys/db.crt \\
      --out boot.signed.efi
  ramstrap secure-boot verify boot.signed.efi --cert secure-boot-keys/db.crt";

#[derive(Debug, Subcommand)]
enum What {
    Keygen(Keygen),
    Enroll(Enroll),
    Sign(Sign),
    Verify(Verify),
    VmVars(VmVars),
}

/// Make PK, KEK and db: the keys of a machine's owner, of those who may change what it starts, and
/// of what it starts.
///
/// For each of them there is the private key (.key), the certificate as PEM (.crt) and as DER (.cer,
/// for firmware menus), the signature list (.esl), and the signed update that enters it (.auth).
#[derive(Debug, clap::Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
struct Keygen {
    /// New directory for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the names in the certificates start with.
    #[arg(long, value_name = "NAME", default_value = "ramstrap")]
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

const KEYGEN_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot keygen --out secure-boot-keys
  ramstrap secure-boot keygen --out keys-2026 --name 'Example Hosting 2026' --bits 3072";

/// Enter the keys into the firmware of this machine, which must be in setup mode.
///
/// Writes db, KEK and then PK, which ends setup mode; Secure Boot is on after the next start. Run it
/// as root on the machine itself, from any OS that was started by UEFI.
#[derive(Debug, clap::Args)]
#[command(after_help = ENROLL_EXAMPLES)]
struct Enroll {
    /// Directory with PK.auth, KEK.auth and db.auth.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where the firmware's variables are.
    #[arg(long, value_name = "DIR", default_value = EFIVARS)]
    efivars: PathBuf,
    /// Mount efivarfs there first, if it is not: for an initramfs with nothing but this tool.
    #[arg(long)]
    mount: bool,
    /// Restart the machine afterwards, at once.
    #[arg(long)]
    restart: bool,
}

const ENROLL_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot enroll --dir secure-boot-keys

As the only program of an initramfs, on the kernel's command line:
  rdinit=/ramstrap panic=-1 -- secure-boot enroll --dir /keys --efivars /efivars --mount --restart";

/// Sign an image for Secure Boot: a unified kernel image, a kernel, a bootloader.
///
/// The signature is put behind those that the image has. The same image, key and certificate give
/// the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN_EXAMPLES)]
struct Sign {
    /// The image, a PE file (.efi).
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The private key, RSA, in PEM (PKCS#8 or PKCS#1).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Its certificate, in PEM or DER.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Where the signed image goes. It may be the image itself, with --force.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

const SIGN_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot sign boot.efi --key db.key --cert db.crt --out boot.signed.efi";

/// Judge the signatures of an image as firmware does that trusts this certificate.
///
/// Exit status: 0 accepted, 1 refused, 2 wrong usage. Without a certificate it says only whether the
/// image is what somebody signed.
#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY_EXAMPLES)]
struct Verify {
    /// The image, a PE file (.efi).
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The certificate in the machine's db, in PEM or DER.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot verify boot.signed.efi --cert secure-boot-keys/db.crt
  ramstrap secure-boot verify /boot/vmlinuz --json";

/// Make the variables of a virtual machine's firmware with the keys entered already.
#[derive(Debug, clap::Args)]
#[command(after_help = VM_EXAMPLES)]
struct VmVars {
    /// Directory with PK.esl, KEK.esl and db.esl.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The empty variables that came with the firmware.
    #[arg(long, value_name = "FILE", default_value = "/usr/share/OVMF/OVMF_VARS_4M.fd")]
    template: PathBuf,
    /// Where the new file goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

const VM_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot vm-vars --dir secure-boot-keys --out vars.fd
  qemu-system-x86_64 -machine q35,smm=on \\
      -global driver=cfi.pflash01,property=secure,value=on \\
      -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd \\
      -drive if=pflash,format=raw,file=vars.fd …";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.what {
        What::Keygen(args) => keygen(args, output),
        What::Enroll(args) => enroll(args, output),
        What::Sign(args) => sign(args, output),
        What::Verify(args) => verify(args, output),
        What::VmVars(args) => vm_vars(args, output),
    }
}

fn bits(text: &str) -> Result<u16, String> {
    match text {
        "2048" => Ok(2048),
        "3072" => Ok(3072),
        "4096" => Ok(4096),
        _ => Err("it must be 2048, 3072 or 4096".to_owned()),
    }
}

fn keygen(args: &Keygen, output: &Output) -> Result<()> {
    secure_boot::refuse_used(&args.out)?;
    let now = dates::now();
    // Whoever does look at the dates may have a clock that is slow.
    let validity = (now - dates::DAY, now.saturating_add(i64::from(args.valid_years) * YEAR));
    let keys = KeySet::generate(&Request {
        name: args.name.clone(),
        bits: args.bits,
        validity,
        owner: args.owner,
        time: unix(now),
    })?;
    keys.write(&args.out)?;
    output.field("directory", args.out.display());
    output.field("owner", keys.owner);
    output.field("valid until", dates::format(validity.1));
    output.line(next_steps(&args.out));
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

fn enroll(args: &Enroll, output: &mut Output) -> Result<()> {
    if args.mount {
        secure_boot::mount(&args.efivars)?;
    }
    let enrolled = secure_boot::enroll(&args.dir, &args.efivars)?;
    if enrolled.setup_mode == SetupMode::On {
        output.warning(
            "the firmware says that it is still in setup mode: look at its menu after a restart",
        );
    }
    output.verdict(true, "enrolled", enrolled.written.join(", "));
    output.line("Secure Boot is on after the next start.");
    output.result(json!({
        "written": enrolled.written,
        "setup_mode": enrolled.setup_mode == SetupMode::On,
    }));
    if args.restart { secure_boot::restart() } else { Ok(()) }
}

fn sign(args: &Sign, output: &Output) -> Result<()> {
    if !args.force {
        files::refuse_existing(&[&args.out])?;
    }
    let signer = secure_boot::read_signer(&args.key, &args.cert)?;
    let image = files::read_large(&args.image)?;
    let signed = signer.sign(&image).map_err(|error| not_image(&error, &args.image))?;
    let digest = authenticode::digest(&signed).map_err(|error| Error::new(error.to_string()))?;
    files::write(&args.out, &signed, files::PUBLIC, args.force)?;
    output.field("image", args.out.display());
    output.field("signed by", signer.subject());
    output.field("digest", hex::encode(digest));
    output.result(json!({
        "image": args.out,
        "subject": signer.subject(),
        "digest": hex::encode(digest),
    }));
    Ok(())
}

fn verify(args: &Verify, output: &mut Output) -> Result<()> {
    let image = files::read_large(&args.image)?;
    let signatures =
        authenticode::signatures(&image).map_err(|error| not_image(&error, &args.image))?;
    let trusted = args.cert.as_deref().map(files::read).transpose()?;
    let mut accepted = None;
    let mut lines = Vec::new();
    for signature in &signatures {
        let verdict = judge(signature, trusted.as_deref()).map_err(|error| {
            let file = args.cert.as_deref().unwrap_or(&args.image);
            Error::new(error.to_string()).on(file.display())
        })?;
        match verdict {
            None => accepted = accepted.or(Some(signature)),
            Some(reason) => lines.push(format!("signed by {}: {reason}", signature.subject)),
        }
    }
    let Some(accepted) = accepted else {
        let what = if signatures.is_empty() { "is not signed" } else { "has no good signature" };
        let error = Error::new(format!("{} {what}", args.image.display()));
        let error = lines.into_iter().fold(error, Error::detail);
        return Err(error
            .remedy("sign it with the key of the certificate in db: `ramstrap secure-boot sign`"));
    };
    if trusted.is_none() {
        output.warning("no --cert given: this says that the image is intact, not who may start it");
    }
    output.verdict(true, "accepted", format!("signed by {}", accepted.subject));
    let digest = hex::encode(&accepted.digest);
    output.field("digest", &digest);
    output.result(json!({
        "image": args.image,
        "digest": digest,
        "signatures": signatures.iter().map(describe).collect::<Vec<_>>(),
    }));
    Ok(())
}

/// Why a signature does not count, if it does not.
fn judge(signature: &Signature, trusted: Option<&[u8]>) -> Result<Option<&'static str>, SignError> {
    let known = match trusted {
        Some(trusted) => signature.accepted_by(trusted)?,
        None => true,
    };
    Ok(match (signature.digest_matches, signature.is_valid, known) {
        (false, _, _) => Some("it is for another image, or this one was changed after signing"),
        (_, false, _) => Some("the signature is wrong, or not RSA with SHA-256"),
        (_, _, false) => Some("its certificate is not the given one, nor issued by it"),
        (true, true, true) => None,
    })
}

fn describe(signature: &Signature) -> Value {
    json!({
        "subject": signature.subject,
        "issuer": signature.issuer,
        "digest": hex::encode(&signature.digest),
        "digest_matches": signature.digest_matches,
        "signature_valid": signature.is_valid,
        "not_after": dates::format(i64::try_from(signature.not_after).unwrap_or(i64::MAX)),
    })
}

fn vm_vars(args: &VmVars, output: &Output) -> Result<()> {
    if !args.force {
        files::refuse_existing(&[&args.out])?;
    }
    let store = secure_boot::vm_variables(&args.dir, &args.template, unix(dates::now()))?;
    files::write(&args.out, &store, files::PUBLIC, args.force)?;
    output.field("variables", args.out.display());
    output.result(json!({ "variables": args.out }));
    Ok(())
}

fn not_image(error: &SignError, image: &Path) -> Error {
    Error::new(error.to_string())
        .on(image.display())
        .remedy("give an executable for UEFI, such as a unified kernel image (.efi)")
}

fn unix(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}
