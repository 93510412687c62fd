//! Giving back an address that another machine has (RFC 8415, 18.2.8).

use core::net::Ipv6Addr;
use core::time::Duration;

use super::Action;
use super::Client;
use super::State;
use crate::backoff::pause;
use crate::dhcp6::message::QueryKind;
use crate::dhcp6::retry;
use crate::dhcp6::retry::Retry;

impl Client {
    pub(super) fn decline(&mut self, now: Duration, address: Ipv6Addr) -> Vec<Action> {
        let (State::Bound { lease, .. } | State::Extending { lease, .. }) = &self.state else {
            return Vec::new();
        };
        if lease.address != Some(address) {
            return Vec::new();
        }
        let server = lease.server.clone();
        self.declines = self.declines.saturating_add(1);
        self.trouble = Some(format!("{server} gave {address}, but another machine has it"));
        let mut actions = self.lost("another machine has the address");
        self.state = State::Declining;
        let query = QueryKind::Decline { server, address };
        actions.extend(self.exchange(now, query, Retry::new(retry::DECLINE)));
        actions
    }

    /// Waits before beginning from the beginning; longer after each address that is taken.
    pub(super) fn rest(&mut self, now: Duration) {
        self.state = State::Idle;
        // What comes late for what was refused is not to be taken for an answer.
        self.xid = self.next_xid();
        self.wake_at = Some(now + pause(self.declines.max(1), &mut self.random));
    }
}
