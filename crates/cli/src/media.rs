//! Boot media: what firmware and network loaders start, made from a kernel and an initramfs.
//!
//! [`Parts`] are what every medium holds. [`uki`] makes one UEFI executable of them; [`disk`],
//! [`iso`] and [`pxe`] take that executable (so that it can be signed elsewhere in between) and make
//! a medium around it. Same inputs, same bytes: no clock, no random numbers, no names of this
//! machine get into a medium.

mod disk;
mod fat;
mod iso;
mod loaders;
mod parts;
mod pxe;
mod uki;

pub use disk::disk;
pub use iso::iso;
pub use loaders::Loader;
pub use loaders::Loaders;
pub use parts::COMMAND_LINE;
pub use parts::Parts;
pub use pxe::pxe;
pub use uki::uki;

pub(crate) use bootmedia::uki::Sbat;

pub(crate) use disk::EFI_SYSTEM_PARTITION;
pub(crate) use fat::Fat;
pub(crate) use iso::check_iso_tools;
pub(crate) use iso::for_isolinux;
pub(crate) use iso::iso_as;
pub(crate) use parts::read_kernel;
pub(crate) use parts::release;
pub(crate) use pxe::INITRAMFS as PXE_INITRAMFS;
pub(crate) use pxe::KERNEL as PXE_KERNEL;
pub(crate) use pxe::SCRIPT as PXE_SCRIPT;
pub(crate) use pxe::UKI as PXE_UKI;
pub(crate) use pxe::pxe_as;
pub(crate) use uki::text;
pub(crate) use uki::uki_of;

use sha2::Digest;
use sha2::Sha256;

/// Where UEFI firmware looks on a medium that it knows nothing of.
pub(crate) const BOOT_LOADER: &str = "EFI/BOOT/BOOTX64.EFI";

/// Identifiers of a medium: as unlikely to meet as random ones, and the same for the same content.
fn identifier(purpose: &str, content: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(Sha256::digest(content));
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    bytes
}

/// As [`identifier`], in the form of a GUID of version 8 (RFC 9562: made in a way of one's own).
fn guid(purpose: &str, content: &[u8]) -> uuid::Uuid {
    uuid::Builder::from_custom_bytes(identifier(purpose, content)).into_uuid()
}
