//! What each source says that an interface is to have.

use core::net::IpAddr;

use hostcfg::Cidr;

use super::facts::Share;
use crate::configuration::Configuration;
use crate::configuration::StaticRoute;
use crate::dhcp;
use crate::dhcp6;
use crate::slaac;

/// What a DHCP lease says.
pub(super) fn of_lease(lease: &dhcp::Lease) -> Share {
    Share {
        configuration: dhcp::configuration(lease),
        dns: lease.dns.iter().copied().map(IpAddr::V4).collect(),
        search: lease.search.clone(),
        ntp: lease.ntp.iter().copied().map(IpAddr::V4).collect(),
    }
}

/// What a DHCPv6 lease says; routes are for routers to say.
pub(super) fn of_v6_lease(lease: &dhcp6::Lease) -> Share {
    let address = lease.address.and_then(|address| Cidr::new(address.into(), 128).ok());
    Share {
        configuration: Configuration {
            addresses: address.into_iter().collect(),
            ..Configuration::default()
        },
        dns: lease.dns.iter().copied().map(IpAddr::V6).collect(),
        search: lease.search.clone(),
        ntp: lease.ntp.iter().copied().map(IpAddr::V6).collect(),
    }
}

/// What routers say. Of those that lead everywhere one is used: the best at `turn` 0, the next one at
/// each further.
pub(super) fn of_routers(settings: &slaac::Settings, turn: u32) -> Share {
    let address = |own: &slaac::Address| Cidr::new(own.address.into(), 128).ok();
    let on_link = settings
        .on_link
        .iter()
        .map(|prefix| StaticRoute::on_link(prefix.network.into(), prefix.prefix_len));
    // The kernel has no more than one per destination and metric.
    let place = usize::try_from(turn).unwrap_or(0).checked_rem(settings.routers.len());
    let default = place
        .and_then(|place| settings.routers.get(place))
        .map(|router| StaticRoute::default_by((*router).into()));
    let others = settings.routes.iter().map(|route| StaticRoute {
        destination: route.destination.into(),
        prefix_len: route.prefix_len,
        gateway: Some(route.gateway.into()),
    });
    Share {
        configuration: Configuration {
            addresses: settings.addresses.iter().filter_map(address).collect(),
            routes: on_link.chain(default).chain(others).collect(),
            mtu: settings.mtu,
        },
        dns: settings.dns.iter().copied().map(IpAddr::V6).collect(),
        search: settings.search.clone(),
        ntp: Vec::new(),
    }
}
