//! Time: what a machine may believe about it, and whether a period of validity contains it.
//!
//! A boot image knows when it was built: its *floor*. Real time cannot be earlier. The real-time
//! clock (RTC) of a machine is believed if it is neither before the floor nor absurdly far behind it;
//! otherwise it is a clock that has lost its battery, and no bound that needs it is enforced. What
//! expired before the floor is refused in any case.
//!
//! Network time (SNTP) is not authenticated. It may set the clock to anything that an RTC would be
//! believed, and never to a moment before the floor.
//!
//! Witnesses of a Sigsum log sign the time at which they saw its tree. Where a policy trusts a quorum
//! of them, their cosignatures under a package raise the floor for what is judged with that package:
//! see [`Clock::raised_to`].
//!
//! An RTC may also run on local time, which lies up to 14 hours beside UTC. Where it runs behind, what
//! was issued in the last hours would not be valid yet; so a validity that is judged by an RTC may
//! begin up to [`LOCAL_TIME_SECONDS`] after it. No end of a validity is moved for that: where the RTC
//! runs ahead, something is refused that ends within hours anyway.

mod timestamp;

use core::fmt;

pub use timestamp::Timestamp;
pub use timestamp::TimestampError;

/// How far an RTC on local time can lie beside UTC: the zones go from UTC−12 to UTC+14, and an RTC may
/// have been set in any of them.
pub const LOCAL_TIME_SECONDS: u32 = 14 * 3600;

/// Why a period of validity does not contain the present.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TimeError {
    /// The period ended at this moment.
    #[error("expired {0}")]
    Expired(Timestamp),
    /// The period begins at this moment.
    #[error("not valid before {0}")]
    NotYetValid(Timestamp),
}

/// Where the time comes from that validities are judged by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClockSource {
    /// The real-time clock of the machine, which is plausible.
    Rtc,
    /// A time server, whose answer is plausible. Nothing proves it.
    Sntp,
    /// Nothing plausible: the build time of the boot image, which the present is not before.
    Floor,
    /// An operator, or the system time of the operator's own machine.
    Given,
}

impl ClockSource {
    /// Lower-case name, as the boot report has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtc => "rtc",
            Self::Sntp => "sntp",
            Self::Floor => "floor",
            Self::Given => "given",
        }
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known about the present.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    rtc: Timestamp,
    floor: Timestamp,
    /// The last moment that is believed.
    latest: Timestamp,
    /// The present, unless the source is [`ClockSource::Floor`]; never before the floor.
    now: Timestamp,
    source: ClockSource,
}

impl Clock {
    /// The clock of a machine that boots. `rtc` is what it shows, `floor` the build time of the boot
    /// image (or later, where authenticated evidence says so). The clock is trusted if
    /// floor ≤ rtc ≤ floor + `max_skew_seconds`.
    #[must_use]
    pub fn from_rtc(rtc: Timestamp, floor: Timestamp, max_skew_seconds: u64) -> Self {
        let latest = Timestamp(floor.0.saturating_add_unsigned(max_skew_seconds));
        let source =
            if floor <= rtc && rtc <= latest { ClockSource::Rtc } else { ClockSource::Floor };
        Self { rtc, floor, latest, now: rtc, source }
    }

    /// A clock that is right: a date that an operator gave, or the system time of the operator's own
    /// machine. Both bounds of every validity are enforced.
    #[must_use]
    pub const fn exactly(at: Timestamp) -> Self {
        Self { rtc: at, floor: at, latest: at, now: at, source: ClockSource::Given }
    }

    /// The same clock, set by a time server that says `now`. `None` if that lies outside of the window
    /// in which an RTC is plausible, or if this clock is [`Clock::exactly`] right: then nothing is to
    /// be changed.
    #[must_use]
    pub fn with_network_time(self, now: Timestamp) -> Option<Self> {
        let plausible = self.floor <= now && now <= self.latest;
        (plausible && self.source != ClockSource::Given).then_some(Self {
            now,
            source: ClockSource::Sntp,
            ..self
        })
    }

    /// The same clock, given authenticated evidence that the present is not before `evidence`, such
    /// as the time at which a quorum of Sigsum witnesses has cosigned.
    ///
    /// The floor rises to that moment. A clock that is behind it by no more than
    /// [`LOCAL_TIME_SECONDS`] counts as showing it; one that is further behind is wrong, and not
    /// trusted any more. The end of the window in which clocks are believed stays where it was:
    /// evidence of one moment makes no clock believable that was not. A clock that is
    /// [`Clock::exactly`] right stays as it is.
    #[must_use]
    pub fn raised_to(self, evidence: Timestamp) -> Self {
        if self.source == ClockSource::Given || evidence <= self.floor {
            return self;
        }
        let raised = Self { floor: evidence, ..self };
        if self.source == ClockSource::Floor || evidence <= self.now {
            raised
        } else if evidence <= self.plus_local_time() {
            Self { now: evidence, ..raised }
        } else {
            Self { source: ClockSource::Floor, ..raised }
        }
    }

    /// Whether the present is known: by a plausible RTC or time server, or because it was given.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        !matches!(self.source, ClockSource::Floor)
    }

    /// Where the time comes from.
    #[must_use]
    pub const fn source(&self) -> ClockSource {
        self.source
    }

    /// The earliest moment that the present can be.
    #[must_use]
    pub const fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The last moment that is believed of an RTC or a time server.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The reading of the RTC, plausible or not.
    #[must_use]
    pub const fn rtc(&self) -> Timestamp {
        self.rtc
    }

    /// The moment at which something that is valid from `not_before` on is judged: the time if it is
    /// known, else the floor or `not_before`, whichever is later. By an RTC, which may run on local
    /// time, it is `not_before` also where that is up to [`LOCAL_TIME_SECONDS`] ahead.
    #[must_use]
    pub fn now_for(&self, not_before: Timestamp) -> Timestamp {
        match self.source {
            ClockSource::Floor => self.floor.max(not_before),
            ClockSource::Rtc if not_before <= self.plus_local_time() => self.now.max(not_before),
            ClockSource::Rtc | ClockSource::Sntp | ClockSource::Given => self.now,
        }
    }

    fn plus_local_time(&self) -> Timestamp {
        Timestamp(self.now.0.saturating_add(LOCAL_TIME_SECONDS.into()))
    }

    /// Whether a period of validity, both ends included, contains the present as far as it is known.
    ///
    /// A chain of certificates is judged as one: from the latest `not_before` to the earliest
    /// `not_after` in it.
    ///
    /// # Errors
    ///
    /// [`TimeError`]. What ended before the floor is expired whatever the RTC shows. On a clock that
    /// is not trusted, [`TimeError::NotYetValid`] never occurs.
    pub fn check(&self, not_before: Timestamp, not_after: Timestamp) -> Result<(), TimeError> {
        // Never before the floor: a clock that is, is not trusted.
        let now = self.now_for(not_before);
        if not_after < now {
            Err(TimeError::Expired(not_after))
        } else if now < not_before {
            Err(TimeError::NotYetValid(not_before))
        } else {
            Ok(())
        }
    }

    /// Whether something that has no beginning, and ends with `not_after`, has not ended as far as is
    /// known: [`Clock::check`] for what has been valid for ever.
    ///
    /// # Errors
    ///
    /// [`TimeError::Expired`]: always for what ended before the floor, and for what ended since where
    /// the clock is trusted.
    pub fn check_end(&self, not_after: Timestamp) -> Result<(), TimeError> {
        // No clock is before its floor.
        self.check(self.floor, not_after)
    }
}

#[cfg(test)]
mod tests;
