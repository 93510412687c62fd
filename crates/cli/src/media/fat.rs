//! FAT file systems for UEFI firmware: written by a library, read by bounded code.
//!
//! The library is not used for reading: it follows cluster chains of files that may be hostile.

use std::io::Cursor;
use std::io::Write;

use fatfs::FatType;
use fatfs::FileSystem;
use fatfs::FormatVolumeOptions;
use fatfs::FsOptions;

use crate::Error;
use crate::Result;

const SECTOR: usize = 512;
const ENTRY: usize = 32;
/// A FAT16 has at least 4085 and at most 65524 clusters: its type is known by their number alone.
const CLUSTERS: core::ops::RangeInclusive<usize> = 4200..=65_000;
/// Entries of the root directory; a multiple of those in a sector.
const ROOT_ENTRIES: usize = 64;
/// For a file system's own needs, and so that a file can be exchanged for one a little larger.
const SLACK: usize = 256 << 10;
const LABEL: [u8; 11] = *b"RAMSTRAP   ";

/// A FAT16 file system that holds `content` at `path` (`/` between directories, names of 8.3).
/// Times are those of the FAT epoch; the serial number is `serial`.
///
/// # Errors
/// If it is too large: 2 GiB.
pub(super) fn image(path: &str, content: &[u8], serial: u32) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::new(format!("making a FAT file system: {error}"));
    let (cluster, sectors) = geometry(content.len() + SLACK)
        .ok_or_else(|| Error::new("too large for a boot medium").remedy("2 GB are the limit"))?;
    let mut disk = Cursor::new(vec![0; sectors as usize * SECTOR]);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat16)
        .bytes_per_cluster(cluster)
        .total_sectors(sectors)
        .max_root_dir_entries(ROOT_ENTRIES as u16)
        .volume_id(serial)
        .volume_label(LABEL);
    fatfs::format_volume(&mut disk, options).map_err(failed)?;
    {
        // Without its feature `chrono`, the library knows no clock.
        let system = FileSystem::new(&mut disk, FsOptions::new()).map_err(failed)?;
        let root = system.root_dir();
        for (end, _) in path.match_indices('/') {
            root.create_dir(path.get(..end).unwrap_or_default()).map_err(failed)?;
        }
        let mut file = root.create_file(path).map_err(failed)?;
        file.write_all(content).and_then(|()| file.flush()).map_err(failed)?;
        drop(file);
        drop(root);
        system.unmount().map_err(failed)?;
    }
    Ok(disk.into_inner())
}

/// Bytes of a cluster, and sectors of a file system with room for this many bytes.
fn geometry(bytes: usize) -> Option<(u32, u32)> {
    let mut cluster = SECTOR;
    while bytes.div_ceil(cluster) > *CLUSTERS.end() {
        cluster *= 2;
    }
    let clusters = bytes.div_ceil(cluster).max(*CLUSTERS.start());
    let table = ((clusters + 2) * 2).div_ceil(SECTOR);
    let sectors = 1 + 2 * table + ROOT_ENTRIES * ENTRY / SECTOR + clusters * (cluster / SECTOR);
    // Above 32 KiB a cluster is not understood everywhere.
    (cluster <= 32 << 10).then_some((u32::try_from(cluster).ok()?, u32::try_from(sectors).ok()?))
}

/// A FAT12, FAT16 or FAT32 file system to be read from. Every size is checked against the bytes that are
/// there, every chain ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fat<'a> {
    image: &'a [u8],
    cluster: usize,
    table: usize,
    root: Root,
    data: usize,
    clusters: usize,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    /// Offset and length in bytes.
    Fixed(usize, usize),
    /// First cluster: FAT32.
    Chain(usize),
}

impl<'a> Fat<'a> {
    /// Reads the boot sector. `None` if it is none of FAT.
    pub(crate) fn open(image: &'a [u8]) -> Option<Self> {
        let half = |at| u16_at(image, at).map(usize::from);
        let word = |at| u32_at(image, at);
        if image.get(510..512)? != [0x55, 0xaa] {
            return None;
        }
        let sector = half(11)?;
        let cluster = usize::from(*image.get(13)?) * sector;
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || cluster == 0 {
            return None;
        }
        let tables = usize::from(*image.get(16)?);
        let entries = half(17)?;
        let table_sectors = match half(22)? {
            0 => word(36)?,
            sectors => sectors,
        };
        let total = match half(19)? {
            0 => word(32)?,
            sectors => sectors,
        };
        let table = half(14)?.checked_mul(sector)?;
        let root = tables.checked_mul(table_sectors)?.checked_mul(sector)?.checked_add(table)?;
        let root_length = (entries * ENTRY).next_multiple_of(sector);
        let data = root.checked_add(root_length)?;
        let end = total.checked_mul(sector)?.min(image.len());
        let clusters = end.checked_sub(data)? / cluster;
        let root = match entries {
            0 => Root::Chain(word(44)?),
            _ => Root::Fixed(root, root_length),
        };
        Some(Self { image, cluster, table, root, data, clusters })
    }

    /// The content of the file at `path` (`/` between names of 8.3). `None` if there is none.
    pub(crate) fn file(&self, path: &str) -> Option<Vec<u8>> {
        let mut directory = match self.root {
            Root::Fixed(at, length) => self.image.get(at..at.checked_add(length)?)?.to_vec(),
            Root::Chain(first) => self.chain(first, usize::MAX)?,
        };
        let mut names = path.split('/').peekable();
        loop {
            let name = short_name(names.next()?)?;
            let entry = directory.chunks_exact(ENTRY).find(|entry| {
                // Neither deleted, nor a label, nor a part of a long name.
                entry.get(..11) == Some(&name) && entry.get(11).is_some_and(|it| it & 0x08 == 0)
            })?;
            let high = u16_at(entry, 20).map(usize::from)?;
            let first = u16_at(entry, 26).map(usize::from)?;
            let first =
                if matches!(self.root, Root::Chain(_)) { first | high << 16 } else { first };
            let is_directory = entry.get(11)? & 0x10 != 0;
            match (names.peek(), is_directory) {
                (Some(_), true) => directory = self.chain(first, usize::MAX)?,
                (None, false) => {
                    let size = u32_at(entry, 28)?;
                    let content = if size == 0 { Vec::new() } else { self.chain(first, size)? };
                    return (content.len() == size).then_some(content);
                }
                _ => return None,
            }
        }
    }

    /// What a chain of clusters holds, but not more than `limit` bytes.
    fn chain(&self, first: usize, limit: usize) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut cluster = first;
        // A chain that is longer than the file system has clusters runs in a circle.
        for _ in 0..self.clusters {
            if content.len() >= limit || !(2..self.clusters + 2).contains(&cluster) {
                break;
            }
            let at = self.data + (cluster - 2) * self.cluster;
            let left = (limit - content.len()).min(self.cluster);
            content.extend_from_slice(self.image.get(at..at + left)?);
            cluster = self.next(cluster)?;
        }
        Some(content)
    }

    fn next(&self, cluster: usize) -> Option<usize> {
        match (self.root, self.clusters) {
            (Root::Chain(_), _) => {
                u32_at(self.image, self.table + cluster * 4).map(|it| it & 0xfff_ffff)
            }
            (_, 0..=4084) => {
                let pair = usize::from(u16_at(self.image, self.table + cluster * 3 / 2)?);
                Some(if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 })
            }
            _ => u16_at(self.image, self.table + cluster * 2).map(usize::from),
        }
    }
}

/// A name as directories have it: eight letters and three, filled up with spaces.
fn short_name(name: &str) -> Option<[u8; 11]> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let mut short = [b' '; 11];
    let (first, last) = short.split_at_mut_checked(8)?;
    first.get_mut(..stem.len())?.copy_from_slice(stem.as_bytes());
    last.get_mut(..extension.len())?.copy_from_slice(extension.as_bytes());
    Some(short)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
    usize::try_from(word).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "EFI/BOOT/BOOTX64.EFI";

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, 511, 512, 513, 5_000_000, 40_000_000] {
            let content: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
            let image = image(PATH, &content, 7).unwrap();
            assert_eq!(Fat::open(&image).unwrap().file(PATH).unwrap(), content, "{length}");
            assert!(Fat::open(&image).unwrap().file("EFI/BOOT/OTHER.EFI").is_none());
            assert!(Fat::open(&image).unwrap().file("EFI/BOOT").is_none());
        }
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(image(PATH, b"abc", 7).unwrap(), image(PATH, b"abc", 7).unwrap());
    }

    #[test]
    fn a_chain_in_a_circle_ends() {
        let mut image = image(PATH, &[1; 4096], 7).unwrap();
        let fat = Fat::open(&image).unwrap();
        let table = fat.table;
        // Every cluster is followed by cluster 2.
        for entry in image[table + 4..table + 2000].chunks_exact_mut(2) {
            entry.copy_from_slice(&[2, 0]);
        }
        let _ = Fat::open(&image).unwrap().file(PATH);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(
            changes in prop::collection::vec((0_usize..40_000, any::<u8>()), 1..40),
            length in 0_usize..60_000,
        ) {
            let mut image = image(PATH, b"content", 7).unwrap();
            for (at, byte) in changes {
                image[at] = byte;
            }
            image.truncate(length.max(512));
            if let Some(fat) = Fat::open(&image) {
                let _ = fat.file(PATH);
            }
        }
    }
}
