//! The socket that ARP frames go through.

use core::net::IpAddr;
use std::io;
use std::os::fd::AsRawFd;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;
use nix::sys::socket::bind;
use nix::sys::socket::recvfrom;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::network::Port;
use crate::network::Received;

const ETHERTYPE_ARP: u16 = 0x0806;
/// The kernel's mark for frames that are not for this interface, such as those of another VLAN.
const PACKET_OTHERHOST: u8 = 3;

/// A packet socket that sees ARP frames of one interface, and no other frames.
#[derive(Debug)]
pub(super) struct Arp {
    /// Of its own kind: the runtime's UDP socket only waits for it, which is the same for all.
    socket: UdpSocket,
    index: u32,
}

impl Arp {
    /// Needs the right to raw sockets.
    pub(super) fn open(interface: &str, index: u32) -> io::Result<Self> {
        // The kernel's own notion of the interface: nothing else makes such an address safely.
        let address = getifaddrs()?
            .filter(|found| found.interface_name == interface)
            .find_map(|found| found.address?.as_link_addr().copied())
            .filter(|address: &LinkAddr| u32::try_from(address.ifindex()) == Ok(index))
            .ok_or(io::ErrorKind::NotFound)?;
        let protocol = Protocol::from(i32::from(ETHERTYPE_ARP.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, index })
    }
}

impl Port for Arp {
    fn send<'a>(&'a self, _: Option<IpAddr>, frame: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async move {
            let length = self.socket.send(frame).await?;
            if length == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
        }
        .boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            loop {
                let (length, from) = self
                    .socket
                    .async_io(Interest::READABLE, || {
                        recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buffer)
                            .map_err(io::Error::from)
                    })
                    .await?;
                // Until it was bound, the socket saw the frames of every interface.
                let ours = |from: LinkAddr| u32::try_from(from.ifindex()) == Ok(self.index);
                if from.is_some_and(|from| ours(from) && from.pkttype() != PACKET_OTHERHOST) {
                    return Ok(Received { length, from: None, hop_limit: None });
                }
            }
        }
        .boxed()
    }
}
