//! The normal form of a host configuration, without secrets.

use core::net::IpAddr;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::address::Cidr;
use crate::bond::BondMode;
use crate::bond::BondOptions;
use crate::config::HostConfig;
use crate::mirror::Mirror;
use crate::network::Addressing;
use crate::network::InterfaceSelector;
use crate::pointer::Entry;
use crate::provisioning_url::ProvisioningUrl;
use crate::proxy::NoProxy;
use crate::proxy::Proxy;
use crate::remote_log::RemoteLogTarget;
use crate::secret::Secret;

/// The normal form, in the order of its keys. Those from `mtu` on appear only where they say
/// something, so that what older versions print of a configuration stays the same.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    network_mode: &'static str,
    host_ip: Option<Cidr>,
    gateway: Option<IpAddr>,
    dns: Option<&'a [IpAddr]>,
    network_interfaces: Option<Vec<InterfaceDocument<'a>>>,
    ospkg_pointer: Option<String>,
    bonding_mode: Option<BondMode>,
    bond_name: Option<&'a str>,
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<&'a [Cidr]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways: Option<&'a [IpAddr]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dns_search: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ntp: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    bond_options: Option<&'a BondOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<MirrorDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<&'a Proxy>,
    #[serde(skip_serializing_if = "NoProxy::is_empty")]
    no_proxy: &'a NoProxy,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_log: Option<RemoteLogDocument<'a>>,
}

#[derive(Serialize)]
struct InterfaceDocument<'a> {
    interface_name: &'a str,
    mac_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pci_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'a str>,
}

impl<'a> From<&'a InterfaceSelector> for InterfaceDocument<'a> {
    fn from(interface: &'a InterfaceSelector) -> Self {
        Self {
            interface_name: interface.name.as_deref().unwrap_or_default(),
            mac_address: interface.mac.map(|mac| mac.to_string()),
            pci_path: interface.pci_path.as_deref(),
            driver: interface.driver.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct RouteDocument {
    to: Cidr,
    via: Option<IpAddr>,
}

#[derive(Serialize)]
struct MirrorDocument<'a> {
    url: &'a ProvisioningUrl,
    priority: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<&'a Secret>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    direct: bool,
}

impl<'a> From<&'a Mirror> for MirrorDocument<'a> {
    fn from(mirror: &'a Mirror) -> Self {
        let identity = mirror.client_identity.as_ref();
        Self {
            url: &mirror.url,
            priority: mirror.priority,
            headers: mirror.headers.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            client_certificate: identity.map(|identity| identity.certificate_pem.as_str()),
            client_key: identity.map(|identity| &identity.key_pem),
            direct: mirror.direct,
        }
    }
}

#[derive(Serialize)]
struct RemoteLogDocument<'a> {
    url: &'a RemoteLogTarget,
    level: &'static str,
}

impl<'a> From<&'a HostConfig> for Document<'a> {
    fn from(config: &'a HostConfig) -> Self {
        let network_mode = match config.network {
            Addressing::Dhcp => "dhcp",
            Addressing::Static(_) => "static",
            Addressing::Auto => "auto",
        };
        let own = match &config.network {
            Addressing::Static(own) => Some(own),
            Addressing::Dhcp | Addressing::Auto => None,
        };
        let (host_ip, addresses) = own
            .and_then(|own| own.addresses.split_first())
            .map_or((None, None), |(first, more)| {
                (Some(*first), Some(more).filter(|more| !more.is_empty()))
            });
        let (gateway, gateways) = match own.map(|own| own.gateways.split_first()) {
            None => (None, None),
            // That there is none has to be said, or the normal form could not be read again.
            Some(None) => (None, Some([].as_slice())),
            Some(Some((first, more))) => (Some(*first), Some(more).filter(|m| !m.is_empty())),
        };
        let interfaces = config.interfaces.iter().map(InterfaceDocument::from);
        let pointer: Vec<String> = config
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Url(url) => url.to_string(),
                Entry::Unusable(shown) => shown.clone(),
            })
            .collect();
        // Those of the pointer have the lowest priority and stand before others of the same.
        let of_pointer = config.entries.iter().filter(|entry| matches!(entry, Entry::Url(_)));
        let listed = config.mirrors.iter().skip(of_pointer.count());
        let bonding = config.bonding.as_ref();
        Self {
            network_mode,
            host_ip,
            gateway,
            dns: Some(config.dns.as_slice()).filter(|dns| !dns.is_empty()),
            network_interfaces: Some(interfaces.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
            ospkg_pointer: Some(pointer.join(",")).filter(|_| !pointer.is_empty()),
            bonding_mode: bonding.map(|bonding| bonding.mode),
            bond_name: bonding.map(|bonding| bonding.name.as_str()),
            description: config.description.as_deref(),
            addresses,
            gateways,
            routes: config.routes.iter().map(|&route| RouteDocument::from(route)).collect(),
            mtu: config.mtu,
            vlan: config.vlan,
            dns_search: &config.dns_search,
            ntp: &config.ntp,
            bond_options: bonding
                .map(|bonding| &bonding.options)
                .filter(|options| **options != BondOptions::default()),
            mirrors: listed.map(MirrorDocument::from).collect(),
            proxy: config.proxy.as_ref(),
            no_proxy: &config.no_proxy,
            remote_log: config
                .remote_log
                .as_ref()
                .map(|log| RemoteLogDocument { url: &log.target, level: log.level.name() }),
        }
    }
}

impl From<crate::network::Route> for RouteDocument {
    fn from(route: crate::network::Route) -> Self {
        Self { to: route.to, via: route.via }
    }
}
