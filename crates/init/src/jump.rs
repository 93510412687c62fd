//! The last step: load the verified package and start it.

use std::convert::Infallible;
use std::time::Duration;

use hostcfg::LogLevel;
use netboot::Inputs;
use netboot::Verified;
use report::BootReport;
use report::Failure;
use report::Outcome;
use report::channel::Event;
use tracing::debug;
use tracing::warn;

use crate::channel;
use crate::finish;
use crate::journal;
use crate::journal::Journal;
use crate::remote;
use crate::watchdog;

/// How long the links may take to go down before the jump.
const QUIESCE_PATIENCE: Duration = Duration::from_secs(3);

/// Loads the package and starts it. Returns only when that failed.
///
/// # Errors
/// E0507 and E06xx.
pub(crate) async fn into(
    inputs: &Inputs,
    package: Verified,
    dry_run: bool,
) -> Result<Infallible, Failure> {
    let loaded = netboot::load(inputs, &Journal, package)?;
    if dry_run {
        remote::push(LogLevel::Info, "dry run: everything is ready, nothing is started");
        remote::flush().await;
        finish::dry_run();
    }
    if let Some(report) = journal::snapshot(Outcome::Kexec) {
        remote::push(LogLevel::Info, &announcement(&report, None));
    }
    remote::flush().await;
    quiesce();
    let watchdog = watchdog::hand_over();
    if let Some(report) = journal::snapshot(Outcome::Kexec) {
        console::line(&announcement(&report, watchdog.as_deref()));
        channel::event(&Event::End { report });
    }
    channel::drain();
    let error = loaded.execute();
    // Still here: what follows is to be watched again.
    watchdog::arm();
    Err(netboot::kexec_failure(error))
}

/// Switches all links off, so that no packet is written any more into memory that is not ours then.
fn quiesce() {
    match netup::quiesce_within(QUIESCE_PATIENCE) {
        Some(quiesced) => {
            for failure in quiesced.failures {
                warn!("{failure}; starting the new kernel all the same");
            }
            debug!("links switched off: {}", quiesced.down.join(", "));
        }
        None => warn!("the links do not go down; starting the new kernel all the same"),
    }
}

/// The last words: what is started, and who vouches for it.
fn announcement(report: &BootReport, watchdog: Option<&str>) -> String {
    let Some(package) = &report.package else { return String::new() };
    let label = package.label.as_deref().unwrap_or("(no label)");
    let mut lines = vec![format!("booting {label}"), format!("  sha256  {}", package.sha256)];
    for signer in &package.signers {
        lines.push(format!("  signer  {} until {}", signer.subject, signer.not_after));
    }
    lines.push(format!("  from    {}", package.archive_url));
    lines.extend(watchdog.map(|fate| format!("  watch   watchdog {fate}")));
    lines.push(format!("  after   {:.3} s", report.total_us as f64 / 1e6));
    lines.join("\n")
}
