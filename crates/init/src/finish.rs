//! The end of a boot that did not reach a new kernel: say why, on every console, then reboot.

use std::panic::PanicHookInfo;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hostcfg::LogLevel;
use pid1::Leave;
use report::Class;
use report::Code;
use report::Failure;
use report::Outcome;
use report::channel::Event;

use crate::channel;
use crate::cmdline::RebootDelay;
use crate::journal;
use crate::remote;
use crate::summary::summary;
use crate::system;
use crate::watchdog;

static ANNOUNCED: AtomicBool = AtomicBool::new(false);

/// Says what failed, on the consoles and in the remote log. Once is enough.
pub(crate) fn announce(failure: &Failure) {
    if ANNOUNCED.swap(true, Ordering::Relaxed) {
        return;
    }
    journal::update(|report| report.failure = Some(failure.clone()));
    let text = summary(failure, journal::snapshot(Outcome::Failed).as_ref());
    console::status("");
    console::line(&text);
    remote::push(LogLevel::Error, &text);
}

/// Says what failed and reboots after a while. The only way out of a boot that failed.
pub(crate) fn fail(failure: &Failure, delay: RebootDelay) -> ! {
    announce(failure);
    remote::flush_beside();
    let report = journal::snapshot(Outcome::Failed);
    let delay = reboot_delay(failure.class, delay);
    console::line(&format!("rebooting in {} s", delay.as_secs()));
    if let Some(report) = report {
        channel::event(&Event::End { report });
    }
    channel::drain();
    watchdog::sleep(delay);
    watchdog::before_restart();
    pid1::leave(Leave::Reboot)
}

/// Ends `--dryrun`.
pub(crate) fn dry_run() -> ! {
    console::line("dry run: everything is ready, nothing is started; powering off");
    watchdog::disarm();
    if let Some(report) = journal::snapshot(Outcome::Dryrun) {
        channel::event(&Event::End { report });
    }
    channel::drain();
    pid1::leave(Leave::PowerOff)
}

/// Takes a panic of our own to the same end: PID 1 must not die.
pub(crate) fn on_panic(info: &PanicHookInfo<'_>, delay: RebootDelay) -> ! {
    fail(&Failure::new(Code::Panicked, pid1::panic_text(info)), delay)
}

/// How long to wait: `panic=` if given; else by class, with full jitter, so that a fleet does not
/// come back in step. What may heal is tried again soon, what will not need not be tried often.
fn reboot_delay(class: Class, asked: RebootDelay) -> Duration {
    match asked {
        RebootDelay::Fixed(delay) => delay,
        RebootDelay::None => Duration::ZERO,
        RebootDelay::Ours => {
            let (least, most) = match class {
                Class::Transient => (10, 60),
                Class::Permanent | Class::Security => (60, 600),
            };
            Duration::from_secs(least + system::random_below(most - least + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use report::Class;

    use super::reboot_delay;
    use crate::cmdline::RebootDelay;

    #[test]
    fn the_delay_is_within_its_class() {
        for _ in 0..200 {
            let transient = reboot_delay(Class::Transient, RebootDelay::Ours).as_secs();
            assert!((10..=60).contains(&transient), "{transient}");
            let security = reboot_delay(Class::Security, RebootDelay::Ours).as_secs();
            assert!((60..=600).contains(&security), "{security}");
        }
        let asked = Duration::from_secs(30);
        assert_eq!(reboot_delay(Class::Security, RebootDelay::Fixed(asked)), asked);
        assert_eq!(reboot_delay(Class::Transient, RebootDelay::None), Duration::ZERO);
    }
}
