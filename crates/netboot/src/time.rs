//! What the time servers of one link say, asked beside everything else.
//!
//! Nothing waits for a time server unless it matters: the servers are asked in the background from
//! the moment the link has an address. Their answer is waited for where a package is judged (which is
//! after its download), and where TLS fails on the time of day.

mod asking;

use core::time::Duration;

use asking::Asking;
use fetch::Resolver;
use netup::Link;
use report::ClockReport;
use report::Code;
use report::Failure;
use report::SntpReport;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tracing::info;
use tracing::warn;
use trust::Clock;
use trust::Timestamp;

use crate::inputs::Inputs;

/// How long time servers may take where the clock of the machine is plausible.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same where it is not: then there is nothing else to judge the end of a validity by.
const PATIENCE_WITHOUT_CLOCK: Duration = Duration::from_secs(5);

/// How much longer the outcome is waited for than the servers are: they all end in time, and what is
/// said of those that were silent must be heard.
const GRACE: Duration = Duration::from_secs(1);

/// Less than this is not told: a second of it may be the rounding.
const WORTH_TELLING: u64 = 2;

/// The time over one link. What one network says about it never counts on another.
#[derive(Debug)]
pub struct LinkTime {
    outcome: watch::Receiver<Option<Outcome>>,
    /// What counts if the servers are not even heard to be silent.
    without: Clock,
    deadline: Instant,
    asking: Option<AbortHandle>,
}

/// What came of asking.
#[derive(Clone, Debug)]
struct Outcome {
    clock: Clock,
    report: Option<SntpReport>,
}

impl LinkTime {
    /// There is nobody to ask: the clock stays as it is.
    #[must_use]
    pub fn of_machine(clock: Clock) -> Self {
        let (_, outcome) = watch::channel(Some(Outcome { clock, report: None }));
        Self { outcome, without: clock, deadline: Instant::now(), asking: None }
    }

    /// Asks the servers of the host configuration, or else those of the lease, over this link.
    pub(crate) fn ask(inputs: &Inputs, link: &Link, resolver: Resolver) -> Self {
        let config = &inputs.host.config;
        let servers: Vec<String> = match config.ntp.as_slice() {
            [] => link.ntp.iter().map(ToString::to_string).collect(),
            named => named.to_vec(),
        };
        if servers.is_empty() {
            return Self::of_machine(inputs.clock);
        }
        let clock = inputs.clock;
        let interface = link.interface.clone();
        let patience = if clock.is_trusted() { PATIENCE } else { PATIENCE_WITHOUT_CLOCK };
        let deadline = Instant::now() + patience;
        Self::from_task(clock, deadline + GRACE, async move {
            let addresses = async |server: String| {
                let found = resolver.addresses(&server).await;
                found.map_err(|error| error.failure().detail)
            };
            let asking = Asking { interface: Some(&interface), port: sntp::PORT, clock, deadline };
            let result = asking.ask(&servers, addresses).await.map_err(|reasons| {
                let detail = format!("over {interface}: {}", reasons.join("; "));
                Failure::new(Code::TimeServerSilent, detail)
            });
            judge(clock, &interface, result)
        })
    }

    fn from_task(
        without: Clock,
        deadline: Instant,
        task: impl Future<Output = Outcome> + Send + 'static,
    ) -> Self {
        let (sender, outcome) = watch::channel(None);
        let asking = tokio::spawn(async move {
            // Nobody listens any more if the link is gone.
            let _ = sender.send(Some(task.await));
        });
        Self { outcome, without, deadline, asking: Some(asking.abort_handle()) }
    }

    /// The clock to judge by over this link, once the servers have answered or had their time; the
    /// report says which it is.
    pub(crate) async fn settled(&self) -> (Clock, ClockReport) {
        let mut outcome = self.outcome.clone();
        let answered = outcome.wait_for(Option::is_some);
        let outcome = match timeout_at(self.deadline, answered).await {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let (clock, sntp) = match outcome {
            Some(Outcome { clock, report }) => (clock, report),
            None => (self.without, None),
        };
        (clock, ClockReport { sntp, ..clock_report(&clock) })
    }
}

impl Drop for LinkTime {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

/// What a clock says of itself.
#[must_use]
pub fn clock_report(clock: &Clock) -> ClockReport {
    ClockReport {
        state: if clock.is_trusted() { "trusted" } else { "untrusted" }.to_owned(),
        source: clock.source().name().to_owned(),
        rtc: clock.rtc().to_string(),
        floor: clock.floor().to_string(),
        sntp: None,
    }
}

/// Believes an answer as far as it may be believed, and says so.
fn judge(clock: Clock, interface: &str, result: Result<sntp::Reading, Failure>) -> Outcome {
    let reading = match result {
        Ok(reading) => reading,
        Err(failure) => {
            warn!("{failure}");
            return Outcome { clock, report: None };
        }
    };
    let now = Timestamp::from_unix(reading.unix_time);
    let ahead = clock.rtc().unix().saturating_sub(reading.unix_time);
    let set = clock.with_network_time(now);
    let server = reading.server;
    match set {
        Some(_) if ahead.unsigned_abs() >= WORTH_TELLING => {
            info!("clock: {now} by {server} over {interface}; the RTC is {}", beside(ahead));
        }
        Some(_) => info!("clock: {now} by {server} over {interface}; the RTC is right"),
        None => {
            let detail = format!(
                "{server} over {interface} says {now}, which is not between {} and {}",
                clock.floor(),
                clock.latest()
            );
            warn!("{}", Failure::new(Code::TimeServerRefused, detail));
        }
    }
    let report = SntpReport {
        server: server.to_string(),
        interface: interface.to_owned(),
        time: now.to_string(),
        rtc_ahead_seconds: ahead,
        used: set.is_some(),
    };
    Outcome { clock: set.unwrap_or(clock), report: Some(report) }
}

/// `8 h behind`, in the largest unit that is not misleading.
fn beside(ahead: i64) -> String {
    let seconds = ahead.unsigned_abs();
    let (number, unit) = match seconds {
        0..=119 => (seconds, "s"),
        120..=7_199 => (seconds / 60, "min"),
        7_200..=172_799 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit} {}", if ahead > 0 { "ahead" } else { "behind" })
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::net::Ipv4Addr;
    use core::time::Duration;

    use report::Code;
    use report::Failure;
    use tokio::time::Instant;
    use trust::Clock;
    use trust::ClockSource;
    use trust::Timestamp;

    use super::LinkTime;
    use super::Outcome;
    use super::beside;
    use super::judge;

    const FLOOR: Timestamp = Timestamp::from_unix(1_795_219_200);
    const NOW: i64 = 1_795_338_000;

    fn rtc(seconds: i64) -> Clock {
        Clock::from_rtc(Timestamp::from_unix(seconds), FLOOR, 315_360_000)
    }

    fn says(unix_time: i64) -> Result<sntp::Reading, Failure> {
        let server = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        Ok(sntp::Reading { server, unix_time, round_trip: Duration::ZERO })
    }

    #[test]
    fn a_plausible_answer_is_believed_whatever_the_rtc_shows() {
        for clock in [rtc(0), rtc(978_307_200), rtc(NOW - 28_800), rtc(4_070_908_800)] {
            let Outcome { clock, report } = judge(clock, "eth0", says(NOW));
            assert_eq!(clock.source(), ClockSource::Sntp);
            let report = report.unwrap();
            assert!(report.used);
            assert_eq!(report.rtc_ahead_seconds, clock.rtc().unix() - NOW);
        }
    }

    #[test]
    fn an_answer_from_before_the_floor_changes_nothing_and_is_reported() {
        for before in [rtc(0), rtc(NOW)] {
            let Outcome { clock, report } = judge(before, "eth0", says(FLOOR.unix() - 1));
            assert_eq!(clock, before);
            assert!(!report.unwrap().used);
        }
    }

    #[test]
    fn silence_changes_nothing() {
        let failure = Failure::new(Code::TimeServerSilent, "test");
        let Outcome { clock, report } = judge(rtc(NOW), "eth0", Err(failure));
        assert_eq!((clock, report), (rtc(NOW), None));
    }

    #[test]
    fn how_wrong_an_rtc_is_can_be_read() {
        assert_eq!(beside(-28_800), "8 h behind");
        assert_eq!(beside(3), "3 s ahead");
        assert_eq!(beside(i64::MIN), "106751991167300 days behind");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_servers_may_take() {
        let started = Instant::now();
        let deadline = started + Duration::from_secs(2);
        let time = LinkTime::from_task(rtc(NOW), deadline, core::future::pending());
        let (clock, report) = time.settled().await;
        assert_eq!((clock, report.sntp), (rtc(NOW), None));
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        assert_eq!(time.settled().await.0, rtc(NOW));
        assert_eq!(started.elapsed(), Duration::from_secs(2), "once is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn without_servers_there_is_nothing_to_wait_for() {
        let started = Instant::now();
        let (clock, report) = LinkTime::of_machine(rtc(0)).settled().await;
        assert_eq!((clock, report.source.as_str()), (rtc(0), "floor"));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
