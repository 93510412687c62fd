//! The sockets that DHCP messages of both families go through.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV4;
use core::net::SocketAddrV6;
use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;

use crate::network::Port;
use crate::network::Received;

/// An ordinary UDP socket, bound to one interface.
///
/// DHCP: with the broadcast flag in our messages, answers come to 255.255.255.255 and need no
/// address to be received. DHCPv6: messages go out from, and answers come to, the interface's
/// address of the link.
#[derive(Debug)]
pub(super) struct Udp {
    socket: UdpSocket,
    /// All servers, with their port.
    all: SocketAddr,
}

impl Udp {
    pub(super) fn dhcp4(interface: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_broadcast(true)?;
        let own = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68));
        let all = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::BROADCAST, 67));
        Self::open(socket, interface, own, all)
    }

    pub(super) fn dhcp6(interface: &str, index: u32) -> io::Result<Self> {
        /// All servers and relays on the link (RFC 8415, 7.1).
        const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.set_multicast_if_v6(index)?;
        let own = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 546, 0, 0));
        let all = SocketAddr::V6(SocketAddrV6::new(ALL_SERVERS, 547, 0, index));
        Self::open(socket, interface, own, all)
    }

    fn open(socket: Socket, interface: &str, own: SocketAddr, all: SocketAddr) -> io::Result<Self> {
        // Several interfaces have a client each.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&own.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, all })
    }
}

impl Port for Udp {
    fn send<'a>(&'a self, to: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async move {
            let mut server = self.all;
            if let Some(to) = to {
                server.set_ip(to);
            }
            self.socket.send_to(message, server).await?;
            Ok(())
        }
        .boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            let (length, from) = self.socket.recv_from(buffer).await?;
            Ok(Received { length, from: Some(from.ip()), hop_limit: None })
        }
        .boxed()
    }
}
