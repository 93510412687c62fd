//! What happens between the trust policy and the loaded kernel, for whoever tells it.
//!
//! The bootloader tells it on consoles and on the report channel, an OS that fetches its successor
//! tells it to the person who asked for that. Both keep a boot report, which the next OS is handed.

use std::time::Duration;

use netup::Link;
use report::BootReport;
use report::ClockReport;
use report::Failure;
use report::MemoryReport;
use report::MirrorReport;
use report::NicReport;
use report::PackageReport;
use report::Stage;
use report::StageTiming;
use report::micros;

/// Most tries at mirrors that a report keeps.
const MOST_MIRRORS: usize = 48;

/// Most ends of stages that a report keeps: two for each try.
const MOST_STAGES: usize = 2 * MOST_MIRRORS;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A stage begins.
    StageBegins {
        /// Which.
        stage: Stage,
        /// When, by [`Events::elapsed`].
        at: Duration,
    },
    /// A stage has come to its end, good or bad.
    StageEnded(StageTiming),
    /// So much of the archive has come; about once a second.
    Progress {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes in all, if the server said so.
        total: Option<u64>,
        /// Bytes per second in the last few seconds.
        rate: u64,
        /// How long the rest takes at that rate, if something comes and the end is known.
        left: Option<Duration>,
    },
    /// The same in a line for people; every few seconds.
    ProgressLine(String),
    /// What time it is over the link that is used.
    Time(ClockReport),
    /// A link has an address, and is asked for servers; it is `used` once one has answered.
    Link {
        /// The link.
        link: Link,
        /// Whether the boot goes on over it.
        used: bool,
    },
    /// What came of every network interface that was tried.
    Nics(Vec<NicReport>),
    /// What came of one try at one mirror.
    Mirror(MirrorReport),
    /// What the package needs of the machine's memory, computed anew.
    Memory(MemoryReport),
    /// A package is authorised and opened.
    Package(PackageReport),
    /// The kernel is about to be asked to load the package, during which nothing else runs. What
    /// goes into the report now is what the next OS reads.
    Loading {
        /// Bytes that will be copied and hashed.
        bytes: u64,
        /// What the package's manifest wants of a hardware watchdog.
        watchdog_seconds: Option<u32>,
    },
}

impl Event {
    /// Writes into a report what belongs there.
    pub fn note_in(self, report: &mut BootReport) {
        match self {
            Self::StageEnded(timing) => push_bounded(&mut report.stages, timing, MOST_STAGES),
            Self::Time(clock) => report.clock = clock,
            Self::Nics(nics) => report.nics = nics,
            Self::Mirror(mirror) => push_bounded(&mut report.mirrors, mirror, MOST_MIRRORS),
            Self::Memory(memory) => report.memory = Some(memory),
            Self::Package(package) => report.package = Some(package),
            Self::StageBegins { .. }
            | Self::Progress { .. }
            | Self::ProgressLine(_)
            | Self::Link { .. }
            | Self::Loading { .. } => {}
        }
    }
}

/// Of a boot that tries for hours, the first and the last entries are kept.
fn push_bounded<T>(list: &mut Vec<T>, entry: T, most: usize) {
    if list.len() >= most {
        list.remove(most / 2);
    }
    list.push(entry);
}

/// Who hears of it, and keeps the boot report.
pub trait Events: Sync {
    /// Time since the start, which is where all times in the report count from.
    fn elapsed(&self) -> Duration;

    /// Hears of something; [`Event::note_in`] writes it into the report.
    fn on(&self, event: Event);

    /// The report as the next OS is to read it; `None` if there is none to be had.
    fn hand_over(&self) -> Option<BootReport>;
}

/// A stage that is running.
#[must_use]
pub struct Running<'a> {
    events: &'a dyn Events,
    stage: Stage,
    start: Duration,
}

impl core::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Running")
            .field("stage", &self.stage)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl<'a> Running<'a> {
    /// Begins a stage.
    pub fn begin(events: &'a dyn Events, stage: Stage) -> Self {
        let start = events.elapsed();
        events.on(Event::StageBegins { stage, at: start });
        Self { events, stage, start }
    }

    /// Ends the stage with what came of it; `summary` says in one line what is good about it.
    ///
    /// What exactly failed is for a warning or the failure summary to say: it may be long.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn close<T>(
        self,
        result: Result<T, Failure>,
        summary: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let summary = result.as_ref().map_or_else(Failure::headline, summary);
        self.events.on(Event::StageEnded(StageTiming {
            stage: self.stage,
            start_us: micros(self.start),
            duration_us: micros(self.events.elapsed().saturating_sub(self.start)),
            ok: result.is_ok(),
            summary,
        }));
        result
    }
}
