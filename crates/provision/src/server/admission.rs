//! How many may knock at the same time.

use core::net::IpAddr;
use core::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::server::Limits;

/// The networks of those who are connected right now. Each is forgotten when its connection ends.
type Present = Arc<Mutex<Vec<IpAddr>>>;

#[derive(Debug)]
pub(crate) struct Admission {
    connections: usize,
    per_address: usize,
    present: Present,
}

/// A place that is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    present: Present,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            connections: limits.connections,
            per_address: limits.per_address,
            present: Present::default(),
        }
    }

    /// A place for one more connection, if there is any.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let same = present.iter().filter(|other| **other == address).count();
        if present.len() >= self.connections || same >= self.per_address {
            return None;
        }
        present.push(address);
        Some(Place { address, present: Arc::clone(&self.present) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = present.iter().position(|other| *other == self.address) {
            present.swap_remove(position);
        }
    }
}

/// What one customer of a provider has: an IPv4 address, or 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use crate::server::Limits;

    #[test]
    fn places_are_few_and_come_back() {
        let limits = Limits { connections: 3, per_address: 2, ..Limits::default() };
        let admission = Admission::new(limits);
        let mut places: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1"]
            .map(|address| admission.enter(address.parse().unwrap()).unwrap())
            .into();
        assert!(admission.enter("192.0.2.1".parse().unwrap()).is_none(), "two from one address");
        places.push(admission.enter("2001:db8::1".parse().unwrap()).unwrap());
        assert!(admission.enter("192.0.2.2".parse().unwrap()).is_none(), "three in all");
        places.remove(0);
        assert!(admission.enter("192.0.2.1".parse().unwrap()).is_some());
        places.clear();
        assert!(admission.present.lock().unwrap().is_empty());
    }

    #[test]
    fn a_customer_of_ipv6_is_one_address() {
        let limits = Limits { per_address: 1, ..Limits::default() };
        let admission = Admission::new(limits);
        let _place = admission.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(admission.enter("2001:db8::ffff:1".parse().unwrap()).is_none());
        assert!(admission.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
