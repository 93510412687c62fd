//! What goes with an address that somebody else gives (RFC 8415, 18.2.6).

use core::time::Duration;

use super::Action;
use super::Client;
use super::OTHERS_FIRST;
use super::State;
use super::earliest;
use super::refusal;
use crate::dhcp6::lease::Lease;
use crate::dhcp6::message::QueryKind;
use crate::dhcp6::message::Reply;
use crate::dhcp6::options::Status;
use crate::dhcp6::retry;
use crate::dhcp6::retry::Retry;

impl Client {
    pub(super) fn inform(&mut self, now: Duration, known: Option<Lease>) -> Vec<Action> {
        self.state = State::Informing(known);
        self.exchange(now, QueryKind::Inform, Retry::new(retry::INFORM))
    }

    pub(super) fn informed(
        &mut self,
        now: Duration,
        reply: Reply,
        known: Option<Lease>,
    ) -> Vec<Action> {
        let empty = reply.dns.is_empty() && reply.ntp.is_empty() && reply.search.is_empty();
        if reply.status != Status::Success || empty {
            self.trouble = Some(refusal(&reply));
            self.state = State::Informing(known);
            return Vec::new();
        }
        self.remember(&reply.server);
        if self.avoid.contains(&reply.server) && now < self.begun + OTHERS_FIRST {
            // It is asked again, and then taken if there is nobody else.
            self.state = State::Informing(known);
            return Vec::new();
        }
        let lease = Lease::stateless(reply);
        self.rounds = 0;
        self.trouble = None;
        self.held = true;
        self.wake_at = earliest(now, [lease.renewal]);
        self.state = State::Bound { lease: lease.clone(), since: now };
        vec![Action::Bound(lease)]
    }
}
