//! Names and time.

use core::fmt;
use core::net::IpAddr;

use hostcfg::Cidr;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value;

use crate::config::Fields;
use crate::config::Problems;
use crate::config::is_dns_name;

const MAX_SERVERS: usize = 8;
const DNS_PORT: u16 = 53;

/// Where the resolver for clients asks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Dns {
    /// These servers; empty: it asks the root servers and everybody below by itself.
    pub forward_to: Vec<DnsServer>,
}

/// An address and a port. Shown, and written in configurations, as `192.0.2.1` or `192.0.2.1@5353`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DnsServer {
    /// Its address.
    pub address: IpAddr,
    /// Its port, 53 unless told otherwise.
    pub port: u16,
}

/// How a machine keeps the time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Time {
    /// Names or addresses of time servers.
    pub servers: Vec<String>,
    /// Whether their answers must be authenticated by NTS.
    pub nts: bool,
}

impl Dns {
    pub(crate) fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let forward_to = fields.texts("forward_to", 0..=MAX_SERVERS, problems, DnsServer::read);
        fields.finish(problems);
        Some(Self { forward_to: forward_to? })
    }
}

impl DnsServer {
    fn read(text: &str) -> Result<Self, String> {
        let expected = || "an IP address, or one with a port such as 192.0.2.1@5353".to_owned();
        let (address, port) = match text.split_once('@') {
            None => (text, DNS_PORT),
            Some((address, port)) => (address, port.parse().map_err(|_| expected())?),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        if port == 0 || address.is_unspecified() || address.is_multicast() {
            return Err(expected());
        }
        Ok(Self { address, port })
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            DNS_PORT => write!(f, "{}", self.address),
            port => write!(f, "{}@{port}", self.address),
        }
    }
}

impl Serialize for DnsServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Time {
    pub(crate) fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let servers = fields.texts("servers", 1..=MAX_SERVERS, problems, |text| {
            if text.parse::<IpAddr>().is_ok() || is_dns_name(text) {
                Ok(text.to_owned())
            } else {
                Err("a host name or an IP address".to_owned())
            }
        });
        let nts = fields.flag("nts", problems);
        fields.finish(problems);
        Some(Self { servers: servers?, nts: nts? })
    }
}

/// An address of an interface with its prefix length.
pub(crate) fn interface_address(text: &str) -> Result<Cidr, String> {
    let expected = || "an address with prefix length such as 10.64.0.1/24".to_owned();
    let cidr: Cidr = text.parse().map_err(|_| expected())?;
    let address = cidr.address();
    let unusable = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    if unusable || cidr.prefix_len() == 0 { Err(expected()) } else { Ok(cidr) }
}

/// A network, whose host bits are zero: an address with a mask is most often a mistake.
pub(crate) fn network(text: &str) -> Result<Cidr, String> {
    let expected = "a network such as 10.64.0.2/32 or fd00:64::/64";
    let cidr: Cidr = text.parse().map_err(|_| expected.to_owned())?;
    match network_address(cidr) {
        address if address == cidr.address() => Ok(cidr),
        address => Err(format!(
            "{expected} with no bits behind the prefix: write {address}/{}, or /{} for the one address",
            cidr.prefix_len(),
            if address.is_ipv4() { 32 } else { 128 },
        )),
    }
}

/// The first address of the network that an address lies in.
pub(crate) fn network_address(cidr: Cidr) -> IpAddr {
    let length = u32::from(cidr.prefix_len());
    match cidr.address() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}
