//! Links, addresses and routes through the kernel's route netlink.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::time::Duration;
use std::io;

use futures_util::StreamExt;
use futures_util::TryStreamExt;
use hostcfg::Mac;
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
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::link::LinkInfo;
use rtnetlink::packet_route::link::LinkLayerType;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::route::RouteHeader;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::route::RouteMetric;
use rtnetlink::packet_route::route::RouteScope;
use tokio::time::Instant;

use crate::configuration::Configuration;
use crate::configuration::StaticRoute;
use crate::task::Task;

/// How long duplicate address detection may take.
const DAD_LIMIT: Duration = Duration::from_secs(5);
/// Metrics of our routes start here; the interface's index is added, so that the same route over
/// two interfaces is two routes.
const METRIC_BASE: u32 = 1024;

/// The kernel refused a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub(crate) struct NetlinkError {
    what: String,
    reason: String,
}

impl NetlinkError {
    fn new(what: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let reason = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
            other => other.to_string(),
        };
        Self { what: what.into(), reason }
    }

    pub(crate) fn plain(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }
}

/// What a virtual interface is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Backed by a device, or one end of a virtual cable.
    Device,
    Bond,
    OtherVirtual,
}

/// An interface as the kernel sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Nic {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Present if it is Ethernet with an address that is not all zero.
    pub(crate) mac: Option<[u8; 6]>,
    /// The address that is burnt in; a bond's members carry the bond's as `mac`.
    pub(crate) permanent_mac: Option<[u8; 6]>,
    pub(crate) loopback: bool,
    pub(crate) kind: Kind,
    /// Index of the bond or bridge that it is a part of.
    pub(crate) controller: Option<u32>,
    pub(crate) up: bool,
    /// Up, with a signal on the wire, and ready to send.
    pub(crate) carrier: bool,
}

impl Nic {
    fn from_message(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut nic = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            permanent_mac: None,
            loopback: flags.contains(LinkFlags::Loopback),
            kind: Kind::Device,
            controller: None,
            up: flags.contains(LinkFlags::Up),
            carrier: false,
        };
        let mut sends = flags.contains(LinkFlags::Running);
        let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => nic.name.clone_from(name),
                LinkAttribute::Address(mac) if ethernet => nic.mac = ethernet_mac(mac),
                LinkAttribute::PermAddress(mac) if ethernet => {
                    nic.permanent_mac = ethernet_mac(mac);
                }
                LinkAttribute::Controller(index) => nic.controller = Some(*index),
                LinkAttribute::LinkInfo(infos) => nic.kind = kind(infos),
                // The kernel says "running" up to a second after a NIC can send. What tells at
                // once is the queue: "noop" drops everything until there is a carrier.
                LinkAttribute::Qdisc(queue) => sends |= queue != "noop",
                _ => {}
            }
        }
        nic.carrier = sends && flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        nic
    }

    /// Whether it is one that a machine is connected by.
    pub(crate) fn is_usable(&self) -> bool {
        !self.loopback && self.mac.is_some() && self.kind == Kind::Device
    }

    /// Whether a configured hardware address is this one's.
    pub(crate) fn has_mac(&self, mac: &Mac) -> bool {
        [self.mac, self.permanent_mac].iter().flatten().any(|own| own == mac.as_bytes())
    }

    /// The hardware address as text; empty if there is none.
    pub(crate) fn mac_text(&self) -> String {
        self.mac.map(|mac| Mac::ethernet(mac).to_string()).unwrap_or_default()
    }
}

fn ethernet_mac(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok().filter(|mac| *mac != [0; 6])
}

fn kind(infos: &[LinkInfo]) -> Kind {
    infos
        .iter()
        .find_map(|info| match info {
            LinkInfo::Kind(InfoKind::Bond) => Some(Kind::Bond),
            LinkInfo::Kind(InfoKind::Veth) => Some(Kind::Device),
            LinkInfo::Kind(_) => Some(Kind::OtherVirtual),
            _ => None,
        })
        .unwrap_or(Kind::Device)
}

/// A connection to the kernel's route netlink.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    handle: Handle,
}

/// Messages that the kernel sends by itself.
pub(crate) type Notices = futures_util::stream::BoxStream<'static, ()>;

impl Netlink {
    /// Opens a connection. It works until the task is dropped.
    pub(crate) fn open() -> io::Result<(Self, Task)> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok((Self { handle }, Task::spawn(connection)))
    }

    /// Opens a second connection that says when links change. It works until the task is dropped.
    pub(crate) fn notices() -> io::Result<(Notices, Task)> {
        type Received = (NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr);
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
        Ok((messages.map(|_: Received| ()).boxed(), Task::spawn(connection)))
    }

    /// All interfaces.
    pub(crate) async fn links(&self) -> Result<Vec<Nic>, NetlinkError> {
        self.handle
            .link()
            .get()
            .execute()
            .map_ok(|message| Nic::from_message(&message))
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("listing the interfaces", &error))
    }

    pub(crate) async fn up(&self, index: u32) -> Result<(), NetlinkError> {
        self.change(LinkUnspec::new_with_index(index).up().build(), "switching the link on").await
    }

    pub(crate) async fn down(&self, index: u32) -> Result<(), NetlinkError> {
        self.change(LinkUnspec::new_with_index(index).down().build(), "switching the link off")
            .await
    }

    /// Changes a link that there is.
    pub(crate) async fn change(
        &self,
        message: LinkMessage,
        what: &str,
    ) -> Result<(), NetlinkError> {
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .map_err(|error| NetlinkError::new(what, &error))
    }

    /// Makes a virtual link.
    pub(crate) async fn create(
        &self,
        message: LinkMessage,
        what: &str,
    ) -> Result<(), NetlinkError> {
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(|error| NetlinkError::new(what, &error))
    }

    /// Removes a virtual link.
    pub(crate) async fn delete(&self, index: u32, what: &str) -> Result<(), NetlinkError> {
        self.handle
            .link()
            .del(index)
            .execute()
            .await
            .map_err(|error| NetlinkError::new(what, &error))
    }

    /// Gives an interface an address and routes. On error some of them may be there: see
    /// [`Netlink::flush`].
    pub(crate) async fn apply(
        &self,
        index: u32,
        configuration: &Configuration,
    ) -> Result<(), NetlinkError> {
        self.add_address(index, configuration.address, configuration.prefix_len).await?;
        for route in configuration.kernel_routes() {
            self.add_route(index, &route, configuration).await?;
        }
        Ok(())
    }

    async fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        prefix_len: u8,
    ) -> Result<(), NetlinkError> {
        let what = format!("adding the address {address}/{prefix_len}");
        let mut request = self.handle.address().add(index, address, prefix_len).replace();
        let message = request.message_mut();
        let mut flags = AddressFlags::Noprefixroute;
        if address.is_ipv4() {
            // An address of this scope is used as source where a route says so, and never on
            // another interface: DHCP messages of interfaces without address go out from 0.0.0.0.
            message.header.scope = AddressScope::Link;
        } else {
            flags |= AddressFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        request.execute().await.map_err(|error| NetlinkError::new(&what, &error))?;
        if address.is_ipv6() { self.wait_for_dad(index, address, &what).await } else { Ok(()) }
    }

    /// Even without detection of duplicates, the kernel takes a moment to make an address usable.
    async fn wait_for_dad(
        &self,
        index: u32,
        address: IpAddr,
        what: &str,
    ) -> Result<(), NetlinkError> {
        let end = Instant::now() + DAD_LIMIT;
        loop {
            let found: Vec<AddressMessage> = self
                .handle
                .address()
                .get()
                .set_link_index_filter(index)
                .set_address_filter(address)
                .execute()
                .try_collect()
                .await
                .map_err(|error| NetlinkError::new(what, &error))?;
            let Some(flags) = found.first().map(address_flags) else {
                return Err(NetlinkError::plain(what, "it is gone again"));
            };
            if flags.contains(AddressFlags::Dadfailed) {
                return Err(NetlinkError::plain(what, "another machine has it"));
            }
            if !flags.contains(AddressFlags::Tentative) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(NetlinkError::plain(what, "it stays tentative"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn add_route(
        &self,
        index: u32,
        route: &StaticRoute,
        configuration: &Configuration,
    ) -> Result<(), NetlinkError> {
        let gateway = route.gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
        let what =
            format!("adding the route to {}/{}{gateway}", route.destination, route.prefix_len);
        let message = route_message(index, route, configuration)
            .ok_or_else(|| NetlinkError::plain(&what, "address and gateway are of two families"))?;
        self.handle
            .route()
            .add(message)
            .replace()
            .execute()
            .await
            .map_err(|error| NetlinkError::new(what, &error))
    }

    /// Removes what [`Netlink::apply`] adds, and all other IPv4 addresses. Best effort.
    pub(crate) async fn flush(&self, index: u32) {
        self.flush_routes(index, RouteMessageBuilder::<Ipv4Addr>::new().build()).await;
        self.flush_routes(index, RouteMessageBuilder::<Ipv6Addr>::new().build()).await;
        let addresses = self.handle.address().get().set_link_index_filter(index).execute();
        let addresses: Vec<_> = addresses.filter_map(async |found| found.ok()).collect().await;
        for message in addresses {
            if is_ours(&message)
                && let Err(error) = self.handle.address().del(message).execute().await
            {
                tracing::debug!("removing an address of interface {index}: {error}");
            }
        }
    }

    async fn flush_routes(&self, index: u32, any: RouteMessage) {
        let routes = self.handle.route().get(any).execute();
        let routes: Vec<_> = routes.filter_map(async |found| found.ok()).collect().await;
        for message in routes {
            let ours = message.header.table == RouteHeader::RT_TABLE_MAIN
                && message.attributes.contains(&RouteAttribute::Oif(index))
                && message.attributes.contains(&RouteAttribute::Priority(metric(index)));
            if ours && let Err(error) = self.handle.route().del(message).execute().await {
                tracing::debug!("removing a route of interface {index}: {error}");
            }
        }
    }
}

const fn metric(index: u32) -> u32 {
    METRIC_BASE.saturating_add(index)
}

fn address_flags(message: &AddressMessage) -> AddressFlags {
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    flags.unwrap_or(AddressFlags::empty())
}

/// Every IPv4 address; of IPv6, what was set by hand and not by router advertisements.
fn is_ours(message: &AddressMessage) -> bool {
    let ipv4 = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, AddressAttribute::Local(IpAddr::V4(_))));
    ipv4 || (message.header.scope == AddressScope::Universe
        && address_flags(message).contains(AddressFlags::Permanent))
}

/// `None` if address and route are of two families.
fn route_message(
    index: u32,
    route: &StaticRoute,
    configuration: &Configuration,
) -> Option<RouteMessage> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination, route.prefix_len)
        .ok()?
        .pref_source(configuration.address)
        .ok()?
        .output_interface(index)
        .priority(metric(index));
    match route.gateway {
        Some(gateway) if gateway.is_ipv4() != route.destination.is_ipv4() => return None,
        Some(gateway) => builder = builder.gateway(gateway).ok()?,
        None if route.destination.is_ipv4() => builder = builder.scope(RouteScope::Link),
        None => {}
    }
    let mut message = builder.build();
    if let Some(mtu) = configuration.mtu {
        // On the route, not on the device: changing a device's MTU resets the link on many NICs.
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu.into())]));
    }
    Some(message)
}
