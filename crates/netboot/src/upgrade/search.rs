//! The next release, wherever a mirror has it.

use std::time::Duration;

use fetch::Client;
use fetch::ClientOptions;
use fetch::Patience;
use hostcfg::Mirror;
use kexec_rs::Loaded;
use kexec_rs::MemFile;
use report::Code;
use report::Failure;
use trust::Sha256Digest;

use super::Current;
use super::Handover;
use super::Network;
use crate::events::Event;
use crate::events::Events;
use crate::inputs::Inputs;
use crate::ledger::Choice;
use crate::ledger::Ledger;
use crate::ledger::Trouble;
use crate::load;
use crate::mirror::Job;
use crate::mirror::Try;
use crate::mirror::Verified;
use crate::pieces::Shelf;
use crate::time::LinkTime;
use crate::world::Machine;
use crate::world::client_options;

/// Rounds over all mirrors: somebody waits for the answer, and can ask again.
const ROUNDS: u32 = 3;

/// What the mirrors have.
#[derive(Debug)]
pub enum Next {
    /// Nothing newer: a mirror has what runs, and none has anything else that may be taken.
    Already,
    /// A newer release.
    Newer(Box<Candidate>),
}

/// A newer release, verified and unpacked, in memory of its own.
#[derive(Debug)]
pub struct Candidate {
    package: Verified,
}

impl Candidate {
    /// SHA-256 of its archive.
    #[must_use]
    pub fn sha256(&self) -> Sha256Digest {
        self.package.authorized().archive_digest()
    }

    /// Its release; a [`Candidate`] always has one.
    #[must_use]
    pub fn release(&self) -> Option<u64> {
        self.package.manifest().release
    }

    /// Its label, if it has one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.package.manifest().label.as_deref()
    }

    /// Loads it, with the same trust policy and host configuration as the running OS was handed and
    /// a new boot report. Blocks for as long as copying and hashing take.
    ///
    /// To be called when nothing is left to do but to jump: other kernels cannot be loaded any
    /// more, and the kernel keeps next to no memory free for itself from then on.
    ///
    /// # Errors
    /// E0503, E0507 and E06xx. After E0601 the machine goes on as before, and the package is gone.
    pub fn load(self, handover: &Handover, events: &dyn Events) -> Result<Loaded, Failure> {
        load(&handover.inputs, events, self.package)
    }
}

/// Asks the mirrors of the host configuration, one after the other, for a package that is newer than
/// the one that runs; fetches and verifies the first.
///
/// A mirror that has what runs costs a descriptor, not a download: its signatures tell. A mirror that
/// has an older release, or one that fails, is passed over for the next; what may heal is tried
/// again a few times within `patience`.
///
/// # Errors
/// The gravest failure if no mirror has a newer package and none has what runs, E0414 for an older
/// one among them.
pub async fn fetch_next(
    handover: &Handover,
    network: &Network,
    patience: Duration,
    events: &dyn Events,
) -> Result<Next, Failure> {
    let mut search = Search::new(handover, network, events)?;
    match tokio::time::timeout(patience, search.run()).await {
        Ok(result) => result,
        Err(_) => {
            let last = search.ledger.last_transient(&search.interface).cloned();
            Err(last.unwrap_or_else(|| {
                let detail = format!("{} s have passed", patience.as_secs());
                Failure::new(Code::DeadlineReached, detail)
            }))
        }
    }
}

struct Search<'a> {
    inputs: &'a Inputs,
    current: &'a Current,
    events: &'a dyn Events,
    client: Client,
    /// For reports.
    interface: String,
    ledger: Ledger,
    shelf: Shelf<MemFile>,
}

impl<'a> Search<'a> {
    fn new(
        handover: &'a Handover,
        network: &Network,
        events: &'a dyn Events,
    ) -> Result<Self, Failure> {
        let Handover { inputs, current, .. } = handover;
        let client = Client::new(ClientOptions {
            interface: network.interface.clone(),
            dns: network.dns.clone(),
            ..client_options(inputs)
        })
        .map_err(|error| error.failure())?;
        let by_route = || handover.used_nic().map(|nic| nic.interface.clone()).unwrap_or_default();
        let interface = network.interface.clone().unwrap_or_else(by_route);
        let ledger = Ledger::new(inputs.host.config.mirrors.len());
        Ok(Self { inputs, current, events, client, interface, ledger, shelf: Shelf::new() })
    }

    async fn run(&mut self) -> Result<Next, Failure> {
        let mirrors = &self.inputs.host.config.mirrors;
        let mut round = 1;
        loop {
            let mut already = false;
            let mut asked = Vec::new();
            // Whoever wants to be left alone is, for this round.
            while let Choice::Ask(index) = self.ledger.choose(&self.interface, &asked) {
                let Some(mirror) = mirrors.get(index) else { break };
                asked.push(index);
                self.ledger.ask(&self.interface, index);
                let mut attempt = Try::new(self.events);
                match self.ask(mirror, &mut attempt).await {
                    Ok(Some(package)) => {
                        let addresses = self.client.addresses(mirror);
                        let report = attempt.report(&self.interface, &mirror.url, addresses, None);
                        self.events.on(Event::Mirror(report));
                        return Ok(Next::Newer(Box::new(Candidate { package })));
                    }
                    Ok(None) => already = true,
                    Err(trouble) => {
                        let failure = Some(&trouble.failure);
                        let addresses = self.client.addresses(mirror);
                        let report =
                            attempt.report(&self.interface, &mirror.url, addresses, failure);
                        self.events.on(Event::Mirror(report));
                        let (advanced, random) = (attempt.advanced(), self.client.random());
                        self.ledger.charge(&self.interface, index, &trouble, advanced, random);
                    }
                }
            }
            if already {
                return Ok(Next::Already);
            }
            match self.ledger.choose(&self.interface, &[]) {
                Choice::Nobody => return Err(self.gravest()),
                _ if round == ROUNDS => return Err(self.gravest()),
                Choice::Wait(ready) => tokio::time::sleep_until(ready).await,
                Choice::Ask(_) => {}
            }
            round += 1;
        }
    }

    /// What one mirror has; `None` if that is what runs.
    async fn ask(
        &mut self,
        mirror: &Mirror,
        attempt: &mut Try,
    ) -> Result<Option<Verified>, Trouble> {
        let Self { inputs, current, client, .. } = self;
        let bytes = client.descriptor(mirror).await?;
        let descriptor = inputs.policy.descriptor(&bytes)?;
        // Signatures over what runs: the archive beside them can be nothing else.
        let policy = &inputs.policy.policy;
        let same =
            trust::authorize(policy, descriptor.endorsements(), current.sha256, &inputs.clock);
        if same.is_ok() {
            return Ok(None);
        }
        let mut job = Job {
            world: &Machine,
            inputs,
            events: self.events,
            client,
            interface: &self.interface,
            // The OS keeps its clock by itself.
            time: &LinkTime::of_machine(inputs.clock),
            mirror,
            patience: Patience::ALONE,
            running: Some(current),
            shelf: &mut self.shelf,
        };
        job.serve(Some(bytes), attempt).await.map(Some)
    }

    fn gravest(&self) -> Failure {
        let none = || Failure::new(Code::HostConfigNoUrl, "there is no mirror to ask");
        self.ledger.gravest(&self.interface).cloned().unwrap_or_else(none)
    }
}
