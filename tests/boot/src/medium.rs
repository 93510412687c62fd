//! Boot media: what a machine starts from when QEMU does not hand it a kernel. They are built by the
//! code that builds them for operators.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use bootmedia::authenticode::Signer;
use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use ramstrap_cli::media;
use ramstrap_cli::media::Loaders;
use ramstrap_cli::media::Parts;
use xtask::harness;
use xtask::harness::BootOptions;
use xtask::harness::Start;
use xtask::image;

use crate::package::Bytes;
use crate::site::HOST;

/// The time that media bear: that of the initramfs in them, which is what machines look at, is
/// another matter.
const BUILD_TIME: i64 = 1_767_225_600;

/// What a machine starts from. All hold the same kernel and initramfs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Medium {
    /// Nothing: QEMU hands kernel and initramfs over.
    #[default]
    None,
    /// A TFTP server: iPXE under BIOS, PXE under UEFI.
    Tftp,
    /// A TFTP server and a NIC whose boot ROM is iPXE, whatever the firmware.
    IpxeByTftp,
    /// A web server: iPXE under BIOS, HTTP boot under UEFI.
    Http,
    /// An ISO image in a CD drive.
    IsoInDrive,
    /// The same image on a USB stick.
    IsoOnStick,
    /// A disk image on a disk.
    Disk,
}

/// What stands on a medium's EFI executable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Signature {
    /// Nothing.
    #[default]
    None,
    /// A signature by the key that the machine trusts.
    Good,
    /// The same, but the executable was changed afterwards.
    Broken,
}

/// A medium as long as a machine needs it.
#[derive(Debug)]
pub(crate) struct Prepared {
    _server: Option<FaultServer>,
}

/// Files that a web server has beside the medium's own, by name.
pub(crate) type Beside = BTreeMap<&'static str, Bytes>;

/// Builds the medium and makes the machine start from it.
pub(crate) fn prepare(
    (medium, beside): (Medium, &Beside),
    (signature, signer): (Signature, Option<&Signer>),
    options: &mut BootOptions,
    directory: &Path,
) -> Result<Prepared> {
    if medium == Medium::None {
        return Ok(Prepared { _server: None });
    }
    let mut server = None;
    let parts = parts(options)?;
    let loaders = Loaders::default();
    let signer = if signature == Signature::None { None } else { signer };
    let mut uki = media::uki(&parts, &loaders, signer)?;
    if signature == Signature::Broken {
        // In the initramfs, which is most of it.
        let middle = uki.len() / 2;
        *uki.get_mut(middle).context("an empty executable")? ^= 1;
    }
    let file = directory.join("medium");
    let is_uefi = options.firmware.is_uefi();
    options.start = match medium {
        Medium::None => Start::Direct,
        Medium::Tftp | Medium::IpxeByTftp => {
            media::pxe(&parts, &uki, &file)?;
            let script = medium == Medium::IpxeByTftp || !is_uefi;
            Start::Network { directory: Some(file), file: boot_file(!script).to_owned() }
        }
        Medium::Http => {
            media::pxe(&parts, &uki, &file)?;
            for (name, content) in beside {
                fs::write(file.join(name), content)?;
            }
            let running = serve(&file)?;
            let url = running.url_for(HOST, &format!("/{}", boot_file(is_uefi)));
            server = Some(running);
            if is_uefi {
                Start::HttpBoot { url }
            } else {
                Start::Network { directory: None, file: url }
            }
        }
        Medium::IsoInDrive => {
            media::iso(&parts, &uki, &loaders, &file)?;
            Start::Cdrom(file)
        }
        Medium::IsoOnStick => {
            media::iso(&parts, &uki, &loaders, &file)?;
            Start::Usb(file)
        }
        Medium::Disk => {
            fs::write(&file, media::disk(&uki)?)?;
            Start::Disk(file)
        }
    };
    Ok(Prepared { _server: server })
}

const fn boot_file(executable: bool) -> &'static str {
    if executable { "ramstrap.efi" } else { "boot.ipxe" }
}

/// Every file of a directory, over plain HTTP.
fn serve(directory: &Path) -> Result<FaultServer> {
    let mut config = Config::http();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = format!("/{}", entry.file_name().to_string_lossy());
        config = config.file(&path, File::new(fs::read(entry.path())?));
    }
    FaultServer::start(config)
}

/// Kernel and initramfs of these options. All media say `quiet`: what comes later on the command
/// line wins over it, so that both kernels are heard.
fn parts(options: &BootOptions) -> Result<Parts> {
    let image = &options.kernel.image;
    let kernel = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let more = format!("{} loglevel=7 {}", harness::MEDIUM_PARAMETERS, options.append);
    Ok(Parts::new(kernel, image::boot_image(options)?, Some(&more), BUILD_TIME)?)
}
