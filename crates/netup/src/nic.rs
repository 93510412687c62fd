//! The life of one NIC: carrier, addresses, probes, and again.

use core::cell::RefCell;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use report::Code;
use report::Failure;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::Random;
use crate::backoff::pause;
use crate::bond::Aggregation;
use crate::lessons::Again;
use crate::lessons::Lesson;
use crate::network::Links;
use crate::network::Network;
use crate::network::Nic;
use crate::plan::Link;
use crate::plan::Plan;
use crate::plan::ProbeError;
use crate::probes::Probed;
use crate::probes::Probes;
use crate::session::Session;
use crate::state::NicState;
use crate::task::sleep_until_instant;

/// After so many failures in a row that may heal, other DHCP servers' offers are asked for.
pub(crate) const TIRED_AFTER: u32 = 3;
/// For how long the NIC that the firmware booted from is probed over alone.
const HEAD_START: Duration = Duration::from_millis(1500);
/// With everything side by side, for how long the failure of one thing is not the end of the NIC.
const AUTO_PATIENCE: Duration = Duration::from_secs(10);

/// What all NICs share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) plan: Arc<Plan>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) links: Links,
    /// What the randomness of every task is derived from.
    pub(crate) random: RefCell<Random>,
    pub(crate) started: Instant,
    /// Told when a NIC has come to its end.
    pub(crate) finished: Notify,
}

impl Context {
    /// Randomness of its own for a task.
    pub(crate) fn random(&self) -> Random {
        Random::seeded(self.random.borrow_mut().next_u64())
    }

    /// When a NIC may be probed over.
    fn may_probe_at(&self, nic: &Nic) -> Instant {
        let preferred = |nic: &Nic| self.plan.preferred.is_some_and(|mac| nic.has_mac(&mac));
        let other = !preferred(nic) && self.links.borrow().iter().any(preferred);
        self.started + if other { HEAD_START } else { Duration::ZERO }
    }
}

/// A NIC over which the probe succeeded.
#[derive(Debug)]
pub(crate) struct Won<T> {
    pub(crate) link: Link,
    pub(crate) answer: T,
    pub(crate) session: Session,
}

/// One NIC at work.
pub(crate) struct Life<'a, P> {
    pub(crate) context: &'a Context,
    pub(crate) state: &'a RefCell<NicState>,
    pub(crate) index: u32,
    /// What is to be waited for on a bond.
    pub(crate) aggregation: Option<Aggregation>,
    pub(crate) probe: &'a P,
}

impl<'a, P> Life<'a, P> {
    /// Works until the probe succeeds; `None` if the NIC has gone away.
    pub(crate) async fn run<T, F>(&self) -> Option<Won<T>>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>> + 'a,
        T: 'a,
    {
        self.switch_on().await?;
        loop {
            let nic = self.carrier(true).await?;
            let waited = self.state.borrow_mut().carrier_found(&nic, Instant::now());
            tracing::info!("{}: carrier after {:.1} s", nic.name, waited.as_secs_f64());
            let gone = tokio::select! {
                biased;
                won = self.with_carrier(&nic) => return Some(won),
                without = self.carrier(false) => without.is_none(),
            };
            if gone {
                return None;
            }
            tracing::warn!("{}: carrier lost", nic.name);
            self.state.borrow_mut().carrier_lost(Instant::now());
            self.context.network.flush(self.index).await;
        }
    }

    /// Some drivers fail at first, for example until their firmware has been loaded.
    async fn switch_on(&self) -> Option<()> {
        let network = &self.context.network;
        let mut random = self.context.random();
        let mut tries = 0;
        loop {
            let nic = find(&self.context.links, self.index)?;
            if nic.up {
                break;
            }
            if tries == 0 {
                set_mtu(&**network, &self.context.plan, &nic).await;
            }
            match network.up(self.index).await {
                Ok(()) => break,
                Err(error) => {
                    let detail = format!("{}: {error}", nic.name);
                    tracing::warn!("{detail}");
                    let failure = Failure::new(Code::AddressSetup, detail);
                    self.state.borrow_mut().failed(failure);
                }
            }
            tries += 1;
            tokio::time::sleep(pause(tries, &mut random)).await;
        }
        // What an earlier attempt or the kernel's own `ip=` may have left.
        network.flush(self.index).await;
        Some(())
    }

    /// Waits until there is a carrier, or none; `None` if the NIC has gone away.
    async fn carrier(&self, wanted: bool) -> Option<Nic> {
        let mut links = self.context.links.clone();
        loop {
            let nic = find(&links, self.index)?;
            links.borrow_and_update();
            if nic.carrier == wanted {
                return Some(nic);
            }
            links.changed().await.ok()?;
        }
    }

    async fn with_carrier<T, F>(&self, nic: &Nic) -> Won<T>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>> + 'a,
        T: 'a,
    {
        let context = self.context;
        if let Some(aggregation) = &self.aggregation {
            aggregation.wait(context.links.clone(), &nic.name).await;
        }
        let (network, plan) = (Arc::clone(&context.network), Arc::clone(&context.plan));
        let mut session = Session::start(network, plan, nic.clone(), context.random());
        let begun = Instant::now();
        let may_probe_at = context.may_probe_at(nic);
        let mut probes = Probes::new(self.probe, self.state, context);
        let failures = probes.failures();
        // How many had failed when leases were given up for routers' sake.
        let mut leases_before = self.state.borrow().probes();
        // Whether it was a failed probe that woke this up.
        let mut told = false;
        let lessons = &context.plan.lessons;
        // Another network is another chance.
        lessons.learn(self.index, Lesson::forgive);
        // How many probes had failed when the router was chosen, and when that was noted last.
        let (mut failed_before, mut noted) = (self.state.borrow().probes(), 0);
        loop {
            let status = session.news();
            self.state.borrow_mut().news(&status);
            // Whether or not they were in a row over the same addresses: others come and go.
            let failed = self.state.borrow().probes();
            if failed > noted {
                lessons.learn(self.index, |lesson| lesson.note(&status));
                if self.state.borrow().got_nothing() {
                    session.narrow();
                }
            }
            noted = failed;
            // Only looked at when something is heard on the link: a probe that is made again each
            // time that the router changes would never be given up, nor would the DHCP server's lease.
            let only_told = core::mem::take(&mut told);
            // A probe that is under way may yet succeed; but not for ever.
            let tired_after = if probes.is_asking() { TIRED_AFTER } else { 1 };
            if !only_told
                && status.routers > 1
                && failed >= failed_before.saturating_add(tired_after)
            {
                failed_before = failed;
                lessons.learn(self.index, |lesson| lesson.routers += 1);
                session.next_router();
                probes.forget();
                // Its probes do not live to be tired: the leases would never be given up.
                if failed >= leases_before.saturating_add(TIRED_AFTER) {
                    leases_before = failed;
                    let v4 = status.link.as_ref().and_then(|link| link.dhcp_server);
                    let mut again = Again::default();
                    lessons.learn(self.index, |lesson| {
                        again = lesson.given_up(v4, &status, false);
                    });
                    if again.v4 || again.v6 {
                        session.ask_again(again, &lessons.of(self.index));
                    }
                }
                continue;
            }
            let mut wake_at = None;
            if Instant::now() >= may_probe_at {
                probes.follow(status.link.as_ref());
            } else {
                wake_at = Some(may_probe_at);
            }
            let patience = begun + context.patience();
            let over = status.stuck || probes.is_hopeless();
            if over && Instant::now() >= patience {
                self.finish();
            } else if over {
                wake_at = Some(patience);
            } else if self.state.borrow_mut().resumed() {
                lessons.learn(self.index, Lesson::forgive);
            }
            let probed = tokio::select! {
                biased;
                probed = probes.next() => probed,
                () = failures.notified() => {
                    told = true;
                    continue;
                }
                () = session.changed() => continue,
                () = sleep_until_instant(wake_at) => continue,
            };
            let (link, outcome) = probed;
            match outcome {
                Probed::Answer(answer) => {
                    // What has come since the probe began may be used as well.
                    let now = session.link();
                    let link = now.filter(|now| now.extends(&link)).unwrap_or(link);
                    return Won { link, answer, session };
                }
                Probed::Final | Probed::Tired => {}
            }
            let for_good = matches!(outcome, Probed::Final);
            let mut again = Again::default();
            lessons.learn(self.index, |lesson| {
                again = lesson.given_up(link.dhcp_server, &session.news(), for_good);
            });
            if again.v4 || again.v6 {
                let others = again.describe(link.dhcp_server);
                tracing::info!("{}: looking for another DHCP server{others}", nic.name);
                session.ask_again(again, &lessons.of(self.index));
                probes.forget();
            }
        }
    }

    /// Says that nothing more can be hoped for now.
    fn finish(&self) {
        if self.state.borrow_mut().finish() {
            self.context.finished.notify_one();
        }
    }
}

impl Context {
    fn patience(&self) -> Duration {
        match self.plan.addressing {
            hostcfg::Addressing::Auto => AUTO_PATIENCE,
            hostcfg::Addressing::Dhcp | hostcfg::Addressing::Static(_) => Duration::ZERO,
        }
    }
}

/// Sets a link's MTU before it is switched on, if the plan has another one.
pub(crate) async fn set_mtu(network: &dyn Network, plan: &Plan, nic: &Nic) {
    let Some(mtu) = plan.mtu.map(u32::from).filter(|mtu| *mtu > nic.mtu) else { return };
    if let Err(error) = network.set_mtu(nic.index, mtu).await {
        tracing::warn!("{}: {error}; going on with {}", nic.name, nic.mtu);
    }
}

fn find(links: &Links, index: u32) -> Option<Nic> {
    links.borrow().iter().find(|nic| nic.index == index).cloned()
}
