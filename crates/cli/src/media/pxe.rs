//! A directory for TFTP and HTTP servers, for machines that start over the network.

use std::path::Path;

use sha2::Digest;
use sha2::Sha256;

use super::Parts;
use crate::Error;
use crate::Result;
use crate::files::PUBLIC;
use crate::new_directory::NewDirectory;

/// By this file an earlier directory is known.
pub(crate) const SCRIPT: &str = "boot.ipxe";
pub(crate) const KERNEL: &str = "vmlinuz";
pub(crate) const INITRAMFS: &str = "initramfs";
pub(crate) const UKI: &str = "ramstrap.efi";
const README: &str = "README.txt";
const SUMS: &str = "SHA256SUMS";
const OURS: [&str; 6] = [README, SCRIPT, INITRAMFS, UKI, KERNEL, SUMS];

/// Writes the directory `out`, replacing an earlier one but for files that others put there:
/// `vmlinuz`, `initramfs` and `boot.ipxe` for iPXE, `ramstrap.efi` for UEFI PXE and UEFI HTTP boot,
/// `SHA256SUMS`, and `README.txt` with what a DHCP server has to say.
///
/// # Errors
/// If something else stands at `out`, or it cannot be written. It is left as it was then.
pub fn pxe(parts: &Parts, uki: &[u8], out: &Path) -> Result<()> {
    pxe_as(PUBLIC, parts, uki, out)
}

/// As [`pxe`], with files of exactly this mode. The directory can be entered by those who can read them.
///
/// # Errors
/// As [`pxe`].
pub(crate) fn pxe_as(mode: u32, parts: &Parts, uki: &[u8], out: &Path) -> Result<()> {
    refuse_words_of_scripts(&parts.command_line)?;
    let directory = NewDirectory::replacing(out, mode | ((mode & 0o444) >> 2), SCRIPT, &OURS)?;
    let script = script(&parts.command_line);
    let mut sums = String::new();
    // In the order that `sha256sum *` has.
    for (name, bytes) in [
        (README, include_bytes!("pxe-readme.txt").as_slice()),
        (SCRIPT, script.as_bytes()),
        (INITRAMFS, &parts.initramfs),
        (UKI, uki),
        (KERNEL, &parts.kernel),
    ] {
        directory.file(name, bytes, mode)?;
        sums.push_str(&format!("{}  {name}\n", hex::encode(Sha256::digest(bytes))));
    }
    directory.file(SUMS, sums.as_bytes(), mode)?;
    directory.publish()
}

/// What iPXE would carry out or fill in, in place of handing it to the kernel.
fn refuse_words_of_scripts(command_line: &str) -> Result<()> {
    let mut words = command_line.split(' ');
    let odd = words.find(|word| ["||", "&&", ";"].contains(word) || word.contains("${"));
    match odd {
        Some(word) => Err(Error::usage(format!(
            "the command line has {word:?} in it, which iPXE does not hand to the kernel but obeys"
        ))
        .remedy("leave it out of --cmdline, or choose a medium without a script (--format uki)")),
        None => Ok(()),
    }
}

/// Names without a place: iPXE looks beside the script, by whichever protocol it got that.
///
/// The stub of the UKI takes what iPXE says as the kernel's command line wherever Secure Boot is
/// off, so all of it is said there, too. The file's own name in front of it is nothing to the
/// kernel, and is not handed to `/init`, because it has a dot.
fn script(command_line: &str) -> String {
    format!(
        "#!ipxe\n\
         echo ramstrap: loading kernel and initramfs\n\
         iseq ${{platform}} efi && goto efi ||\n\
         kernel {KERNEL} initrd={INITRAMFS} {command_line} || goto failed\n\
         initrd {INITRAMFS} || goto failed\n\
         boot || goto failed\n\
         :efi\n\
         chain {UKI} {command_line} || goto failed\n\
         :failed\n\
         echo ramstrap: could not be loaded; starting again in 30 seconds\n\
         sleep 30\n\
         reboot\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ipxe_would_obey_does_not_get_into_the_script() {
        for line in ["a=${net0/mac}", "quiet || shell", "quiet && shell", "quiet ; shell"] {
            let error = refuse_words_of_scripts(line).unwrap_err().to_string();
            assert!(error.contains("iPXE"), "{error}");
        }
        assert!(refuse_words_of_scripts("console=ttyS0 a=b;c $x -- --dryrun").is_ok());
    }

    #[test]
    fn the_script_names_files_beside_it() {
        let script = script("console=ttyS0");
        assert!(script.starts_with("#!ipxe\n"), "{script}");
        assert!(script.contains("\nkernel vmlinuz initrd=initramfs console=ttyS0 "), "{script}");
        assert!(!script.contains("http") && !script.contains('/'), "{script}");
    }
}
