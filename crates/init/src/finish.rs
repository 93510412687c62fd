//! The end of a boot that did not reach a new kernel: say why, on every console, then reboot.

use std::panic::PanicHookInfo;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hostcfg::LogLevel;
use report::BootReport;
use report::Class;
use report::Code;
use report::Failure;
use report::Outcome;
use report::channel::Event;

use crate::channel;
use crate::cmdline::RebootDelay;
use crate::journal;
use crate::remote;
use crate::system;
use crate::system::Leave;
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
    let report = journal::snapshot(Outcome::Failed);
    let delay = reboot_delay(failure.class, delay);
    console::line(&format!("rebooting in {} s", delay.as_secs()));
    if let Some(report) = report {
        channel::event(&Event::End { report });
    }
    channel::drain();
    watchdog::sleep(delay);
    watchdog::before_restart();
    system::leave(Leave::Reboot)
}

/// Ends `--dryrun`.
pub(crate) fn dry_run() -> ! {
    console::line("dry run: everything is ready, nothing is started; powering off");
    watchdog::disarm();
    if let Some(report) = journal::snapshot(Outcome::Dryrun) {
        channel::event(&Event::End { report });
    }
    channel::drain();
    system::leave(Leave::PowerOff)
}

/// Takes a panic of our own to the same end: PID 1 must not die.
pub(crate) fn on_panic(info: &PanicHookInfo<'_>, delay: RebootDelay) -> ! {
    let message = info
        .payload()
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| info.payload().downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    fail(&Failure::new(Code::Panicked, format!("{message}{place}")), delay)
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

/// The failure summary: what was tried, what failed, what to do.
fn summary(failure: &Failure, report: Option<&BootReport>) -> String {
    let rule = "-".repeat(72);
    let mut lines = vec![
        String::new(),
        rule.clone(),
        format!("BOOT FAILED  {}  {}  ({})", failure.code, failure.title, failure.class),
        format!("  what    {}", in_lines(&failure.detail)),
        format!("  remedy  {}", failure.remedy),
    ];
    if let Some(report) = report {
        lines.push(format!(
            "  clock   {} (RTC {}, image built {})",
            report.clock.state, report.clock.rtc, report.clock.floor
        ));
        for nic in &report.nics {
            let carrier = if nic.carrier { "carrier" } else { "no carrier" };
            lines.push(format!(
                "  nic     {} {} {carrier} {}",
                nic.interface,
                nic.mac,
                nic.addresses.join(" ")
            ));
            if let Some(other) = &nic.failure {
                lines.push(format!("          {}", beside(failure, other)));
            }
        }
        for mirror in last_tries(report) {
            let outcome = match &mirror.failure {
                Some(other) => beside(failure, other),
                None => "served".to_owned(),
            };
            lines.push(format!("  mirror  {} over {}", mirror.url, mirror.interface));
            lines.push(format!("          {outcome}"));
        }
    }
    lines.push(rule);
    lines.join("\n")
}

/// Another failure in the summary of one: in full only if it says something else.
fn beside(failure: &Failure, other: &Failure) -> String {
    if other == failure {
        format!("{}, as above", other.code)
    } else {
        format!("{}: {}", other.headline(), in_lines(&other.detail))
    }
}

/// A list of reasons with each of them on a line of its own.
fn in_lines(detail: &str) -> String {
    detail.replace("; ", &format!(";\n{:10}", ""))
}

/// The last try at each mirror over each interface, in the order of the first.
fn last_tries(report: &BootReport) -> Vec<&report::MirrorReport> {
    let mut tries: Vec<&report::MirrorReport> = Vec::new();
    for entry in &report.mirrors {
        match tries.iter_mut().find(|t| t.url == entry.url && t.interface == entry.interface) {
            Some(earlier) => *earlier = entry,
            None => tries.push(entry),
        }
    }
    tries
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use report::BootReport;
    use report::Class;
    use report::Code;
    use report::Failure;
    use report::MirrorReport;

    use super::reboot_delay;
    use super::summary;
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

    #[test]
    fn the_summary_says_each_reason_once() {
        let detail = "0 of 2 are valid: signature 1 is over nothing; signature 2 has expired";
        let failure = Failure::new(Code::BelowThreshold, detail);
        let mirror = |url: &str, failure: Failure| MirrorReport {
            url: url.to_owned(),
            interface: "eth0".to_owned(),
            start_us: 0,
            bytes: 0,
            resumed: 0,
            failure: Some(failure),
        };
        let other = Failure::new(Code::NotFound, "it says 404");
        let report = BootReport {
            mirrors: vec![mirror("https://a/", failure.clone()), mirror("https://b/", other)],
            ..report()
        };
        let text = summary(&failure, Some(&report));
        assert_eq!(text.matches("signature 2 has expired").count(), 1, "{text}");
        assert!(text.contains("over nothing;\n          signature 2"), "{text}");
        assert!(text.contains("https://a/ over eth0\n          E0404, as above\n"), "{text}");
        assert!(text.contains("has no such file: it says 404"), "{text}");
    }

    fn report() -> BootReport {
        BootReport::new("")
    }

    #[test]
    fn the_summary_has_code_reason_and_remedy() {
        let text = summary(&Failure::new(Code::BelowThreshold, "1 of 2 are valid"), None);
        assert!(text.contains("BOOT FAILED  E0404  not enough valid signatures  (security)"));
        assert!(text.contains("1 of 2 are valid"));
        assert!(text.contains(Code::BelowThreshold.remedy()));
    }
}
