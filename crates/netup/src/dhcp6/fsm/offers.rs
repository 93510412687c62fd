//! Choosing among servers, and asking one for its address (RFC 8415, 18.2.1 and 18.2.2).

use core::net::Ipv6Addr;
use core::time::Duration;

use super::Action;
use super::BEST;
use super::COLLECT;
use super::Client;
use super::OTHERS_FIRST;
use super::State;
use super::refusal;
use crate::dhcp6::duid::Duid;
use crate::dhcp6::message::QueryKind;
use crate::dhcp6::message::Reply;
use crate::dhcp6::options::Status;
use crate::dhcp6::retry;
use crate::dhcp6::retry::Retry;

impl Client {
    pub(super) fn offer(
        &mut self,
        now: Duration,
        offer: Reply,
        mut best: Option<Reply>,
        mut fallback: Option<Reply>,
    ) -> Vec<Action> {
        if self.is_useful(&offer) {
            self.remember(&offer.server);
            if self.avoid.contains(&offer.server) {
                if fallback.is_none() && best.is_none() {
                    self.wake_at = Some(now + OTHERS_FIRST);
                }
                // Who was found to be useless last comes last.
                let known = fallback.take().filter(|known| {
                    self.avoided_since(&known.server) <= self.avoided_since(&offer.server)
                });
                fallback = known.or(Some(offer));
            } else if offer.preference == BEST {
                return self.request(now, &offer);
            } else {
                let at = now + COLLECT;
                self.wake_at = Some(self.wake_at.map_or(at, |wake_at| wake_at.min(at)));
                let better = best.as_ref().is_none_or(|best| best.preference < offer.preference);
                best = if better { Some(offer) } else { best };
            }
        }
        self.state = State::Soliciting { best, fallback };
        Vec::new()
    }

    /// Whether a server gives an address. If not, what it says is noted.
    pub(super) fn is_useful(&mut self, reply: &Reply) -> bool {
        let useful = reply.status == Status::Success && reply.address(None).is_some();
        if !useful {
            self.trouble = Some(refusal(reply));
        }
        useful
    }

    pub(super) fn request(&mut self, now: Duration, offer: &Reply) -> Vec<Action> {
        let Some(granted) = offer.address(None) else { return self.start(now) };
        let (server, address) = (offer.server.clone(), granted.address);
        self.state = State::Requesting { server: server.clone(), address };
        self.exchange(now, QueryKind::Request { server, address }, Retry::new(retry::REQUEST))
    }

    pub(super) fn answered(
        &mut self,
        now: Duration,
        reply: Reply,
        server: Duid,
        address: Ipv6Addr,
    ) -> Vec<Action> {
        match reply.status {
            Status::Success if reply.address(Some(address)).is_some() => {
                self.bind(now, reply, Some(address))
            }
            // May be better next time: the timer asks again.
            Status::Other(_) => {
                self.trouble = Some(refusal(&reply));
                self.state = State::Requesting { server, address };
                Vec::new()
            }
            _ => {
                self.trouble = Some(refusal(&reply));
                self.avoid(server);
                self.rest(now);
                Vec::new()
            }
        }
    }
}
