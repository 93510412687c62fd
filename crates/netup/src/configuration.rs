//! What an interface is to have, and the routes that follow from it.

use core::fmt;
use core::net::IpAddr;

use hostcfg::Cidr;
use hostcfg::Route;
use hostcfg::StaticAddressing;

/// A route as a lease, a router or a host configuration states it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StaticRoute {
    /// Where to, without host bits.
    pub destination: IpAddr,
    /// Length of the network part of the destination in bits.
    pub prefix_len: u8,
    /// `None`: the destination is on the link itself.
    pub gateway: Option<IpAddr>,
}

impl StaticRoute {
    /// The route to everything.
    #[must_use]
    pub(crate) const fn default_by(gateway: IpAddr) -> Self {
        Self { destination: unspecified(gateway), prefix_len: 0, gateway: Some(gateway) }
    }

    /// The route to a network that is on the link itself.
    #[must_use]
    pub(crate) const fn on_link(destination: IpAddr, prefix_len: u8) -> Self {
        Self { destination, prefix_len, gateway: None }
    }
}

impl fmt::Display for StaticRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_len {
            0 => f.write_str("default")?,
            prefix_len => write!(f, "{}/{prefix_len}", self.destination)?,
        }
        match self.gateway {
            Some(gateway) => write!(f, " by {gateway}"),
            None => Ok(()),
        }
    }
}

/// Addresses and routes of one interface, of both families.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Configuration {
    /// The addresses, those first that are to be used as source where there is a choice.
    pub addresses: Vec<Cidr>,
    /// Routes as they were stated: see [`Configuration::kernel_routes`].
    pub routes: Vec<StaticRoute>,
    /// Longest packet that the network takes, in bytes.
    pub mtu: Option<u32>,
}

impl Configuration {
    /// What a host configuration says.
    pub(crate) fn from_static(own: &StaticAddressing, routes: &[Route]) -> Self {
        let defaults = own.gateways.iter().map(|gateway| StaticRoute::default_by(*gateway));
        let others = routes.iter().map(|route| StaticRoute {
            destination: network(route.to.address(), route.to.prefix_len()),
            prefix_len: route.to.prefix_len(),
            gateway: route.via,
        });
        Self {
            addresses: own.addresses.clone(),
            routes: defaults.chain(others).collect(),
            mtu: None,
        }
    }

    /// The routers for everything that no other route is for, at most one of each family.
    #[must_use]
    pub(crate) fn default_gateways(&self) -> Vec<IpAddr> {
        let of = |v4: bool| {
            let mut routes = self.routes.iter();
            routes.find(|route| route.prefix_len == 0 && route.destination.is_ipv4() == v4)?.gateway
        };
        of(true).into_iter().chain(of(false)).collect()
    }

    /// Leaves out routes of a family of which there is no address.
    pub(crate) fn prune(&mut self) {
        let has = |v4: bool| self.addresses.iter().any(|own| own.address().is_ipv4() == v4);
        let (has_v4, has_v6) = (has(true), has(false));
        self.routes.retain(|route| if route.destination.is_ipv4() { has_v4 } else { has_v6 });
    }

    /// What of it is about one family.
    pub(crate) fn family(&self, v4: bool) -> Self {
        let mut addresses = self.addresses.clone();
        addresses.retain(|own| own.address().is_ipv4() == v4);
        let mut routes = self.routes.clone();
        routes.retain(|route| route.destination.is_ipv4() == v4);
        Self { addresses, routes, mtu: self.mtu }
    }

    /// What is wrong with it whatever the kernel says: a route that no address can be used for.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let route = self.routes.iter().find(|route| {
            let other = |gateway: &IpAddr| gateway.is_ipv4() != route.destination.is_ipv4();
            self.source_for(route).is_none() || route.gateway.as_ref().is_some_and(other)
        })?;
        let (to, prefix_len) = (route.destination, route.prefix_len);
        let by = route.gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
        Some(format!("route to {to}/{prefix_len}{by}: address and gateway are of two families"))
    }

    /// Which address packets by this route are to come from; `None` if there is no address of the
    /// route's family.
    #[must_use]
    pub(crate) fn source_for(&self, route: &StaticRoute) -> Option<IpAddr> {
        let towards = route.gateway.unwrap_or(route.destination);
        let family = |address: &&Cidr| address.address().is_ipv4() == route.destination.is_ipv4();
        let near = self.addresses.iter().filter(family).find(|address| address.contains(towards));
        let found = near.or_else(|| self.addresses.iter().find(family));
        found.map(Cidr::address)
    }

    /// All routes in an order in which the kernel takes them: the subnets, then, for every gateway
    /// that is not in a network on the link, the gateway itself, then those by gateways.
    ///
    /// A lease without mask (/32) and a gateway in a foreign subnet need nothing else to work. A
    /// gateway that is our own address says that everything is on the link.
    #[must_use]
    pub fn kernel_routes(&self) -> Vec<StaticRoute> {
        let mut on_link: Vec<StaticRoute> = self.addresses.iter().filter_map(subnet).collect();
        let mut by_gateway = Vec::new();
        let is_own = |gateway: &IpAddr| self.addresses.iter().any(|own| own.address() == *gateway);
        for route in &self.routes {
            match route.gateway.filter(|gateway| !is_own(gateway)) {
                Some(_) => by_gateway.push(*route),
                None => on_link.push(StaticRoute::on_link(route.destination, route.prefix_len)),
            }
        }
        for gateway in by_gateway.iter().filter_map(|route| route.gateway) {
            let reachable = is_link_local_v6(gateway)
                || on_link.iter().any(|network| contains(network, gateway));
            if !reachable {
                on_link.push(StaticRoute::on_link(gateway, host_prefix(gateway)));
            }
        }
        let mut routes: Vec<StaticRoute> = Vec::new();
        for route in on_link.into_iter().chain(by_gateway) {
            // The kernel has one route per destination and metric: the first one stands.
            let twice = |earlier: &StaticRoute| {
                earlier.destination == route.destination && earlier.prefix_len == route.prefix_len
            };
            if !routes.iter().any(twice) {
                routes.push(route);
            }
        }
        routes
    }
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
    }
}

const fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_link_local_v6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// An address without its host bits.
pub(crate) fn network(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix_len.into())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let shift = 128_u32.saturating_sub(prefix_len.into());
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// The network around an address; an address alone has none.
fn subnet(address: &Cidr) -> Option<StaticRoute> {
    let (address, prefix_len) = (address.address(), address.prefix_len());
    (prefix_len < host_prefix(address))
        .then(|| StaticRoute::on_link(network(address, prefix_len), prefix_len))
}

fn contains(network: &StaticRoute, address: IpAddr) -> bool {
    Cidr::new(network.destination, network.prefix_len)
        .is_ok_and(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::Configuration;
    use super::StaticRoute;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn configuration(address: &str, routes: Vec<StaticRoute>) -> Configuration {
        Configuration { addresses: vec![address.parse().unwrap()], routes, mtu: None }
    }

    fn route(destination: &str, gateway: &str) -> StaticRoute {
        let (network, prefix_len) = destination.split_once('/').unwrap();
        StaticRoute {
            destination: ip(network),
            prefix_len: prefix_len.parse().unwrap(),
            gateway: Some(gateway).filter(|text| !text.is_empty()).map(ip),
        }
    }

    #[test]
    fn an_ordinary_network_has_two_routes() {
        let configuration =
            configuration("10.0.2.15/24", vec![StaticRoute::default_by(ip("10.0.2.2"))]);
        assert_eq!(
            configuration.kernel_routes(),
            [route("10.0.2.0/24", ""), route("0.0.0.0/0", "10.0.2.2")]
        );
        assert_eq!(configuration.default_gateways(), [ip("10.0.2.2")]);
    }

    #[test]
    fn a_foreign_gateway_is_made_reachable() {
        for (address, gateway, host) in [
            ("10.0.2.15/32", "10.0.2.2", "10.0.2.2/32"),
            ("10.0.2.15/24", "192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::7/64", "2001:db8:1::1", "2001:db8:1::1/128"),
        ] {
            let configuration = configuration(address, vec![StaticRoute::default_by(ip(gateway))]);
            let routes = configuration.kernel_routes();
            assert!(routes.contains(&route(host, "")), "{routes:?}");
            assert_eq!(routes.last().unwrap().gateway, Some(ip(gateway)));
        }
    }

    #[test]
    fn a_link_local_gateway_needs_no_route() {
        let configuration =
            configuration("2001:db8::7/64", vec![StaticRoute::default_by(ip("fe80::1"))]);
        assert_eq!(
            configuration.kernel_routes(),
            [route("2001:db8::/64", ""), route("::/0", "fe80::1")]
        );
    }

    #[test]
    fn our_own_address_as_gateway_means_on_link() {
        let configuration =
            configuration("10.0.2.15/24", vec![StaticRoute::default_by(ip("10.0.2.15"))]);
        assert_eq!(
            configuration.kernel_routes(),
            [route("10.0.2.0/24", ""), route("0.0.0.0/0", "")]
        );
    }

    /// Routes whose gateway is reached through the route itself, or through each other: every gateway
    /// is on the link before a route names it, on this interface and no other. So the kernel takes all
    /// of them, and none is looked up anywhere else.
    #[test]
    fn routes_that_loop_are_made_harmless() {
        for (address, routes) in [
            // The gateway is in the very network that it leads to.
            ("10.0.2.15/24", vec![route("192.168.0.0/16", "192.168.0.1")]),
            // And is that network.
            ("10.0.2.15/24", vec![route("192.168.0.1/32", "192.168.0.1")]),
            // Two that lead to each other, and the default route by one of them.
            (
                "10.0.2.15/32",
                vec![
                    route("172.16.1.0/24", "172.16.2.1"),
                    route("172.16.2.0/24", "172.16.1.1"),
                    StaticRoute::default_by(ip("172.16.1.1")),
                ],
            ),
            // The own subnet, and the half of everything in which its gateway is.
            (
                "10.0.2.15/24",
                vec![route("10.0.2.0/24", "10.0.2.2"), route("0.0.0.0/1", "10.0.2.2")],
            ),
            // Only by a router's word.
            ("2001:db8::7/64", vec![route("2001:db8:9::/48", "2001:db8:9::1")]),
            ("2001:db8::7/64", vec![route("fe80::/64", "fe80::1")]),
            // We are the gateway ourselves.
            ("10.0.2.15/24", vec![route("192.168.0.0/16", "10.0.2.15")]),
        ] {
            let wanted = configuration(address, routes);
            assert_eq!(wanted.contradiction(), None, "{address}");
            let routes = wanted.kernel_routes();
            for (position, route) in routes.iter().enumerate() {
                let Some(gateway) = route.gateway else { continue };
                let before = routes.iter().take(position);
                let mut on_link = before.filter(|earlier| earlier.gateway.is_none());
                let near = on_link.any(|network| super::contains(network, gateway));
                assert!(
                    near || super::is_link_local_v6(gateway),
                    "{address}: {route} in {routes:?}"
                );
            }
        }
    }

    #[test]
    fn networks_on_the_link_come_first_and_nothing_twice() {
        let configuration = configuration(
            "10.0.2.15/32",
            vec![
                route("0.0.0.0/0", "172.16.0.1"),
                route("192.168.0.0/16", "172.16.0.1"),
                route("172.16.0.0/24", ""),
                route("0.0.0.0/0", "172.16.0.9"),
            ],
        );
        assert_eq!(
            configuration.kernel_routes(),
            [
                route("172.16.0.0/24", ""),
                route("0.0.0.0/0", "172.16.0.1"),
                route("192.168.0.0/16", "172.16.0.1"),
            ]
        );
    }

    #[test]
    fn the_longest_and_the_shortest_prefix_do_not_overflow() {
        for address in ["10.0.0.1/0", "10.0.0.1/32", "::1/0", "2001:db8::1/128"] {
            let _ = configuration(address, vec![]).kernel_routes();
        }
    }
}
