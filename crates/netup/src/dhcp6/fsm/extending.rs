//! Keeping a lease (RFC 8415, 18.2.4 and 18.2.5).

use core::time::Duration;

use super::Action;
use super::Client;
use super::Extension;
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
    /// At T1 its server is asked for more, at T2 any server, at the end it is over.
    pub(super) fn extend(
        &mut self,
        now: Duration,
        lease: Lease,
        since: Duration,
        before: Option<Extension>,
    ) -> Vec<Action> {
        let Some(address) = lease.address else { return self.inform(now, Some(lease)) };
        let passed = |time: Option<Duration>| time.is_some_and(|time| since + time <= now);
        if passed(lease.end) {
            self.trouble = Some(format!("the lease of {address} has run out"));
            let mut actions = self.lost("no server extended the lease before its end");
            actions.extend(self.start(now));
            return actions;
        }
        let how = if passed(lease.rebinding) {
            Extension::Rebind
        } else if before == Some(Extension::Request) {
            Extension::Request
        } else {
            Extension::Renew
        };
        let server = lease.server.clone();
        let (rebinding, end) = (lease.rebinding, lease.end);
        self.state = State::Extending { lease, since, how };
        let actions = if before == Some(how) {
            self.send(now)
        } else {
            let (query, pace) = match how {
                Extension::Renew => (QueryKind::Renew { server, address }, retry::EXTEND),
                Extension::Request => (QueryKind::Request { server, address }, retry::REQUEST),
                Extension::Rebind => (QueryKind::Rebind { address }, retry::EXTEND),
            };
            self.exchange(now, query, Retry::new(pace))
        };
        let limits = [rebinding.filter(|_| how != Extension::Rebind), end];
        let limit = earliest(since, limits).filter(|limit| *limit > now);
        self.wake_at = self.wake_at.into_iter().chain(limit).min();
        actions
    }

    pub(super) fn extended(
        &mut self,
        now: Duration,
        reply: Reply,
        lease: Lease,
        since: Duration,
        how: Extension,
    ) -> Vec<Action> {
        let taken_back =
            reply.addresses.iter().any(|one| Some(one.address) == lease.address && one.valid == 0);
        match reply.status {
            Status::Success if reply.address(lease.address).is_some() => {
                self.bind(now, reply, lease.address)
            }
            Status::NoBinding if how == Extension::Renew => self.anew(now, lease, since),
            Status::NotOnLink | Status::NoAddresses => self.taken_back(now, &reply),
            Status::Success if taken_back => self.taken_back(now, &reply),
            _ => {
                self.state = State::Extending { lease, since, how };
                Vec::new()
            }
        }
    }

    pub(super) fn taken_back(&mut self, now: Duration, reply: &Reply) -> Vec<Action> {
        self.trouble = Some(refusal(reply));
        self.rest(now);
        self.lost("the server took the lease back")
    }

    /// Its server has forgotten the lease, such as one that was started anew: it is asked for the
    /// same address in a second (18.2.10.1).
    pub(super) fn anew(&mut self, now: Duration, lease: Lease, since: Duration) -> Vec<Action> {
        if let Some(address) = lease.address {
            self.query = QueryKind::Request { server: lease.server.clone(), address };
        }
        self.retry = Retry::new(retry::REQUEST);
        self.begun = now;
        self.xid = self.next_xid();
        let soon = now + Duration::from_millis(1000 + self.random.next_u64() % 500);
        self.wake_at = Some(self.wake_at.map_or(soon, |at| at.min(soon)));
        self.state = State::Extending { lease, since, how: Extension::Request };
        Vec::new()
    }
}
