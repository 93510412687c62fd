//! The probes over one NIC.
//!
//! Addresses come one after another, and the first may lead nowhere. So what is under way over a
//! link goes on when the link gets more, and a second probe begins over all of it. No more than
//! two, of which the first is left in peace: whoever makes up new addresses for us every second
//! neither keeps us busy nor keeps us from ever getting an answer.

use core::cell::Cell;
use core::cell::RefCell;
use core::future::Future;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::backoff::pause;
use crate::nic::Context;
use crate::nic::TIRED_AFTER;
use crate::plan::Link;
use crate::plan::ProbeError;
use crate::state::NicState;

/// Most probes at a time.
const MAX_RUNNING: usize = 2;
/// Most links over which a probe has failed for good that are remembered.
const MAX_HOPELESS: usize = 8;

/// What came of probing a link.
#[derive(Debug)]
pub(crate) enum Probed<T> {
    Answer(T),
    /// It will not get better over this link.
    Final,
    /// It failed several times in a row.
    Tired,
}

/// A probe that was begun.
struct Running<'a, T> {
    over: Link,
    /// Whether a server is being asked; else it waits for its next try.
    asking: Rc<Cell<bool>>,
    future: Pin<Box<dyn Future<Output = Probed<T>> + 'a>>,
}

/// The probes over one NIC.
pub(crate) struct Probes<'a, P, T> {
    probe: &'a P,
    state: &'a RefCell<NicState>,
    context: &'a Context,
    running: Vec<Running<'a, T>>,
    /// The link as it is now.
    current: Option<Link>,
    /// Links over which a probe failed for good.
    hopeless: Vec<Link>,
    /// Told whenever a probe has failed, also one that is made again.
    failed: Rc<Notify>,
}

impl<'a, P, T, F> Probes<'a, P, T>
where
    P: Fn(Link) -> F,
    F: Future<Output = Result<T, ProbeError>> + 'a,
    T: 'a,
{
    pub(crate) fn new(probe: &'a P, state: &'a RefCell<NicState>, context: &'a Context) -> Self {
        let failed = Rc::new(Notify::new());
        let (running, hopeless) = (Vec::new(), Vec::new());
        Self { probe, state, context, running, current: None, hopeless, failed }
    }

    /// What is told whenever a probe has failed, also one that is made again.
    pub(crate) fn failures(&self) -> Rc<Notify> {
        Rc::clone(&self.failed)
    }

    /// Goes on with the link as it is now: drops probes over what is not there any more, and
    /// begins one over all that there is.
    pub(crate) fn follow(&mut self, link: Option<&Link>) {
        self.current = link.cloned();
        let Some(link) = link else { return self.running.clear() };
        self.running.retain(|Running { over, asking, .. }| {
            over.is_same(link) || (asking.get() && link.extends(over))
        });
        let known = self.hopeless.iter().any(|hopeless| hopeless.is_same(link))
            || self.running.iter().any(|running| running.over.is_same(link));
        if !known {
            self.running.truncate(MAX_RUNNING - 1);
            let (over, asking) = (link.clone(), Rc::new(Cell::new(true)));
            let (probe, state, context) = (self.probe, self.state, self.context);
            let told = Told { asking: Rc::clone(&asking), failed: Rc::clone(&self.failed) };
            let future = probe_link(probe, state, context, over.clone(), told);
            self.running.push(Running { over, asking, future: Box::pin(future) });
        }
    }

    /// Drops all probes: the link is about to become another one.
    pub(crate) fn forget(&mut self) {
        self.running.clear();
        self.current = None;
    }

    /// Whether a server is being asked right now.
    pub(crate) fn is_asking(&self) -> bool {
        self.running.iter().any(|running| running.asking.get())
    }

    /// Whether there is a link, and all that can be tried over it has failed for good.
    pub(crate) fn is_hopeless(&self) -> bool {
        let over = |link: &Link| self.hopeless.iter().any(|hopeless| hopeless.is_same(link));
        self.running.is_empty() && self.current.as_ref().is_some_and(over)
    }

    /// Waits for the next outcome; for ever while no probe runs. Loses nothing when it is dropped.
    pub(crate) async fn next(&mut self) -> (Link, Probed<T>) {
        let next = poll_fn(|context| {
            for (place, running) in self.running.iter_mut().enumerate() {
                if let Poll::Ready(outcome) = running.future.as_mut().poll(context) {
                    return Poll::Ready((place, outcome));
                }
            }
            Poll::Pending
        });
        let (place, outcome) = next.await;
        let link = self.running.remove(place).over;
        if matches!(outcome, Probed::Final) {
            if self.hopeless.len() == MAX_HOPELESS {
                self.hopeless.remove(0);
            }
            self.hopeless.push(link.clone());
        }
        (link, outcome)
    }
}

/// Who is told how a probe goes.
struct Told {
    asking: Rc<Cell<bool>>,
    failed: Rc<Notify>,
}

/// Probes a link until it answers, is hopeless, or has failed several times in a row.
async fn probe_link<T, P, F>(
    probe: &P,
    state: &RefCell<NicState>,
    context: &Context,
    link: Link,
    told: Told,
) -> Probed<T>
where
    P: Fn(Link) -> F,
    F: Future<Output = Result<T, ProbeError>>,
{
    let mut random = context.random();
    for tries in 1..=TIRED_AFTER {
        match probe(link.clone()).await {
            Ok(answer) => return Probed::Answer(answer),
            Err(ProbeError::Final(failure)) => {
                tracing::debug!("{}: {failure}", link.interface);
                state.borrow_mut().probe_failed(failure);
                return Probed::Final;
            }
            Err(ProbeError::Transient(failure)) => {
                tracing::debug!("{}: try {tries}: {failure}", link.interface);
                state.borrow_mut().probe_failed(failure);
            }
        }
        let rounds = state.borrow().probes();
        told.asking.set(false);
        told.failed.notify_one();
        tokio::time::sleep(pause(rounds, &mut random)).await;
        told.asking.set(true);
    }
    Probed::Tired
}
