//! The sockets that the protocols of address assignment go through.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV4;
use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;

use super::arp::Arp;
use super::icmp6::Icmp6;
use crate::network::Nic;
use crate::network::Port;
use crate::network::Protocol;
use crate::network::Received;

/// Opens a way for the packets of a protocol.
pub(super) fn open(nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
    match protocol {
        Protocol::Dhcp4 => Ok(Box::new(Dhcp4::open(&nic.name)?)),
        Protocol::RouterDiscovery => Ok(Box::new(Icmp6::open(&nic.name, nic.index)?)),
        Protocol::Arp => Ok(Box::new(Arp::open(&nic.name, nic.index)?)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// An ordinary UDP socket, bound to one interface. With the broadcast flag in our messages,
/// answers come to 255.255.255.255 and need no address to be received.
#[derive(Debug)]
struct Dhcp4(UdpSocket);

impl Dhcp4 {
    const CLIENT_PORT: u16 = 68;
    const SERVER_PORT: u16 = 67;

    fn open(interface: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(socket2::Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, Self::CLIENT_PORT);
        socket.bind(&SocketAddr::V4(any).into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }
}

impl Port for Dhcp4 {
    fn send<'a>(&'a self, to: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        let to = to.unwrap_or(IpAddr::V4(Ipv4Addr::BROADCAST));
        async move {
            self.0.send_to(message, (to, Self::SERVER_PORT)).await?;
            Ok(())
        }
        .boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            let (length, from) = self.0.recv_from(buffer).await?;
            Ok(Received { length, from: Some(from.ip()), hop_limit: None })
        }
        .boxed()
    }
}
