//! DHCP for one interface: the client's states driven by a clock and a socket.

mod conflict;
mod fsm;
mod lease;
mod message;
mod transport;

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hostcfg::Cidr;
use report::Code;
use report::Failure;
use tokio::sync::watch;
use tokio::time::Instant;

use self::fsm::Action;
use self::fsm::Client;
use self::fsm::Event;
pub(crate) use self::lease::INFINITE;
pub(crate) use self::lease::Lease;
use self::transport::Buffer;
use self::transport::Received;
use self::transport::Transport;
use crate::backoff::Random;
use crate::configuration::Configuration;
use crate::configuration::StaticRoute;
use crate::network::Network;
use crate::network::Nic;
use crate::runner::Talker;
use crate::runner::run;
use crate::runner::socket_failure;
use crate::task::Task;
use crate::task::sleep_until;

/// The interface that a lease is for.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: [u8; 6],
}

impl Target {
    /// The interface, as far as opening a port needs it.
    pub(crate) fn nic(&self) -> Nic {
        Nic::ethernet(self.index, &self.name, self.mac)
    }
}

/// How far a client is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// The lease that holds.
    pub(crate) lease: Option<Lease>,
    /// How many times servers were asked since there was a lease.
    pub(crate) rounds: u32,
    /// Servers that have made an offer.
    pub(crate) servers: Vec<Ipv4Addr>,
    /// What went wrong last, other than silence.
    pub(crate) failure: Option<Failure>,
}

/// A client that runs in the background until this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) status: watch::Receiver<Status>,
    _task: Task,
}

impl Session {
    /// Starts a client that prefers other servers to those in `avoid`, and says nothing before
    /// `delay` is over. It changes nothing about the interface: see [`configuration`].
    pub(crate) fn start(
        network: Arc<dyn Network>,
        target: Target,
        random: Random,
        avoid: Vec<Ipv4Addr>,
        delay: Duration,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let client = Client::new(target.mac, random.clone(), avoid, delay);
        let origin = Instant::now();
        let runner = Runner { network, target, random, client, origin, sender };
        Self { status, _task: Task::spawn(run(runner)) }
    }
}

struct Runner {
    network: Arc<dyn Network>,
    target: Target,
    random: Random,
    client: Client,
    origin: Instant,
    sender: watch::Sender<Status>,
}

impl Talker for Runner {
    type Way = Transport;

    fn open(&self) -> io::Result<Transport> {
        Transport::open(&*self.network, &self.target)
    }

    async fn talk(&mut self, transport: &Transport) -> io::Error {
        if !transport.has_arp() {
            self.client.without_conflict_check();
        }
        let mut buffer = Buffer::default();
        loop {
            let wake_at = self.client.wake_at();
            let received = tokio::select! {
                biased;
                received = transport.receive(&mut buffer) => match received {
                    Ok(received) => Some(received),
                    Err(error) => return error,
                },
                () = sleep_until(self.origin, wake_at) => None,
            };
            let event = match received {
                Some(Received::Datagram(length)) => Event::Datagram(buffer.datagram(length)),
                Some(Received::Arp(length)) => Event::Arp(buffer.frame(length)),
                None => Event::Timer,
            };
            for action in self.client.handle(self.origin.elapsed(), event) {
                self.act(transport, action).await;
            }
            let (rounds, servers) = (self.client.rounds(), self.client.servers().to_vec());
            let trouble = self.client.trouble().map(str::to_owned);
            let conflict = self.client.in_conflict();
            let code = if conflict { Code::AddressConflict } else { Code::NoLease };
            let name = &self.target.name;
            self.publish(|status| {
                status.rounds = rounds;
                status.servers = servers;
                if let Some(trouble) = trouble {
                    status.failure = Some(Failure::new(code, format!("{name}: {trouble}")));
                }
            });
        }
    }

    fn cut_off(&mut self, error: &io::Error) {
        let failure = socket_failure(&self.target, "DHCP", error);
        self.publish(|status| status.failure = Some(failure));
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

impl Runner {
    async fn act(&self, transport: &Transport, action: Action) {
        let name = &self.target.name;
        match action {
            Action::Send { to, message } => {
                let rounds = self.client.rounds();
                match to {
                    None => tracing::debug!("{name}: DHCP message to all servers, round {rounds}"),
                    Some(server) => tracing::debug!("{name}: asking {server} for more time"),
                }
                if let Err(error) = transport.send(to, &message).await {
                    // The timer repeats it.
                    tracing::debug!("{name}: sending a DHCP message: {error}");
                }
            }
            Action::SendArp(frame) => {
                if let Err(error) = transport.send_arp(&frame).await {
                    tracing::debug!("{name}: sending an ARP packet: {error}");
                }
            }
            Action::Bound(lease) => self.bound(lease),
            Action::Lost(why) => {
                tracing::warn!("{name}: lost the DHCP lease: {why}");
                self.publish(|status| status.lease = None);
            }
        }
    }

    fn bound(&self, lease: Lease) {
        let name = &self.target.name;
        let before = self.sender.borrow().lease.as_ref().map(configuration);
        if before == Some(configuration(&lease)) {
            tracing::debug!("{name}: the lease of {} was extended", lease.address);
        } else {
            tracing::info!("{name}: {}", describe(&lease));
        }
        self.publish(|status| {
            status.lease = Some(lease);
            status.failure = None;
        });
    }

    fn publish(&self, change: impl FnOnce(&mut Status)) {
        self.sender.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }
}

/// What a lease means for the interface. RFC 3442: with classless routes, the router is ignored.
pub(crate) fn configuration(lease: &Lease) -> Configuration {
    let routes = match &lease.routes {
        Some(routes) => routes
            .iter()
            .map(|route| StaticRoute {
                destination: IpAddr::V4(route.destination),
                prefix_len: route.prefix_len,
                gateway: route.gateway.map(IpAddr::V4),
            })
            .collect(),
        None => {
            lease.router.map(|router| StaticRoute::default_by(router.into())).into_iter().collect()
        }
    };
    Configuration {
        addresses: Cidr::new(lease.address.into(), lease.prefix_len.unwrap_or(32))
            .into_iter()
            .collect(),
        routes,
        mtu: lease.mtu.map(u32::from),
    }
}

fn describe(lease: &Lease) -> String {
    let configuration = configuration(lease);
    let gateway = configuration
        .default_gateways()
        .first()
        .map_or_else(|| "no gateway".to_owned(), |gateway| format!("gateway {gateway}"));
    let time = match lease.seconds {
        INFINITE => "for ever".to_owned(),
        seconds => format!("for {seconds} s"),
    };
    let (address, prefix_len) = (lease.address, lease.prefix_len.unwrap_or(32));
    format!("DHCP lease {address}/{prefix_len}, {gateway}, from {}, {time}", lease.server)
}

/// See [`crate::fuzzing`].
pub(crate) fn fuzz(bytes: &[u8], mac: [u8; 6]) -> bool {
    let mut client = Client::new(mac, crate::fuzzing::random(), Vec::new(), Duration::ZERO);
    let mut datagram = bytes.to_vec();
    let mut believed = false;
    for _ in 0..3 {
        let now = client.wake_at().unwrap_or_default();
        let sent = client.handle(now, Event::Timer);
        // The answer is to whatever was asked last.
        if let Some(Action::Send { message, .. }) = sent.last()
            && let (Some(to), Some(xid)) = (datagram.get_mut(4..8), message.get(4..8))
        {
            to.copy_from_slice(xid);
            let xid = xid.try_into().map_or(0, u32::from_be_bytes);
            believed |= message::Reply::parse(&datagram, mac, xid).is_ok();
        }
        let _ = client.handle(now, Event::Datagram(&datagram));
    }
    believed
}
