use std::time::Duration;

use report::BootReport;
use report::Code;
use report::Failure;
use report::Outcome;
use report::channel::Event;
use serde_json::json;

use super::Watch;
use crate::harness::BootResult;
use crate::harness::Ended;
use crate::harness::Status;

/// What a machine does, one thing a second.
enum Step {
    Console(&'static str),
    Start,
    End(Outcome),
    Off,
    Reset,
}

use Step::Console;
use Step::End;
use Step::Off;
use Step::Reset;
use Step::Start;

const KERNEL: Step = Console("[    0.0] Linux version 6.1.0\r\n");
const JUMP: Step = Console("[    9.0] kexec_core: Starting new kernel\r\n");

fn end(outcome: Outcome) -> String {
    let mut report = BootReport::new("0");
    report.outcome = outcome;
    report.failure = (outcome == Outcome::Failed).then(|| Failure::new(Code::BelowThreshold, "x"));
    Event::End { report }.to_line()
}

fn watch(steps: impl IntoIterator<Item = Step>) -> BootResult {
    let mut watch = Watch::default();
    let mut at = Duration::ZERO;
    for step in steps {
        at += Duration::from_secs(1);
        match step {
            Console(text) => watch.console(text.as_bytes(), at),
            Start => watch.channel(Event::Start { ramstrap: "0".into() }.to_line().as_bytes(), at),
            End(outcome) => watch.channel(end(outcome).as_bytes(), at),
            Off => watch.qmp(&shutdown("guest-shutdown"), at),
            Reset => watch.qmp(&shutdown("guest-reset"), at),
        }
    }
    watch.finish(at + Duration::from_secs(1))
}

fn shutdown(reason: &str) -> serde_json::Value {
    json!({ "event": "SHUTDOWN", "data": { "guest": true, "reason": reason } })
}

fn verdict(steps: impl IntoIterator<Item = Step>) -> (Status, Ended, u8) {
    let result = watch(steps);
    (result.status, result.ended, result.exit_code())
}

#[test]
fn an_os_that_speaks_is_booted() {
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, KERNEL, Off];
    assert_eq!(verdict(steps), (Status::Booted, Ended::Poweroff, 0));
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, Console("hello"), Reset];
    assert_eq!(verdict(steps), (Status::Booted, Ended::Reboot, 0));
}

#[test]
fn a_silent_os_is_booted_if_it_switches_off() {
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, Off];
    assert_eq!(verdict(steps), (Status::Booted, Ended::Poweroff, 0));
}

#[test]
fn a_quiet_kernel_is_known_by_its_uptime() {
    let up = Console("MINIMAL-OS-UP 0.75 s\r\n");
    let result = watch([Start, End(Outcome::Kexec), up, Reset]);
    assert_eq!((result.status, result.ended), (Status::Booted, Ended::Reboot));
    assert_eq!(result.mark("os-kernel"), Some(Duration::from_millis(2250)));
    assert_eq!(result.mark("kernel"), Some(Duration::from_secs(1)));
}

#[test]
fn an_os_that_init_has_not_started_does_not_count() {
    let up = Console("MINIMAL-OS-UP 0.75 s\r\n");
    let steps = [Start, up, End(Outcome::Kexec), Reset];
    assert_eq!(verdict(steps), (Status::Neither, Ended::Reboot, 4));
}

#[test]
fn a_jump_into_nothing_is_not_a_boot() {
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, Reset];
    assert_eq!(verdict(steps), (Status::Neither, Ended::Reboot, 4));
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, Console("\r\n")];
    assert_eq!(verdict(steps), (Status::Neither, Ended::Timeout, 4));
}

#[test]
fn a_reported_failure_is_a_refusal() {
    let steps = [KERNEL, Start, End(Outcome::Failed), Reset];
    let result = watch(steps);
    assert_eq!((result.status, result.exit_code()), (Status::Refused, 3));
    assert_eq!(result.failure_code(), Some("E0404"));
    assert_eq!(result.to_json()["failure_code"], "E0404");
}

#[test]
fn a_dry_run_has_a_status_of_its_own() {
    let steps = [KERNEL, Start, End(Outcome::Dryrun), Off];
    assert_eq!(verdict(steps), (Status::Dryrun, Ended::Poweroff, 0));
}

#[test]
fn a_machine_that_says_nothing_is_neither() {
    assert_eq!(verdict([]), (Status::Neither, Ended::Timeout, 4));
    assert_eq!(verdict([KERNEL, Off]), (Status::Neither, Ended::Poweroff, 4));
}

#[test]
fn a_panic_of_the_os_is_told() {
    let panic = Console("[ 1.0] Kernel panic - not syncing: Attempted to kill init!\r\n");
    let steps = [KERNEL, Start, End(Outcome::Kexec), JUMP, KERNEL, panic, Reset];
    assert_eq!(verdict(steps), (Status::Booted, Ended::Panic, 0));
}

#[test]
fn an_os_cannot_forge_a_report() {
    let steps = [KERNEL, Start, End(Outcome::Failed), End(Outcome::Kexec), JUMP, KERNEL, Off];
    assert_eq!(verdict(steps), (Status::Refused, Ended::Poweroff, 3));
}

#[test]
fn without_a_report_nothing_was_booted() {
    let steps = [KERNEL, Start, JUMP, KERNEL, Console("MINIMAL-OS-UP\r\n"), Off];
    assert_eq!(verdict(steps), (Status::Neither, Ended::Poweroff, 4));
}

#[test]
fn marks_are_in_order() {
    let up = Console("MINIMAL-OS-UP\r\n");
    let result = watch([KERNEL, Start, End(Outcome::Kexec), JUMP, KERNEL, up, Off]);
    let names: Vec<_> = result.marks.iter().map(|mark| mark.name.as_str()).collect();
    assert_eq!(names, ["kernel", "init", "kexec", "os-kernel", "os-up", "end"]);
    assert_eq!(result.mark("os-kernel"), Some(Duration::from_secs(5)));
}

#[test]
fn lines_may_come_in_pieces() {
    let mut watch = Watch::default();
    let text = format!("noise\r\n{}", end(Outcome::Kexec));
    for byte in text.as_bytes() {
        watch.channel(&[*byte], Duration::ZERO);
    }
    assert!(watch.report.is_some());
}

#[test]
fn firmware_that_refuses_is_quoted() {
    const REFUSAL: Step = Console(
        "\u{1b}[2J\u{1b}[01;01HBdsDxe: failed to load Boot0001 \"DISK\" from PciRoot(0x0): Access Denied\r\n",
    );
    let result = watch([REFUSAL]);
    assert_eq!((result.status, result.ended), (Status::Neither, Ended::Firmware));
    let words = "BdsDxe: failed to load Boot0001 \"DISK\" from PciRoot(0x0): Access Denied";
    assert_eq!(result.firmware.as_deref(), Some(words));
    // What it then finds may start all the same.
    assert_eq!(verdict([REFUSAL, KERNEL]), (Status::Neither, Ended::Timeout, 4));
    let nothing = Console("BdsDxe: failed to load Boot0001 \"DISK\": Not Found\r\n");
    assert_eq!(verdict([nothing]), (Status::Neither, Ended::Timeout, 4));
}

#[test]
fn a_watchdog_that_runs_out_leaves_a_mark() {
    let mut watch = Watch::default();
    watch.qmp(&json!({ "event": "WATCHDOG", "data": { "action": "reset" } }), Duration::ZERO);
    watch.qmp(&shutdown("guest-reset"), Duration::ZERO);
    let result = watch.finish(Duration::ZERO);
    assert_eq!(result.ended, Ended::Reboot);
    assert!(result.mark("watchdog").is_some());
}
