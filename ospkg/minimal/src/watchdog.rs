//! `minimal.watchdog=open|pet`: takes the watchdog over, as an OS does whose package asks for it.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// How often a watchdog is petted.
const PAUSE: Duration = Duration::from_secs(2);

/// Opens the first watchdog and, with `pet`, pets it for ever; with `open` never, as an OS that
/// hangs. Returns what came of it, for the console.
pub(crate) fn take_over(wish: &str) -> String {
    let opened = OpenOptions::new().write(true).open("/dev/watchdog0");
    let mut watchdog: File = match opened {
        Ok(watchdog) => watchdog,
        Err(error) => return format!("cannot open /dev/watchdog0: {error}"),
    };
    if wish == "pet" {
        let petting = move || {
            while watchdog.write_all(b"\0").is_ok() {
                thread::sleep(PAUSE);
            }
        };
        return match thread::Builder::new().spawn(petting) {
            Ok(_) => "petted from now on".to_owned(),
            Err(error) => format!("cannot pet: {error}"),
        };
    }
    // Closing it without a word would not stop it either; this way it stays open for certain.
    std::mem::forget(watchdog);
    "opened, and not petted".to_owned()
}
