//! Drivers for the machine's devices, where the kernel has them as modules.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use coldplug::Modules;

/// How often to look for new devices.
const PAUSE: Duration = Duration::from_millis(200);

/// Longest time in all, should devices come and go for ever.
const MOST: Duration = Duration::from_secs(30);

/// Whether there are modules for the running kernel.
pub(crate) fn have_modules() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Path::new("/lib/modules").join(release.trim()).is_dir()
}

/// Loads what the hardware asks for, until for a while (`settle`) neither a module nor a block device
/// has been added: buses such as USB need time to find what is on them. Returns the modules' names.
pub(crate) fn load_drivers(settle: Duration) -> Vec<String> {
    let mut modules = Modules::find();
    if let Some(modules) = &mut modules
        && Path::new("/sys/firmware/efi").exists()
    {
        // No device asks for it.
        modules.load("efivarfs");
    }
    let started = Instant::now();
    let mut last_news = started;
    let mut disks = 0;
    loop {
        let loaded = modules.as_mut().is_some_and(Modules::load_for_devices);
        let now = fs::read_dir("/sys/block").map_or(0, Iterator::count);
        if loaded || now != disks {
            last_news = Instant::now();
            disks = now;
        }
        if last_news.elapsed() >= settle || started.elapsed() >= MOST {
            break;
        }
        thread::sleep(PAUSE);
    }
    modules.iter().flat_map(Modules::loaded).map(str::to_owned).collect()
}
