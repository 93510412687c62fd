//! The lines that the OS prints.

use report::BootReport;
use report::PackageReport;
use report::StageTiming;

use crate::after::After;
use crate::handover::HandOver;

/// What the OS found.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) kernel: String,
    pub(crate) cmdline: String,
    pub(crate) memory_kib: Option<u64>,
    pub(crate) block_devices: Vec<String>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) handover: HandOver,
    pub(crate) problems: Vec<String>,
}

/// Everything as lines of plain text, but the last; `facts` are names and values.
pub(crate) fn lines(view: &View, facts: &[(String, String)]) -> Vec<String> {
    let mut out = Lines::default();
    out.rule("ramstrap minimal OS");
    out.field("kernel", &view.kernel);
    out.field("command line", &view.cmdline);
    if let Some(kib) = view.memory_kib {
        out.field("memory", &format!("{} MiB", kib / 1024));
    }
    out.field("block devices", &list(&view.block_devices));
    out.field("interfaces", &list(&view.interfaces));
    for (name, value) in facts {
        out.field(name, value);
    }
    match (&view.handover.report, view.handover.present) {
        (Some(report), _) => boot_report(&mut out, report),
        (None, true) => out.field("boot report", "cannot be read"),
        (None, false) => out.field("boot report", "none was handed over"),
    }
    if view.handover.present {
        out.field("handed over", &list(&view.handover.files));
    }
    if view.problems.is_empty() {
        out.field("checks", "ok");
    }
    for problem in &view.problems {
        out.field("PROBLEM", problem);
    }
    out.0
}

/// What comes at the very end.
pub(crate) fn last_line(after: After) -> String {
    rule(&format!("minimal OS: {}", after.name()))
}

fn boot_report(out: &mut Lines, report: &BootReport) {
    out.rule("boot report");
    out.field("booted by", &format!("ramstrap {}", report.ramstrap));
    out.field("clock", &format!("{} ({})", report.clock.state, report.clock.rtc));
    if let Some(policy) = &report.trust_policy {
        let roots = policy.signing_roots.len();
        out.field(
            "trust policy",
            &format!("{} signatures wanted, {roots} root(s)", policy.threshold),
        );
        out.field("", &format!("sha256 {}", policy.sha256));
    }
    if let Some(package) = &report.package {
        os_package(out, package);
    }
    for mirror in &report.mirrors {
        let came_of_it = match &mirror.failure {
            Some(failure) => failure.to_string(),
            None => format!("{} bytes over {}", mirror.bytes, mirror.interface),
        };
        out.field("mirror", &format!("{}: {came_of_it}", mirror.url));
    }
    for nic in &report.nics {
        let used = if nic.used { ", used" } else { "" };
        let addresses = list(&nic.addresses);
        out.field(
            "NIC",
            &format!("{} {} {} {addresses}{used}", nic.interface, nic.mac, nic.method),
        );
    }
    out.field("kernel start", &format!("{} to /init", seconds(report.kernel_us)));
    for timing in &report.stages {
        out.field(timing.stage.name(), &stage(timing));
    }
    out.field(
        "total",
        &format!("{} from /init until this was handed over", seconds(report.total_us)),
    );
}

fn os_package(out: &mut Lines, package: &PackageReport) {
    out.field("package", package.label.as_deref().unwrap_or("(no label)"));
    out.field("", &format!("{} bytes, sha256 {}", package.size, package.sha256));
    for signer in &package.signers {
        out.field("signed by", &format!("{} (until {})", signer.subject, signer.not_after));
        out.field("", &format!("key {}", signer.key));
    }
    for skipped in &package.skipped {
        out.field(
            "not counted",
            &format!("entry {}: {} {}", skipped.entry, skipped.code, skipped.reason),
        );
    }
}

fn stage(timing: &StageTiming) -> String {
    let verdict = if timing.ok { "" } else { "FAILED " };
    format!("{:>9}  {verdict}{}", seconds(timing.duration_us), timing.summary)
}

fn seconds(micros: u64) -> String {
    format!("{}.{:03} s", micros / 1_000_000, micros / 1000 % 1000)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[derive(Debug, Default)]
struct Lines(Vec<String>);

impl Lines {
    fn field(&mut self, name: &str, value: &str) {
        self.0.push(format!("  {name:<14} {value}"));
    }

    fn rule(&mut self, title: &str) {
        self.0.push(rule(title));
    }
}

fn rule(title: &str) -> String {
    format!("---- {title} {}", "-".repeat(66_usize.saturating_sub(title.len())))
}

#[cfg(test)]
mod tests {
    use report::BootReport;
    use report::ClockReport;
    use report::Outcome;
    use report::PackageReport;
    use report::SignerReport;
    use report::Stage;
    use report::StageTiming;

    use super::View;
    use super::lines;
    use crate::handover::HandOver;

    fn view(report: Option<BootReport>) -> View {
        View {
            kernel: "6.1.0".into(),
            cmdline: "console=ttyS0".into(),
            memory_kib: Some(1_000_000),
            block_devices: Vec::new(),
            interfaces: vec!["lo".into()],
            handover: HandOver { present: report.is_some(), report, ..HandOver::default() },
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_told_in_full() {
        let signer = SignerReport {
            key: "ab".into(),
            subject: "CN=alice".into(),
            not_after: "2030-01-01T00:00:00Z".into(),
            sigsum: None,
        };
        let package = PackageReport {
            label: Some("minimal".into()),
            sha256: "cd".into(),
            signers: vec![signer],
            ..PackageReport::default()
        };
        let report = BootReport {
            version: 1,
            ramstrap: "0.1.0".into(),
            outcome: Outcome::Kexec,
            kernel_us: 2_000_000,
            total_us: 1_234_567,
            clock: ClockReport {
                state: "trusted".into(),
                source: "rtc".into(),
                rtc: "r".into(),
                floor: "f".into(),
                sntp: None,
            },
            stages: vec![StageTiming {
                stage: Stage::Verify,
                start_us: 0,
                duration_us: 45_678,
                ok: true,
                summary: "2 of 2".into(),
            }],
            entropy: None,
            upgraded_from: None,
            trust_policy: None,
            host_configuration: None,
            nics: Vec::new(),
            mirrors: Vec::new(),
            package: Some(package),
            memory: None,
            watchdog: None,
            failure: None,
        };
        let facts = [("ACPI".to_owned(), "5 tables".to_owned())];
        let text = lines(&view(Some(report)), &facts).join("\n");
        for part in [
            "CN=alice",
            "  ACPI           5 tables",
            "sha256 cd",
            "0.045 s  2 of 2",
            "1.234 s from",
            "checks         ok",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn without_a_hand_over_it_says_so() {
        let mut view = view(None);
        view.problems.push("cannot mount /sys: no".into());
        let text = lines(&view, &[]).join("\n");
        assert!(text.contains("none was handed over") && text.contains("PROBLEM"), "{text}");
        assert!(text.contains("block devices  none"), "{text}");
    }
}
