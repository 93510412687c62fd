//! How interfaces share the time that a boot has.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

/// For how long at least all others are waited for before mirrors are asked again over an interface
/// that has just been used in vain.
const OTHERS_FIRST: Duration = Duration::from_secs(20);

/// The same at most, however much more time than the others it has had.
const OTHERS_FIRST_MAX: Duration = Duration::from_secs(120);

/// How often it is looked at whether there still is somebody to wait for.
const TICK: Duration = Duration::from_secs(1);

/// Which interface has had how much of a boot's time in vain.
///
/// Only one at a time can be used, and the one that wins is the one that answers first. Where a mirror
/// answers that never serves, such a link must not win again and again for being the quickest: the
/// others need time, too, to find out about their own routers and servers that lead nowhere. They get
/// half as much before it as it has had more than they.
#[derive(Debug, Default)]
pub(crate) struct Shares(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    spent: BTreeMap<String, Duration>,
    /// The one that was used last.
    last: Option<String>,
    /// Those over which mirrors could be asked since all were looked at again, and that are not
    /// without hope.
    in_play: BTreeSet<String>,
}

impl Shares {
    /// All interfaces are looked at again.
    pub(crate) fn begin(&self) {
        self.0.borrow_mut().in_play.clear();
    }

    /// An interface was used in vain for so long.
    pub(crate) fn used(&self, interface: &str, time: Duration) {
        let mut inner = self.0.borrow_mut();
        *inner.spent.entry(interface.to_owned()).or_default() += time;
        inner.last = Some(interface.to_owned());
    }

    /// Nothing will come of this interface before all are looked at again.
    pub(crate) fn hopeless(&self, interface: &str) {
        self.0.borrow_mut().in_play.remove(interface);
    }

    /// Waits until it is this interface's turn: soon if there is no other one in play.
    pub(crate) async fn turn(&self, interface: &str) {
        self.0.borrow_mut().in_play.insert(interface.to_owned());
        let begun = Instant::now();
        while begun.elapsed() < self.others_first(interface) {
            sleep(TICK).await;
        }
        let mut inner = self.0.borrow_mut();
        if inner.last.as_deref() == Some(interface) {
            inner.last = None;
        }
    }

    /// For how long the others come first.
    fn others_first(&self, interface: &str) -> Duration {
        let inner = self.0.borrow();
        let spent = |name: &str| inner.spent.get(name).copied().unwrap_or_default();
        let others = inner.in_play.iter().filter(|other| *other != interface);
        let more = others.map(|other| spent(interface).saturating_sub(spent(other))).max();
        let share = more.map_or(Duration::ZERO, |more| (more / 2).min(OTHERS_FIRST_MAX));
        let was_last = inner.last.as_deref() == Some(interface);
        if was_last { share.max(OTHERS_FIRST) } else { share }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::OTHERS_FIRST;
    use super::OTHERS_FIRST_MAX;
    use super::Shares;

    async fn waited(shares: &Shares, interface: &str) -> Duration {
        let begun = Instant::now();
        shares.turn(interface).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_had_more_waits_longer() {
        let shares = Shares::default();
        assert_eq!(waited(&shares, "eth0").await, Duration::ZERO);
        shares.used("eth0", Duration::from_secs(200));
        shares.begin();
        assert_eq!(waited(&shares, "eth1").await, Duration::ZERO);
        assert_eq!(waited(&shares, "eth0").await, Duration::from_secs(100));
        assert_eq!(waited(&shares, "eth1").await, Duration::ZERO);
        shares.used("eth1", Duration::from_secs(200));
        shares.begin();
        assert_eq!(waited(&shares, "eth0").await, Duration::ZERO);
        assert_eq!(waited(&shares, "eth1").await, OTHERS_FIRST, "it was the last one");
        shares.used("eth0", Duration::from_secs(10_000));
        shares.begin();
        shares.turn("eth1").await;
        assert_eq!(waited(&shares, "eth0").await, OTHERS_FIRST_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_those_who_are_not_there() {
        let shares = Shares::default();
        shares.turn("eth1").await;
        shares.used("eth0", Duration::from_secs(200));
        shares.hopeless("eth1");
        assert_eq!(waited(&shares, "eth0").await, OTHERS_FIRST);
        assert_eq!(waited(&shares, "eth0").await, Duration::ZERO, "once");
    }
}
