//! The ways that DHCP messages and ARP packets go.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use std::io;

use super::Target;
use super::message::MAX_MESSAGE;
use crate::acd;
use crate::network::Network;
use crate::network::Port;
use crate::network::Protocol;

/// One port for DHCP, and one for ARP.
#[derive(Debug)]
pub(crate) struct Transport {
    udp: Box<dyn Port>,
    arp: Option<Box<dyn Port>>,
}

/// What has come, and how many bytes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Received {
    Datagram(usize),
    Arp(usize),
}

/// Room for what comes.
#[derive(Debug)]
pub(crate) struct Buffer {
    datagram: [u8; MAX_MESSAGE + 1],
    frame: [u8; acd::MAX_FRAME],
}

impl Default for Buffer {
    fn default() -> Self {
        Self { datagram: [0; MAX_MESSAGE + 1], frame: [0; acd::MAX_FRAME] }
    }
}

impl Buffer {
    pub(crate) fn datagram(&self, length: usize) -> &[u8] {
        self.datagram.get(..length).unwrap_or_default()
    }

    pub(crate) fn frame(&self, length: usize) -> &[u8] {
        self.frame.get(..length).unwrap_or_default()
    }
}

impl Transport {
    /// Works without ARP where there is no port for it to be had.
    pub(crate) fn open(network: &dyn Network, target: &Target) -> io::Result<Self> {
        let nic = target.nic();
        let udp = network.port(&nic, Protocol::Dhcp4)?;
        let arp = network
            .port(&nic, Protocol::Arp)
            .inspect_err(|error| {
                tracing::warn!("{}: no check for address conflicts: {error}", target.name);
            })
            .ok();
        Ok(Self { udp, arp })
    }

    /// Whether ARP packets can be sent and received.
    pub(crate) const fn has_arp(&self) -> bool {
        self.arp.is_some()
    }

    /// Sends to a server, or to all of them.
    pub(crate) async fn send(&self, to: Option<Ipv4Addr>, message: &[u8]) -> io::Result<()> {
        self.udp.send(to.map(IpAddr::V4), message).await
    }

    pub(crate) async fn send_arp(&self, frame: &[u8]) -> io::Result<()> {
        match &self.arp {
            Some(arp) => arp.send(None, frame).await,
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits for a datagram or an ARP packet. Of a longer datagram, no more than `MAX_MESSAGE + 1`
    /// bytes are kept.
    pub(crate) async fn receive(&self, buffer: &mut Buffer) -> io::Result<Received> {
        let Buffer { datagram, frame } = buffer;
        let arp = async {
            match &self.arp {
                Some(arp) => arp.receive(frame).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            received = self.udp.receive(datagram) => Ok(Received::Datagram(received?.length)),
            received = arp => Ok(Received::Arp(received?.length)),
        }
    }
}
