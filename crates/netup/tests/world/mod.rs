//! A small network that is made up from a seed.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use dhcproto::Decodable as _;
use dhcproto::Encodable as _;
use dhcproto::v4;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hostcfg::Bonding;
use netup::Link;
use netup::network::AddressState;
use netup::network::Configuration;
use netup::network::Done;
use netup::network::Links;
use netup::network::Network;
use netup::network::NetworkError;
use netup::network::Nic;
use netup::network::NicAddress;
use netup::network::Port;
use netup::network::Protocol;
use netup::network::Received;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;

/// What a DHCP server is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Server {
    /// Answers, and its network leads to the provisioning server.
    Good,
    /// The same, after seconds.
    Slow,
    /// Answers at once, and leads elsewhere.
    Rogue,
    /// Says nothing.
    Silent,
}

/// What is at the other end of a NIC's cable.
#[derive(Clone, Debug)]
struct Cable {
    /// After how long there is a signal; `None` for never.
    plugged: Option<Duration>,
    /// When the signal goes away for a while, after it came.
    wobbles: Vec<(Duration, Duration)>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct State {
    random: u64,
    cables: Vec<Cable>,
    trace: Vec<(Duration, String)>,
    sent: Vec<(Duration, u32)>,
}

/// The network.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    started: Instant,
    links: watch::Sender<Arc<Vec<Nic>>>,
    state: Mutex<State>,
    own: std::sync::Weak<Self>,
}

const FIRST: u32 = 2;

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut random = seed ^ 0x5eed;
        let mut draw = |below: u64| next(&mut random) % below;
        let mut cables = Vec::new();
        for _ in 0..1 + draw(4) {
            let plugged = (draw(4) != 0).then(|| Duration::from_millis(draw(40_000)));
            let wobbles = (0..draw(3))
                .map(|_| (1000 + draw(20_000), 10 + draw(5000)))
                .map(|(at, long)| (Duration::from_millis(at), Duration::from_millis(long)))
                .collect();
            let servers = (0..draw(3))
                .map(|_| match draw(6) {
                    0 | 1 => Server::Good,
                    2 => Server::Slow,
                    3 | 4 => Server::Rogue,
                    _ => Server::Silent,
                })
                .collect();
            cables.push(Cable { plugged, wobbles, servers });
        }
        let nics = cables.iter().zip(FIRST..).map(|(_, index)| {
            Nic::ethernet(index, &format!("eth{}", index - FIRST), [2, 0, 0, 0, 0, index as u8])
        });
        let (links, _) = watch::channel(Arc::new(nics.collect()));
        let state = State { random, cables, trace: Vec::new(), sent: Vec::new() };
        Arc::new_cyclic(|own| Self {
            seed,
            started: Instant::now(),
            links,
            state: Mutex::new(state),
            own: own.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn draw(&self, below: u64) -> u64 {
        next(&mut self.state().random) % below
    }

    pub(crate) fn note(&self, what: String) {
        let at = self.started.elapsed();
        self.state().trace.push((at, what));
    }

    pub(crate) fn trace(&self) -> String {
        let state = self.state();
        let mut text = format!("{:?}\n", state.cables);
        for (at, what) in &state.trace {
            text += &format!("{:9.3} {what}\n", at.as_secs_f64());
        }
        text
    }

    pub(crate) fn nics(&self) -> Vec<Nic> {
        self.links.borrow().to_vec()
    }

    /// Whether some cable leads to the provisioning server.
    pub(crate) fn has_hope(&self) -> bool {
        self.state().cables.iter().any(|cable| {
            let good = |server: &Server| matches!(server, Server::Good | Server::Slow);
            cable.plugged.is_some() && cable.servers.iter().any(good)
        })
    }

    pub(crate) fn most_messages_per_second(&self) -> usize {
        let state = self.state();
        let within = |at: &(Duration, u32)| {
            let later = |other: &&(Duration, u32)| {
                other.1 == at.1 && other.0 >= at.0 && other.0 < at.0 + Duration::from_secs(1)
            };
            state.sent.iter().filter(later).count()
        };
        state.sent.iter().map(within).max().unwrap_or(0)
    }

    /// Which server gave the address of a link: every one has a network of its own.
    pub(crate) fn server_of(&self, link: &Link) -> Option<Server> {
        let IpAddr::V4(address) = link.addresses.first()?.address() else { return None };
        let [10, nic, server, _] = address.octets() else { return None };
        let state = self.state();
        let cable = state.cables.get(usize::from(nic))?;
        cable.servers.get(usize::from(server)).copied()
    }

    fn change(&self, index: u32, change: impl FnOnce(&mut Nic)) {
        self.links.send_if_modified(|links| {
            let mut now = links.to_vec();
            let Some(nic) = now.iter_mut().find(|nic| nic.index == index) else { return false };
            change(nic);
            let changed = now != **links;
            if changed {
                *links = Arc::new(now);
            }
            changed
        });
    }

    /// Plays what happens to the cable of a NIC that was switched on.
    async fn play(self: Arc<Self>, index: u32) {
        let cable = self.cable(index);
        let Some(plugged) = cable.plugged else { return };
        sleep(plugged).await;
        self.change(index, |nic| nic.carrier = nic.up);
        for (after, long) in cable.wobbles {
            sleep(after).await;
            self.note(format!("interface {index}: signal lost"));
            self.change(index, |nic| nic.carrier = false);
            sleep(long).await;
            self.change(index, |nic| nic.carrier = nic.up);
        }
    }

    fn cable(&self, index: u32) -> Cable {
        self.state().cables[(index - FIRST) as usize].clone()
    }

    /// What the servers of a cable do about a message.
    fn heard(&self, index: u32, message: &[u8], answers: &mpsc::UnboundedSender<Vec<u8>>) {
        let query = v4::Message::from_bytes(message).unwrap();
        let kind = query.opts().msg_type().unwrap();
        self.note(format!("interface {index}: {kind:?}"));
        let at = self.started.elapsed();
        self.state().sent.push((at, index));
        for (number, server) in self.cable(index).servers.into_iter().enumerate() {
            let delay = match server {
                Server::Good => 1 + self.draw(400),
                Server::Slow => 1000 + self.draw(2500),
                Server::Rogue => 1,
                Server::Silent => continue,
            };
            let Some(answer) = answer(index, number as u8, &query, kind) else { continue };
            let answers = answers.clone();
            let world = self.own.upgrade().unwrap();
            tokio::spawn(async move {
                sleep(Duration::from_millis(delay)).await;
                let carrier =
                    world.links.borrow().iter().any(|nic| nic.index == index && nic.carrier);
                if carrier {
                    let _ = answers.send(answer);
                }
            });
        }
    }
}

fn answer(index: u32, number: u8, query: &v4::Message, kind: v4::MessageType) -> Option<Vec<u8>> {
    let network = [10, (index - FIRST) as u8, number];
    let at = |last: u8| Ipv4Addr::new(network[0], network[1], network[2], last);
    let chosen = query.opts().get(v4::OptionCode::ServerIdentifier);
    let kind = match kind {
        v4::MessageType::Discover => v4::MessageType::Offer,
        v4::MessageType::Request => match chosen {
            Some(v4::DhcpOption::ServerIdentifier(server)) if *server != at(1) => return None,
            _ => v4::MessageType::Ack,
        },
        _ => return None,
    };
    let mut reply = v4::Message::default();
    reply
        .set_opcode(v4::Opcode::BootReply)
        .set_xid(query.xid())
        .set_chaddr(query.chaddr())
        .set_yiaddr(at(100));
    let options = reply.opts_mut();
    options.insert(v4::DhcpOption::MessageType(kind));
    options.insert(v4::DhcpOption::ServerIdentifier(at(1)));
    options.insert(v4::DhcpOption::AddressLeaseTime(3600));
    options.insert(v4::DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)));
    options.insert(v4::DhcpOption::Router(vec![at(1)]));
    Some(reply.to_vec().unwrap())
}

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn done<'a>() -> Done<'a> {
    async { Ok(()) }.boxed()
}

fn unknown<'a, T: Send + 'a>() -> Done<'a, T> {
    async { Err(NetworkError::new("making a link", "this world has none")) }.boxed()
}

impl Network for World {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn links(&self) -> Links {
        self.links.subscribe()
    }

    fn prepare(&self, _: &Nic, _: bool) {}

    fn up(&self, index: u32) -> Done<'_> {
        self.note(format!("interface {index}: on"));
        self.change(index, |nic| nic.up = true);
        tokio::spawn(self.own.upgrade().unwrap().play(index));
        done()
    }

    fn down(&self, index: u32) -> Done<'_> {
        self.note(format!("interface {index}: off"));
        self.change(index, |nic| {
            nic.up = false;
            nic.carrier = false;
        });
        done()
    }

    fn set_mtu(&self, _: u32, _: u32) -> Done<'_> {
        done()
    }

    fn apply<'a>(&'a self, index: u32, configuration: &'a Configuration) -> Done<'a> {
        self.note(format!("interface {index}: {:?}", configuration.addresses));
        self.change(index, |nic| {
            let ready = |address| NicAddress { address, state: AddressState::Ready };
            nic.addresses = configuration.addresses.iter().copied().map(ready).collect();
        });
        done()
    }

    fn flush(&self, index: u32) -> BoxFuture<'_, ()> {
        self.note(format!("interface {index}: flushed"));
        self.change(index, |nic| nic.addresses.clear());
        async {}.boxed()
    }

    fn make_bond<'a>(&'a self, _: &'a Bonding, _: Option<u32>) -> Done<'a, u32> {
        unknown()
    }

    fn join_bond(&self, _: u32, _: u32, _: bool) -> Done<'_> {
        unknown()
    }

    fn make_vlan(&self, _: u32, _: u16) -> Done<'_, u32> {
        unknown()
    }

    fn remove(&self, _: u32) -> Done<'_> {
        unknown()
    }

    fn port(&self, nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
        let (answers, received) = mpsc::unbounded_channel();
        let world = self.own.upgrade().unwrap();
        let received = tokio::sync::Mutex::new(received);
        Ok(Box::new(SimPort { world, index: nic.index, protocol, answers, received }))
    }
}

#[derive(Debug)]
struct SimPort {
    world: Arc<World>,
    index: u32,
    protocol: Protocol,
    answers: mpsc::UnboundedSender<Vec<u8>>,
    received: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
}

impl Port for SimPort {
    fn send<'a>(&'a self, _: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        if self.protocol == Protocol::Dhcp4 {
            self.world.heard(self.index, message, &self.answers);
        }
        async { Ok(()) }.boxed()
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>> {
        async move {
            let message = self.received.lock().await.recv().await;
            let message = message.ok_or(io::ErrorKind::BrokenPipe)?;
            buffer[..message.len()].copy_from_slice(&message);
            Ok(Received { length: message.len(), from: None, hop_limit: None })
        }
        .boxed()
    }
}
