//! Keeping a lease (RFC 2131, 4.4.5).

use core::time::Duration;

use super::Action;
use super::Client;
use super::State;
use crate::dhcp::lease::Lease;
use crate::dhcp::message::QueryKind;

/// Shortest pause between two messages that extend a lease (RFC 2131, 4.4.5).
const MIN_EXTEND: Duration = Duration::from_secs(60);

impl Client {
    /// Half-way through the lease its server is asked for more, towards its end any server.
    pub(super) fn extend(&mut self, now: Duration, lease: Lease, since: Duration) -> Vec<Action> {
        let rebinding = since + lease.rebinding;
        let end = since + Duration::from_secs(lease.seconds.into());
        if now >= end {
            self.trouble = Some(format!("the lease of {} has run out", lease.address));
            let mut actions = self.lost("no server extended the lease before its end");
            actions.extend(self.discover(now, true));
            return actions;
        }
        self.xid = self.random.next_u32();
        self.begun = now;
        let query = QueryKind::Extend { address: lease.address };
        let (to, next) =
            if now < rebinding { (Some(lease.server), rebinding) } else { (None, end) };
        let half = next.saturating_sub(now) / 2;
        let at = (now + half.max(MIN_EXTEND)).min(next);
        self.wake_at = Some(at.max(now + Duration::from_secs(1)));
        self.state = if to.is_some() {
            State::Renewing { lease, since }
        } else {
            State::Rebinding { lease, since }
        };
        vec![self.send(now, to, query)]
    }
}
