//! The way that DHCP messages go.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use std::io;

use super::Target;
use super::message::MAX_MESSAGE;
use crate::network::Network;
use crate::network::Nic;
use crate::network::Port;
use crate::network::Protocol;

/// The way that DHCP messages go.
#[derive(Debug)]
pub(crate) struct Transport(Box<dyn Port>);

impl Transport {
    pub(crate) fn open(network: &dyn Network, target: &Target) -> io::Result<Self> {
        let nic = Nic::ethernet(target.index, &target.name, target.mac);
        Ok(Self(network.port(&nic, Protocol::Dhcp4)?))
    }

    /// Sends to a server, or to all of them.
    pub(crate) async fn send(&self, to: Option<Ipv4Addr>, message: &[u8]) -> io::Result<()> {
        self.0.send(to.map(IpAddr::V4), message).await
    }

    /// Waits for a datagram; of a longer one, no more than `MAX_MESSAGE + 1` bytes are kept.
    pub(crate) async fn receive(&self, buffer: &mut [u8; MAX_MESSAGE + 1]) -> io::Result<usize> {
        Ok(self.0.receive(buffer).await?.length)
    }
}
