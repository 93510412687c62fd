//! PCR values that a boot leaves in the TPM, computed before the boot.
//!
//! Source: TCG PC Client Platform Firmware Profile, and systemd-stub(7) of systemd 252. Both were
//! compared with what a software TPM held after a boot by OVMF.

use sha2::Digest;
use sha2::Sha256;

use crate::pe::Image;
use crate::uki::UkiError;

/// The sections that systemd-stub 252 measures, in its order. It leaves out `.pcrsig`, which signs
/// the result, and does not know `.uname` and `.sbat`.
const MEASURED: [&str; 7] =
    [".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"];

/// PCR 11 (SHA-256) as systemd-stub 252 leaves it: for each section, its name with NUL and then its
/// content in memory.
///
/// # Errors
/// If it is no unified kernel image.
pub fn uki_pcr11(image: &[u8]) -> Result<[u8; 32], UkiError> {
    let image = Image::parse(image)?;
    if image.section(".linux").is_none() {
        return Err(UkiError::NotUki(".linux"));
    }
    let mut pcr = [0; 32];
    for name in MEASURED {
        let Some(section) = image.section(name) else { continue };
        pcr = extend(&pcr, Sha256::new().chain_update(name).chain_update([0]));
        let content = image.content(section);
        let mut hash = Sha256::new().chain_update(content);
        let len = usize::try_from(section.virtual_size).unwrap_or(content.len());
        add_zeros(&mut hash, len.saturating_sub(content.len()));
        pcr = extend(&pcr, hash);
    }
    Ok(pcr)
}

fn extend(pcr: &[u8; 32], event: Sha256) -> [u8; 32] {
    Sha256::new().chain_update(pcr).chain_update(event.finalize()).finalize().into()
}

fn add_zeros(hash: &mut Sha256, mut count: usize) {
    let zeros = [0; 4096];
    while count > 0 {
        let part = zeros.get(..count.min(zeros.len())).unwrap_or(&zeros);
        hash.update(part);
        count -= part.len();
    }
}
