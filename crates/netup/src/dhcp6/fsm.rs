//! The client's states (RFC 8415, 18.2), without clock and without socket: events and the time go
//! in, messages to send and leases come out.
//!
//! Other than in the RFC, the first message goes out at once, and offers are collected for a
//! quarter of a second, not for a whole one. Servers are always asked through their group, so it
//! does not matter whether they allow unicast.

mod declining;
mod extending;
mod informing;
mod offers;
mod sending;

use core::net::Ipv6Addr;
use core::time::Duration;

use super::duid::Duid;
use super::lease::Lease;
use super::message::QueryKind;
use super::message::Reply;
use super::message::ReplyKind;
use super::options::Status;
use super::retry;
use super::retry::Retry;
use crate::backoff::Random;

/// How long better offers are waited for after the first.
const COLLECT: Duration = Duration::from_millis(250);
/// How long a server that is to be avoided waits for another one to make an offer.
const OTHERS_FIRST: Duration = Duration::from_secs(3);
/// A server that says so is taken at once.
const BEST: u8 = 255;
/// How often an offered address is asked for before looking for another offer.
const MAX_REQUESTS: u32 = 4;
/// How often a server is told that its address cannot be used (DEC_MAX_RC).
const MAX_DECLINES: u32 = 4;
/// Most servers that are remembered.
const MAX_SERVERS: usize = 8;
/// Pauses while nothing can be sent, because the interface has no address of its own yet: short at
/// first, because that takes a second or two.
const UNSENT_PAUSE: Duration = Duration::from_millis(100);
const UNSENT_LATER: Duration = Duration::from_secs(1);
const UNSENT_SHORT: u32 = 20;

/// What a client is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// An address, and what goes with it.
    Stateful,
    /// Only what goes with an address: routers give that.
    Stateless,
}

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// [`Client::wake_at`] has come.
    Timer,
    /// A datagram.
    Datagram(&'a [u8]),
    /// The last message could not be sent.
    Unsent,
    /// Another machine has this address of ours.
    Duplicate(Ipv6Addr),
}

/// What a client wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Send this to all servers.
    Send(Vec<u8>),
    /// From now on this lease holds, also if there was one before.
    Bound(Lease),
    /// The lease that there was must not be used any more.
    Lost(&'static str),
}

#[derive(Clone, Debug)]
enum State {
    /// Between two rounds, or before the first.
    Idle,
    Soliciting {
        best: Option<Reply>,
        fallback: Option<Reply>,
    },
    Requesting {
        server: Duid,
        address: Ipv6Addr,
    },
    Bound {
        lease: Lease,
        since: Duration,
    },
    Extending {
        lease: Lease,
        since: Duration,
        how: Extension,
    },
    Declining,
    /// With what is known from before.
    Informing(Option<Lease>),
}

/// How a lease is being extended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extension {
    Renew,
    /// Its server has forgotten it, and is asked for the same address anew.
    Request,
    Rebind,
}

/// A DHCPv6 client for one interface. Times are durations since any fixed point.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    duid: Duid,
    iaid: u32,
    mode: Mode,
    random: Random,
    state: State,
    xid: u32,
    /// What is being asked, again and again.
    query: QueryKind,
    retry: Retry,
    /// When the first message of this exchange went out.
    begun: Duration,
    wake_at: Option<Duration>,
    /// Messages since there was a lease.
    rounds: u32,
    unsent: u32,
    declines: u32,
    /// Whether the user of this client holds a lease.
    held: bool,
    avoid: Vec<Duid>,
    servers: Vec<Duid>,
    trouble: Option<String>,
}

impl Client {
    /// A client that wants to be woken at `now`, and takes the offers of servers in `avoid` only
    /// if no other server makes one. `iaid` names its address among those of this machine.
    pub(crate) fn new(
        duid: Duid,
        iaid: u32,
        mode: Mode,
        random: Random,
        avoid: Vec<Duid>,
        now: Duration,
    ) -> Self {
        Self {
            duid,
            iaid,
            mode,
            random,
            state: State::Idle,
            xid: 0,
            query: QueryKind::Inform,
            retry: Retry::new(retry::SOLICIT),
            begun: now,
            wake_at: Some(now),
            rounds: 0,
            unsent: 0,
            declines: 0,
            held: false,
            avoid,
            servers: Vec::new(),
            trouble: None,
        }
    }

    /// When it wants [`Event::Timer`]; `None` for never.
    pub(crate) const fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    /// How many messages it has sent since there was a lease.
    pub(crate) const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Servers that have answered with something of use.
    pub(crate) fn servers(&self) -> &[Duid] {
        &self.servers
    }

    /// What went wrong last, other than silence.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether what went wrong last is that another machine has the address.
    pub(crate) const fn in_conflict(&self) -> bool {
        self.declines > 0 && !self.held
    }

    /// Takes an event in; what comes out is to be done in its order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            // Early wake-ups do nothing: whoever calls too often must not make us send too often.
            Event::Timer if self.wake_at.is_some_and(|at| at <= now) => self.timer(now),
            Event::Timer => Vec::new(),
            Event::Datagram(bytes) => match Reply::parse(bytes, &self.duid, self.iaid, self.xid) {
                Ok(reply) => self.reply(now, reply),
                Err(_) => Vec::new(),
            },
            Event::Unsent => {
                self.unsent(now);
                Vec::new()
            }
            Event::Duplicate(address) => self.decline(now, address),
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.start(now),
            State::Soliciting { best: Some(offer), .. }
            | State::Soliciting { best: None, fallback: Some(offer) } => self.request(now, &offer),
            State::Requesting { server, .. } if self.retry.sent() >= MAX_REQUESTS => {
                let trouble = "made an offer, but did not answer the request for it";
                self.trouble = Some(format!("{server} {trouble}"));
                self.avoid(server);
                self.start(now)
            }
            State::Bound { lease, since } => self.extend(now, lease, since, None),
            State::Extending { lease, since, how } => self.extend(now, lease, since, Some(how)),
            State::Declining if self.retry.sent() >= MAX_DECLINES => {
                self.rest(now);
                Vec::new()
            }
            state => {
                self.state = state;
                self.send(now)
            }
        }
    }

    fn reply(&mut self, now: Duration, reply: Reply) -> Vec<Action> {
        match (core::mem::replace(&mut self.state, State::Idle), reply.kind) {
            (State::Soliciting { best, fallback }, ReplyKind::Advertise) => {
                self.offer(now, reply, best, fallback)
            }
            (state @ State::Soliciting { .. }, ReplyKind::Reply) => {
                let asked = matches!(self.query, QueryKind::Solicit { rapid: true });
                if asked && reply.rapid && self.is_useful(&reply) {
                    return self.bind(now, reply, None);
                }
                self.state = state;
                Vec::new()
            }
            (State::Requesting { server, address }, ReplyKind::Reply) if server == reply.server => {
                self.answered(now, reply, server, address)
            }
            (State::Extending { lease, since, how }, ReplyKind::Reply)
                if how == Extension::Rebind || lease.server == reply.server =>
            {
                self.extended(now, reply, lease, since, how)
            }
            (State::Declining, ReplyKind::Reply) => {
                self.rest(now);
                Vec::new()
            }
            (State::Informing(known), ReplyKind::Reply) => self.informed(now, reply, known),
            (state, _) => {
                self.state = state;
                Vec::new()
            }
        }
    }

    /// Begins from the beginning.
    fn start(&mut self, now: Duration) -> Vec<Action> {
        if self.mode == Mode::Stateless {
            return self.inform(now, None);
        }
        self.state = State::Soliciting { best: None, fallback: None };
        // Who may commit without being asked again cannot be passed over.
        let query = QueryKind::Solicit { rapid: self.avoid.is_empty() };
        self.exchange(now, query, Retry::new(retry::SOLICIT))
    }

    fn bind(&mut self, now: Duration, reply: Reply, wanted: Option<Ipv6Addr>) -> Vec<Action> {
        let Some(granted) = reply.address(wanted) else { return Vec::new() };
        self.remember(&reply.server);
        let lease = Lease::new(reply, granted);
        self.rounds = 0;
        self.trouble = None;
        self.held = true;
        self.wake_at = earliest(now, [lease.renewal, lease.rebinding, lease.end]);
        self.state = State::Bound { lease: lease.clone(), since: now };
        vec![Action::Bound(lease)]
    }

    fn lost(&mut self, why: &'static str) -> Vec<Action> {
        if core::mem::take(&mut self.held) { vec![Action::Lost(why)] } else { Vec::new() }
    }

    fn remember(&mut self, server: &Duid) {
        if self.servers.len() < MAX_SERVERS && !self.servers.contains(server) {
            self.servers.push(server.clone());
        }
    }

    /// The place among those that are avoided: the last is who was found to be useless last.
    fn avoided_since(&self, server: &Duid) -> Option<usize> {
        self.avoid.iter().position(|known| known == server)
    }

    fn avoid(&mut self, server: Duid) {
        self.avoid.retain(|known| *known != server);
        if self.avoid.len() < MAX_SERVERS {
            self.avoid.push(server);
        }
    }
}

fn refusal(reply: &Reply) -> String {
    let server = &reply.server;
    let why = match reply.status {
        Status::Success => "gives nothing that is of use".to_owned(),
        Status::NoAddresses => "has no address to give".to_owned(),
        Status::NoBinding => "does not know our lease".to_owned(),
        Status::NotOnLink => "says that the address does not fit the link".to_owned(),
        Status::Other(code) => format!("refused with status {code}"),
    };
    match &reply.text {
        Some(text) => format!("{server} {why}: {text}"),
        None => format!("{server} {why}"),
    }
}

/// The earliest of some times after `since`.
fn earliest<const N: usize>(since: Duration, times: [Option<Duration>; N]) -> Option<Duration> {
    times.into_iter().flatten().min().map(|time| since + time)
}

#[cfg(test)]
#[path = "fsm_tests.rs"]
mod tests;
