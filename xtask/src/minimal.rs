//! The OS package of `ospkg/minimal`: its initramfs, with ballast where a test wants a package of
//! some size.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use cpio::newc;
use ramstrap_cli::boot_image::Base;
use ramstrap_cli::modules::Modules;
use ramstrap_cli::modules::Tree;

use crate::build;

/// The initramfs of the minimal OS, building what is not built yet. `ballast` adds a file of that
/// many bytes that no compression makes smaller, the same every time.
///
/// # Errors
///
/// The build or the packing failed.
pub fn initramfs(ballast: Option<u64>) -> Result<Vec<u8>> {
    let mut bytes = pack(None)?;
    if let Some(size) = ballast {
        append_ballast(&mut bytes, size)?;
    }
    Ok(bytes)
}

/// The same root file system for a kernel whose drivers are modules in this directory: with those
/// for the NICs and disks of a virtual machine, which it loads for what it finds.
///
/// # Errors
///
/// The build or the packing failed, or a module cannot be read.
pub fn initramfs_with_drivers(modules: &Path) -> Result<Vec<u8>> {
    pack(Some(Tree::open(modules)?.select_for_os()?))
}

fn pack(modules: Option<Modules>) -> Result<Vec<u8>> {
    let binary = build::minimal_os()?;
    let init = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    Ok(Base { init, modules }.pack()?.as_bytes().to_vec())
}

/// Puts a cpio archive with one file behind an archive that ends at a multiple of four.
fn append_ballast(bytes: &mut Vec<u8>, size: u64) -> Result<()> {
    let length = u32::try_from(size).context("ballast must be smaller than 4 GiB")?;
    let mut file = newc::Builder::new("ballast").mode(0o100_400).write(&mut *bytes, length);
    file.write_all(&noise(usize::try_from(size)?))?;
    file.finish()?;
    newc::trailer(&mut *bytes)?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(())
}

/// Pseudo-random bytes (xorshift64*), the same for the same length.
#[must_use]
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc;

    use super::append_ballast;
    use super::noise;

    #[test]
    fn ballast_is_the_same_every_time_and_incompressible() {
        assert_eq!(noise(1001), noise(1001));
        assert_eq!(noise(1001).len(), 1001);
        let mut counts = [0_u32; 256];
        for byte in noise(256 * 1024) {
            counts[usize::from(byte)] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1250).contains(&count)), "{counts:?}");
    }

    #[test]
    fn ballast_is_a_file_of_an_archive() {
        let mut bytes = vec![0; 8];
        append_ballast(&mut bytes, 1001).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut reader = newc::Reader::new(&bytes[8..]).unwrap();
        assert_eq!(reader.entry().name(), "ballast");
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        assert_eq!(content, noise(1001));
    }
}
