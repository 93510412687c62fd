//! The sockets that DHCP messages and ARP packets go through.

use core::net::Ipv4Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV4;
use std::io;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;

use super::Target;
use super::message::MAX_MESSAGE;
use crate::acd;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;

/// An ordinary UDP socket, bound to one interface, and one for ARP. With the broadcast flag in our
/// messages, answers come to 255.255.255.255 and need no address to be received.
#[derive(Debug)]
pub(crate) struct Transport {
    udp: UdpSocket,
    arp: Option<acd::Transport>,
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
    /// Works without ARP where there is no socket for it to be had.
    pub(crate) fn open(target: &Target) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(target.name.as_bytes()))?;
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        socket.bind(&SocketAddr::V4(any).into())?;
        let udp = UdpSocket::from_std(socket.into())?;
        let arp = acd::Transport::open(&target.name, target.index)
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
        let to = SocketAddrV4::new(to.unwrap_or(Ipv4Addr::BROADCAST), SERVER_PORT);
        self.udp.send_to(message, to).await?;
        Ok(())
    }

    pub(crate) async fn send_arp(&self, frame: &[u8]) -> io::Result<()> {
        match &self.arp {
            Some(arp) => arp.send(frame).await,
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
            received = self.udp.recv_from(datagram) => Ok(Received::Datagram(received?.0)),
            received = arp => Ok(Received::Arp(received?)),
        }
    }
}
