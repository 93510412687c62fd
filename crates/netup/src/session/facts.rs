//! What all sources together say of an interface.

use core::net::IpAddr;
use core::net::Ipv4Addr;

use hostcfg::Cidr;

use crate::configuration::Configuration;
use crate::network::AddressState;
use crate::network::Nic;
use crate::plan::Link;
use crate::plan::Method;
use crate::plan::Plan;

/// Most servers or domains of one kind.
const MAX_LIST: usize = 8;

/// What one source says that an interface is to have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Share {
    pub(crate) configuration: Configuration,
    pub(crate) dns: Vec<IpAddr>,
    pub(crate) search: Vec<String>,
    pub(crate) ntp: Vec<IpAddr>,
}

/// What all sources together say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Which source each address is from; the first one counts for an address that two have.
    addresses: Vec<(Cidr, Method)>,
    pub(super) configuration: Configuration,
    shares: Vec<Share>,
    pub(super) dhcp_server: Option<Ipv4Addr>,
    pub(super) lease_seconds: Option<u32>,
}

impl Facts {
    /// Adds what a source says. IPv4 is to come first.
    pub(super) fn add(&mut self, method: Method, share: Share) {
        let Configuration { addresses, routes, mtu } = &share.configuration;
        for address in addresses {
            if !self.configuration.addresses.contains(address) {
                self.configuration.addresses.push(*address);
                self.addresses.push((*address, method));
            }
        }
        self.configuration.routes.extend(routes);
        self.configuration.mtu = match (self.configuration.mtu, *mtu) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.shares.push(share);
    }

    /// Leaves out what cannot be asked of the kernel: routes of a family without an address, and
    /// an MTU that is not less than the interface's.
    pub(super) fn prune(&mut self, nic: &Nic) {
        self.configuration.prune();
        self.configuration.mtu = self.configuration.mtu.filter(|mtu| *mtu < nic.mtu);
    }

    /// Leaves out addresses, and the routes that then have none.
    pub(super) fn retain(&mut self, keep: impl Fn(&Cidr) -> bool) {
        self.addresses.retain(|(address, _)| keep(address));
        self.configuration.addresses.retain(keep);
        self.configuration.prune();
    }

    /// The link as it can be used now; `None` without an address. `nic` is as of now.
    pub(super) fn link(&self, nic: &Nic, plan: &Plan) -> Option<Link> {
        let ready = |address: &Cidr| {
            address.address().is_ipv4() || nic.address_state(*address) == Some(AddressState::Ready)
        };
        let mut usable = self.configuration.clone();
        usable.addresses.retain(ready);
        usable.prune();
        usable.addresses.sort_by_key(|address| address.address().is_ipv6());
        let first = usable.addresses.first()?;
        let (_, method) = self.addresses.iter().find(|(address, _)| address == first)?;
        let mut dns = plan.dns.clone();
        if dns.is_empty() {
            // Whatever is asked is then asked of a server of either family.
            let all = || self.shares.iter().flat_map(|share| share.dns.iter().copied());
            let v4 = all().filter(IpAddr::is_ipv4);
            let v6 = all().filter(IpAddr::is_ipv6);
            dns = in_turns(v4, v6);
        }
        let mut search = plan.search.clone();
        if search.is_empty() {
            search = self.shares.iter().flat_map(|share| share.search.iter().cloned()).collect();
        }
        let has_v4 = usable.addresses.iter().any(|address| address.address().is_ipv4());
        Some(Link {
            interface: nic.name.clone(),
            index: nic.index,
            mac: nic.mac_text(),
            method: *method,
            gateways: usable.default_gateways(),
            routes: usable.kernel_routes(),
            addresses: usable.addresses,
            dns: first_few(dns),
            search: first_few(search),
            ntp: first_few(self.shares.iter().flat_map(|share| share.ntp.iter().copied())),
            dhcp_server: self.dhcp_server.filter(|_| has_v4),
            lease_seconds: self.lease_seconds,
        })
    }
}

fn in_turns<T>(mut one: impl Iterator<Item = T>, mut other: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let next = [one.next(), other.next()];
        if next.iter().all(Option::is_none) {
            return all;
        }
        all.extend(next.into_iter().flatten());
    }
}

/// Each once, and not too many.
fn first_few<T: PartialEq>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut few = Vec::new();
    for one in all {
        if few.len() < MAX_LIST && !few.contains(&one) {
            few.push(one);
        }
    }
    few
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use hostcfg::Addressing;
    use hostcfg::Cidr;

    use super::Facts;
    use super::Share;
    use crate::configuration::Configuration;
    use crate::configuration::StaticRoute;
    use crate::network::AddressState;
    use crate::network::Nic;
    use crate::network::NicAddress;
    use crate::plan::Method;
    use crate::plan::Plan;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn share(address: &str, gateway: &str, dns: &[&str], mtu: Option<u32>) -> Share {
        Share {
            configuration: Configuration {
                addresses: vec![cidr(address)],
                routes: vec![StaticRoute::default_by(ip(gateway))],
                mtu,
            },
            dns: dns.iter().map(|one| ip(one)).collect(),
            ..Share::default()
        }
    }

    fn dual() -> Facts {
        let mut facts = Facts { dhcp_server: Some([10, 0, 0, 2].into()), ..Facts::default() };
        facts.add(Method::Dhcp, share("10.0.0.7/24", "10.0.0.1", &["10.0.0.3", "10.0.0.4"], None));
        let six = share("2001:db8::7/128", "fe80::1", &["2001:db8::3"], Some(1400));
        facts.add(Method::Slaac, six);
        facts
    }

    fn nic(state: Option<AddressState>) -> Nic {
        let address = cidr("2001:db8::7/128");
        Nic {
            addresses: state.map(|state| NicAddress { address, state }).into_iter().collect(),
            ..Nic::ethernet(2, "eth0", [2; 6])
        }
    }

    #[test]
    fn both_families_make_one_link() {
        let plan = Plan::new(Addressing::Auto);
        let link = dual().link(&nic(Some(AddressState::Ready)), &plan).unwrap();
        assert_eq!(link.method, Method::Dhcp);
        assert_eq!(link.addresses, [cidr("10.0.0.7/24"), cidr("2001:db8::7/128")]);
        assert_eq!(link.gateways, [ip("10.0.0.1"), ip("fe80::1")]);
        assert_eq!(link.dns, [ip("10.0.0.3"), ip("2001:db8::3"), ip("10.0.0.4")]);
        assert_eq!(dual().configuration.mtu, Some(1400));
    }

    #[test]
    fn an_address_counts_only_when_it_is_ready() {
        let plan = Plan::new(Addressing::Auto);
        let states = [None, Some(AddressState::Tentative), Some(AddressState::Duplicate)];
        for state in states {
            let link = dual().link(&nic(state), &plan).unwrap();
            assert_eq!(link.addresses, [cidr("10.0.0.7/24")]);
            assert_eq!(link.gateways, [ip("10.0.0.1")]);
            let mut facts = dual();
            facts.retain(|address| address.address().is_ipv6());
            assert_eq!(facts.link(&nic(state), &plan), None);
        }
        let mut facts = dual();
        facts.retain(|address| address.address().is_ipv6());
        let link = facts.link(&nic(Some(AddressState::Ready)), &plan).unwrap();
        assert_eq!((link.method, link.dhcp_server), (Method::Slaac, None));
        assert_eq!(link.gateways, [ip("fe80::1")]);
    }

    #[test]
    fn the_plan_replaces_servers_and_domains() {
        let plan = Plan {
            dns: vec![ip("192.0.2.53")],
            search: vec!["example.net".to_owned()],
            ..Plan::new(Addressing::Auto)
        };
        let link = dual().link(&nic(None), &plan).unwrap();
        assert_eq!(link.dns, plan.dns);
        assert_eq!(link.search, plan.search);
    }

    #[test]
    fn what_the_kernel_would_refuse_is_left_out() {
        let mut facts = Facts::default();
        let mut router = share("2001:db8::7/128", "fe80::1", &[], Some(9000));
        router.configuration.addresses.clear();
        facts.add(Method::Slaac, router);
        facts.prune(&nic(None));
        assert_eq!(facts.configuration, Configuration::default());
    }
}
