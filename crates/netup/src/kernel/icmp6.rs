//! The socket that ICMPv6 messages go through.

use core::net::IpAddr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::net::SocketAddrV6;
use std::io;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockaddrIn6;
use nix::sys::socket::recvmsg;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6RecvHopLimit;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::network::Port;
use crate::network::Received;

const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const HOP_LIMIT: u32 = 255;
/// Room for the hop limit of a message, with a header.
const CONTROL: usize = 64;

/// A raw ICMPv6 socket, bound to one interface. The kernel fills in and checks the checksums, and
/// has joined the group of all nodes, to which routers speak.
#[derive(Debug)]
pub(super) struct Icmp6 {
    /// Of its own kind: the runtime's UDP socket only waits for it, which is the same for all.
    socket: UdpSocket,
    index: u32,
}

impl Icmp6 {
    /// Needs the right to raw sockets.
    pub(super) fn open(interface: &str, index: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        // First of all: what comes over other interfaces before is not told apart later.
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_if_v6(index)?;
        setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, index })
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = [0; CONTROL];
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrIn6>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let hop_limit = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv6HopLimit(hops) => u8::try_from(hops).ok(),
            _ => None,
        });
        let source = message.address.filter(|from| matches_scope(from.scope_id(), self.index));
        Ok(source.zip(hop_limit).map(|(from, hop_limit)| Received {
            length: message.bytes,
            from: Some(IpAddr::V6(from.ip())),
            hop_limit: Some(hop_limit),
        }))
    }
}

impl Port for Icmp6 {
    /// An error until the interface has an address of the link.
    fn send<'a>(&'a self, to: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async move {
            let to = match to {
                Some(IpAddr::V6(to)) => to,
                Some(IpAddr::V4(_)) => return Err(io::ErrorKind::InvalidInput.into()),
                None => ALL_ROUTERS,
            };
            let to = SocketAddr::V6(SocketAddrV6::new(to, 0, 0, self.index));
            self.socket.send_to(message, to).await?;
            Ok(())
        }
        .boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            loop {
                let received =
                    self.socket.async_io(Interest::READABLE, || self.receive_now(buffer)).await?;
                // Of a message that came before the options were set, the hop limit is not known.
                if let Some(received) = received {
                    return Ok(received);
                }
            }
        }
        .boxed()
    }
}

/// Messages from link-local addresses say over which interface they came.
const fn matches_scope(scope: u32, index: u32) -> bool {
    scope == 0 || scope == index
}
