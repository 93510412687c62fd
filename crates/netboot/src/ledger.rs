//! Which mirror failed over which interface, how, and when it is asked again.

use std::collections::BTreeMap;
use std::time::Duration;

use report::Class;
use report::Code;
use report::Coded;
use report::Failure;
use tokio::time::Instant;

/// Between two tries at one mirror over one interface there is never less than this.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(500);

/// What is added by chance: up to twice this after the first failure, doubling with each further.
const PAUSE_UNIT: Duration = Duration::from_secs(1);

/// Where the doubling ends.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a mirror may send without an end in sight while there are others; twice as long each
/// further time, so that a large package comes through over a slow line, too.
const TURN: Duration = Duration::from_secs(120);

/// What is held against one mirror over one interface.
#[derive(Debug)]
struct Account {
    last: Failure,
    /// Failures since it last brought a download further.
    in_a_row: u32,
    /// When it may be asked again.
    ready: Instant,
}

/// Whom to ask next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Choice {
    /// This mirror, by its position in the host configuration.
    Ask(usize),
    /// Nobody before this moment.
    Wait(Instant),
    /// Nobody in this boot.
    Nobody,
}

/// What is held against mirrors in this boot.
///
/// Each failure is charged to one mirror over one interface, so that nothing that a network does
/// counts on another one. What cannot heal, or is an attack, drops the mirror for this boot. What
/// may heal puts it behind the others, for a time that grows:
///
/// **Rate.** After its `n`th failure in a row a mirror is left alone for [`PAUSE_MIN`] plus a time
/// that is equally likely to be anything from 0 to min(2ⁿ s, [`PAUSE_MAX`]) (full jitter), and for
/// `Retry-After` beside that. Over one interface a machine therefore begins at most two tries per
/// second at a mirror, and from the sixth failure on one in 30.5 s on average: a thousand machines
/// that lost the same server bring it 33 tries per second, in no rhythm. A try is one request for
/// the descriptor and, if that came, one for the archive, redirects aside.
#[derive(Debug)]
pub(crate) struct Ledger {
    mirrors: usize,
    accounts: BTreeMap<(String, usize), Account>,
    /// When each was asked last.
    asked: BTreeMap<(String, usize), Instant>,
    /// How often each had no end in sight.
    without_end: BTreeMap<(String, usize), u32>,
    latest: Option<Failure>,
}

impl Ledger {
    /// A clean one for so many mirrors.
    pub(crate) const fn new(mirrors: usize) -> Self {
        Self {
            mirrors,
            accounts: BTreeMap::new(),
            asked: BTreeMap::new(),
            without_end: BTreeMap::new(),
            latest: None,
        }
    }

    /// Charges a failure to a mirror. `advanced` says that the try brought a download further,
    /// `random` is any number.
    ///
    /// Returns how long the mirror is left alone; `None` if it is dropped.
    pub(crate) fn charge(
        &mut self,
        interface: &str,
        mirror: usize,
        trouble: &Trouble,
        advanced: bool,
        random: u64,
    ) -> Option<Duration> {
        let failure = &trouble.failure;
        self.latest = Some(failure.clone());
        let key = (interface.to_owned(), mirror);
        if trouble.no_end {
            *self.without_end.entry(key.clone()).or_default() += 1;
        }
        let before = self.accounts.get(&key).filter(|_| !advanced);
        let in_a_row = before.map_or(0, |account| account.in_a_row).saturating_add(1);
        let pause = pause(in_a_row, trouble.retry_after.unwrap_or_default(), random);
        let ready = Instant::now() + pause;
        self.accounts.insert(key, Account { last: failure.clone(), in_a_row, ready });
        (failure.class == Class::Transient).then_some(pause)
    }

    /// How long this mirror may send without an end in sight; as long as it likes if there is no
    /// other in this boot.
    pub(crate) fn turn(&self, interface: &str, mirror: usize) -> Option<Duration> {
        let alone = self.alive(interface).all(|(other, _)| other == mirror);
        let before = self.without_end.get(&(interface.to_owned(), mirror)).copied().unwrap_or(0);
        (!alone).then(|| TURN.saturating_mul(2_u32.saturating_pow(before)))
    }

    /// A mirror is being asked. Nobody else asks it over this interface right behind.
    pub(crate) fn ask(&mut self, interface: &str, mirror: usize) {
        self.asked.insert((interface.to_owned(), mirror), Instant::now());
    }

    /// Takes failures of this kind back that were charged over this interface: what they were judged
    /// by has changed.
    pub(crate) fn forgive(&mut self, interface: &str, code: Code) {
        self.accounts.retain(|(name, _), it| name != interface || it.last.code != code);
    }

    /// Whom to ask next over this interface: of those that may be asked now, the first of the host
    /// configuration that has nothing held against it, else the one whose pause ended first. Pauses
    /// grow with failures in a row, so that nobody is kept waiting by others that get on and never
    /// come to an end.
    pub(crate) fn choose(&self, interface: &str, not: &[usize]) -> Choice {
        let now = Instant::now();
        let open = || self.alive(interface).filter(|(mirror, _)| !not.contains(mirror));
        let ready_at = |mirror: usize| self.ready_at(interface, mirror);
        let ready = open().filter(|(mirror, _)| ready_at(*mirror).is_none_or(|at| at <= now));
        let best = ready.min_by_key(|(mirror, account)| (account.map(|it| it.ready), *mirror));
        let first = open().filter_map(|(mirror, _)| ready_at(mirror)).min();
        match (best, first) {
            (Some((mirror, _)), _) => Choice::Ask(mirror),
            (None, Some(ready)) => Choice::Wait(ready),
            (None, None) => Choice::Nobody,
        }
    }

    /// Whether somebody else than `mirror` could be asked at this moment.
    pub(crate) fn has_other(&self, interface: &str, mirror: usize) -> bool {
        matches!(self.choose(interface, &[mirror]), Choice::Ask(_))
    }

    /// How many mirrors may be asked, now or later.
    pub(crate) fn hope(&self, interface: &str) -> usize {
        self.alive(interface).count()
    }

    fn alive<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = (usize, Option<&'a Account>)> + 'a {
        (0..self.mirrors)
            .map(move |mirror| (mirror, self.account(interface, mirror)))
            .filter(|(_, account)| account.is_none_or(|it| it.last.class == Class::Transient))
    }

    /// When this mirror may be asked; `None` if it never was.
    fn ready_at(&self, interface: &str, mirror: usize) -> Option<Instant> {
        let asked = self.asked.get(&(interface.to_owned(), mirror));
        let spaced = asked.map(|asked| *asked + PAUSE_MIN);
        spaced.max(self.account(interface, mirror).map(|account| account.ready))
    }

    fn account(&self, interface: &str, mirror: usize) -> Option<&Account> {
        self.accounts.get(&(interface.to_owned(), mirror))
    }

    /// Whether this mirror did not fail in this way last time.
    pub(crate) fn is_news(&self, interface: &str, mirror: usize, failure: &Failure) -> bool {
        self.account(interface, mirror).is_none_or(|account| account.last.code != failure.code)
    }

    /// The failure that was charged last.
    pub(crate) const fn latest(&self) -> Option<&Failure> {
        self.latest.as_ref()
    }

    /// The failure that says most about why nothing could be booted over this interface: attacks
    /// before what cannot heal before what may heal; the first mirror's among equals.
    pub(crate) fn gravest(&self, interface: &str) -> Option<&Failure> {
        self.over(interface)
            .min_by_key(|(mirror, failure)| (core::cmp::Reverse(failure.class), *mirror))
            .map(|(_, failure)| failure)
    }

    /// The first mirror's failure that may still heal.
    pub(crate) fn last_transient(&self, interface: &str) -> Option<&Failure> {
        self.over(interface)
            .filter(|(_, failure)| failure.class == Class::Transient)
            .min_by_key(|(mirror, _)| *mirror)
            .map(|(_, failure)| failure)
    }

    fn over(&self, interface: &str) -> impl Iterator<Item = (usize, &Failure)> {
        self.accounts
            .iter()
            .filter(move |((name, _), _)| name == interface)
            .map(|((_, mirror), account)| (*mirror, &account.last))
    }
}

/// How long a mirror is left alone after its `in_a_row`th failure.
fn pause(in_a_row: u32, asked: Duration, random: u64) -> Duration {
    let doubled = PAUSE_UNIT.saturating_mul(2_u32.saturating_pow(in_a_row));
    // Those who were sent away together must not come back together.
    let spread = doubled.min(PAUSE_MAX).max(asked / 2);
    let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
    PAUSE_MIN + asked + Duration::from_millis(random % millis.saturating_add(1))
}

/// A failure of a mirror, and what the mirror asked for with it.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// What went wrong.
    pub(crate) failure: Failure,
    /// How long the server asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the mirror was still sending.
    pub(crate) no_end: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, no_end: false }
    }
}

impl From<fetch::FetchError> for Trouble {
    fn from(error: fetch::FetchError) -> Self {
        let no_end = matches!(error.kind(), fetch::ErrorKind::NoEnd(_));
        let decryption = match error.kind() {
            fetch::ErrorKind::Sink(inner) => agefile::AgeError::in_io(inner),
            _ => None,
        };
        let failure = decryption.map_or_else(
            || error.failure(),
            |inner| Failure::new(inner.code(), format!("{}: {inner}", error.url())),
        );
        Self { failure, retry_after: error.retry_after(), no_end }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use report::Code;
    use report::Failure;
    use tokio::time::advance;

    use super::Choice;
    use super::Ledger;
    use super::PAUSE_MAX;
    use super::PAUSE_MIN;
    use super::TURN;
    use super::Trouble;
    use super::pause;

    fn trouble(code: Code) -> Trouble {
        Failure::new(code, "test").into()
    }

    fn charge(ledger: &mut Ledger, interface: &str, mirror: usize, code: Code) {
        ledger.charge(interface, mirror, &trouble(code), false, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_is_dropped_for_what_cannot_heal_on_that_interface_only() {
        let mut ledger = Ledger::new(1);
        charge(&mut ledger, "eth0", 0, Code::ConnectFailed);
        assert_eq!(ledger.hope("eth0"), 1);
        assert!(!ledger.is_news("eth0", 0, &trouble(Code::ConnectFailed).failure));
        assert!(ledger.is_news("eth0", 0, &trouble(Code::ServerError).failure));
        charge(&mut ledger, "eth0", 0, Code::SignatureWrong);
        assert_eq!(ledger.latest().unwrap().code, Code::SignatureWrong);
        assert_eq!(ledger.choose("eth0", &[]), Choice::Nobody);
        assert_eq!(ledger.choose("eth1", &[]), Choice::Ask(0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_without_end_gives_way_to_others_and_gets_more_time_next() {
        let mut ledger = Ledger::new(2);
        assert_eq!(ledger.turn("eth0", 0), Some(TURN));
        let endless = Trouble { no_end: true, ..trouble(Code::Stalled) };
        ledger.charge("eth0", 0, &endless, true, 0);
        assert_eq!(ledger.turn("eth0", 0), Some(2 * TURN));
        assert_eq!(ledger.turn("eth0", 1), Some(TURN));
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(1));
        charge(&mut ledger, "eth0", 1, Code::NotFound);
        assert_eq!(ledger.turn("eth0", 0), None, "there is nobody else");
    }

    #[tokio::test(start_paused = true)]
    async fn attacks_are_told_before_everything_else() {
        let mut ledger = Ledger::new(3);
        charge(&mut ledger, "eth0", 0, Code::ConnectFailed);
        charge(&mut ledger, "eth0", 1, Code::NotFound);
        charge(&mut ledger, "eth0", 2, Code::SignatureWrong);
        charge(&mut ledger, "eth1", 0, Code::TlsUntrusted);
        assert_eq!(ledger.gravest("eth0").unwrap().code, Code::SignatureWrong);
        assert_eq!(ledger.last_transient("eth0").unwrap().code, Code::ConnectFailed);
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_is_put_behind_the_others() {
        let mut ledger = Ledger::new(3);
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(0));
        charge(&mut ledger, "eth0", 0, Code::ServerError);
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(1));
        assert!(ledger.has_other("eth0", 1), "mirror 2 was never asked");
        charge(&mut ledger, "eth0", 1, Code::ServerError);
        charge(&mut ledger, "eth0", 2, Code::ServerError);
        assert!(matches!(ledger.choose("eth0", &[]), Choice::Wait(_)));
        assert!(!ledger.has_other("eth0", 0));
        advance(PAUSE_MIN).await;
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(0), "in the configured order again");
        charge(&mut ledger, "eth0", 0, Code::ServerError);
        advance(Duration::from_secs(60)).await;
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(1), "who has waited longest");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_on_waits_less_but_keeps_nobody_else_waiting() {
        // The longest pause that chance gives after the third failure in a row.
        const CHANCE: u64 = 8_000;
        let mut ledger = Ledger::new(2);
        for mirror in [0, 1, 0, 1, 0] {
            ledger.charge("eth0", mirror, &trouble(Code::ServerError), false, CHANCE);
        }
        // It gets on again and again, and never comes to an end.
        let mut asked = [0, 0];
        for _ in 0..20 {
            ledger.charge("eth0", 1, &trouble(Code::BodyTruncated), true, 0);
            advance(Duration::from_secs(1)).await;
            if let Choice::Ask(mirror) = ledger.choose("eth0", &[]) {
                asked[mirror] += 1;
            }
        }
        assert!(asked[1] > 0 && asked[0] > 0, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn two_probes_do_not_ask_at_once() {
        let mut ledger = Ledger::new(1);
        ledger.ask("eth0", 0);
        assert_eq!(ledger.choose("eth1", &[]), Choice::Ask(0));
        assert!(matches!(ledger.choose("eth0", &[]), Choice::Wait(_)));
        advance(PAUSE_MIN).await;
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_to_be_left_alone_is() {
        let mut ledger = Ledger::new(1);
        let retry_after = Some(Duration::from_secs(90));
        let busy = Trouble { retry_after, ..trouble(Code::ServerError) };
        ledger.charge("eth0", 0, &busy, false, 0);
        advance(Duration::from_secs(90)).await;
        assert!(matches!(ledger.choose("eth0", &[]), Choice::Wait(_)));
        advance(PAUSE_MIN).await;
        assert_eq!(ledger.choose("eth0", &[]), Choice::Ask(0));
    }

    /// The bound that is promised on [`Ledger`].
    #[test]
    fn pauses_double_are_spread_and_stay_within_bounds() {
        for in_a_row in 1..40_u32 {
            let longest = Duration::from_secs(2_u64.saturating_pow(in_a_row)).min(PAUSE_MAX);
            // Any odd step visits all of a range.
            let pauses: Vec<Duration> =
                (0..10_000_u64).map(|n| pause(in_a_row, Duration::ZERO, n * 7919)).collect();
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(*least >= PAUSE_MIN && *least <= PAUSE_MIN + longest / 50, "{least:?}");
            assert!(*most <= PAUSE_MIN + longest && *most >= longest * 9 / 10, "{most:?}");
            let mean = pauses.iter().sum::<Duration>() / 10_000;
            let expected = PAUSE_MIN + longest / 2;
            assert!(mean.abs_diff(expected) < expected / 20, "{in_a_row}: {mean:?}");
        }
        let asked = Duration::from_secs(120);
        for random in [0, 1, u64::MAX] {
            assert!(pause(1, asked, random) > asked);
            assert!(pause(u32::MAX, asked, random) <= asked + PAUSE_MIN + PAUSE_MAX);
        }
    }
}
