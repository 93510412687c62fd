//! From a host configuration to a verified package: connect, fetch, verify; the next mirror where
//! one fails; all of them again while there is hope and time.

mod probe;

use core::cell::RefCell;
use core::pin::pin;
use std::collections::BTreeMap;
use std::time::Duration;

use fetch::Client;
use fetch::Patience;
use hostcfg::Mirror;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use report::Class;
use report::Code;
use report::Failure;
use report::Stage;
use tokio::time::Instant;
use tracing::debug;
use tracing::info;
use tracing::warn;
use trust::Clock;

use crate::events::Event;
use crate::events::Events;
use crate::events::Running;
use crate::fairness::Shares;
use crate::inputs::Inputs;
use crate::ledger::Ledger;
use crate::ledger::Trouble;
use crate::mirror::Job;
use crate::mirror::Try;
use crate::mirror::Verified;
use crate::pieces::Shelf;
use crate::time::LinkTime;
use crate::world::Machine;
use crate::world::Online;
use crate::world::World;

/// Tries per mirror in a row that bring nothing, before all links are looked at again.
const TRIES_PER_LINK: usize = 4;

/// How often a machine that waits says so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// How long setting up the network may take to clean up once time is over.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// What the probe of a link found out.
#[derive(Debug)]
struct Answer<T> {
    client: Client<T>,
    /// The mirror that answered, and its descriptor if it gave one.
    descriptor: Option<(usize, Vec<u8>)>,
    time: LinkTime,
    /// What the client judges TLS by.
    clock: Clock,
}

/// Connects, fetches and verifies until a package is authorised, on the machine that this runs on.
///
/// # Errors
/// The gravest failure, once nothing can heal any more or the deadline has passed.
pub async fn package(
    inputs: &Inputs,
    events: &dyn Events,
    patience: Duration,
) -> Result<(Online, Verified), Failure> {
    package_in(&Machine, inputs, events, patience).await
}

/// As [`package`], in any [`World`].
///
/// A failure that may heal is waited out with a pause that grows ([`crate::World::Transport`]'s
/// chance spreads it), one that cannot drops the mirror. It ends when `patience` is over, whatever the
/// world does: at once while mirrors are asked, and a second later at most while a link is looked for,
/// so that [`World::connect`], which knows the deadline, may clean up. Only what blocks is waited for:
/// an archive that has come whole is hashed and unpacked to its end.
///
/// # Errors
/// As for [`package`].
pub async fn package_in<W: World>(
    world: &W,
    inputs: &Inputs,
    events: &dyn Events,
    patience: Duration,
) -> Result<(Online<W::Hold>, Verified<W::File>), Failure> {
    let deadline = Instant::now() + patience;
    let mut plan = Plan::from(&inputs.host.config);
    plan.keep_addresses = inputs.host.config.remote_log.is_some();
    let mirrors = &inputs.host.config.mirrors;
    let ledger = RefCell::new(Ledger::new(mirrors.len()));
    let shares = Shares::default();
    let search = Search { world, inputs, events, mirrors, ledger, shares, deadline };
    let mut shelf = Shelf::new();
    loop {
        search.shares.begin();
        let (online, answer) = search.connect(&plan).await?;
        let begun = Instant::now();
        let interface = online.link.interface.as_str();
        let more = online.nics.len() > 1;
        let tried = search.over_link(&online, answer, more, &mut shelf);
        match tokio::time::timeout_at(deadline, tried).await {
            Ok(Ok(package)) => return Ok((online, package)),
            // A rogue or stale network must not keep the machine from those beside it.
            Ok(Err(failure)) if failure.class != Class::Transient && online.nics.len() < 2 => {
                return Err(failure);
            }
            Ok(Err(failure)) => {
                warn!("looking at all interfaces again: {}", failure.headline());
                if more {
                    search.shares.used(interface, begun.elapsed());
                }
            }
            Err(_) => {
                let ledger = search.ledger.borrow();
                return Err(ledger.last_transient(interface).cloned().unwrap_or_else(|| {
                    let detail = format!("{} s have passed", patience.as_secs());
                    Failure::new(Code::DeadlineReached, detail)
                }));
            }
        }
    }
}

struct Search<'a, W> {
    world: &'a W,
    inputs: &'a Inputs,
    events: &'a dyn Events,
    mirrors: &'a [Mirror],
    ledger: RefCell<Ledger>,
    shares: Shares,
    deadline: Instant,
}

impl<W: World> Search<'_, W> {
    async fn connect(
        &self,
        plan: &Plan,
    ) -> Result<(Online<W::Hold>, Answer<W::Transport>), Failure> {
        let connecting = Running::begin(self.events, Stage::Connect);
        let begun = Instant::now();
        let deadline = self.deadline;
        // By interface: the last probe over the one that is used is the one that succeeded.
        let answers = RefCell::new(BTreeMap::new());
        let probe = async |link: Link| {
            let interface = link.interface.clone();
            let answer = self.probe(link).await.inspect_err(|error| {
                if matches!(error, ProbeError::Final(_)) {
                    self.shares.hopeless(&interface);
                }
            })?;
            answers.borrow_mut().insert(interface, answer);
            Ok(())
        };
        let mut connect = pin!(self.world.connect(plan, deadline, probe));
        let end = deadline + CLEAN_UP;
        let result = loop {
            let next_sign = end.min(Instant::now() + SIGN_OF_LIFE);
            match tokio::time::timeout_at(next_sign, &mut connect).await {
                Ok(Ok(online)) => {
                    self.events.on(Event::Nics(online.nics.clone()));
                    self.events.on(Event::Link { link: online.link.clone(), used: true });
                    break Ok(online);
                }
                Ok(Err(error)) => {
                    self.events.on(Event::Nics(error.nics));
                    break Err(error.failure);
                }
                Err(_) if Instant::now() >= end => {
                    let detail = "setting up the network did not come to its end";
                    break Err(Failure::new(Code::DeadlineReached, detail));
                }
                Err(_) => self.still_trying(),
            }
        };
        let online = connecting.close(result, |online| describe(&online.link));
        let online = online.map_err(|failure| self.instead_of_the_deadline(failure, begun))?;
        let answer = answers.borrow_mut().remove(&online.link.interface);
        let answer = answer.ok_or_else(|| Failure::new(Code::Internal, "no probe succeeded"))?;
        Ok((online, answer))
    }

    /// That time is up says nothing; why no mirror served until then does. Nor does it say anything
    /// that there was no lease yet, in a search that had only just begun.
    fn instead_of_the_deadline(&self, failure: Failure, begun: Instant) -> Failure {
        let hasty = self.deadline.saturating_duration_since(begun) < SIGN_OF_LIFE;
        let says_nothing = match failure.code {
            Code::DeadlineReached => true,
            Code::NoLease => hasty,
            _ => false,
        };
        match self.ledger.borrow().latest() {
            Some(latest) if says_nothing => latest.clone(),
            _ => failure,
        }
    }

    /// Tells somebody who watches that the machine is not hung, and what it waits for.
    fn still_trying(&self) {
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs();
        match self.ledger.borrow().latest() {
            Some(failure) => {
                info!("still trying, for {left} s more; last: {}", failure.headline());
            }
            None => info!("still trying, for {left} s more; no interface leads to a server yet"),
        }
    }

    /// Whether a link leads to a provisioning server. Where a certificate's dates say no, and a time
    /// server then says that it is another time, the mirrors are asked once more.
    async fn probe(&self, link: Link) -> Result<Answer<W::Transport>, ProbeError> {
        self.events.on(Event::Link { link: link.clone(), used: false });
        self.shares.turn(&link.interface).await;
        let time = self.world.time(self.inputs, &link);
        let clock = self.inputs.clock;
        let error = match self.probe_at(&link, clock).await {
            Ok((client, descriptor)) => return Ok(Answer { client, descriptor, time, clock }),
            Err(error) => error,
        };
        match self.later_time(&link.interface, error.failure(), clock, &time).await {
            Some(clock) => {
                let (client, descriptor) = self.probe_at(&link, clock).await?;
                Ok(Answer { client, descriptor, time, clock })
            }
            None => Err(error),
        }
    }

    /// What a time server said, if that is news, and a failure was for the dates of a certificate.
    /// Mirrors that failed for that are not held responsible.
    async fn later_time(
        &self,
        interface: &str,
        failure: &Failure,
        clock: Clock,
        time: &LinkTime,
    ) -> Option<Clock> {
        let by_dates = failure.code == Code::TlsExpired
            || self
                .ledger
                .borrow()
                .gravest(interface)
                .is_some_and(|it| it.code == Code::TlsExpired);
        if !by_dates {
            return None;
        }
        let (settled, report) = time.settled().await;
        self.events.on(Event::Time(report));
        if settled == clock {
            return None;
        }
        self.ledger.borrow_mut().forgive(interface, Code::TlsExpired);
        Some(settled)
    }

    /// Tries the mirrors over one link, each again after its pause. `more_links`: there are others
    /// that may serve.
    ///
    /// Fails with a transient failure when it is time to look at the other links again.
    async fn over_link(
        &self,
        online: &Online<W::Hold>,
        answer: Answer<W::Transport>,
        more_links: bool,
        shelf: &mut Shelf<W::File>,
    ) -> Result<Verified<W::File>, Failure> {
        let Online { link, hold, .. } = online;
        let interface = link.interface.as_str();
        let Answer { mut client, descriptor: mut known, time, mut clock } = answer;
        let mut fruitless = 0;
        let mut endless = false;
        loop {
            // The probe has the answer of one mirror already.
            let (index, descriptor) = match known.take() {
                Some((index, bytes)) => (index, Some(bytes)),
                None => match self.next(interface, &[]).await {
                    Some(index) => (index, None),
                    None => return Err(self.gravest(interface)),
                },
            };
            let Some(mirror) = self.mirrors.get(index) else {
                return Err(self.gravest(interface));
            };
            let (others, turn) = {
                let ledger = self.ledger.borrow();
                (ledger.has_other(interface, index), ledger.turn(interface, index))
            };
            let mut attempt = Try::new(self.events);
            let mut job = Job {
                world: self.world,
                inputs: self.inputs,
                events: self.events,
                client: &client,
                interface,
                time: &time,
                mirror,
                patience: Patience { others, turn },
                running: None,
                shelf,
            };
            let trouble = match job.serve(descriptor, &mut attempt).await {
                Ok(package) => {
                    let addresses = client.addresses(mirror);
                    let report = attempt.report(interface, &mirror.url, addresses, None);
                    self.events.on(Event::Mirror(report));
                    return Ok(package);
                }
                Err(trouble) => trouble,
            };
            // The line of the stage has its title.
            let (url, Failure { code, detail, class, .. }) = (&mirror.url, &trouble.failure);
            match class {
                Class::Security => warn!("{url} is dropped for this boot: {code} {detail}"),
                Class::Permanent => warn!("{url} cannot serve: {code} {detail}"),
                Class::Transient => warn!("{url}: {code} {detail}"),
            }
            self.charge(interface, &client, index, &attempt, &trouble);
            let failure = &trouble.failure;
            if failure.code == Code::Stalled && !attempt.advanced() {
                self.world.narrow(hold);
            }
            if let Some(later) = self.later_time(interface, failure, clock, &time).await {
                client = self.world.client_at(self.inputs, link, later)?;
                clock = later;
            }
            endless |= trouble.no_end;
            fruitless = if attempt.advanced() && !trouble.no_end { 0 } else { fruitless + 1 };
            let hope = self.ledger.borrow().hope(interface);
            // Another network may lead to mirrors that come to an end.
            let tries = if endless && more_links { 1 } else { TRIES_PER_LINK };
            if hope > 0 && fruitless >= tries * hope {
                return Err(self.last_transient(interface));
            }
        }
    }

    fn charge(
        &self,
        interface: &str,
        client: &Client<W::Transport>,
        index: usize,
        attempt: &Try,
        trouble: &Trouble,
    ) {
        let Some(mirror) = self.mirrors.get(index) else { return };
        let random = client.random();
        let advanced = attempt.advanced();
        let pause = self.ledger.borrow_mut().charge(interface, index, trouble, advanced, random);
        if let Some(pause) = pause {
            let seconds = pause.as_secs_f32();
            debug!("{} over {interface} is left alone for {seconds:.1} s", mirror.url);
        }
        let (addresses, failure) = (client.addresses(mirror), Some(&trouble.failure));
        let report = attempt.report(interface, &mirror.url, addresses, failure);
        self.events.on(Event::Mirror(report));
    }

    fn gravest(&self, interface: &str) -> Failure {
        let none = || Failure::new(Code::HostConfigNoUrl, "there is no mirror to ask");
        self.ledger.borrow().gravest(interface).cloned().unwrap_or_else(none)
    }

    fn last_transient(&self, interface: &str) -> Failure {
        let none = || Failure::new(Code::ConnectFailed, "no mirror served");
        self.ledger.borrow().last_transient(interface).cloned().unwrap_or_else(none)
    }
}

fn describe(link: &Link) -> String {
    let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
    let gateway = link.gateway().map_or_else(String::new, |gateway| format!(", gateway {gateway}"));
    format!("{} {} by {}{gateway}", link.interface, addresses.join(" "), link.method)
}
