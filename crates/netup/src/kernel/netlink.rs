//! Requests to the kernel's route netlink.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::time::Duration;
use std::io;

use futures_util::StreamExt;
use futures_util::TryStream;
use futures_util::TryStreamExt;
use hostcfg::Cidr;
use rtnetlink::Handle;
use rtnetlink::LinkUnspec;
use rtnetlink::MulticastGroup;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::address::AddressFlags;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::address::AddressScope;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::route::RouteAddress;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::route::RouteHeader;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::route::RouteMetric;
use rtnetlink::packet_route::route::RouteScope;

use super::interface;
use crate::configuration::Configuration;
use crate::configuration::StaticRoute;
use crate::network::NetworkError;
use crate::network::Nic;
use crate::task::Task;

/// Metrics of our routes start here; the interface's index is added, so that the same route over
/// two interfaces is two routes.
const METRIC_BASE: u32 = 1024;

/// How often a list is asked for while the kernel makes another one: half a second in all.
const DUMP_TRIES: u32 = 50;

/// The pause between two of these.
const DUMP_PAUSE: Duration = Duration::from_millis(10);

/// A connection to the kernel's route netlink.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    handle: Handle,
}

/// Messages that the kernel sends by itself.
pub(super) type Notices = futures_util::stream::BoxStream<'static, ()>;

fn refused(what: impl Into<String>, error: &rtnetlink::Error) -> NetworkError {
    let reason = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
        other => other.to_string(),
    };
    NetworkError::new(what, reason)
}

/// Asks for a list until it is answered. The kernel makes one list at a time on a connection and
/// refuses another one meanwhile (`EBUSY`): several tasks ask on this one, and what is passed over
/// then, a carrier or an address that should go, would be missed.
async fn dump<S>(ask: impl Fn() -> S) -> Result<Vec<S::Ok>, rtnetlink::Error>
where
    S: TryStream<Error = rtnetlink::Error>,
{
    let mut tries = DUMP_TRIES;
    loop {
        tries -= 1;
        match ask().try_collect().await {
            Err(rtnetlink::Error::NetlinkError(message))
                if tries > 0 && message.to_io().kind() == io::ErrorKind::ResourceBusy =>
            {
                tokio::time::sleep(DUMP_PAUSE).await;
            }
            done => return done,
        }
    }
}

impl Netlink {
    /// Opens a connection. It works until the task is dropped.
    pub(crate) fn open() -> io::Result<(Self, Task)> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok((Self { handle }, Task::spawn(connection)))
    }

    /// Opens a second connection that says when links or their addresses change. It works until
    /// the task is dropped.
    pub(super) fn notices() -> io::Result<(Notices, Task)> {
        type Received = (NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr);
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ])?;
        Ok((messages.map(|_: Received| ()).boxed(), Task::spawn(connection)))
    }

    /// All interfaces with their addresses; without what sysfs says of them.
    pub(crate) async fn links(&self) -> Result<Vec<Nic>, NetworkError> {
        let what = "listing the interfaces";
        let links = self.link_messages().await?;
        let mut links: Vec<Nic> = links.iter().map(interface::nic).collect();
        let addresses = dump(|| self.handle.address().get().execute()).await;
        let addresses = addresses.map_err(|error| refused(what, &error))?;
        for (index, address) in addresses.iter().filter_map(interface::address) {
            if let Some(nic) = links.iter_mut().find(|nic| nic.index == index) {
                nic.addresses.push(address);
            }
        }
        Ok(links)
    }

    /// All interfaces as the kernel describes them.
    pub(super) async fn link_messages(&self) -> Result<Vec<LinkMessage>, NetworkError> {
        let links = dump(|| self.handle.link().get().execute()).await;
        links.map_err(|error| refused("listing the interfaces", &error))
    }

    pub(crate) async fn up(&self, index: u32) -> Result<(), NetworkError> {
        self.change(LinkUnspec::new_with_index(index).up().build(), "switching the link on").await
    }

    pub(crate) async fn down(&self, index: u32) -> Result<(), NetworkError> {
        self.change(LinkUnspec::new_with_index(index).down().build(), "switching the link off")
            .await
    }

    /// Changes a link that there is.
    pub(super) async fn change(
        &self,
        message: LinkMessage,
        what: &str,
    ) -> Result<(), NetworkError> {
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| refused(what, &error))
    }

    /// Changes settings of a virtual link: the kernel reads those only from this kind of request.
    pub(super) async fn change_settings(
        &self,
        message: LinkMessage,
        what: &str,
    ) -> Result<(), NetworkError> {
        let done = self.handle.link().change(message).execute().await;
        done.map_err(|error| refused(what, &error))
    }

    /// Makes a virtual link.
    pub(super) async fn create(
        &self,
        message: LinkMessage,
        what: &str,
    ) -> Result<(), NetworkError> {
        let done = self.handle.link().add(message).execute().await;
        done.map_err(|error| refused(what, &error))
    }

    /// Removes a virtual link.
    pub(super) async fn delete(&self, index: u32, what: &str) -> Result<(), NetworkError> {
        let done = self.handle.link().del(index).execute().await;
        done.map_err(|error| refused(what, &error))
    }

    /// Makes addresses and routes exactly these. Addresses in `trusted` are not asked about first:
    /// another NIC of this machine has them, and would answer.
    pub(super) async fn apply(
        &self,
        index: u32,
        configuration: &Configuration,
        trusted: &[Cidr],
    ) -> Result<(), NetworkError> {
        let wanted = configuration.kernel_routes();
        for message in self.our_routes(index).await {
            if !wanted.iter().any(|route| is_route(&message, route)) {
                self.delete_route(index, message).await;
            }
        }
        let is_wanted = |message: &AddressMessage| {
            interface::address(message)
                .is_some_and(|(_, known)| configuration.addresses.contains(&known.address))
        };
        for message in self.our_addresses(index).await {
            if !is_wanted(&message) {
                self.delete_address(index, message).await;
            }
        }
        // Only now: with an IPv4 address the kernel may remove others of its network.
        let there = self.our_addresses(index).await;
        for address in &configuration.addresses {
            let known = |message: &AddressMessage| {
                interface::address(message).is_some_and(|(_, known)| known.address == *address)
            };
            if !there.iter().any(known) {
                self.add_address(index, *address, trusted.contains(address)).await?;
            }
        }
        for route in wanted {
            self.add_route(index, &route, configuration).await?;
        }
        Ok(())
    }

    async fn add_address(
        &self,
        index: u32,
        address: Cidr,
        trusted: bool,
    ) -> Result<(), NetworkError> {
        let mut request =
            self.handle.address().add(index, address.address(), address.prefix_len()).replace();
        let message = request.message_mut();
        let mut flags = AddressFlags::Noprefixroute;
        if address.address().is_ipv4() {
            // An address of this scope is used as source where a route says so, and never on
            // another interface: DHCP messages of interfaces without address go out from 0.0.0.0.
            message.header.scope = AddressScope::Link;
        } else if trusted {
            flags |= AddressFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        let done = request.execute().await;
        done.map_err(|error| refused(format!("adding the address {address}"), &error))
    }

    async fn add_route(
        &self,
        index: u32,
        route: &StaticRoute,
        configuration: &Configuration,
    ) -> Result<(), NetworkError> {
        let gateway = route.gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
        let what =
            format!("adding the route to {}/{}{gateway}", route.destination, route.prefix_len);
        let message = route_message(index, route, configuration)
            .ok_or_else(|| NetworkError::new(&what, "address and gateway are of two families"))?;
        let done = self.handle.route().add(message).replace().execute().await;
        done.map_err(|error| refused(what, &error))
    }

    /// Removes what [`Netlink::apply`] adds, and all other IPv4 addresses. Best effort.
    pub(super) async fn flush(&self, index: u32) {
        for message in self.our_routes(index).await {
            self.delete_route(index, message).await;
        }
        for message in self.our_addresses(index).await {
            self.delete_address(index, message).await;
        }
    }

    async fn our_addresses(&self, index: u32) -> Vec<AddressMessage> {
        let all = || self.handle.address().get().set_link_index_filter(index).execute();
        let mut addresses = dump(all).await.unwrap_or_else(|error| {
            tracing::debug!("listing the addresses of interface {index}: {error}");
            Vec::new()
        });
        addresses.retain(|message| message.header.index == index && is_ours(message));
        addresses
    }

    async fn delete_address(&self, index: u32, message: AddressMessage) {
        if let Err(error) = self.handle.address().del(message).execute().await {
            tracing::debug!("removing an address of interface {index}: {error}");
        }
    }

    async fn our_routes(&self, index: u32) -> Vec<RouteMessage> {
        let mut all = Vec::new();
        for any in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            match dump(|| self.handle.route().get(any.clone()).execute()).await {
                Ok(routes) => all.extend(routes),
                Err(error) => tracing::debug!("listing the routes of interface {index}: {error}"),
            }
        }
        all.retain(|message| {
            message.header.table == RouteHeader::RT_TABLE_MAIN
                && message.attributes.contains(&RouteAttribute::Oif(index))
                && message.attributes.contains(&RouteAttribute::Priority(metric(index)))
        });
        all
    }

    async fn delete_route(&self, index: u32, message: RouteMessage) {
        if let Err(error) = self.handle.route().del(message).execute().await {
            tracing::debug!("removing a route of interface {index}: {error}");
        }
    }
}

const fn metric(index: u32) -> u32 {
    METRIC_BASE.saturating_add(index)
}

/// Every IPv4 address; of IPv6, what was set by hand and not by router advertisements.
fn is_ours(message: &AddressMessage) -> bool {
    let ipv4 = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, AddressAttribute::Local(IpAddr::V4(_))));
    ipv4 || (message.header.scope == AddressScope::Universe
        && interface::address_flags(message).contains(AddressFlags::Permanent))
}

/// Whether this is the route, maybe by another gateway or with another source.
fn is_route(message: &RouteMessage, route: &StaticRoute) -> bool {
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    // The default route has no destination.
    let same_network = match destination {
        Some(destination) => destination == route.destination,
        None => route.prefix_len == 0 && is_v4(message) == route.destination.is_ipv4(),
    };
    same_network && message.header.destination_prefix_length == route.prefix_len
}

fn is_v4(message: &RouteMessage) -> bool {
    message.header.address_family == rtnetlink::packet_route::AddressFamily::Inet
}

/// `None` if destination, gateway and source are of two families.
fn route_message(
    index: u32,
    route: &StaticRoute,
    configuration: &Configuration,
) -> Option<RouteMessage> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination, route.prefix_len)
        .ok()?
        .output_interface(index)
        .priority(metric(index));
    if route.destination.is_ipv4() {
        builder = builder.pref_source(configuration.source_for(route)?).ok()?;
    } else {
        // The kernel chooses among those that it has found to be nobody else's.
        configuration.source_for(route)?;
    }
    match route.gateway {
        Some(gateway) if gateway.is_ipv4() != route.destination.is_ipv4() => return None,
        Some(gateway) => builder = builder.gateway(gateway).ok()?,
        None if route.destination.is_ipv4() => builder = builder.scope(RouteScope::Link),
        None => {}
    }
    let mut message = builder.build();
    if let Some(mtu) = configuration.mtu {
        // On the route, not on the device: changing a device's MTU resets the link on many NICs.
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::Netlink;

    /// The kernel answers one of these at a time, and says to the others that it is busy.
    #[tokio::test]
    async fn lists_that_are_asked_for_at_once_are_all_answered() {
        let (netlink, _task) = Netlink::open().unwrap();
        let asked = (0..20).map(|_| netlink.links());
        for links in futures_util::future::join_all(asked).await {
            assert!(links.unwrap().iter().any(|nic| nic.name == "lo"));
        }
    }
}
