//! DHCPv6 for one interface: the client's states driven by a clock and a socket.
//!
//! What a [`Session`] gets is applied by somebody else, who also tells it of a duplicate address that
//! the kernel finds. Routes are not among it: those are for routers to say (`slaac`).

mod duid;
mod fsm;
mod lease;
mod message;
mod options;
mod retry;
#[cfg(test)]
mod samples;

use core::time::Duration;
use std::io;
use std::sync::Arc;

use report::Code;
use report::Failure;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::duid::Duid;
use self::fsm::Action;
use self::fsm::Client;
use self::fsm::Event;
pub(crate) use self::fsm::Mode;
pub(crate) use self::lease::Lease;
use self::message::MAX_MESSAGE;
use crate::backoff::Random;
use crate::dhcp::Target;
use crate::network::Network;
use crate::network::Port;
use crate::network::Protocol;
use crate::runner::Duplicates;
use crate::runner::Reports;
use crate::runner::Talker;
use crate::runner::run;
use crate::runner::socket_failure;
use crate::task::Task;
use crate::task::sleep_until;

/// How far a client is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// The lease that is to be on the interface.
    pub(crate) lease: Option<Lease>,
    /// How many messages went out since there was a lease.
    pub(crate) rounds: u32,
    /// Servers that have answered with something of use.
    pub(crate) servers: Vec<Duid>,
    /// What went wrong last, other than silence.
    pub(crate) failure: Option<Failure>,
}

/// A client that runs in the background until this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) duplicates: Duplicates,
    _task: Task,
}

impl Session {
    /// Starts a client that prefers other servers to those in `avoid`.
    pub(crate) fn start(
        network: Arc<dyn Network>,
        target: Target,
        mode: Mode,
        random: Random,
        avoid: Vec<Duid>,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let (duplicates, reports) = Duplicates::channel();
        let [_, _, a, b, c, d] = target.mac;
        let iaid = u32::from_be_bytes([a, b, c, d]);
        let duid = Duid::of_mac(target.mac);
        let client = Client::new(duid, iaid, mode, random.clone(), avoid, Duration::ZERO);
        let origin = Instant::now();
        let runner = Runner { network, target, random, client, origin, sender, reports };
        Self { status, duplicates, _task: Task::spawn(run(runner)) }
    }
}

struct Runner {
    network: Arc<dyn Network>,
    target: Target,
    random: Random,
    client: Client,
    origin: Instant,
    sender: watch::Sender<Status>,
    reports: Reports,
}

impl Talker for Runner {
    type Way = Box<dyn Port>;

    fn open(&self) -> io::Result<Box<dyn Port>> {
        self.network.port(&self.target.nic(), Protocol::Dhcp6)
    }

    async fn talk(&mut self, port: &Box<dyn Port>) -> io::Error {
        let port = &**port;
        let mut buffer = [0; MAX_MESSAGE + 1];
        loop {
            let wake_at = self.client.wake_at();
            let event = tokio::select! {
                biased;
                received = port.receive(&mut buffer) => match received {
                    Ok(received) => {
                        Event::Datagram(buffer.get(..received.length).unwrap_or_default())
                    }
                    Err(error) => return error,
                },
                Some(address) = self.reports.recv() => Event::Duplicate(address),
                () = sleep_until(self.origin, wake_at) => Event::Timer,
            };
            let mut lease = self.sender.borrow().lease.clone();
            let actions = self.client.handle(self.origin.elapsed(), event);
            for action in actions {
                match action {
                    Action::Send(message) => self.send(port, &message).await,
                    Action::Bound(bound) => {
                        tracing::info!("{}: {}", self.target.name, describe(&bound));
                        lease = Some(bound);
                    }
                    Action::Lost(why) => {
                        tracing::warn!("{}: lost the DHCPv6 lease: {why}", self.target.name);
                        lease = None;
                    }
                }
            }
            self.publish(lease);
        }
    }

    fn cut_off(&mut self, error: &io::Error) {
        let failure = socket_failure(&self.target, "DHCPv6", error);
        self.sender.send_modify(|status| status.failure = Some(failure));
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

impl Runner {
    async fn send(&mut self, port: &dyn Port, message: &[u8]) {
        let name = &self.target.name;
        match port.send(None, message).await {
            Ok(()) => {
                let rounds = self.client.rounds();
                tracing::debug!("{name}: DHCPv6 message to all servers, round {rounds}");
            }
            Err(error) => {
                tracing::debug!("{name}: sending a DHCPv6 message: {error}");
                self.client.handle(self.origin.elapsed(), Event::Unsent);
            }
        }
    }

    fn publish(&self, lease: Option<Lease>) {
        let name = &self.target.name;
        let code = if self.client.in_conflict() { Code::AddressConflict } else { Code::NoLease };
        let failure =
            self.client.trouble().map(|trouble| Failure::new(code, format!("{name}: {trouble}")));
        let (rounds, servers) = (self.client.rounds(), self.client.servers().to_vec());
        self.sender.send_if_modified(|status| {
            let now = Status { lease, rounds, servers, failure };
            let changed = now != *status;
            *status = now;
            changed
        });
    }
}

fn describe(lease: &Lease) -> String {
    let server = &lease.server;
    match (lease.address, lease.seconds) {
        (None, _) => format!("DHCPv6 settings from {server}"),
        (Some(address), lease::INFINITE) => {
            format!("DHCPv6 lease {address} from {server}, for ever")
        }
        (Some(address), seconds) => {
            format!("DHCPv6 lease {address} from {server}, for {seconds} s")
        }
    }
}

/// See [`crate::fuzzing`].
pub(crate) fn fuzz(bytes: &[u8], mac: [u8; 6], iaid: u32) -> bool {
    let duid = Duid::of_mac(mac);
    let random = crate::fuzzing::random();
    let mut datagram = bytes.to_vec();
    let mut believed = false;
    for mode in [Mode::Stateful, Mode::Stateless] {
        let mut client =
            Client::new(duid.clone(), iaid, mode, random.clone(), Vec::new(), Duration::ZERO);
        for _ in 0..3 {
            let now = client.wake_at().unwrap_or_default();
            let sent = client.handle(now, Event::Timer);
            // The answer is to whatever was asked last.
            if let Some(Action::Send(message)) = sent.last()
                && let (Some(to), Some([_, a, b, c])) =
                    (datagram.get_mut(1..4), message.first_chunk())
            {
                to.copy_from_slice(&[*a, *b, *c]);
                let xid = u32::from_be_bytes([0, *a, *b, *c]);
                believed |= message::Reply::parse(&datagram, &duid, iaid, xid).is_ok();
            }
            let _ = client.handle(now, Event::Datagram(&datagram));
        }
    }
    believed
}
