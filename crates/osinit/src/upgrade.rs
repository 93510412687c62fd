//! The next release: fetched and verified while this one serves, started after it was wiped.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;

use netboot::Event;
use netboot::Events;
use netboot::upgrade::Handover;
use netboot::upgrade::Journal;
use netboot::upgrade::Next;
use netboot::upgrade::fetch_next;
use nix::time::ClockId;
use nix::time::clock_gettime;
use report::BootReport;
use report::Failure;
use trust::Timestamp;

use crate::handover;
use crate::watchdog;

/// How long mirrors are tried. Customers are served meanwhile: there is no hurry, but somebody waits.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often lines are passed on.
const TICK: Duration = Duration::from_millis(200);

/// A verified package that is newer than what runs, with the hand-over that it was judged by and what
/// was noted for the one that it gets.
#[derive(Debug)]
pub(crate) struct Candidate {
    handover: Handover,
    journal: Journal<'static>,
    lines: mpsc::Receiver<String>,
    next: Box<netboot::upgrade::Candidate>,
}

impl Candidate {
    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        let release = self.next.release().map_or_else(|| "-".to_owned(), |it| it.to_string());
        let label = self.next.label().unwrap_or("(no label)");
        format!("release {release}, {label}, sha256 {}", self.next.sha256())
    }

    /// Hands it to the kernel, with the hand-over that this OS had.
    pub(crate) fn load(self) -> Result<(), Failure> {
        // What is loaded stays so; it is started by the next life of PID 1.
        let events = Loading { journal: &self.journal, watchdog: Mutex::new(None) };
        let loaded = self.next.load(&self.handover, &events).map(drop);
        if loaded.is_ok() && events.wanted().is_none() {
            watchdog::stop();
        }
        self.lines.try_iter().for_each(|line| console::line(&format!("upgrade: {line}")));
        loaded
    }
}

/// Hears what the next release wants of a hardware watchdog, and tells it in its boot report.
struct Loading<'a> {
    journal: &'a Journal<'static>,
    watchdog: Mutex<Option<u32>>,
}

impl Loading<'_> {
    fn wanted(&self) -> Option<u32> {
        *self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Loading<'_> {
    fn elapsed(&self) -> Duration {
        self.journal.elapsed()
    }

    fn on(&self, event: Event) {
        if let Event::Loading { watchdog_seconds, .. } = event {
            *self.watchdog.lock().unwrap_or_else(PoisonError::into_inner) = watchdog_seconds;
            // Nothing else does it while the kernel copies.
            watchdog::pet();
        }
        self.journal.on(event);
    }

    fn hand_over(&self) -> Option<BootReport> {
        let mut report = self.journal.hand_over()?;
        report.watchdog = self.wanted().and_then(watchdog::left_running);
        Some(report)
    }
}

/// Fetches and verifies over the interface `interface`; `None` if what runs is the newest.
pub(crate) async fn fetch(
    interface: Option<String>,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<Option<Candidate>, Failure> {
    // Read anew: the clock may have been set since the last time.
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec());
    let handover = Handover::read(Path::new(handover::DIRECTORY), Timestamp::from_unix(now))?;
    let mut network = handover.network();
    network.interface = interface;
    let (sender, lines) = mpsc::channel();
    let journal = Journal::new(&handover, move |line: &str| {
        // Nobody listens any more only when it is over.
        let _ = sender.send(line.to_owned());
    });
    let next = {
        let fetching = fetch_next(&handover, &network, PATIENCE, &journal);
        tokio::pin!(fetching);
        loop {
            let done = tokio::select! {
                next = &mut fetching => Some(next),
                () = tokio::time::sleep(TICK) => None,
            };
            lines.try_iter().for_each(&mut *tell);
            if let Some(next) = done {
                break next?;
            }
        }
    };
    Ok(match next {
        Next::Already => None,
        Next::Newer(next) => Some(Candidate { handover, journal, lines, next }),
    })
}
