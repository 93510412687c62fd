//! Leases whose address another machine has.

use core::net::Ipv4Addr;
use core::time::Duration;

use hostcfg::Mac;

use crate::backoff::Random;

/// Shortest pause after a conflict (RFC 2131, 3.1.5).
const PAUSE: Duration = Duration::from_secs(10);
/// The pause doubles so often: to 40 seconds.
const DOUBLINGS: u32 = 2;
/// Whoever claims so many addresses that servers gave us does not have them, but answers for
/// everything: a router with a misplaced ARP proxy, or somebody who does not want us to boot.
pub(super) const TOO_MANY: usize = 3;
/// Most claims that are remembered.
const MAX_CLAIMS: usize = 32;

/// The conflicts of one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts {
    claims: Vec<([u8; 6], Ipv4Addr)>,
    in_a_row: u32,
}

impl Conflicts {
    /// Notes one, and says what it means.
    pub(super) fn with(&mut self, by: [u8; 6], address: Ipv4Addr, server: Ipv4Addr) -> String {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.claims.len() < MAX_CLAIMS && !self.claims.contains(&(by, address)) {
            self.claims.push((by, address));
        }
        let mac = Mac::ethernet(by);
        format!("{server} gave {address}, but the machine with the MAC address {mac} has it")
    }

    /// The address of a lease is free.
    pub(super) const fn none(&mut self) {
        self.in_a_row = 0;
    }

    pub(super) const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Hardware addresses whose claims are no more believed.
    pub(super) fn claims_everything(&self) -> Vec<[u8; 6]> {
        let count = |mac| self.claims.iter().filter(|(by, _)| *by == mac).count();
        let mut macs: Vec<[u8; 6]> = self.claims.iter().map(|(by, _)| *by).collect();
        macs.sort_unstable();
        macs.dedup();
        macs.retain(|mac| count(*mac) >= TOO_MANY);
        macs
    }

    /// How long to wait before asking for another address: 10, 20, and then always 40 seconds, and
    /// up to 2 seconds more.
    pub(super) fn pause(&self, random: &mut Random) -> Duration {
        let doublings = self.in_a_row.saturating_sub(1).min(DOUBLINGS);
        PAUSE * (1 << doublings) + Duration::from_millis(random.next_u64() % 2001)
    }
}
