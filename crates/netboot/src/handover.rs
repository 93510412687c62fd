//! What the OS is told: a cpio member behind the verified initramfs.
//!
//! The kernel unpacks it like any other part of the initramfs. It is always below `/ramstrap/`, so
//! that it can never replace a file of the package, and readable by root only.

use std::io;
use std::io::Write;

/// Directory that everything is under.
const DIRECTORY: &str = "ramstrap";

const DIRECTORY_MODE: u32 = 0o040_700;
const FILE_MODE: u32 = 0o100_600;

/// What is handed over.
#[derive(Debug)]
pub(crate) struct HandOver<'a> {
    /// `boot-report.json`.
    pub(crate) boot_report: &'a [u8],
    /// `host_configuration.json`, as it was read.
    pub(crate) host_configuration: &'a [u8],
    /// `trust_policy/…`, as it was read.
    pub(crate) trust_policy: &'a [(String, Vec<u8>)],
}

/// Appends the hand-over to an initramfs of `len` bytes.
///
/// # Errors
/// When there is no room.
pub(crate) fn append<W: Write>(
    initramfs: &mut W,
    len: u64,
    content: &HandOver<'_>,
) -> io::Result<()> {
    // The kernel looks for the next archive at a multiple of four.
    initramfs.write_all(padding(len))?;
    let mut archive = Archive { out: initramfs, inode: 0 };
    archive.directory(DIRECTORY)?;
    archive.file(&format!("{DIRECTORY}/boot-report.json"), content.boot_report)?;
    archive.file(&format!("{DIRECTORY}/host_configuration.json"), content.host_configuration)?;
    archive.directory(&format!("{DIRECTORY}/trust_policy"))?;
    for (name, file) in content.trust_policy {
        archive.file(&format!("{DIRECTORY}/trust_policy/{name}"), file)?;
    }
    archive.member("TRAILER!!!", 0, &[])
}

/// Writes members in the `newc` format (Linux, `Documentation/driver-api/early-userspace/
/// buffer-format.rst`). Owned by root, dated 1970.
struct Archive<'a, W> {
    out: &'a mut W,
    inode: u32,
}

impl<W: Write> Archive<'_, W> {
    fn directory(&mut self, name: &str) -> io::Result<()> {
        self.member(name, DIRECTORY_MODE, &[])
    }

    fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.member(name, FILE_MODE, content)
    }

    fn member(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        self.inode += 1;
        let links = if mode == DIRECTORY_MODE { 2 } else { 1 };
        let mut header = String::from("070701");
        let (uid, gid, mtime, device, checksum) = (0, 0, 0, 0, 0);
        for field in [
            self.inode, mode, uid, gid, links, mtime, size, device, device, device, device,
            name_size, checksum,
        ] {
            header.push_str(&format!("{field:08x}"));
        }
        header.push_str(name);
        header.push('\0');
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(padding(header.len() as u64))?;
        self.out.write_all(content)?;
        self.out.write_all(padding(content.len() as u64))
    }
}

/// The zeros between `len` and the next multiple of four.
fn padding(len: u64) -> &'static [u8] {
    match len % 4 {
        0 => &[],
        1 => &[0; 3],
        2 => &[0; 2],
        _ => &[0; 1],
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;
    use std::process::Stdio;

    use super::HandOver;
    use super::append;

    fn sample(len: usize) -> Vec<u8> {
        let mut bytes = vec![b'x'; len];
        let policy = [("trust_policy.json".to_owned(), b"{}".to_vec())];
        let content = HandOver {
            boot_report: b"{\"version\":1}",
            host_configuration: b"{}\n",
            trust_policy: &policy,
        };
        append(&mut bytes, len as u64, &content).unwrap();
        bytes
    }

    #[test]
    fn the_member_starts_at_a_multiple_of_four() {
        for len in 0..9_usize {
            let bytes = sample(len);
            assert_eq!(&bytes[len.next_multiple_of(4)..][..6], b"070701");
            assert_eq!(bytes.len() % 4, 0);
        }
    }

    #[test]
    fn every_name_is_below_one_directory() {
        let bytes = sample(0);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 6, "two directories, three files, a trailer");
        assert_eq!(text.matches("ramstrap").count(), 5);
    }

    #[test]
    fn cpio_reads_it() {
        let child = Command::new("cpio")
            .args(["-itv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: no cpio on this machine");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample(0)).unwrap();
        let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(listing.contains("drwx------"), "{listing}");
        assert!(
            listing.lines().any(|l| l.starts_with("-rw-------")
                && l.ends_with("ramstrap/trust_policy/trust_policy.json")),
            "{listing}"
        );
    }
}
