//! All NICs side by side, until one of them serves.

use core::cell::RefCell;
use core::future::Future;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hostcfg::Addressing;
use report::Code;
use report::Failure;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Random;
use crate::bond::Bond;
use crate::kernel::Kernel;
use crate::network::Network;
use crate::network::Nic;
use crate::nic::Context;
use crate::nic::Life;
use crate::nic::Won;
use crate::plan::ConnectError;
use crate::plan::Connected;
use crate::plan::Link;
use crate::plan::Plan;
use crate::plan::ProbeError;
use crate::select::MAX_NICS;
use crate::select::describe_entry;
use crate::select::describe_nics;
use crate::select::select;
use crate::session::Session;
use crate::session::Status;
use crate::state::CARRIER_PATIENCE;
use crate::state::NicState;
use crate::vlan::Vlans;

/// A MAC address that no NIC has by then is given up, and the entry's name is used.
const NAME_INSTEAD_AFTER: Duration = Duration::from_secs(10);
/// When to say that NICs are being waited for.
const SAY_MISSING_AFTER: Duration = Duration::from_secs(5);
/// How often everything is looked at even if nothing is heard.
const TICK: Duration = Duration::from_secs(1);

/// What keeps the addresses alive.
#[derive(Debug)]
pub(crate) struct Holder {
    session: Session,
    _network: Arc<dyn Network>,
}

impl Holder {
    /// See [`Connected::narrow`].
    pub(crate) fn narrow(&self) {
        self.session.narrow();
    }

    /// How the link is, from now on.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.session.statuses()
    }
}

/// Brings up every NIC of the plan and probes over each that has an address; the first that
/// answers is used, the others are cleaned up and switched off.
///
/// Several probes run at the same time, on this task: they are not spawned and need not be `Send`.
/// A probe is dropped when its NIC loses carrier or an address, when another NIC wins, and at the
/// deadline; it must bind its sockets to [`Link::interface`]. When a NIC gets more addresses, a second
/// probe may begin beside the one over what there was before.
///
/// # Errors
///
/// At the deadline, or before it when every NIC with carrier has failed for good and the others
/// had no carrier for 45 seconds. The failure is the gravest of all NICs: what a probe said, else
/// E0205, E0204, E0203, or E0201 and E0202 if there was no NIC to try. Addresses are removed (unless
/// [`Plan::keep_addresses`]); links, bonds and VLANs stay up: another call finds them without a new
/// wait for the switch.
///
/// If the future is dropped before it is ready, addresses stay where they are.
pub async fn connect<T, P, F>(
    plan: &Plan,
    deadline: Instant,
    probe: P,
) -> Result<Connected<T>, ConnectError>
where
    P: Fn(Link) -> F,
    F: Future<Output = Result<T, ProbeError>>,
{
    let kernel = Kernel::open().map_err(|error| unusable(&error))?;
    connect_over(Arc::new(kernel), plan, deadline, probe).await
}

/// As [`connect()`], over any network.
///
/// # Errors
///
/// Those of [`connect()`].
pub async fn connect_over<T, P, F>(
    network: Arc<dyn Network>,
    plan: &Plan,
    deadline: Instant,
    probe: P,
) -> Result<Connected<T>, ConnectError>
where
    P: Fn(Link) -> F,
    F: Future<Output = Result<T, ProbeError>>,
{
    let links = network.links();
    let random = RefCell::new(Random::seeded(network.seed()));
    let context = Context {
        plan: Arc::new(plan.clone()),
        network,
        links,
        random,
        started: Instant::now(),
        finished: Notify::new(),
    };
    let network = &*context.network;
    let mut search = Search::new(plan);
    if let Some(bonding) = &plan.bonding {
        match Bond::create(network, bonding, plan.mtu).await {
            Ok(bond) => search.bond = Some(bond),
            Err(error) => {
                let failure = Failure::new(Code::AddressSetup, error.to_string());
                return Err(ConnectError { failure, nics: Vec::new() });
            }
        }
    }
    match search.run(&context, deadline, &probe).await {
        Ok((won, Won { link, answer, session })) => {
            search.switch_off_others(network, won).await;
            let nics = search.reports(Some(won), None);
            let holder = Holder { session, _network: Arc::clone(&context.network) };
            Ok(Connected { link, answer, nics, holder })
        }
        Err(failure) => {
            for state in search.nics.iter().filter(|_| !plan.keep_addresses) {
                let index = state.borrow().index();
                network.flush(index).await;
            }
            Err(ConnectError { failure, nics: search.reports(None, Some(Instant::now())) })
        }
    }
}

fn unusable(error: &io::Error) -> ConnectError {
    let failure = Failure::new(Code::Internal, format!("route netlink: {error}"));
    ConnectError { failure, nics: Vec::new() }
}

/// All NICs that are at work.
struct Search<'a> {
    plan: &'a Plan,
    started: Instant,
    bond: Option<Bond>,
    vlans: Option<Vlans>,
    nics: Vec<Rc<RefCell<NicState>>>,
    /// Whether the configuration lists NICs that are not there.
    missing: bool,
    said_missing: bool,
}

impl<'a> Search<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            started: Instant::now(),
            bond: None,
            vlans: plan.vlan.map(Vlans::new),
            nics: Vec::new(),
            missing: false,
            said_missing: false,
        }
    }

    /// Returns the index of the NIC that won, with what it won.
    async fn run<T, P, F>(
        &mut self,
        context: &Context,
        deadline: Instant,
        probe: &P,
    ) -> Result<(u32, Won<T>), Failure>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        let mut lives = FuturesUnordered::new();
        let mut links = context.links.clone();
        loop {
            let known = links.borrow_and_update().clone();
            let aggregation = self.bond.as_ref().and_then(Bond::aggregation);
            for state in self.enrol(context, &known).await {
                lives.push(async move {
                    let index = state.borrow().index();
                    let life = Life { context, state: &state, index, aggregation, probe };
                    (index, life.run().await)
                });
            }
            if self.is_hopeless() {
                return Err(self.failure(&known));
            }
            tokio::select! {
                biased;
                Some((index, end)) = lives.next() => match end {
                    Some(won) => return Ok((index, won)),
                    None => self.forget(index),
                },
                () = tokio::time::sleep_until(deadline) => return Err(self.failure(&known)),
                Ok(()) = links.changed() => {}
                () = context.finished.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Takes NICs in that are new; returns those that are to be worked on.
    async fn enrol(&mut self, context: &Context, links: &[Nic]) -> Vec<Rc<RefCell<NicState>>> {
        for loopback in links.iter().filter(|nic| nic.loopback && !nic.up) {
            if let Err(error) = context.network.up(loopback.index).await {
                tracing::warn!("{}: {error}", loopback.name);
            }
        }
        let by_name_too = self.started.elapsed() >= NAME_INSTEAD_AFTER;
        let bond_index = self.bond.as_ref().map(|bond| bond.index);
        let selection = select(links, &self.plan.interfaces, by_name_too, bond_index);
        self.missing = !selection.missing.is_empty();
        if self.missing && !self.said_missing && self.started.elapsed() >= SAY_MISSING_AFTER {
            self.said_missing = true;
            let missing: Vec<String> =
                selection.missing.iter().map(|entry| describe_entry(entry)).collect();
            let there = describe_nics(links);
            tracing::warn!(
                "no NIC matches {}, still waiting; there are: {there}",
                missing.join(", ")
            );
        }
        let network = &*context.network;
        let mut wanted = selection.nics;
        if let Some(bond) = &mut self.bond {
            bond.join(network, &wanted).await;
            wanted =
                links.iter().filter(|nic| nic.index == bond.index && bond.has_members()).collect();
        }
        if let Some(vlans) = &mut self.vlans {
            let above = vlans.above(network, &context.plan, links, &wanted).await;
            wanted = links.iter().filter(|nic| above.contains(&nic.index)).collect();
        }
        let mut new = Vec::new();
        for nic in wanted {
            let known = self.nics.iter().any(|state| state.borrow().index() == nic.index);
            if known || self.nics.len() >= MAX_NICS {
                continue;
            }
            tracing::debug!("{} ({}): waiting for carrier", nic.name, nic.mac_text());
            network.prepare(nic, self.plan.addressing != Addressing::Dhcp);
            let state = NicState::new(nic.clone(), self.plan.mode(), Instant::now());
            let state = Rc::new(RefCell::new(state));
            self.nics.push(Rc::clone(&state));
            new.push(state);
        }
        new
    }

    fn forget(&mut self, index: u32) {
        self.nics.retain(|state| {
            let state = state.borrow();
            if state.index() == index {
                tracing::warn!("{}: it has gone away", state.name());
            }
            state.index() != index
        });
    }

    /// Whether every NIC has come to its end, and none that might still come is worth waiting for.
    fn is_hopeless(&self) -> bool {
        let now = Instant::now();
        let all_there = !self.missing || now - self.started >= CARRIER_PATIENCE;
        all_there
            && self.nics.iter().any(|state| state.borrow().is_finished())
            && self.nics.iter().all(|state| state.borrow().is_hopeless(now))
    }

    /// The gravest failure.
    fn failure(&self, links: &[Nic]) -> Failure {
        let now = Instant::now();
        let gravest = self.nics.iter().max_by_key(|state| state.borrow().gravity(now));
        match gravest.map(|state| state.borrow().verdict(now)) {
            Some(failure) if failure.code == Code::NoCarrier => {
                let all: Vec<String> =
                    self.nics.iter().map(|state| state.borrow().verdict(now).detail).collect();
                Failure::new(Code::NoCarrier, all.join("; "))
            }
            Some(failure) => failure,
            None => self.nothing_to_try(links),
        }
    }

    fn nothing_to_try(&self, links: &[Nic]) -> Failure {
        let there = describe_nics(links);
        let bond = self.bond.as_ref().and_then(Bond::trouble);
        if let Some(trouble) = bond.or_else(|| self.vlans.as_ref().and_then(Vlans::trouble)) {
            return Failure::new(Code::AddressSetup, trouble);
        }
        if self.plan.interfaces.is_empty() {
            return Failure::new(Code::NoInterface, "the kernel knows no Ethernet interface");
        }
        let wanted: Vec<String> = self.plan.interfaces.iter().map(describe_entry).collect();
        let detail = format!("network_interfaces: {}; there are: {there}", wanted.join(", "));
        Failure::new(Code::InterfaceNotFound, detail)
    }

    async fn switch_off_others(&mut self, network: &dyn Network, won: u32) {
        for state in &self.nics {
            let (index, name) = {
                let state = state.borrow();
                (state.index(), state.name().to_owned())
            };
            if index == won {
                continue;
            }
            network.flush(index).await;
            let below = match &mut self.vlans {
                Some(vlans) => vlans.remove(network, index).await,
                None => None,
            };
            match network.down(below.unwrap_or(index)).await {
                Ok(()) => tracing::info!("{name}: not used, switched off"),
                Err(error) => tracing::warn!("{name}: {error}"),
            }
        }
    }

    fn reports(&self, won: Option<u32>, at: Option<Instant>) -> Vec<report::NicReport> {
        let mut states: Vec<NicState> =
            self.nics.iter().map(|state| state.borrow().clone()).collect();
        states.sort_by_key(NicState::index);
        states.iter().map(|state| state.report(won == Some(state.index()), at)).collect()
    }
}
