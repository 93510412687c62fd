//! How much memory a package needs, computed before the kernel finds out.
//!
//! Running out of memory inside `kexec_file_load` is a kernel panic, not an error. At its peak the
//! machine holds, beside what runs already: the kernel and the initramfs as sealed files, the
//! running kernel's own copy of both, and the segments that the new kernel will find: its
//! initramfs, and `init_size` bytes to unpack itself in.

use std::fs;

use report::Code;
use report::Failure;
use report::MemoryReport;
use tracing::debug;

use crate::events::Event;
use crate::events::Events;
use crate::world::Memory;

/// What kexec's own bookkeeping, page tables and the rest of the system may take beside.
const SLACK: u64 = 8 << 20;

/// What the kernel keeps back for itself from the moment on when nothing is left to do but to load
/// (`vm.min_free_kbytes`). Its default grows with the machine and is meant for a system that runs.
const RESERVE_KIB: &str = "1024";

/// Room that a new kernel unpacks itself in, until its header has told: less than any has.
const LEAST_INIT_SIZE: u64 = 16 << 20;

const MIB: u64 = 1 << 20;

/// The longest archive that this machine could boot at all.
pub(crate) fn max_archive_len(memory: Memory) -> u64 {
    memory.available.saturating_sub(SLACK + LEAST_INIT_SIZE) / 3
}

/// Checks an archive's announced length before anything of it is downloaded.
///
/// # Errors
/// E0601 with the memory that is missing.
pub(crate) fn admit(events: &dyn Events, memory: Memory, archive_len: u64) -> Result<(), Failure> {
    // Three times: the file, the kernel's copy of it, its segments.
    check(
        events,
        memory,
        archive_len.saturating_mul(3).saturating_add(LEAST_INIT_SIZE + SLACK),
        &format!("an archive of {} MiB", archive_len.div_ceil(MIB)),
    )
}

/// Checks before kernel and initramfs are copied out of the archive. The archive's memory is
/// released while that goes on.
///
/// # Errors
/// E0601 with the memory that is missing.
pub(crate) fn admit_extraction(
    events: &dyn Events,
    memory: Memory,
    archive_len: u64,
    kernel_len: u64,
    initramfs_len: u64,
) -> Result<(), Failure> {
    let files = kernel_len.saturating_add(initramfs_len);
    let need = files
        .saturating_mul(2)
        .saturating_add(initramfs_len)
        .saturating_add(LEAST_INIT_SIZE + SLACK)
        .saturating_sub(archive_len);
    check(events, memory, need, &describe(kernel_len, initramfs_len))
}

/// Checks right before the kernel is asked to load both, when both files exist already.
///
/// # Errors
/// E0601 with the memory that is missing.
pub(crate) fn admit_kexec(
    events: &dyn Events,
    kernel_len: u64,
    init_size: u64,
    initramfs_len: u64,
) -> Result<(), Failure> {
    if let Err(error) = fs::write("/proc/sys/vm/min_free_kbytes", RESERVE_KIB) {
        debug!("vm.min_free_kbytes: {error}");
    }
    let copies = kernel_len.saturating_add(initramfs_len);
    let segments = init_size.saturating_add(initramfs_len);
    check(
        events,
        read(),
        copies.saturating_add(segments).saturating_add(SLACK),
        &describe(kernel_len, initramfs_len),
    )
}

fn describe(kernel_len: u64, initramfs_len: u64) -> String {
    format!(
        "a kernel of {} MiB with an initramfs of {} MiB",
        kernel_len.div_ceil(MIB),
        initramfs_len.div_ceil(MIB)
    )
}

fn check(events: &dyn Events, memory: Memory, needed: u64, what: &str) -> Result<(), Failure> {
    let Memory { installed, total, available } = memory;
    events.on(Event::Memory(MemoryReport {
        total_kib: total / 1024,
        available_kib: available / 1024,
        needed_kib: needed / 1024,
    }));
    judge(installed, available, needed, what)
}

fn judge(installed: u64, available: u64, needed: u64, what: &str) -> Result<(), Failure> {
    let missing = needed.saturating_sub(available);
    if missing == 0 {
        return Ok(());
    }
    let detail = format!(
        "{what} needs {} MiB of free memory, {} MiB are free: {} MiB are missing; the machine \
         needs at least {} MiB",
        needed.div_ceil(MIB),
        available / MIB,
        missing.div_ceil(MIB),
        // The kernel's own account of each page takes a part of what is added.
        (installed + missing + missing / 32 + MIB).div_ceil(MIB),
    );
    Err(Failure::new(Code::MemoryTooSmall, detail))
}

/// The memory of this machine as it is now.
pub(crate) fn read() -> Memory {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"))
            .and_then(|value| value.trim().parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    };
    let (total, available) = (field("MemTotal:"), field("MemAvailable:"));
    Memory { installed: installed_memory().unwrap_or(total).max(total), total, available }
}

/// Memory that the machine has, in bytes; what the kernel took for itself before it began to count
/// is in it. `None` where the kernel does not tell.
fn installed_memory() -> Option<u64> {
    let bytes = system_ram(&fs::read_to_string("/proc/iomem").ok()?);
    (bytes > 0).then_some(bytes)
}

/// The sum of the ranges that `/proc/iomem` calls `System RAM`, and of what the firmware keeps of
/// the same modules for its own tables.
fn system_ram(iomem: &str) -> u64 {
    iomem
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .filter(|(_, name)| *name == "System RAM" || name.starts_with("ACPI "))
        .filter_map(|(range, _)| {
            let (first, last) = range.split_once('-')?;
            let at = |text: &str| u64::from_str_radix(text, 16).ok();
            at(last)?.checked_sub(at(first)?)?.checked_add(1)
        })
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use report::Code;

    use super::judge;
    use super::system_ram;

    #[test]
    fn what_is_missing_is_said() {
        let failure = judge(256 << 20, 100 << 20, 160 << 20, "an archive of 50 MiB").unwrap_err();
        assert_eq!(failure.code, Code::MemoryTooSmall);
        assert!(failure.detail.contains("60 MiB are missing"), "{}", failure.detail);
        assert!(failure.detail.contains("needs at least 319 MiB"), "{}", failure.detail);
        judge(256 << 20, 160 << 20, 160 << 20, "the same").unwrap();
    }

    #[test]
    fn memory_is_what_the_firmware_lists() {
        let iomem = "00000000-00000fff : Reserved\n\
                     00001000-0009fbff : System RAM\n\
                     000a0000-000bffff : PCI Bus 0000:00\n\
                     00100000-03fdffff : System RAM\n  \
                     01000000-01e02487 : Kernel code\n\
                     03fe0000-03ffffff : ACPI Tables\n";
        assert_eq!(system_ram(iomem), 0x9ec00 + 0x3ee_0000 + 0x2_0000);
        // To a process without rights, every address is zero.
        assert_eq!(system_ram("00000000-00000000 : System RAM"), 1);
        assert_eq!(system_ram("gibberish"), 0);
    }
}
