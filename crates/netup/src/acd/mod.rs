//! IPv4 address conflict detection (RFC 5227) for leases and static addresses.
//!
//! A DHCP client has the detector inside it (`dhcp/fsm.rs`); a static address has a [`Session`].

mod fsm;
mod packet;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::fsm::Action;
pub(crate) use self::fsm::Detector;
pub(crate) use self::fsm::Event;
pub(crate) use self::fsm::Stance;
pub(crate) use self::packet::MAX_FRAME;
pub(crate) use self::packet::Packet;
use crate::backoff::Random;
use crate::dhcp::Target;
use crate::network::Network;
use crate::network::Port;
use crate::network::Protocol;
use crate::runner::Talker;
use crate::runner::run;
use crate::task::Task;
use crate::task::sleep_until;

/// How long to wait before an address that another machine has is asked for again.
const AFTER_CONFLICT: Duration = Duration::from_secs(10);

/// What is known of a static address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Status {
    /// Others are being asked; it must not be used yet.
    #[default]
    Probing,
    /// It may be used. This lasts: from here on it is defended.
    Free,
    /// The machine with this MAC address has it; it must not be used. It is asked for again.
    Conflict([u8; 6]),
}

/// Watches a static address until this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) status: watch::Receiver<Status>,
    _task: Task,
}

impl Session {
    /// Asks for `address` over `target`, taking no notice of what `own`, the other NICs of this
    /// machine, claim: they may have the same address.
    pub(crate) fn start(
        network: Arc<dyn Network>,
        target: Target,
        address: Ipv4Addr,
        own: Vec<[u8; 6]>,
        random: Random,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let runner =
            Runner { network, target, address, own, random, origin: Instant::now(), sender };
        Self { status, _task: Task::spawn(run(runner)) }
    }
}

struct Runner {
    network: Arc<dyn Network>,
    target: Target,
    address: Ipv4Addr,
    own: Vec<[u8; 6]>,
    random: Random,
    origin: Instant,
    sender: watch::Sender<Status>,
}

impl Talker for Runner {
    type Way = Box<dyn Port>;

    fn open(&self) -> io::Result<Box<dyn Port>> {
        self.network.port(&self.target.nic(), Protocol::Arp)
    }

    async fn talk(&mut self, port: &Box<dyn Port>) -> io::Error {
        let name = self.target.name.clone();
        let mut buffer = [0; MAX_FRAME];
        let mut detector = self.detector(self.origin.elapsed());
        loop {
            let received = tokio::select! {
                biased;
                received = port.receive(&mut buffer) => match received {
                    Ok(received) => Some(received.length),
                    Err(error) => return error,
                },
                () = sleep_until(self.origin, detector.wake_at()) => None,
            };
            let now = self.origin.elapsed();
            let event = match received.and_then(|length| buffer.get(..length)) {
                Some(frame) => Event::Frame(frame),
                None => Event::Timer,
            };
            for action in detector.handle(now, event) {
                match action {
                    Action::Send(frame) => {
                        if let Err(error) = port.send(None, &frame).await {
                            tracing::debug!("{name}: sending an ARP packet: {error}");
                        }
                    }
                    Action::Free => {
                        self.sender.send_replace(Status::Free);
                    }
                    Action::Conflict(by) => {
                        self.sender.send_replace(Status::Conflict(by));
                        let jitter = Duration::from_millis(self.random.next_u64() % 2001);
                        detector = self.detector(now + AFTER_CONFLICT + jitter);
                    }
                }
            }
        }
    }

    fn cut_off(&mut self, error: &io::Error) {
        tracing::warn!("{}: no check for address conflicts: {error}", self.target.name);
        // Better an unchecked address than none: static addresses have an owner.
        self.sender.send_if_modified(|status| {
            let probing = *status == Status::Probing;
            if probing {
                *status = Status::Free;
            }
            probing
        });
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

impl Runner {
    fn detector(&mut self, start: Duration) -> Detector {
        let random = Random::seeded(self.random.next_u64());
        Detector::new(self.target.mac, self.address, Stance::Hold, random, start)
            .exempting(self.own.iter().copied())
    }
}

/// See [`crate::fuzzing`].
pub(crate) fn fuzz(bytes: &[u8], mac: [u8; 6], address: Ipv4Addr) -> bool {
    for stance in [Stance::Yield, Stance::Hold] {
        let random = crate::fuzzing::random();
        let mut detector = Detector::new(mac, address, stance, random, Duration::ZERO);
        let wake = |detector: &mut Detector, now| {
            let _ = detector.handle(now, Event::Timer);
            let _ = detector.handle(now, Event::Frame(bytes));
        };
        crate::fuzzing::run(&mut detector, Detector::wake_at, wake);
    }
    Packet::parse(bytes).is_some()
}
