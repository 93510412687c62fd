//! What a server gives, made to fit.

use core::net::Ipv6Addr;
use core::time::Duration;

use super::duid::Duid;
use super::message::Reply;
use super::options::Granted;

/// A time that never ends, in seconds.
pub(crate) const INFINITE: u32 = u32::MAX;
/// Shortest lifetime that is taken at its word: less would mean a message every few seconds.
const MIN_VALID: u32 = 16;
/// The lease is not extended earlier than this.
const MIN_RENEWAL: u32 = 8;
/// When to ask again for what has no lifetime, unless the server says it, and no sooner than the
/// second (RFC 8415, 21.23).
const REFRESH: u32 = 86_400;
const MIN_REFRESH: u32 = 600;

/// An address for some time, with what goes with it; or only that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lease {
    /// Without prefix length (so 128): networks on the link are for routers to say. `None` if none
    /// was asked for.
    pub(crate) address: Option<Ipv6Addr>,
    /// How long the address is good for new connections; [`INFINITE`] is for ever.
    pub(crate) preferred_seconds: u32,
    /// How long it is good at all; [`INFINITE`] is for ever.
    pub(crate) seconds: u32,
    pub(crate) server: Duid,
    /// May be link-local.
    pub(crate) dns: Vec<Ipv6Addr>,
    pub(crate) search: Vec<String>,
    /// May be link-local.
    pub(crate) ntp: Vec<Ipv6Addr>,
    /// From the answer on: when its server is asked for more, when any server is, and when the
    /// address is not ours any more; `None` for never.
    pub(super) renewal: Option<Duration>,
    pub(super) rebinding: Option<Duration>,
    pub(super) end: Option<Duration>,
}

impl Lease {
    pub(super) fn new(reply: Reply, granted: Granted) -> Self {
        let valid = granted.valid.max(MIN_VALID);
        let base = if granted.preferred == 0 { valid } else { granted.preferred };
        let (renewal, rebinding) = match (reply.renewal, reply.rebinding) {
            (t1, t2) if t1 > 0 && t1 <= t2 && t2 <= valid => (t1, t2),
            _ if base == INFINITE => (INFINITE, INFINITE),
            _ => (base / 2, base - base / 5),
        };
        let renewal = renewal.max(MIN_RENEWAL);
        Self {
            address: Some(granted.address),
            preferred_seconds: granted.preferred,
            seconds: valid,
            server: reply.server,
            dns: reply.dns,
            search: reply.search,
            ntp: reply.ntp,
            renewal: duration(renewal),
            rebinding: duration(rebinding.max(renewal)),
            end: duration(valid),
        }
    }

    /// What a server says without giving an address.
    pub(super) fn stateless(reply: Reply) -> Self {
        let refresh = reply.refresh.unwrap_or(REFRESH).max(MIN_REFRESH);
        Self {
            address: None,
            preferred_seconds: INFINITE,
            seconds: INFINITE,
            server: reply.server,
            dns: reply.dns,
            search: reply.search,
            ntp: reply.ntp,
            renewal: duration(refresh),
            rebinding: None,
            end: None,
        }
    }
}

fn duration(seconds: u32) -> Option<Duration> {
    (seconds != INFINITE).then(|| Duration::from_secs(seconds.into()))
}
