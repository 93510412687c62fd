//! What a server gives, made to fit.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::message::Reply;
use super::message::Route;

/// Shortest lease that is taken at its word: less would mean a message every few seconds.
const MIN_LEASE: u32 = 16;
/// Lease time where the server says none.
const DEFAULT_LEASE: u32 = 3600;
/// A lease that never ends.
pub(crate) const INFINITE: u32 = u32::MAX;

/// An address for some time, with what goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: Option<u8>,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) routes: Option<Vec<Route>>,
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Domains in which short names are looked for.
    pub(crate) search: Vec<String>,
    pub(crate) ntp: Vec<Ipv4Addr>,
    pub(crate) mtu: Option<u16>,
    pub(crate) server: Ipv4Addr,
    /// [`INFINITE`] is for ever.
    pub(crate) seconds: u32,
    /// From the answer on: when its server is asked for more time, and when any server is.
    pub(super) renewal: Duration,
    pub(super) rebinding: Duration,
}

impl Lease {
    pub(super) fn new(reply: Reply, server: Ipv4Addr) -> Self {
        let seconds = reply.lease_seconds.unwrap_or(DEFAULT_LEASE).max(MIN_LEASE);
        let whole = u64::from(seconds);
        let given = (
            u64::from(reply.renewal_seconds.unwrap_or(0)),
            u64::from(reply.rebinding_seconds.unwrap_or(0)),
        );
        let (renewal, rebinding) = match given {
            (t1, t2) if 1 < t1 && t1 < t2 && t2 < whole => (t1, t2),
            (t1, 0) if 1 < t1 && t1 < whole * 7 / 8 => (t1, whole * 7 / 8),
            _ => (whole / 2, whole * 7 / 8),
        };
        Self {
            address: reply.address,
            prefix_len: reply.prefix_len,
            router: reply.router,
            routes: reply.routes,
            dns: reply.dns,
            search: reply.search,
            ntp: reply.ntp,
            mtu: reply.mtu,
            server,
            seconds,
            renewal: Duration::from_secs(renewal),
            rebinding: Duration::from_secs(rebinding),
        }
    }
}
