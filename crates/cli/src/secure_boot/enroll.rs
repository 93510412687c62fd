//! Entering keys into the firmware of the machine that this runs on, through efivarfs.
//!
//! A variable is a file there: four bytes of attributes, then the content, in one `write`. The kernel
//! marks the files of variables that machines need as immutable, against accidents.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use bootmedia::secure_boot;
use bootmedia::secure_boot::ATTRIBUTES;
use bootmedia::secure_boot::Variable;
use rustix::fs::IFlags;
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use crate::Error;
use crate::Result;
use crate::files;

/// Length of the attributes before the content of a variable.
const ATTRIBUTES_LEN: usize = 4;

/// What the firmware says about its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetupMode {
    /// No platform key: whoever comes first may enter keys.
    On,
    /// There is a platform key, and nothing changes without its signature.
    Off,
}

/// What was entered.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The variables that were written, in this order.
    pub written: Vec<&'static str>,
    /// What the firmware says now: setup mode is over, unless something is odd about it.
    pub setup_mode: SetupMode,
}

/// Mounts efivarfs on this directory, which is made if it is missing, unless it is mounted there.
///
/// # Errors
/// If it cannot be: this needs root, UEFI, and a kernel with efivarfs.
pub fn mount(efivars: &Path) -> Result<()> {
    if setup_mode_file(efivars).exists() {
        return Ok(());
    }
    fs::create_dir_all(efivars)
        .map_err(|error| Error::io("make the directory", efivars, &error))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("efivarfs", efivars, "efivarfs", flags, None).map_err(|error| {
        Error::io("mount efivarfs on", efivars, &error.into())
            .remedy("this needs root, a machine that was started by UEFI, and CONFIG_EFIVAR_FS")
    })
}

/// Writes db, KEK and PK from the `.auth` files of this directory, in this order: PK ends setup mode.
///
/// Everything is read and looked at before the first variable is written.
///
/// # Errors
/// If there are no EFI variables, the firmware is not in setup mode, a file is missing or no signed
/// update, an update enters another certificate than the one beside it, or the firmware refuses one.
pub fn enroll(directory: &Path, efivars: &Path) -> Result<Enrolled> {
    if setup_mode(efivars)? == SetupMode::Off {
        return Err(Error::new(
            "the firmware is not in setup mode: it has a platform key (PK) already",
        )
        .remedy(
            "delete the platform key in the firmware's menu (often \"Secure Boot\", \"Reset to \
                 Setup Mode\" or \"Delete all keys\"), start again, and repeat this",
        ));
    }
    let mut updates = Vec::new();
    for variable in Variable::IN_ORDER {
        let update = read_update(directory, variable)?;
        check_certificate(directory, variable, &update)?;
        updates.push((variable, update));
    }
    let mut written = Vec::new();
    for (variable, update) in &updates {
        let file = variable_file(efivars, variable.name(), variable.vendor());
        write_variable(&file, update).map_err(|error| refused(*variable, &error, &written))?;
        written.push(variable.name());
    }
    Ok(Enrolled { written, setup_mode: setup_mode(efivars)? })
}

/// Starts the machine again, without asking anybody: for an initramfs with nothing but this tool.
///
/// # Errors
/// If this is not root. Otherwise it does not come back.
pub fn restart() -> Result<()> {
    rustix::system::reboot(RebootCommand::Restart).map_err(|error| {
        Error::new(format!("cannot restart the machine: {error}")).remedy("restart it by hand")
    })
}

fn setup_mode(efivars: &Path) -> Result<SetupMode> {
    let file = setup_mode_file(efivars);
    let value = fs::read(&file).map_err(|error| {
        Error::io("read", &file, &error)
            .detail("without this variable there is no UEFI firmware here that has Secure Boot")
            .remedy(
                "start the machine by UEFI, not by BIOS, and mount the variables with --mount, or \
                 `mount -t efivarfs efivarfs /sys/firmware/efi/efivars`",
            )
    })?;
    match value.get(ATTRIBUTES_LEN..) {
        Some([1]) => Ok(SetupMode::On),
        Some([0]) => Ok(SetupMode::Off),
        _ => Err(Error::new(format!("{} is neither 0 nor 1", file.display()))
            .remedy("is this efivarfs, and the firmware's own variable?")),
    }
}

fn setup_mode_file(efivars: &Path) -> PathBuf {
    variable_file(efivars, "SetupMode", secure_boot::GLOBAL)
}

fn variable_file(efivars: &Path, name: &str, vendor: secure_boot::Guid) -> PathBuf {
    efivars.join(format!("{name}-{vendor}"))
}

fn read_update(directory: &Path, variable: Variable) -> Result<Vec<u8>> {
    let file = directory.join(format!("{}.auth", variable.name()));
    let update = files::read(&file)?;
    match secure_boot::update_content(&update) {
        Some(content) if !content.is_empty() => Ok(update),
        _ => Err(Error::new(format!("{} is no signed update of an EFI variable", file.display()))
            .remedy("give the directory that `ramstrap secure-boot keygen` made with --dir")),
    }
}

/// Whether an update enters the certificate that stands beside it, if one does: of two sets of keys in
/// one directory, the firmware would get the one that nobody has the private keys of any more.
fn check_certificate(directory: &Path, variable: Variable, update: &[u8]) -> Result<()> {
    let name = variable.name();
    let mut files =
        ["crt", "cer"].map(|ending| directory.join(format!("{name}.{ending}"))).into_iter();
    let Some(file) = files.find(|file| file.exists()) else { return Ok(()) };
    let certificate = super::certificate_der(&file)?;
    let content = secure_boot::update_content(update).unwrap_or_default();
    // In one of its lists, behind the GUID of its owner.
    if content.windows(certificate.len()).any(|window| window == certificate) {
        return Ok(());
    }
    Err(Error::new(format!("{name}.auth enters another certificate than {}", file.display()))
        .detail("the private key for what it enters may be lost; nothing was changed")
        .remedy(
            "take all files of one `ramstrap secure-boot keygen`, or, where that is meant, a directory \
             with the .auth files alone",
        ))
}

fn write_variable(file: &Path, update: &[u8]) -> io::Result<()> {
    if let Ok(existing) = File::open(file) {
        let flags = rustix::fs::ioctl_getflags(&existing)?;
        if flags.contains(IFlags::IMMUTABLE) {
            rustix::fs::ioctl_setflags(&existing, flags - IFlags::IMMUTABLE)?;
        }
    }
    let mut content = ATTRIBUTES.to_le_bytes().to_vec();
    content.extend(update);
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(file)?;
    // The kernel hands each write to the firmware as a whole: a second one would be another update.
    let len = file.write(&content)?;
    if len == content.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

fn refused(variable: Variable, error: &io::Error, written: &[&str]) -> Error {
    let reason = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => {
            "it does not accept the signature, or this is not root"
        }
        Some(Errno::ROFS) => "its variables are write-protected, or efivarfs is mounted read-only",
        Some(Errno::INVAL) => "it takes the update for invalid",
        Some(Errno::NOSPC) => "it has no room left for variables",
        _ => "the write failed",
    };
    let name = variable.name();
    let error = Error::new(format!("the firmware did not take {name}: {reason} ({error})")).remedy(
        "repeat it as root in setup mode; else enter the .cer files by the firmware's menu",
    );
    match written {
        [] => error.detail("nothing was changed"),
        names => error.detail(format!(
            "written before: {}; without PK nothing is enforced, and setup mode goes on",
            names.join(", ")
        )),
    }
}
