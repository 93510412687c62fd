//! What the signed manifest must say for the package to run: its release, its channel and its end,
//! held against the trust policy and the clock that came with the authorisation.

use report::Code;
use report::Coded;
use trust::Authorized;
use trust::Channel;
use trust::Clock;
use trust::ClockSource;
use trust::TimeError;
use trust::Timestamp;

use crate::manifest::Manifest;

/// Why an authorised package may not run all the same.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// The release is lower than the trust policy asks for, or there is none.
    #[error("{}, but the trust policy asks for release {required} or later",
        describe_release(*found))]
    Release {
        /// Release of the package.
        found: Option<u64>,
        /// The lowest that may run.
        required: u64,
    },
    /// The channel is not the one that the trust policy demands, or there is none.
    #[error("{}, but the trust policy demands channel {required}",
        describe_channel(found.as_ref()))]
    Channel {
        /// Channel of the package.
        found: Option<Channel>,
        /// The only one that may run.
        required: Channel,
    },
    /// It may not be booted any more: its manifest's `not_after` has passed.
    #[error("its manifest says not_after {end}, and it is {} or later by {}",
        clock.now_for(clock.floor()), describe_clock(clock))]
    Expired {
        /// The last second at which it could be booted.
        end: Timestamp,
        /// What was known of the present.
        clock: Clock,
    },
}

impl Coded for AdmissionError {
    fn code(&self) -> Code {
        match self {
            Self::Release { .. } => Code::ReleaseTooOld,
            Self::Channel { .. } => Code::ChannelWrong,
            Self::Expired { .. } => Code::PackageExpired,
        }
    }
}

/// Whether the package may run, in this order: release, channel, end.
pub(crate) fn check(manifest: &Manifest, authorized: &Authorized) -> Result<(), AdmissionError> {
    check_release(manifest.release, authorized.min_release())?;
    check_channel(manifest.channel.as_ref(), authorized.channel())?;
    check_end(manifest.not_after, authorized.clock())
}

/// A package without a release is older than all that have one.
fn check_release(found: Option<u64>, required: Option<u64>) -> Result<(), AdmissionError> {
    match required {
        Some(required) if found.is_none_or(|found| found < required) => {
            Err(AdmissionError::Release { found, required })
        }
        _ => Ok(()),
    }
}

/// A release in words.
fn describe_release(release: Option<u64>) -> String {
    release
        .map_or_else(|| "it has no release".to_owned(), |number| format!("its release is {number}"))
}

/// A package of no channel is not of the one that is demanded.
fn check_channel(
    found: Option<&Channel>,
    required: Option<&Channel>,
) -> Result<(), AdmissionError> {
    match required {
        Some(required) if found != Some(required) => {
            Err(AdmissionError::Channel { found: found.cloned(), required: required.clone() })
        }
        _ => Ok(()),
    }
}

/// A channel in words.
fn describe_channel(channel: Option<&Channel>) -> String {
    channel
        .map_or_else(|| "it is of no channel".to_owned(), |name| format!("its channel is {name}"))
}

/// What ended before the floor never opens. What ended since is seen by a clock that is trusted only.
fn check_end(end: Option<Timestamp>, clock: &Clock) -> Result<(), AdmissionError> {
    match end.map(|end| clock.check_end(end)) {
        Some(Err(TimeError::Expired(end) | TimeError::NotYetValid(end))) => {
            Err(AdmissionError::Expired { end, clock: *clock })
        }
        Some(Ok(())) | None => Ok(()),
    }
}

/// Whose word a time is.
const fn describe_clock(clock: &Clock) -> &'static str {
    match clock.source() {
        ClockSource::Rtc => "the machine's clock",
        ClockSource::Sntp => "a time server",
        ClockSource::Floor => "the build time of the boot image",
        _ => "the time that it is judged by",
    }
}
