//! `cargo xtask demo`: everything, end to end, with throw-away keys.

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use crate::build;
use crate::harness;
use crate::harness::BootOptions;
use crate::harness::BootResult;
use crate::harness::Echo;
use crate::harness::Ended;
use crate::harness::Firmware;
use crate::harness::Status;
use crate::kernels;
use crate::kernels::Choice;
use crate::lab::Lab;
use crate::setup;
use crate::timeline::Timeline;

/// Longer than any boot that is going to succeed, on the slowest of hosts.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs the demo. Returns the exit status: 0 if the OS was booted and switched the machine off.
///
/// # Errors
///
/// The demo could not be set up: a tool is missing and cannot be installed, something does not
/// build, or QEMU cannot be started.
pub fn run(choice: &Choice) -> Result<u8> {
    let started = Instant::now();
    setup::ensure(&setup::for_boot(Firmware::Bios))?;
    let kernel = kernels::select(choice, &["virtio-net-pci".to_owned()])?;
    say("Boot kernel", &kernel.release);
    let init = build::init()?;
    say("/init", &format!("{} bytes, static", fs::metadata(&init)?.len()));
    let dir = build::target_dir().join("demo");
    let os_kernel = kernels::select_os(choice)?;
    say("OS kernel", &os_kernel.release);
    let lab = Lab::open(&dir, &os_kernel, 0)?;
    say("OS package", &lab.site().describe());
    say("Provisioning", &format!("{} (this machine's loopback, seen by the guest)", lab.url()));
    let options = BootOptions {
        // What /init says is to be seen, not the kernel's few hundred lines.
        append: "quiet".to_owned(),
        timeout: TIMEOUT,
        echo: Echo::Stdout,
        ..lab.boot_options(kernel)
    };
    say(
        "Starting",
        &format!("the machine, {:.1} s after the command", started.elapsed().as_secs_f64()),
    );
    let result = harness::boot(&options)?;
    write_results(&dir, &result)?;
    Ok(conclude(&result))
}

fn write_results(dir: &Path, result: &BootResult) -> Result<()> {
    let timeline = Timeline::of(result, "ramstrap: power-on to a RAM-only OS (QEMU)");
    let mut json = timeline.to_json();
    if let Some(object) = json.as_object_mut() {
        object.insert("boot".to_owned(), result.to_json());
    }
    for (name, content) in [
        ("console.log", result.serial.clone()),
        ("timeline.json", format!("{json:#}\n")),
        ("timeline.svg", timeline.to_svg()),
    ] {
        fs::write(dir.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    println!("\n{}", timeline.to_table());
    say("Written", &format!("{}/timeline.svg, timeline.json, console.log", dir.display()));
    Ok(())
}

fn conclude(result: &BootResult) -> u8 {
    let failure = result.report.as_ref().and_then(|report| report.failure.as_ref());
    match (result.status, result.ended) {
        (Status::Booted, Ended::Poweroff) => {
            say("Done", "the OS ran from RAM and switched the machine off");
            0
        }
        (Status::Booted, ended) => {
            let ended = format!("{ended:?}").to_lowercase();
            eprintln!("error: the OS was booted, but the machine ended by {ended}");
            1
        }
        _ => {
            match failure {
                Some(failure) => eprintln!("error: {failure}\n  remedy: {}", failure.remedy),
                None => eprintln!("error: no OS was booted; see the console above"),
            }
            result.exit_code().max(1)
        }
    }
}

fn say(what: &str, text: &str) {
    eprintln!("{what:>13}  {text}");
}
