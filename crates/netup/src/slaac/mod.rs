//! IPv6 addresses and routes by router advertisements, for one interface.
//!
//! The kernel's own way with advertisements must be off (`accept_ra`, `autoconf`): this is the one
//! place that decides what an interface gets by them. What a [`Session`] says is applied by
//! somebody else, who also tells it of duplicate addresses that the kernel finds.

mod address;
mod fsm;
mod message;
#[cfg(test)]
mod samples;
mod settings;

use core::net::IpAddr;
use core::net::Ipv6Addr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use report::Code;
use report::Failure;
use tokio::sync::watch;
use tokio::time::Instant;

use self::fsm::Action;
use self::fsm::Event;
use self::fsm::Machine;
use self::message::MAX_MESSAGE;
pub(crate) use self::settings::Address;
pub(crate) use self::settings::Settings;
use crate::backoff::Random;
use crate::dhcp::Target;
use crate::network::Network;
use crate::network::Port;
use crate::network::Protocol;
use crate::network::Received;
use crate::runner::Duplicates;
use crate::runner::Reports;
use crate::runner::Talker;
use crate::runner::run;
use crate::runner::socket_failure;
use crate::task::Task;
use crate::task::sleep_until;

/// What routers say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// What holds now.
    pub(crate) settings: Settings,
    /// How many times routers were asked since there was one.
    pub(crate) solicitations: u32,
    /// What went wrong last, other than silence.
    pub(crate) failure: Option<Failure>,
}

/// Listens to routers until this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) duplicates: Duplicates,
    _task: Task,
}

impl Session {
    /// Starts to ask for routers.
    pub(crate) fn start(network: Arc<dyn Network>, target: Target, random: Random) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let (duplicates, reports) = Duplicates::channel();
        let machine = Machine::new(target.mac, random.clone(), Duration::ZERO);
        let origin = Instant::now();
        let runner = Runner { network, target, random, machine, origin, sender, reports };
        Self { status, duplicates, _task: Task::spawn(run(runner)) }
    }
}

struct Runner {
    network: Arc<dyn Network>,
    target: Target,
    random: Random,
    machine: Machine,
    origin: Instant,
    sender: watch::Sender<Status>,
    reports: Reports,
}

impl Talker for Runner {
    type Way = Box<dyn Port>;

    fn open(&self) -> io::Result<Box<dyn Port>> {
        self.network.port(&self.target.nic(), Protocol::RouterDiscovery)
    }

    async fn talk(&mut self, port: &Box<dyn Port>) -> io::Error {
        let port = &**port;
        let mut buffer = [0; MAX_MESSAGE + 1];
        loop {
            let wake_at = self.machine.wake_at();
            let event = tokio::select! {
                biased;
                received = port.receive(&mut buffer) => match received {
                    Ok(Received { length, from: Some(IpAddr::V6(source)), hop_limit: Some(hops) }) => {
                        let bytes = buffer.get(..length).unwrap_or_default();
                        Event::Packet { bytes, source, hop_limit: hops }
                    }
                    Ok(_) => continue,
                    Err(error) => return error,
                },
                Some(address) = self.reports.recv() => Event::Duplicate(address),
                () = sleep_until(self.origin, wake_at) => Event::Timer,
            };
            let actions = self.machine.handle(self.origin.elapsed(), event);
            for action in actions {
                if let Action::Solicit(message) = action {
                    self.solicit(port, &message).await;
                }
            }
            self.publish();
        }
    }

    fn cut_off(&mut self, error: &io::Error) {
        let failure = socket_failure(&self.target, "router advertisements", error);
        self.sender.send_modify(|status| status.failure = Some(failure));
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

impl Runner {
    async fn solicit(&mut self, port: &dyn Port, message: &[u8]) {
        let name = &self.target.name;
        match port.send(None, message).await {
            Ok(()) => {
                let sent = self.machine.solicitations();
                tracing::debug!("{name}: asking for routers, message {sent}");
            }
            Err(error) => {
                tracing::debug!("{name}: asking for routers: {error}");
                self.machine.handle(self.origin.elapsed(), Event::Unsent);
            }
        }
    }

    fn publish(&self) {
        let name = &self.target.name;
        let failure = self
            .machine
            .trouble()
            .map(|trouble| Failure::new(Code::AddressConflict, format!("{name}: {trouble}")));
        let solicitations = self.machine.solicitations();
        let settings = self.machine.settings();
        self.sender.send_if_modified(|status| {
            let now = Status { settings: settings.clone(), solicitations, failure };
            let changed = now != *status;
            *status = now;
            changed
        });
    }
}

/// See [`crate::fuzzing`].
pub(crate) fn fuzz(bytes: &[u8], mac: [u8; 6], source: Ipv6Addr) -> bool {
    let mut machine = Machine::new(mac, crate::fuzzing::random(), Duration::ZERO);
    let _ = machine.handle(Duration::ZERO, Event::Packet { bytes, source, hop_limit: 255 });
    crate::fuzzing::run(&mut machine, Machine::wake_at, |machine, now| {
        let _ = machine.handle(now, Event::Timer);
    });
    message::Advertisement::parse(bytes, source, 255).is_ok()
}
