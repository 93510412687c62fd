//! The socket that DHCPv6 messages go through.

use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV6;
use std::io;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;

use super::message::MAX_MESSAGE;
use crate::dhcp::Target;

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// All servers and relays on the link (RFC 8415, 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// An ordinary UDP socket, bound to one interface. Messages go out from, and answers come to, the
/// interface's address of the link.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: UdpSocket,
    index: u32,
}

impl Transport {
    pub(crate) fn open(target: &Target) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        // Several interfaces have a client each.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(target.name.as_bytes()))?;
        socket.set_multicast_if_v6(target.index)?;
        let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0);
        socket.bind(&SocketAddr::V6(any).into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, index: target.index })
    }

    /// Sends to all servers on the link; an error until the interface has an address of the link.
    pub(crate) async fn send(&self, message: &[u8]) -> io::Result<()> {
        let to = SocketAddr::V6(SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, self.index));
        self.socket.send_to(message, to).await?;
        Ok(())
    }

    /// Waits for a datagram; of a longer one, no more than `MAX_MESSAGE + 1` bytes are kept.
    pub(crate) async fn receive(&self, buffer: &mut [u8; MAX_MESSAGE + 1]) -> io::Result<usize> {
        Ok(self.socket.recv_from(buffer).await?.0)
    }
}
