//! The socket that DHCP messages go through.

use core::net::Ipv4Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV4;
use std::io;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;

use super::message::MAX_MESSAGE;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;

/// An ordinary UDP socket, bound to one interface. With the broadcast flag in our messages,
/// answers come to 255.255.255.255 and need no address to be received.
#[derive(Debug)]
pub(crate) struct Transport(UdpSocket);

impl Transport {
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        socket.bind(&SocketAddr::V4(any).into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    /// Sends to a server, or to all of them.
    pub(crate) async fn send(&self, to: Option<Ipv4Addr>, message: &[u8]) -> io::Result<()> {
        let to = SocketAddrV4::new(to.unwrap_or(Ipv4Addr::BROADCAST), SERVER_PORT);
        self.0.send_to(message, to).await?;
        Ok(())
    }

    /// Waits for a datagram; of a longer one, no more than `MAX_MESSAGE + 1` bytes are kept.
    pub(crate) async fn receive(&self, buffer: &mut [u8; MAX_MESSAGE + 1]) -> io::Result<usize> {
        Ok(self.0.recv_from(buffer).await?.0)
    }
}
