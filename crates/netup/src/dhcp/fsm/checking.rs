//! Whether another machine has the address of a lease (RFC 5227), and what follows if so (RFC 2131,
//! 3.1.5).

use core::net::Ipv4Addr;
use core::time::Duration;

use super::Action;
use super::Client;
use super::State;
use crate::acd;
use crate::acd::Detector;
use crate::acd::Stance;
use crate::backoff::Random;
use crate::dhcp::lease::INFINITE;
use crate::dhcp::lease::Lease;
use crate::dhcp::message::QueryKind;
use crate::dhcp::message::Reply;

impl Client {
    pub(super) fn bind(&mut self, now: Duration, reply: Reply, server: Ipv4Addr) -> Vec<Action> {
        let lease = Lease::new(reply, server);
        if !self.checks || self.held {
            // What is extended is the lease of an address that is watched already.
            return self.bound(lease, now);
        }
        let random = Random::seeded(self.random.next_u64());
        let detector = Detector::new(self.mac, lease.address, Stance::Yield, random, now);
        self.detector = Some(detector.exempting(self.conflicts.claims_everything()));
        self.wake_at = None;
        self.state = State::Checking { lease, since: now };
        self.detect(now, acd::Event::Timer)
    }

    pub(super) fn bound(&mut self, lease: Lease, since: Duration) -> Vec<Action> {
        self.rounds = 0;
        self.trouble = None;
        self.held = true;
        self.wake_at = (lease.seconds != INFINITE).then(|| since + lease.renewal);
        self.state = State::Bound { lease: lease.clone(), since };
        vec![Action::Bound(lease)]
    }

    pub(super) fn detect(&mut self, now: Duration, event: acd::Event<'_>) -> Vec<Action> {
        let Some(detector) = &mut self.detector else { return Vec::new() };
        let mut actions = Vec::new();
        for action in detector.handle(now, event) {
            match action {
                acd::Action::Send(frame) => actions.push(Action::SendArp(frame)),
                acd::Action::Free => {
                    self.conflicts.none();
                    if let State::Checking { lease, since } = self.state.clone() {
                        actions.extend(self.bound(lease, since));
                    }
                }
                acd::Action::Conflict(by) => return self.decline(now, by),
            }
        }
        actions
    }

    /// RFC 2131, 3.1.5: the server is told, and asked again after ten seconds or more.
    pub(super) fn decline(&mut self, now: Duration, by: [u8; 6]) -> Vec<Action> {
        let (State::Checking { lease, .. }
        | State::Bound { lease, .. }
        | State::Renewing { lease, .. }
        | State::Rebinding { lease, .. }) = core::mem::replace(&mut self.state, State::Idle)
        else {
            return self.lost("another machine has the address");
        };
        let (address, server) = (lease.address, lease.server);
        self.trouble = Some(self.conflicts.with(by, address, server));
        // The first time in a row the server may not have known. A conflict that shows itself only
        // later would be the first one each time.
        if self.conflicts.in_a_row() > 1 || self.held {
            self.avoid(server);
        }
        self.xid = self.random.next_u32();
        self.begun = now;
        let declined = self.send(now, None, QueryKind::Decline { address, server });
        // What comes late for the declined lease is not to be taken for an answer.
        self.xid = self.random.next_u32();
        self.wake_at = Some(now + self.conflicts.pause(&mut self.random));
        let mut actions = self.lost("another machine has the address");
        actions.push(declined);
        actions
    }
}
