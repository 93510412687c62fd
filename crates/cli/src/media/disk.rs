//! A disk image for a boot stick: GPT, and one EFI system partition.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types;

use super::BOOT_LOADER;
use super::fat;
use super::guid;
use super::identifier;
use crate::Error;
use crate::Result;

/// The GUID of this type of partition as it stands on a disk: its first three fields turned around.
pub(crate) const EFI_SYSTEM_PARTITION: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];

const SECTOR: u64 = 512;
/// Where the partition begins: on whole MiB, as erase blocks of sticks are.
const START: u64 = 2048;
/// Sectors of the second partition table at the end.
const BACKUP: u64 = 33;

/// A disk image that UEFI firmware boots `uki` from, whichever disk it is written to.
///
/// It holds a GPT with one FAT16 partition, which holds `EFI/BOOT/BOOTX64.EFI`. All identifiers
/// follow from the content.
///
/// # Errors
/// If `uki` is larger than 2 GB.
pub fn disk(uki: &[u8]) -> Result<Vec<u8>> {
    let partition = efi_partition(uki)?;
    let sectors = partition.len() as u64 / SECTOR;
    let length = (START + sectors + BACKUP).next_multiple_of(START) * SECTOR;
    let mut image = Cursor::new(vec![0; usize::try_from(length).unwrap_or(usize::MAX)]);
    write(&mut image, &partition, sectors, uki)
        .map_err(|error| Error::new(format!("making a partition table: {error}")))?;
    Ok(image.into_inner())
}

/// The file system that firmware reads, with `uki` in it.
pub(super) fn efi_partition(uki: &[u8]) -> Result<Vec<u8>> {
    let [a, b, c, d, ..] = identifier("FAT serial number", uki);
    fat::image(BOOT_LOADER, uki, u32::from_le_bytes([a, b, c, d]))
}

fn write(
    image: &mut Cursor<Vec<u8>>,
    partition: &[u8],
    sectors: u64,
    uki: &[u8],
) -> Result<(), gpt::GptError> {
    let total = image.get_ref().len() as u64 / SECTOR;
    let mbr = ProtectiveMBR::with_lb_size(u32::try_from(total - 1).unwrap_or(u32::MAX));
    mbr.overwrite_lba0(image).map_err(std::io::Error::other)?;
    let mut table = GptConfig::new()
        .writable(true)
        .change_partition_count(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(&mut *image, Some(guid("disk", uki)))?;
    let entry = Partition {
        part_type_guid: partition_types::EFI,
        part_guid: guid("EFI system partition", uki),
        first_lba: START,
        last_lba: START + sectors - 1,
        flags: 0,
        name: "EFI system partition".to_owned(),
    };
    table.update_partitions(BTreeMap::from([(1, entry)]))?;
    table.write()?;
    image.seek(SeekFrom::Start(START * SECTOR))?;
    image.write_all(partition)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Fat;
    use super::*;

    #[test]
    fn the_partition_holds_the_executable() {
        let uki = vec![0x5a; 1_000_000];
        let image = disk(&uki).unwrap();
        assert_eq!(image.len() % (1 << 20), 0);
        assert_eq!(image[1024..1040], EFI_SYSTEM_PARTITION);
        let start = usize::try_from(START * SECTOR).unwrap();
        assert_eq!(Fat::open(&image[start..]).unwrap().file(BOOT_LOADER).unwrap(), uki);
        assert_eq!(disk(&uki).unwrap(), image);
        assert_ne!(disk(b"other").unwrap()[512..600], image[512..600], "GUIDs are the content's");
    }
}
