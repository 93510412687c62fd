use std::sync::Arc;
use std::sync::Mutex;

use nix::errno::Errno;
use report::WatchdogState;

use super::Hardware;
use super::Watchdog;
use super::set_longest;

#[derive(Debug)]
struct State {
    timeout: u32,
    most: u32,
    running: bool,
    stoppable: bool,
    pets: u32,
    closable: bool,
}

#[derive(Clone, Debug)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn new(most: u32, stoppable: bool) -> Self {
        let state = State {
            timeout: 30.min(most),
            most,
            running: true,
            stoppable,
            pets: 0,
            closable: false,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn read<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }
}

impl Hardware for Fake {
    fn path(&self) -> &str {
        "/dev/watchdog0"
    }

    fn identity(&self) -> String {
        "fake".to_owned()
    }

    fn timeout(&self) -> Result<u32, Errno> {
        Ok(self.read(|state| state.timeout))
    }

    fn set_timeout(&self, seconds: u32) -> Result<(), Errno> {
        self.read(|state| {
            if seconds == 0 || seconds > state.most {
                return Err(Errno::EINVAL);
            }
            state.timeout = seconds;
            Ok(())
        })
    }

    fn pet(&self) -> Result<(), Errno> {
        self.read(|state| state.pets += 1);
        Ok(())
    }

    fn stop(&self) -> Result<(), Errno> {
        self.read(|state| {
            if !state.stoppable {
                return Err(Errno::EBUSY);
            }
            state.running = false;
            Ok(())
        })
    }

    fn start(&self) -> Result<(), Errno> {
        self.read(|state| state.running = true);
        Ok(())
    }

    fn allow_close(&self) {
        self.read(|state| state.closable = true);
    }
}

#[test]
fn it_is_disarmed_for_an_os_that_does_not_ask_for_it() {
    let fake = Fake::new(2046, true);
    let mut watchdog = Watchdog::arm(Box::new(fake.clone()));
    assert_eq!(watchdog.armed_line(), "watchdog: fake at /dev/watchdog0, 60 s");
    assert!(fake.read(|state| state.running && state.timeout == 60));
    watchdog.plan(None, true);
    assert_eq!((watchdog.report.state, &watchdog.report.note), (WatchdogState::Disarmed, &None));
    assert!(fake.read(|state| state.running), "loading is still watched");
    assert_eq!(watchdog.hand_over(), "disarmed");
    assert!(fake.read(|state| !state.running && state.closable));
}

#[test]
fn it_runs_on_for_an_os_that_asks_for_it() {
    let fake = Fake::new(2046, true);
    let mut watchdog = Watchdog::arm(Box::new(fake.clone()));
    watchdog.plan(Some(300), false);
    set_longest(&fake, 75);
    assert_eq!(watchdog.hand_over(), "left running, 300 s: the OS must take it over");
    assert!(fake.read(|state| state.running && state.timeout == 300 && state.pets > 0));
    assert!(fake.read(|state| !state.closable));
    let report = &watchdog.report;
    assert_eq!((report.state, report.timeout_seconds), (WatchdogState::Running, 300));
    assert_eq!((report.asked_seconds, &report.note), (Some(300), &None));
}

#[test]
fn a_kernel_that_may_stop_it_at_the_jump_is_told_of() {
    let mut watchdog = Watchdog::arm(Box::new(Fake::new(2046, true)));
    watchdog.plan(Some(300), true);
    let note = watchdog.report.note.unwrap();
    assert!(note.contains("watchdog.stop_on_reboot=0"), "{note}");
}

#[test]
fn hardware_with_a_shorter_range_gets_its_longest() {
    for most in [1, 2, 29, 31, 59] {
        let fake = Fake::new(most, true);
        let mut watchdog = Watchdog::arm(Box::new(fake.clone()));
        assert_eq!(watchdog.report.timeout_seconds, most);
        watchdog.plan(Some(86_400), false);
        assert_eq!(watchdog.report.timeout_seconds, most);
        let note = watchdog.report.note.unwrap();
        assert!(note.contains("asks for 86400 s") && note.contains(&format!("{most} s")), "{note}");
    }
}

#[test]
fn one_that_cannot_be_stopped_is_said_to_run_on() {
    let fake = Fake::new(2046, false);
    let mut watchdog = Watchdog::arm(Box::new(fake));
    assert!(watchdog.armed_line().ends_with("it cannot be stopped any more"));
    watchdog.plan(None, false);
    let line = watchdog.hand_over();
    assert_eq!(line, "left running, 600 s: the OS must take it over");
    assert_eq!(watchdog.report.state, WatchdogState::Running);
    assert!(watchdog.report.note.unwrap().contains("does not let it be stopped"));
}
