//! `cargo xtask demo`: everything, end to end, with throw-away keys.

mod package;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::serve;
use ramstrap_cli::serve::LabTls;
use ramstrap_cli::serve::Running;
use serde_json::json;

use crate::build;
use crate::harness;
use crate::harness::BootOptions;
use crate::harness::BootResult;
use crate::harness::Echo;
use crate::harness::Ended;
use crate::harness::Status;
use crate::kernels;
use crate::kernels::Choice;
use crate::kernels::Flavour;
use crate::setup;
use crate::timeline::Timeline;

pub use package::Site;

/// Where the guest finds the loopback of this machine.
const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";

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
    setup::ensure(&setup::for_boot(false))?;
    let kernel = kernels::select(choice, &["virtio-net-pci".to_owned()])?;
    say("Boot kernel", &kernel.release);
    let init = build::init()?;
    say("/init", &format!("{} bytes, static", fs::metadata(&init)?.len()));
    let dir = build::target_dir().join("demo");
    // The OS may have another kernel than the boot image; the recipe says which.
    let os_kernel = match choice {
        Choice::File { .. } => kernel.clone(),
        _ => kernels::select(&Choice::Distribution(Flavour::Cloud), &[])?,
    };
    let site = Site::prepare(&dir, &os_kernel)?;
    say("OS package", &site.describe());
    let (server, tls_root) = start_server(&dir, &site)?;
    let url = format!(
        "https://{HOST_SEEN_BY_GUEST}:{}/{}",
        server.address().port(),
        site.descriptor_name()
    );
    say("Provisioning", &format!("{url} (this machine's loopback, seen by the guest)"));
    let policy = site.write_trust_policy(&tls_root)?;
    let options = BootOptions {
        host_config: Some(write_host_configuration(&dir, &url)?),
        timeout: TIMEOUT,
        echo: Echo::Stdout,
        allow_invalid: false,
        ..BootOptions::new(kernel, policy)
    };
    say(
        "Starting",
        &format!("the machine, {:.1} s after the command", started.elapsed().as_secs_f64()),
    );
    let result = harness::boot(&options)?;
    server.stop();
    write_results(&dir, &result)?;
    Ok(conclude(&result))
}

/// Serves the package over HTTPS, with a CA of its own. Returns the CA's certificate, too.
fn start_server(dir: &Path, site: &Site) -> Result<(Running, Vec<u8>)> {
    let tls = LabTls::open(&dir.join("tls"), &[HOST_SEEN_BY_GUEST.to_owned()])?;
    let root = fs::read(&tls.roots).context("cannot read the server's CA")?;
    let server = serve::start(serve::Config {
        directory: site.directory(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        tls: Some(tls.server),
        on_answer: Arc::new(|_| ()),
    })?;
    Ok((server, root))
}

fn write_host_configuration(dir: &Path, url: &str) -> Result<std::path::PathBuf> {
    let path = dir.join("host_configuration.json");
    let configuration = json!({
        "network_mode": "dhcp",
        "ospkg_pointer": url,
        "description": "ramstrap demo",
    });
    fs::write(&path, format!("{configuration:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
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
            eprintln!("error: the OS was booted, but the machine ended by {ended:?}");
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
