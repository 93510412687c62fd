//! The kernel modules of the boot image.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use coldplug::Modules;
use tracing::debug;
use tracing::info;

/// How long to wait for the first network interface, with the module files still there.
const DEVICE_PATIENCE: Duration = Duration::from_secs(5);

/// Modules to load whatever the hardware says, one name a line.
const ALWAYS: &str = "/etc/ramstrap/modules";

/// Loads what the hardware asks for and what the boot image lists.
pub(crate) fn load_all() {
    let Some(mut modules) = Modules::find() else {
        debug!("no kernel modules in this boot image");
        return;
    };
    for name in fs::read_to_string(ALWAYS).unwrap_or_default().lines().map(str::trim) {
        // Without EFI, loading the driver of its variables costs as much as loading all others.
        let useless = name == "efivarfs" && !Path::new("/sys/firmware/efi").exists();
        if !name.is_empty() && !name.starts_with('#') && !useless {
            modules.load(name);
        }
    }
    let started = Instant::now();
    modules.load_for_devices();
    // Some buses take their time to find what is on them.
    while !has_interface() && started.elapsed() < DEVICE_PATIENCE {
        thread::sleep(Duration::from_millis(100));
        modules.load_for_devices();
    }
    let names: Vec<&str> = modules.loaded().collect();
    if !names.is_empty() {
        info!("kernel modules: {}", names.join(" "));
    }
}

/// Frees the memory that module files take: what is loaded does not need its file.
pub(crate) fn remove_files() {
    if let Err(error) = fs::remove_dir_all("/lib/modules") {
        debug!("/lib/modules: {error}");
    }
}

/// Whether there is a network interface beside the loopback.
fn has_interface() -> bool {
    let Ok(interfaces) = fs::read_dir("/sys/class/net") else { return false };
    interfaces.flatten().any(|interface| interface.file_name() != "lo")
}
