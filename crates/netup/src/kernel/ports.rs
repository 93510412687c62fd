//! Which socket is for which protocol.

use std::io;

use super::arp::Arp;
use super::icmp6::Icmp6;
use super::udp::Udp;
use crate::network::Nic;
use crate::network::Port;
use crate::network::Protocol;

/// Opens a way for the packets of a protocol.
pub(super) fn open(nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
    Ok(match protocol {
        Protocol::Dhcp4 => Box::new(Udp::dhcp4(&nic.name)?),
        Protocol::Dhcp6 => Box::new(Udp::dhcp6(&nic.name, nic.index)?),
        Protocol::RouterDiscovery => Box::new(Icmp6::open(&nic.name, nic.index)?),
        Protocol::Arp => Box::new(Arp::open(&nic.name, nic.index)?),
    })
}
