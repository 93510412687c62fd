//! The addresses that a host makes for itself of the prefixes that routers announce (RFC 4862,
//! 5.5).
//!
//! The first choice follows from the MAC address: on a provisioning network it is a virtue that an
//! operator can tell the address in advance. When another machine has it, a random one is tried,
//! then another, then none (as in RFC 7217, 6).

use core::net::Ipv6Addr;
use core::time::Duration;

use super::fsm::end;
use super::message::MAX_EACH;
use super::settings::Address;
use crate::backoff::Random;
use crate::v6::eui64;

/// How many addresses are tried of one prefix.
const MAX_TRIES: u32 = 3;
/// Nobody who forges advertisements can make the lifetime of an address shorter than this
/// (RFC 4862, 5.5.3 e).
const TWO_HOURS: Duration = Duration::from_secs(7200);

/// An address, or none any more, of one prefix of 64 bits.
#[derive(Clone, Debug)]
struct Own {
    prefix: Ipv6Addr,
    /// `None`: each that was tried belongs to another machine.
    address: Option<Ipv6Addr>,
    tries: u32,
    /// `None`: for ever; as the next.
    valid_until: Option<Duration>,
    preferred_until: Option<Duration>,
    deprecated: bool,
}

/// All addresses of one interface.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    identifier: u64,
    own: Vec<Own>,
    trouble: Option<String>,
}

impl Addresses {
    pub(super) const fn new(mac: [u8; 6]) -> Self {
        Self { identifier: eui64(mac), own: Vec::new(), trouble: None }
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A router has announced a prefix of 64 bits, with lifetimes in seconds.
    pub(super) fn learn(&mut self, now: Duration, prefix: Ipv6Addr, valid: u32, preferred: u32) {
        let preferred_until = end(now, preferred);
        let valid_until = end(now, valid);
        if let Some(own) = self.own.iter_mut().find(|own| own.prefix == prefix) {
            own.preferred_until = preferred_until;
            let longer = later(valid_until, own.valid_until);
            let long = valid_until.is_none_or(|until| until > now + TWO_HOURS);
            if longer || long {
                own.valid_until = valid_until;
            } else if own.valid_until.is_none_or(|until| until > now + TWO_HOURS) {
                own.valid_until = Some(now + TWO_HOURS);
            }
        } else if valid > 0 && self.own.len() < MAX_EACH {
            let address = Some(join(prefix, self.identifier));
            self.own.push(Own {
                prefix,
                address,
                tries: 1,
                valid_until,
                preferred_until,
                deprecated: false,
            });
        }
    }

    /// Another machine has this address: another one is made of the same prefix, or none.
    pub(super) fn duplicate(&mut self, address: Ipv6Addr, random: &mut Random) {
        let Some(own) = self.own.iter_mut().find(|own| own.address == Some(address)) else {
            return;
        };
        let prefix = own.prefix;
        if own.tries < MAX_TRIES {
            own.tries += 1;
            own.address = Some(join(prefix, identifier(random)));
            self.trouble = Some(format!("another machine has the address {address}"));
        } else {
            own.address = None;
            self.trouble =
                Some(format!("other machines have each of {MAX_TRIES} addresses in {prefix}/64"));
        }
    }

    pub(super) fn expire(&mut self, now: Duration) {
        self.own.retain(|own| own.valid_until.is_none_or(|until| until > now));
        for own in &mut self.own {
            own.deprecated = own.preferred_until.is_some_and(|until| until <= now);
        }
    }

    /// When an address comes to its end or is deprecated.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let valid = self.own.iter().filter_map(|own| own.valid_until);
        let preferred = self.own.iter().filter(|own| !own.deprecated);
        valid.chain(preferred.filter_map(|own| own.preferred_until)).min()
    }

    /// Those that may be used, best first.
    pub(super) fn list(&self) -> Vec<Address> {
        let address =
            |own: &Own| Some(Address { address: own.address?, deprecated: own.deprecated });
        let mut list: Vec<Address> = self.own.iter().filter_map(address).collect();
        list.sort_by_key(|address| address.deprecated);
        list
    }
}

/// Whether the first lifetime ends later than the second.
fn later(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

fn join(prefix: Ipv6Addr, identifier: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() & !u128::from(u64::MAX) | u128::from(identifier))
}

/// A random lower half that is none of the reserved ones (RFC 5453).
fn identifier(random: &mut Random) -> u64 {
    // Never zero, never all ones in front, and not the shape of one that follows from a MAC address.
    random.next_u64() & 0x7dff_ffff_00ff_ffff | 0x0100_0000_1000_0000
}
