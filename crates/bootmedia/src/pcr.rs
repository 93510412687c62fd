//! PCR values that a boot leaves in the TPM, computed before the boot.
//!
//! Source: TCG PC Client Platform Firmware Profile, systemd-stub(7) of systemd 252, and the EFI stub
//! of Linux 6.12. All were compared with what a software TPM held after boots by OVMF 2022.11, with
//! Secure Boot and without.

use sha2::Digest;
use sha2::Sha256;

use crate::authenticode;
use crate::pe::Image;
use crate::uki;
use crate::uki::Contents;
use crate::uki::UkiError;

/// How the stub that is known here names itself, before the rest of its version.
const STUB: &str = "systemd-stub 252";

/// The sections that systemd-stub 252 measures, in its order. It leaves out `.pcrsig`, which signs
/// the result, and does not know `.uname` and `.sbat`.
const MEASURED: [&str; 7] =
    [".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"];

/// What the firmware measures before the first boot option.
const FIRST_ATTEMPT: &str = "Calling EFI Application from Boot Option";

/// Most that the sections of an image may take in memory beyond what the file has of them, together,
/// in bytes. Real ones round up to a page; a header can claim 4 GiB for each.
const MAX_ZEROS: usize = 16 << 20;

/// PCR 11 (SHA-256) as systemd-stub 252 leaves it: for each section, its name with NUL and then its
/// content in memory.
///
/// # Errors
/// If it is no unified kernel image, or has another stub: later ones measure more sections; or if its
/// sections take far more in memory than the file has.
pub fn uki_pcr11(image: &[u8]) -> Result<[u8; 32], UkiError> {
    contents_with_known_stub(image)?;
    let image = Image::parse(image)?;
    let mut pcr = [0; 32];
    let mut room = MAX_ZEROS;
    for name in MEASURED {
        let Some(section) = image.section(name) else { continue };
        pcr = extend(&pcr, Sha256::new().chain_update(name).chain_update([0]));
        let content = image.content(section);
        let mut hash = Sha256::new().chain_update(content);
        let len = usize::try_from(section.virtual_size).unwrap_or(content.len());
        let zeros = len.saturating_sub(content.len());
        room = room.checked_sub(zeros).ok_or(UkiError::MostlyZeros(name))?;
        add_zeros(&mut hash, zeros);
        pcr = extend(&pcr, hash);
    }
    Ok(pcr)
}

/// PCR 4 (SHA-256): what the firmware started, if this image was the first thing that it tried.
///
/// Without Secure Boot the stub starts the kernel through the firmware, which measures it as well.
/// With Secure Boot it takes the check upon itself, because the image's signature covers the kernel,
/// and the firmware does not get to see it.
///
/// # Errors
/// If it is no unified kernel image, its kernel is no PE image, or it has another stub than that of
/// systemd 252.
pub fn uki_pcr4(image: &[u8], secure_boot: bool) -> Result<[u8; 32], UkiError> {
    let kernel = contents_with_known_stub(image)?.linux;
    let mut pcr = [0; 32];
    pcr = extend(&pcr, Sha256::new().chain_update(FIRST_ATTEMPT));
    // The end of the firmware's own measurements.
    pcr = extend(&pcr, Sha256::new().chain_update([0; 4]));
    pcr = extend_digest(&pcr, &authenticode::digest(image)?);
    if !secure_boot {
        pcr = extend_digest(&pcr, &authenticode::digest(kernel)?);
    }
    Ok(pcr)
}

/// PCR 9 (SHA-256) as the EFI stub of Linux 6.12 leaves it: the command line in UTF-16 with NUL, and
/// the initramfs. Files that are laid beside the image on its disk would add to it.
///
/// # Errors
/// If it is no unified kernel image, or has no initramfs or no command line of its own.
pub fn uki_pcr9(image: &[u8]) -> Result<[u8; 32], UkiError> {
    let contents = uki::read(image)?;
    let initramfs = contents.initrd.ok_or(UkiError::NotUki(".initrd"))?;
    let command_line = contents.command_line.ok_or(UkiError::NotUki(".cmdline"))?;
    let command_line = String::from_utf8_lossy(command_line);
    let options: Vec<u8> =
        command_line.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let pcr = extend(&[0; 32], Sha256::new().chain_update(options));
    Ok(extend(&pcr, Sha256::new().chain_update(initramfs)))
}

fn contents_with_known_stub(image: &[u8]) -> Result<Contents<'_>, UkiError> {
    let contents = uki::read(image)?;
    let stub = contents.stub.unwrap_or("an unknown one");
    let is_known = stub
        .strip_prefix(STUB)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()));
    if is_known { Ok(contents) } else { Err(UkiError::UnknownStub(stub.to_owned())) }
}

fn extend(pcr: &[u8; 32], event: Sha256) -> [u8; 32] {
    extend_digest(pcr, &event.finalize().into())
}

fn extend_digest(pcr: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(pcr).chain_update(digest).finalize().into()
}

fn add_zeros(hash: &mut Sha256, mut count: usize) {
    let zeros = [0; 4096];
    while count > 0 {
        let part = zeros.get(..count.min(zeros.len())).unwrap_or(&zeros);
        hash.update(part);
        count -= part.len();
    }
}
