//! What the time servers of one link say, asked beside everything else.
//!
//! Nothing waits for a time server unless it matters: the servers are asked in the background from
//! the moment the link has an address. Their answer is waited for where a package is judged (which is
//! after its download), and where TLS fails on the time of day.

use core::future::Future;
use core::net::IpAddr;
use core::net::SocketAddr;
use core::time::Duration;

use fetch::Resolver;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
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

/// How time servers are asked.
struct Asking<'a> {
    interface: Option<&'a str>,
    port: u16,
    clock: Clock,
    deadline: Instant,
}

impl Asking<'_> {
    /// Looks the servers up and asks them, each as soon as its addresses are known: a name that nobody
    /// answers for keeps no other server waiting. The first good answer wins. Ends at the deadline.
    ///
    /// # Errors
    /// What came of each server.
    async fn ask<F>(
        &self,
        servers: &[String],
        addresses: impl Fn(String) -> F,
    ) -> Result<sntp::Reading, Vec<String>>
    where
        F: Future<Output = Result<Vec<IpAddr>, String>>,
    {
        let addresses = &addresses;
        let mut asked: FuturesUnordered<_> = servers
            .iter()
            .take(sntp::MAX_SERVERS)
            .map(|server| async move {
                match timeout_at(self.deadline, addresses(server.clone())).await {
                    Ok(Ok(found)) => self.ask_one(server, &found).await,
                    Ok(Err(reason)) => Err(reason),
                    Err(_) => {
                        Err(format!("{server}: not asked, its name was not resolved in time"))
                    }
                }
            })
            .collect();
        let mut reasons = Vec::new();
        while let Some(result) = asked.next().await {
            match result {
                Ok(reading) => return Ok(reading),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons)
    }

    /// Asks one server at its first addresses, side by side.
    async fn ask_one(&self, server: &str, found: &[IpAddr]) -> Result<sntp::Reading, String> {
        let addresses: Vec<SocketAddr> =
            to_ask(found).map(|ip| SocketAddr::new(ip, self.port)).collect();
        let patience = self.deadline.saturating_duration_since(Instant::now());
        let floor = self.clock.floor().unix();
        sntp::ask(self.interface, &addresses, floor, patience).await.map_err(|failures| {
            let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
            match found {
                // It says itself who it is.
                [only] if only.to_string() == server => reasons.join(", "),
                _ => format!("{server}: {}", reasons.join(", ")),
            }
        })
    }
}

/// The addresses of one server that are asked: the first of each family, in their order. Others are most
/// often the same machine.
fn to_ask(found: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first = found.first().copied();
    let second =
        first.and_then(|first| found.iter().find(|ip| ip.is_ipv4() != first.is_ipv4()).copied());
    first.into_iter().chain(second)
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
    use tokio::net::UdpSocket;
    use tokio::time::Instant;
    use trust::Clock;
    use trust::ClockSource;
    use trust::Timestamp;

    use super::Asking;
    use super::LinkTime;
    use super::Outcome;
    use super::beside;
    use super::judge;
    use super::to_ask;

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

    /// A time server on this machine that does not want to be asked, and says so.
    async fn server(address: &str) -> (u16, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let mut packet = [0; 48];
            let (_, peer) = socket.recv_from(&mut packet).await.unwrap();
            let sent: [u8; 8] = packet[40..].try_into().unwrap();
            packet[0] = 0x24;
            packet[1] = 0;
            packet[12..16].copy_from_slice(b"DENY");
            packet[24..32].copy_from_slice(&sent);
            socket.send_to(&packet, peer).await.unwrap();
        });
        (port, serving)
    }

    fn asking(port: u16) -> Asking<'static> {
        let deadline = Instant::now() + Duration::from_secs(2);
        Asking { interface: None, port, clock: rtc(NOW), deadline }
    }

    #[tokio::test]
    async fn a_name_that_nobody_answers_for_keeps_no_server_waiting() {
        let (port, serving) = server("127.0.0.1").await;
        let servers = ["slow.example".to_owned(), "127.0.0.1".to_owned()];
        let addresses = async |server: String| match server.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => core::future::pending().await,
        };
        let asking = asking(port);
        let asked = asking.ask(&servers, addresses);
        tokio::pin!(asked);
        // The server is asked while the name is still being looked up.
        tokio::select! {
            served = serving => served.unwrap(),
            outcome = &mut asked => panic!("over before the server was asked: {outcome:?}"),
        }
        let mut reasons = asked.await.unwrap_err();
        reasons.sort_unstable();
        let denied = "127.0.0.1: the server does not want to be asked (DENY)";
        let silent = "slow.example: not asked, its name was not resolved in time";
        assert_eq!(reasons, [denied, silent]);
    }

    #[tokio::test]
    async fn the_other_family_of_a_name_is_asked_too() {
        let (port, serving) = server("127.0.0.1").await;
        // Nobody has that one: 100::/64 is for discarding (RFC 6666).
        let found: Vec<IpAddr> = vec!["100::1".parse().unwrap(), Ipv4Addr::LOCALHOST.into()];
        let addresses = async |_| Ok(found.clone());
        let reasons = asking(port).ask(&["time.example".to_owned()], addresses).await.unwrap_err();
        serving.await.unwrap();
        assert!(reasons[0].starts_with("time.example: "), "{reasons:?}");
        assert!(reasons[0].contains("127.0.0.1: the server does not want"), "{reasons:?}");
    }

    #[test]
    fn one_address_of_each_family_is_asked() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let found = [ip("2001:db8::1"), ip("2001:db8::2"), ip("192.0.2.1"), ip("192.0.2.2")];
        assert_eq!(to_ask(&found).collect::<Vec<_>>(), [found[0], found[2]]);
        assert_eq!(to_ask(&found[..2]).collect::<Vec<_>>(), [found[0]]);
        assert_eq!(to_ask(&[]).count(), 0);
    }
}
