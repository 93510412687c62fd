//! The ends of protocols at links, and who answers there.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use netup::network::Port;
use netup::network::Protocol;
use netup::network::Received;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::links::Links;
use crate::meter::Meter;

type Packet = (Vec<u8>, Option<IpAddr>);

/// The end of one protocol at one link.
#[derive(Debug)]
pub(crate) struct Plug {
    mac: [u8; 6],
    protocol: Protocol,
    /// Index of the link.
    index: u32,
    links: Arc<Links>,
    meter: Arc<Meter>,
    sender: mpsc::UnboundedSender<Packet>,
    receiver: AsyncMutex<mpsc::UnboundedReceiver<Packet>>,
}

impl Plug {
    /// Plugs in.
    pub(crate) fn new(
        mac: [u8; 6],
        protocol: Protocol,
        index: u32,
        links: Arc<Links>,
        meter: Arc<Meter>,
    ) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = AsyncMutex::new(receiver);
        let plug = Self { mac, protocol, index, links, meter, sender, receiver };
        if protocol == Protocol::RouterDiscovery {
            plug.hear_advertisements();
        }
        plug
    }

    /// Delivers a packet after a while, unless the cable swallows it.
    fn deliver(&self, after: Duration, packet: Packet) {
        let (links, index, meter) = (Arc::clone(&self.links), self.index, Arc::clone(&self.meter));
        let sender = self.sender.clone();
        let delay = links.any_jack(index).map_or(Duration::ZERO, |jack| jack.segment.delay);
        tokio::spawn(async move {
            sleep(after + delay).await;
            if links.way(index).is_some_and(|jack| jack.passes(meter.now())) {
                // Nobody may listen any more.
                let _ = sender.send(packet);
            }
        });
    }

    /// What routers say without being asked.
    fn hear_advertisements(&self) {
        let Some(jack) = self.links.any_jack(self.index) else { return };
        for router in jack.segment.routers.clone() {
            let (links, index) = (Arc::clone(&self.links), self.index);
            let meter = Arc::clone(&self.meter);
            let sender = self.sender.clone();
            tokio::spawn(async move {
                while !sender.is_closed() {
                    sleep(router.every).await;
                    let now = meter.now();
                    if let Some(message) = router.advertisement(now)
                        && links.way(index).is_some_and(|jack| jack.passes(now))
                        && sender.send((message, Some(router.address.into()))).is_err()
                    {
                        return;
                    }
                }
            });
        }
    }

    fn answer(&self, message: &[u8]) {
        let now = self.meter.now();
        let Some(jack) = self.links.way(self.index).filter(|jack| jack.passes(now)) else { return };
        let segment = &jack.segment;
        match self.protocol {
            Protocol::Dhcp4 => {
                for server in &segment.dhcp {
                    if let Some(reply) = server.answer(now, message, self.mac) {
                        self.deliver(server.delay, (reply, Some(server.address.into())));
                    }
                }
            }
            Protocol::RouterDiscovery => {
                for router in &segment.routers {
                    if let Some(reply) = router.advertisement(now) {
                        self.deliver(Duration::ZERO, (reply, Some(router.address.into())));
                    }
                }
            }
            Protocol::Arp => {
                if let Some(reply) = arp_reply(message, &segment.taken) {
                    self.deliver(Duration::ZERO, (reply, None));
                }
            }
            Protocol::Dhcp6 => {
                for server in &segment.dhcp6 {
                    if let Some(reply) = server.answer(now, message, self.mac) {
                        self.deliver(server.delay, (reply, Some(server.address().into())));
                    }
                }
            }
        }
    }
}

/// What a host says that has the address that is asked for (RFC 826).
fn arp_reply(frame: &[u8], taken: &[Ipv4Addr]) -> Option<Vec<u8>> {
    const STRANGER: [u8; 6] = [0x02, 0, 0, 0, 0, 0xee];
    let asker: [u8; 6] = frame.get(22..28)?.try_into().ok()?;
    let asker_address: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    let wanted: [u8; 4] = frame.get(38..42)?.try_into().ok()?;
    let is_request = frame.get(20..22)? == [0, 1];
    if !is_request || !taken.contains(&Ipv4Addr::from(wanted)) {
        return None;
    }
    let mut reply = Vec::new();
    reply.extend_from_slice(&asker);
    reply.extend_from_slice(&STRANGER);
    reply.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    reply.extend_from_slice(&STRANGER);
    reply.extend_from_slice(&wanted);
    reply.extend_from_slice(&asker);
    reply.extend_from_slice(&asker_address);
    Some(reply)
}

impl Port for Plug {
    fn send<'a>(&'a self, _: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.meter.note();
        self.answer(message);
        async { Ok(()) }.boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            let packet = self.receiver.lock().await.recv().await;
            let (bytes, from) = packet.ok_or(io::ErrorKind::BrokenPipe)?;
            let length = bytes.len().min(buffer.len());
            for (place, byte) in buffer.iter_mut().zip(&bytes) {
                *place = *byte;
            }
            Ok(Received { length, from, hop_limit: Some(255) })
        }
        .boxed()
    }
}
