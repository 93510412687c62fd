//! What the sessions of all protocols do: talk through a port, and open another one when that fails.

use core::future::Future;
use core::net::Ipv6Addr;
use std::io;

use report::Code;
use report::Failure;
use tokio::sync::mpsc;

use crate::backoff::Random;
use crate::backoff::pause;
use crate::dhcp::Target;

/// One end of a protocol.
pub(crate) trait Talker: Send {
    /// What it talks through.
    type Way: Send + Sync;

    /// Opens that.
    ///
    /// # Errors
    /// Those of the network: the interface is down or away.
    fn open(&self) -> io::Result<Self::Way>;

    /// Talks until it fails; loses nothing of what is known by then.
    fn talk(&mut self, way: &Self::Way) -> impl Future<Output = io::Error> + Send;

    /// It has failed, or could not be opened.
    fn cut_off(&mut self, error: &io::Error);

    /// What pauses are drawn from.
    fn random(&mut self) -> &mut Random;
}

/// Talks for ever, with a pause that grows after each failure.
pub(crate) async fn run(mut talker: impl Talker) {
    let mut tries = 0;
    loop {
        let error = match talker.open() {
            Ok(way) => talker.talk(&way).await,
            Err(error) => error,
        };
        talker.cut_off(&error);
        tries += 1;
        let pause = pause(tries, talker.random());
        tokio::time::sleep(pause).await;
    }
}

/// What a session says of itself when it was cut off from whom it asks by `protocol`.
pub(crate) fn socket_failure(target: &Target, protocol: &str, error: &io::Error) -> Failure {
    let detail = format!("{}: socket for {protocol}: {error}", target.name);
    tracing::debug!("{detail}");
    Failure::new(Code::AddressSetup, detail)
}

/// Addresses that the kernel has found to be another machine's, as a session is told of them.
pub(crate) type Reports = mpsc::UnboundedReceiver<Ipv6Addr>;

/// Tells a session of them.
#[derive(Debug)]
pub(crate) struct Duplicates(mpsc::UnboundedSender<Ipv6Addr>);

impl Duplicates {
    /// Both ends.
    pub(crate) fn channel() -> (Self, Reports) {
        let (sender, reports) = mpsc::unbounded_channel();
        (Self(sender), reports)
    }

    /// The kernel has found that another machine has this address of ours.
    pub(crate) fn report(&self, address: Ipv6Addr) {
        // Fails only when the task has ended, and it does not end by itself.
        let _ = self.0.send(address);
    }
}
