//! Reads an initramfs: archives one behind the other, each compressed or not, as the kernel takes
//! them.
//!
//! The bytes may come from anywhere: what is unpacked is bounded, and every reader ends. Paths are
//! names only; nothing is ever written by them.

use core::ops::Range;
use std::borrow::Cow;
use std::io;
use std::io::Read;

use crate::Error;
use crate::Result;

const CPIO: &[&[u8]] = &[b"070701", b"070702"];
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const GZIP: &[u8] = b"\x1f\x8b\x08";
const XZ: &[u8] = b"\xfd7zXZ\0";

/// Magic number and thirteen fields of eight hexadecimal digits.
const HEADER_LEN: usize = 110;
const TRAILER: &str = "TRAILER!!!";

/// What an initramfs may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all archives together, unpacked.
    pub unpacked: u64,
    /// Members of all archives together.
    pub members: usize,
}

impl Default for Limits {
    /// Several times what a large initramfs has.
    fn default() -> Self {
        Self { unpacked: 1 << 30, members: 100_000 }
    }
}

/// One archive of an initramfs.
#[derive(Clone, Debug)]
pub struct Archive<'a> {
    /// `none`, `zstd`, `gzip` or `xz`.
    pub compression: &'static str,
    /// Where it begins, in bytes.
    pub at: usize,
    /// Length in bytes, compressed.
    pub size: u64,
    /// What it is, unpacked.
    pub plain: Cow<'a, [u8]>,
    /// What is in it, in its order.
    pub members: Vec<Member>,
}

/// A member of an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Path without a leading slash.
    pub path: String,
    /// Inode number.
    pub inode: u32,
    /// Type and permissions.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Number of links.
    pub links: u32,
    /// Time of modification, Unix seconds.
    pub time: u32,
    /// Major and minor number, of a device.
    pub device: (u32, u32),
    /// Where its content is in [`Archive::plain`].
    pub content: Range<usize>,
}

impl Archive<'_> {
    /// The content of a member of this archive.
    #[must_use]
    pub fn content(&self, member: &Member) -> &[u8] {
        self.plain.get(member.content.clone()).unwrap_or_default()
    }
}

/// Whether this may be an initramfs, by its first bytes.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| *byte != 0).and_then(|at| bytes.get(at..));
    start.is_some_and(|start| format(start).is_some())
}

/// Reads all archives.
///
/// # Errors
/// If something in it is no archive, is damaged, or goes beyond the limits. Archive and offset are
/// named.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Vec<Archive<'_>>> {
    let mut archives = Vec::new();
    let mut left = limits;
    let mut rest = bytes;
    // The kernel skips zeros between archives.
    while let Some(start) = rest.iter().position(|byte| *byte != 0) {
        rest = rest.get(start..).unwrap_or_default();
        let at = bytes.len() - rest.len();
        let number = archives.len() + 1;
        let archive = one(rest, at, &mut left, limits).map_err(|what| {
            Error::new(format!("archive {number} at byte {at}: {what}"))
                .remedy("the file is damaged, or no initramfs from there on; build it again")
        })?;
        let used = usize::try_from(archive.size).unwrap_or(rest.len());
        rest = rest.get(used..).unwrap_or_default();
        archives.push(archive);
    }
    Ok(archives)
}

/// The archive at the start of these bytes.
fn one<'a>(
    bytes: &'a [u8],
    at: usize,
    left: &mut Limits,
    limits: Limits,
) -> Result<Archive<'a>, String> {
    let compression = format(bytes).ok_or("neither cpio nor zstd, gzip or xz")?;
    let mut rest = bytes;
    let plain = if compression == "none" {
        Cow::Borrowed(bytes)
    } else {
        unpack(compression, &mut rest, left.unpacked)
            .map(Cow::Owned)
            .map_err(|it| it.to_string())?
    };
    let (members, used) = members(&plain, compression == "none", left.members)
        .map_err(|what| what.replace("LIMIT", &limits.members.to_string()))?;
    let (plain, size) = match plain {
        Cow::Borrowed(plain) => (Cow::Borrowed(plain.get(..used).unwrap_or(plain)), used),
        owned @ Cow::Owned(_) => (owned, bytes.len() - rest.len()),
    };
    left.unpacked = left.unpacked.saturating_sub(plain.len() as u64);
    left.members = left.members.saturating_sub(members.len());
    Ok(Archive { compression, at, size: size as u64, plain, members })
}

/// Reads one cpio archive (with `only_one`), or all that are one behind the other. Gives how many
/// bytes that was, too.
fn members(plain: &[u8], only_one: bool, most: usize) -> Result<(Vec<Member>, usize), String> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let rest = plain.get(at..).unwrap_or_default();
        let Some(zeros) = rest.iter().position(|byte| *byte != 0) else {
            return Ok((members, plain.len()));
        };
        let (member, next) = member(plain, at + zeros)?;
        at = next;
        if member.path != TRAILER {
            if members.len() >= most {
                return Err("more than LIMIT files".to_owned());
            }
            members.push(member);
        } else if only_one {
            return Ok((members, at));
        }
    }
}

/// The member whose header is at this place, and where the next one's is.
fn member(plain: &[u8], at: usize) -> Result<(Member, usize), String> {
    let header = plain.get(at..at.saturating_add(HEADER_LEN)).ok_or("it ends in a header")?;
    if !CPIO.iter().any(|magic| header.starts_with(magic)) {
        return Err(format!("no header of a cpio archive at byte {at} of what it unpacks to"));
    }
    let mut fields = [0_u32; 13];
    for (field, digits) in fields.iter_mut().zip(header.get(6..).unwrap_or_default().chunks(8)) {
        let digits = core::str::from_utf8(digits).ok();
        let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
        *field = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or("a header has a field that is no number")?;
    }
    let [inode, mode, uid, gid, links, time, size, _, _, major, minor, name_len, _] = fields;
    let part = |start: usize, len: u32| -> Option<Range<usize>> {
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        (end <= plain.len()).then_some(start..end)
    };
    let name = part(at + HEADER_LEN, name_len).ok_or("it ends in a name")?;
    let name_end = name.end.next_multiple_of(4);
    let name = plain.get(name).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    // What is empty may end before its padding.
    let content = if size == 0 { Some(name_end..name_end) } else { part(name_end, size) };
    let content = content.ok_or_else(|| format!("it ends in the file {name:?}"))?;
    let next = content.end.next_multiple_of(4).min(plain.len());
    let member = Member {
        path: name.trim_start_matches('/').to_owned(),
        inode,
        mode,
        owner: (uid, gid),
        links,
        time,
        device: (major, minor),
        content,
    };
    Ok((member, next))
}

/// How an archive is compressed, by its first bytes.
fn format(bytes: &[u8]) -> Option<&'static str> {
    if CPIO.iter().any(|magic| bytes.starts_with(magic)) {
        return Some("none");
    }
    let known = [(ZSTD, "zstd"), (GZIP, "gzip"), (XZ, "xz")];
    known.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name)
}

/// Unpacks one frame or stream, and moves `rest` behind it.
fn unpack(compression: &str, rest: &mut &[u8], limit: u64) -> Result<Vec<u8>, io::Error> {
    let mut plain = Vec::new();
    let whole = match compression {
        "zstd" => {
            let decoder = zstd::Decoder::with_buffer(&mut *rest)?.single_frame();
            decoder.take(limit + 1).read_to_end(&mut plain)
        }
        "gzip" => {
            flate2::bufread::GzDecoder::new(&mut *rest).take(limit + 1).read_to_end(&mut plain)
        }
        _ => lzma_rust2::XzReader::new(&mut *rest, false).take(limit + 1).read_to_end(&mut plain),
    };
    whole?;
    if plain.len() as u64 > limit {
        return Err(io::Error::other("all archives together unpack to more than the limit"));
    }
    Ok(plain)
}

#[cfg(test)]
pub(crate) mod tests;
