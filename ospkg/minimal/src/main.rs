//! A RAM-only OS that prints the boot report it was handed and what it sees of the machine, and
//! powers off.
//!
//! It is one static executable, PID 1 of an initramfs that holds nothing else. It is what the demo
//! and the boot tests boot, and a small example of what an OS can do with the hand-over.

mod after;
mod console;
mod devices;
mod facts;
mod forge;
mod handover;
mod render;
mod settings;
mod watchdog;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use nix::mount::MsFlags;
use nix::mount::mount;

use crate::after::After;
use crate::console::Console;
use crate::facts::Facts;
use crate::facts::Known;

/// Said first of all, so that whoever watches the console knows that the OS runs; followed by the
/// seconds since the kernel's start.
const UP: &str = "MINIMAL-OS-UP";

fn main() -> ExitCode {
    let mut problems = mount_all();
    let mut console = Console::open();
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split_ascii_whitespace().next().unwrap_or_default().to_owned();
    console.line(&format!("{UP} {uptime} s"));
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let after = After::from_cmdline(&cmdline);
    let has_modules = devices::have_modules();
    let modules = devices::load_drivers(settings::settle(&cmdline, has_modules));
    mount_efi_variables();
    let handover = handover::read("/ramstrap");
    problems.extend(handover.problems.iter().cloned());
    let view = render::View {
        kernel: read_trimmed("/proc/sys/kernel/osrelease"),
        cmdline: cmdline.trim().to_owned(),
        memory_kib: after::field_kib(
            &fs::read_to_string("/proc/meminfo").unwrap_or_default(),
            "MemTotal",
        ),
        block_devices: names_in("/sys/block"),
        interfaces: interfaces(),
        handover,
        problems,
    };
    if let (Some(terminal), Some(truth)) = (forge::terminal(&cmdline), &view.handover.report) {
        console.line(&forge::lie(terminal, truth));
    }
    if let Some(wish) = settings::value(&cmdline, "watchdog") {
        console.line(&format!("watchdog: {}", watchdog::take_over(wish)));
    }
    let facts = Facts::gather(Known {
        kernel: view.kernel.clone(),
        uptime,
        memory_kib: view.memory_kib,
        modules,
        network_patience: settings::network_patience(&cmdline),
    });
    for line in render::lines(&view, &facts.fields()) {
        console.line(&line);
    }
    console.line(&facts.line());
    console.line(&render::last_line(after));
    console.drain();
    after.carry_out();
    // Reached with `minimal.after=panic`: a kernel panics when PID 1 ends.
    ExitCode::FAILURE
}

/// Mounts what the rest reads from. What cannot be mounted is a problem to report, not an end.
fn mount_all() -> Vec<String> {
    let mounts = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mounts
        .into_iter()
        .filter_map(|(kind, target)| {
            let _ = fs::create_dir(target);
            let error = mount(Some(kind), target, Some(kind), flags, None::<&str>).err()?;
            // The kernel may have mounted it already.
            (error != nix::errno::Errno::EBUSY).then(|| format!("cannot mount {target}: {error}"))
        })
        .collect()
}

/// Makes EFI variables visible, where the kernel has a file system for them.
fn mount_efi_variables() {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    let target = "/sys/firmware/efi/efivars";
    // Not having them is a fact like any other.
    let _ = mount(Some("efivarfs"), target, Some("efivarfs"), flags, None::<&str>);
}

fn read_trimmed(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// All network interfaces; what else is in their directory (`bonding_masters`) is a file.
fn interfaces() -> Vec<String> {
    let directory = Path::new("/sys/class/net");
    let names = names_in("/sys/class/net").into_iter();
    names.filter(|name| directory.join(name).is_dir()).collect()
}

/// Names in a directory, sorted; none if it cannot be read.
fn names_in(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
