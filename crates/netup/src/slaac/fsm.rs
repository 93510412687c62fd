//! What a host makes of router advertisements (RFC 4861, RFC 4862), without clock and without
//! socket: events and the time go in, solicitations and changes of the settings come out.
//!
//! Solicitations go out until a router has been found, however long that takes, and again when the
//! last one is gone (RFC 7559). The first goes out at once, and the pauses are shorter than the
//! RFC's, which are made for hosts that sleep: 2, 4, 8, 16 and then always 32 seconds, a tenth more
//! or less.

use core::net::Ipv6Addr;
use core::time::Duration;

use super::address::Addresses;
use super::message::Advertisement;
use super::message::INFINITE;
use super::message::MAX_EACH;
use super::message::Preference;
use super::message::RouteInfo;
use super::message::solicitation;
use super::settings::Prefix;
use super::settings::Route;
use super::settings::Settings;
use crate::backoff::Random;
use crate::names::MAX_SEARCH;

/// Most routers that are kept.
pub(crate) const MAX_ROUTERS: usize = 8;
/// The first pause between two solicitations, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// Pauses while nothing can be sent, because the interface has no address of its own yet: short at
/// first, because that takes a second or two.
const UNSENT_PAUSE: Duration = Duration::from_millis(100);
const UNSENT_LATER: Duration = Duration::from_secs(1);
const UNSENT_SHORT: u32 = 20;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// [`Machine::wake_at`] has come.
    Timer,
    /// An ICMPv6 message.
    Packet { bytes: &'a [u8], source: Ipv6Addr, hop_limit: u8 },
    /// The last solicitation could not be sent.
    Unsent,
    /// Another machine has this address of ours.
    Duplicate(Ipv6Addr),
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Send this to all routers on the link.
    Solicit([u8; 16]),
    /// [`Machine::settings`] are other ones than before.
    Changed,
}

/// Something that holds until a time, or for ever.
#[derive(Clone, Debug)]
struct Timed<T> {
    what: T,
    until: Option<Duration>,
}

/// The default router's part of an advertisement.
#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Addr,
    preference: Preference,
}

/// All that is known from the routers of one link. Times are durations since any fixed point.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    mac: [u8; 6],
    random: Random,
    solicit_at: Option<Duration>,
    pause: Duration,
    last_sent: Option<Duration>,
    unsent: u32,
    solicitations: u32,
    routers: Vec<Timed<Router>>,
    prefixes: Vec<Timed<Prefix>>,
    addresses: Addresses,
    routes: Vec<Timed<Route>>,
    dns: Vec<Timed<Ipv6Addr>>,
    search: Vec<Timed<String>>,
    /// MTU, managed, other, heard: what has no lifetime.
    lasting: Settings,
    settings: Settings,
}

impl Machine {
    /// A machine that wants to be woken at `now`.
    pub(crate) fn new(mac: [u8; 6], random: Random, now: Duration) -> Self {
        Self {
            mac,
            random,
            solicit_at: Some(now),
            pause: FIRST_PAUSE,
            last_sent: None,
            unsent: 0,
            solicitations: 0,
            routers: Vec::new(),
            prefixes: Vec::new(),
            addresses: Addresses::new(mac),
            routes: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
            lasting: Settings::default(),
            settings: Settings::default(),
        }
    }

    /// When it wants [`Event::Timer`]; `None` for never.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        let times = [
            soonest(&self.routers),
            soonest(&self.prefixes),
            soonest(&self.routes),
            soonest(&self.dns),
            soonest(&self.search),
            self.addresses.wake_at(),
            self.solicit_at,
        ];
        times.into_iter().flatten().min()
    }

    /// What holds now.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many solicitations went out since there was a router.
    pub(crate) const fn solicitations(&self) -> u32 {
        self.solicitations
    }

    /// What went wrong, other than silence.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.addresses.trouble()
    }

    /// Takes an event in; what comes out is to be done in its order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Timer => {
                // First: a router that is gone is a reason to ask.
                self.expire(now);
                if self.solicit_at.is_some_and(|at| at <= now) {
                    actions.push(self.solicit(now));
                }
            }
            Event::Packet { bytes, source, hop_limit } => {
                if let Ok(advertisement) = Advertisement::parse(bytes, source, hop_limit) {
                    self.learn(now, source, advertisement);
                }
            }
            Event::Unsent => self.unsent(now),
            Event::Duplicate(address) => self.addresses.duplicate(address, &mut self.random),
        }
        self.expire(now);
        if self.settle() {
            actions.push(Action::Changed);
        }
        actions
    }

    fn solicit(&mut self, now: Duration) -> Action {
        self.solicitations = self.solicitations.saturating_add(1);
        self.last_sent = Some(now);
        self.solicit_at = Some(now + jittered(self.pause, &mut self.random));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Action::Solicit(solicitation(self.mac))
    }

    /// What was not sent does not count, neither as a try nor for the pauses.
    fn unsent(&mut self, now: Duration) {
        if self.last_sent.is_none() || self.solicit_at.is_none() {
            return;
        }
        self.unsent = self.unsent.saturating_add(1);
        self.solicitations = self.solicitations.saturating_sub(1);
        self.pause = FIRST_PAUSE;
        let pause = if self.unsent <= UNSENT_SHORT { UNSENT_PAUSE } else { UNSENT_LATER };
        self.solicit_at = Some(now + pause);
    }

    fn learn(&mut self, now: Duration, source: Ipv6Addr, said: Advertisement) {
        let router = Router { address: source, preference: said.preference };
        let same = |known: &Router| known.address == source;
        hold(&mut self.routers, MAX_ROUTERS, router, now, said.lifetime.into(), same);
        for info in &said.prefixes {
            if info.on_link {
                let prefix = Prefix { network: info.network, prefix_len: info.prefix_len };
                let same = |known: &Prefix| *known == prefix;
                hold(&mut self.prefixes, MAX_EACH, prefix, now, info.valid, same);
            }
            if info.autonomous {
                self.addresses.learn(now, info.network, info.valid, info.preferred);
            }
        }
        for &RouteInfo { destination, prefix_len, seconds } in &said.routes {
            let route = Route { destination, prefix_len, gateway: source };
            let same = |known: &Route| *known == route;
            hold(&mut self.routes, MAX_EACH, route, now, seconds, same);
        }
        for (server, seconds) in said.dns {
            let same = |known: &Ipv6Addr| *known == server;
            hold(&mut self.dns, MAX_EACH, server, now, seconds, same);
        }
        for (name, seconds) in said.search {
            let same = |known: &String| *known == name;
            hold(&mut self.search, MAX_SEARCH, name.clone(), now, seconds, same);
        }
        // Flags and MTU have no lifetime: what was said last holds, and who has once been sent to
        // DHCPv6 goes on with it.
        self.lasting.managed |= said.managed;
        self.lasting.other |= said.other;
        self.lasting.mtu = said.mtu.or(self.lasting.mtu);
        self.lasting.heard = true;
    }

    fn expire(&mut self, now: Duration) {
        drop_old(&mut self.routers, now);
        drop_old(&mut self.prefixes, now);
        drop_old(&mut self.routes, now);
        drop_old(&mut self.dns, now);
        drop_old(&mut self.search, now);
        self.addresses.expire(now);
        if !self.routers.is_empty() {
            self.solicit_at = None;
            self.solicitations = 0;
        } else if self.solicit_at.is_none() {
            // The last router is gone. Routers that come and go do not make us hurry.
            self.pause = FIRST_PAUSE;
            let earliest = self.last_sent.map_or(now, |sent| sent + FIRST_PAUSE);
            self.solicit_at = Some(earliest.max(now));
        }
    }

    /// Brings the settings up to date; whether they have changed.
    fn settle(&mut self) -> bool {
        let mut routers: Vec<Router> = self.routers.iter().map(|known| known.what).collect();
        routers.sort_by_key(|router| core::cmp::Reverse(router.preference));
        let settings = Settings {
            addresses: self.addresses.list(),
            on_link: whats(&self.prefixes),
            routers: routers.iter().map(|router| router.address).collect(),
            routes: whats(&self.routes),
            dns: whats(&self.dns),
            search: whats(&self.search),
            ..self.lasting.clone()
        };
        let changed = settings != self.settings;
        self.settings = settings;
        changed
    }
}

/// A lifetime's end; `None` if it has none.
pub(super) fn end(now: Duration, seconds: u32) -> Option<Duration> {
    (seconds != INFINITE).then(|| now + Duration::from_secs(seconds.into()))
}

/// A tenth more or less.
fn jittered(pause: Duration, random: &mut Random) -> Duration {
    let tenth = pause / 10;
    let spread = u64::try_from(tenth.as_millis()).unwrap_or(0).saturating_mul(2).saturating_add(1);
    pause.saturating_sub(tenth) + Duration::from_millis(random.next_u64() % spread)
}

/// Keeps something for some seconds more, or forgets it for 0. When there is no room, what is new
/// is left out: so nobody can drive out what is in use.
fn hold<T>(
    all: &mut Vec<Timed<T>>,
    most: usize,
    what: T,
    now: Duration,
    seconds: u32,
    same: impl Fn(&T) -> bool,
) {
    if seconds == 0 {
        all.retain(|known| !same(&known.what));
        return;
    }
    let until = end(now, seconds);
    let room = all.len() < most;
    match all.iter_mut().find(|known| same(&known.what)) {
        Some(known) => *known = Timed { what, until },
        None if room => all.push(Timed { what, until }),
        None => {}
    }
}

fn drop_old<T>(all: &mut Vec<Timed<T>>, now: Duration) {
    all.retain(|known| known.until.is_none_or(|until| until > now));
}

fn soonest<T>(all: &[Timed<T>]) -> Option<Duration> {
    all.iter().filter_map(|known| known.until).min()
}

fn whats<T: Clone>(all: &[Timed<T>]) -> Vec<T> {
    all.iter().map(|known| known.what.clone()).collect()
}

#[cfg(test)]
#[path = "fsm_tests.rs"]
mod tests;
