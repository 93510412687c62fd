//! `ramstrap secure-boot`: keys of one's own, entering them, signing with them.

mod keygen;
mod verify;

use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode;
use bootmedia::authenticode::SignError;
use clap::Subcommand;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;
use crate::output::Output;
use crate::secure_boot;
use crate::secure_boot::SetupMode;

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
  ramstrap secure-boot sign boot.efi --key secure-boot-keys/db.key \\
      --cert secure-boot-keys/db.crt \\
      --out boot.signed.efi
  ramstrap secure-boot verify boot.signed.efi --cert secure-boot-keys/db.crt";

#[derive(Debug, Subcommand)]
enum What {
    Keygen(keygen::Args),
    Enroll(Enroll),
    Sign(Sign),
    Verify(verify::Args),
    VmVars(VmVars),
}

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
  rdinit=/ramstrap panic=-1 -- secure-boot enroll --dir /keys \\
      --efivars /efivars --mount --restart";

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
    /// Where the signed image goes: with --force, also the image itself. Missing directories above it
    /// are made.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

const SIGN_EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot sign boot.efi --key db.key --cert db.crt \\
      --out boot.signed.efi";

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
    /// Where the new file goes. Missing directories above it are made.
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
      -drive if=pflash,format=raw,readonly=on,file=OVMF_CODE_4M.secboot.fd \\
      -drive if=pflash,format=raw,file=vars.fd …";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.what {
        What::Keygen(args) => keygen::run(args, output),
        What::Enroll(args) => enroll(args, output),
        What::Sign(args) => sign(args, output),
        What::Verify(args) => verify::run(args, output),
        What::VmVars(args) => vm_vars(args, output),
    }
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
    files::spare_inputs(&args.out, [args.key.as_path(), args.cert.as_path()])?;
    let signer = secure_boot::read_signer(&args.key, &args.cert)?;
    let image = files::read_large(&args.image)?;
    secure_boot::refuse_changed(&image).map_err(|error| error.on(args.image.display()))?;
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

fn vm_vars(args: &VmVars, output: &Output) -> Result<()> {
    if !args.force {
        files::refuse_existing(&[&args.out])?;
    }
    files::spare_inputs(&args.out, [args.template.as_path()])?;
    let lists = std::fs::read_dir(&args.dir).into_iter().flatten().flatten();
    files::spare_all(&[&args.out], &lists.map(|entry| entry.path()).collect::<Vec<_>>())?;
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
