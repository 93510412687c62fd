//! What an interface is to have, and the routes that follow from it.

use core::net::IpAddr;

use hostcfg::Addressing;
use hostcfg::Cidr;

/// A route as a lease or a host configuration states it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StaticRoute {
    pub(crate) destination: IpAddr,
    pub(crate) prefix_len: u8,
    /// `None`: the destination is on the link itself.
    pub(crate) gateway: Option<IpAddr>,
}

impl StaticRoute {
    /// The route to everything.
    pub(crate) const fn default_by(gateway: IpAddr) -> Self {
        Self { destination: unspecified(gateway), prefix_len: 0, gateway: Some(gateway) }
    }

    const fn on_link(destination: IpAddr, prefix_len: u8) -> Self {
        Self { destination, prefix_len, gateway: None }
    }
}

/// Address and routes of one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) address: IpAddr,
    /// At most 32, or 128 for IPv6.
    pub(crate) prefix_len: u8,
    pub(crate) routes: Vec<StaticRoute>,
    /// Longest packet that the network takes.
    pub(crate) mtu: Option<u16>,
}

impl Configuration {
    /// What a host configuration says, unless it says DHCP.
    pub(crate) fn from_static(addressing: &Addressing) -> Option<Self> {
        let Addressing::Static(own) = addressing else { return None };
        let address = own.addresses.first()?;
        let of_family = |gateway: &&IpAddr| gateway.is_ipv4() == address.address().is_ipv4();
        let gateway = own.gateways.iter().find(of_family);
        Some(Self {
            address: address.address(),
            prefix_len: address.prefix_len(),
            routes: gateway.into_iter().map(|&by| StaticRoute::default_by(by)).collect(),
            mtu: None,
        })
    }

    /// The address with its prefix length.
    pub(crate) fn cidr(&self) -> Option<Cidr> {
        Cidr::new(self.address, self.prefix_len).ok()
    }

    /// The router for everything that no other route is for.
    pub(crate) fn default_gateway(&self) -> Option<IpAddr> {
        self.routes.iter().find(|route| route.prefix_len == 0)?.gateway
    }

    /// All routes in an order in which the kernel takes them: the subnet, then, for every gateway
    /// that is not in a network on the link, the gateway itself, then those by gateways.
    ///
    /// A lease without mask (/32) and a gateway in a foreign subnet need nothing else to work. A
    /// gateway that is our own address says that everything is on the link.
    pub(crate) fn kernel_routes(&self) -> Vec<StaticRoute> {
        let mut on_link = Vec::new();
        if let Some(subnet) = subnet(self.address, self.prefix_len) {
            on_link.push(subnet);
        }
        let mut by_gateway = Vec::new();
        for route in &self.routes {
            match route.gateway.filter(|gateway| *gateway != self.address) {
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

/// The network around an address; an address alone has none.
fn subnet(address: IpAddr, prefix_len: u8) -> Option<StaticRoute> {
    if prefix_len >= host_prefix(address) {
        return None;
    }
    let network = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    };
    Some(StaticRoute::on_link(network, prefix_len))
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
        let (address, prefix_len) = address.split_once('/').unwrap();
        Configuration {
            address: ip(address),
            prefix_len: prefix_len.parse().unwrap(),
            routes,
            mtu: None,
        }
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
        assert_eq!(configuration.default_gateway(), Some(ip("10.0.2.2")));
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
            configuration(address, vec![]).kernel_routes();
        }
    }
}
