//! Messages of one exchange, again and again (RFC 8415, 15).

use core::time::Duration;

use super::Action;
use super::Client;
use super::UNSENT_LATER;
use super::UNSENT_PAUSE;
use super::UNSENT_SHORT;
use crate::dhcp6::message::Query;
use crate::dhcp6::message::QueryKind;
use crate::dhcp6::retry::Retry;

impl Client {
    /// Sends the first message of an exchange.
    pub(super) fn exchange(
        &mut self,
        now: Duration,
        query: QueryKind,
        retry: Retry,
    ) -> Vec<Action> {
        self.query = query;
        self.retry = retry;
        self.begun = now;
        self.xid = self.next_xid();
        self.send(now)
    }

    /// Sends the message of this exchange, for the first time or again.
    pub(super) fn send(&mut self, now: Duration) -> Vec<Action> {
        self.rounds = self.rounds.saturating_add(1);
        self.wake_at = Some(now + self.retry.next(&mut self.random));
        let elapsed = now.saturating_sub(self.begun).as_millis() / 10;
        let query = Query {
            kind: &self.query,
            xid: self.xid,
            client: &self.duid,
            iaid: self.iaid,
            elapsed: u16::try_from(elapsed).unwrap_or(u16::MAX),
        };
        vec![Action::Send(query.encode())]
    }

    /// What was not sent does not count, neither as a try nor for the pauses.
    pub(super) fn unsent(&mut self, now: Duration) {
        if self.retry.sent() == 0 {
            return;
        }
        self.retry.unsent();
        self.rounds = self.rounds.saturating_sub(1);
        self.unsent = self.unsent.saturating_add(1);
        let pause = if self.unsent <= UNSENT_SHORT { UNSENT_PAUSE } else { UNSENT_LATER };
        self.wake_at = self.wake_at.map(|at| at.min(now + pause));
    }

    pub(super) fn next_xid(&mut self) -> u32 {
        self.random.next_u32() >> 8
    }
}
