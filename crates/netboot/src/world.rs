//! What lies outside: networks, mirrors, memory. The real machine, or one that is simulated.

use core::fmt::Debug;
use core::future::Future;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

use fetch::Client;
use fetch::ClientOptions;
use fetch::Families;
use fetch::Http;
use fetch::Limits;
use fetch::Resolver;
use fetch::Transport;
use hostcfg::ClientIdentity;
use kexec_rs::MemFile;
use netup::ConnectError;
use netup::Connected;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use report::Failure;
use report::NicReport;
use tokio::time::Instant;
use trust::Clock;

use crate::inputs::Inputs;
use crate::load::kexec_failure;
use crate::memory;
use crate::time::LinkTime;

/// Everything that [`crate::package_in`] touches beside its inputs, and tokio's clock.
///
/// [`Machine`] is the real one. With another one nothing of this crate opens a socket, asks the
/// kernel for anything or uses chance that the other does not give, so that a run under tokio's
/// paused clock is the same for the same seed.
pub trait World {
    /// How mirrors are reached over one link.
    type Transport: Transport;
    /// What keeps a link usable: dropped when it is not used any more.
    type Hold;
    /// Where archives, kernels and initramfs are put.
    type File: Scratch;

    /// As [`netup::connect()`].
    ///
    /// # Errors
    /// No link was found over which the probe succeeds.
    fn connect<P, F>(
        &self,
        plan: &Plan,
        deadline: Instant,
        probe: P,
    ) -> impl Future<Output = Result<Online<Self::Hold>, ConnectError>>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<(), ProbeError>>;

    /// A client over a link. A new one is asked for whenever a link is probed.
    ///
    /// # Errors
    /// What of the inputs cannot be used.
    fn client(&self, inputs: &Inputs, link: &Link) -> Result<Client<Self::Transport>, Failure>;

    /// The same, with TLS judged by this clock instead of the one of the inputs.
    ///
    /// # Errors
    /// As above.
    fn client_at(
        &self,
        inputs: &Inputs,
        link: &Link,
        _clock: Clock,
    ) -> Result<Client<Self::Transport>, Failure> {
        self.client(inputs, link)
    }

    /// What a server should have sent did not come: see [`Connected::narrow`]. Nothing by default.
    fn narrow(&self, _hold: &Self::Hold) {}

    /// Begins to ask the time servers of a link. By default there are none.
    fn time(&self, inputs: &Inputs, _link: &Link) -> LinkTime {
        LinkTime::of_machine(inputs.clock)
    }

    /// An empty file; `name` is for people.
    ///
    /// # Errors
    /// E0602.
    fn file(&self, name: &'static str) -> Result<Self::File, Failure>;

    /// The machine's memory as it is now.
    fn memory(&self) -> Memory;
}

/// A link that leads to a mirror.
#[derive(Debug)]
pub struct Online<H = Connected<()>> {
    /// The link.
    pub link: Link,
    /// What came of every NIC.
    pub nics: Vec<NicReport>,
    /// What keeps the link usable.
    pub hold: H,
}

impl From<Connected<()>> for Online {
    fn from(hold: Connected<()>) -> Self {
        Self { link: hold.link.clone(), nics: hold.nics.clone(), hold }
    }
}

/// A file in memory.
pub trait Scratch: Debug + Read + Write + Seek {
    /// Throws the content away and starts again at offset 0.
    ///
    /// # Errors
    /// Those of the kernel.
    fn clear(&mut self) -> io::Result<()>;

    /// Whatever is before `offset` will not be read again.
    ///
    /// # Errors
    /// Those of the kernel; the content is not harmed.
    fn release_before(&mut self, offset: u64) -> io::Result<()>;
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// What the machine has.
    pub installed: u64,
    /// What the kernel manages of it (`MemTotal`).
    pub total: u64,
    /// What can be had without swapping (`MemAvailable`).
    pub available: u64,
}

/// The machine that this runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl World for Machine {
    type Transport = Http;
    type Hold = Connected<()>;
    type File = MemFile;

    async fn connect<P, F>(
        &self,
        plan: &Plan,
        deadline: Instant,
        probe: P,
    ) -> Result<Online, ConnectError>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<(), ProbeError>>,
    {
        Ok(netup::connect(plan, deadline, probe).await?.into())
    }

    fn client(&self, inputs: &Inputs, link: &Link) -> Result<Client, Failure> {
        self.client_at(inputs, link, inputs.clock)
    }

    fn client_at(&self, inputs: &Inputs, link: &Link, clock: Clock) -> Result<Client, Failure> {
        let options = ClientOptions { clock, ..link_options(inputs, link) };
        Client::new(options).map_err(|error| error.failure())
    }

    fn time(&self, inputs: &Inputs, link: &Link) -> LinkTime {
        LinkTime::ask(inputs, link, Resolver::new(&link_options(inputs, link)))
    }

    fn narrow(&self, hold: &Connected<()>) {
        hold.narrow();
    }

    fn file(&self, name: &'static str) -> Result<MemFile, Failure> {
        MemFile::create(name).map_err(kexec_failure)
    }

    fn memory(&self) -> Memory {
        memory::read()
    }
}

fn link_options(inputs: &Inputs, link: &Link) -> ClientOptions {
    over_link(client_options(inputs), link)
}

/// The same options for sockets over this link: its interface, and what it says about names.
#[must_use]
pub fn over_link(options: ClientOptions, link: &Link) -> ClientOptions {
    ClientOptions {
        interface: Some(link.interface.clone()),
        dns: link.dns.clone(),
        search: link.search.clone(),
        families: Families::of(link.addresses.iter().map(|it| it.address())),
        ..options
    }
}

/// What the inputs say about clients, whichever network they are for.
#[must_use]
pub fn client_options(inputs: &Inputs) -> ClientOptions {
    let config = &inputs.host.config;
    let identities: Vec<ClientIdentity> =
        config.mirrors.iter().filter_map(|mirror| mirror.client_identity.clone()).collect();
    ClientOptions {
        search: config.dns_search.clone(),
        tls_roots: inputs.policy.policy.tls_roots().to_vec(),
        proxy: config.proxy.clone(),
        no_proxy: config.no_proxy.clone(),
        identities,
        limits: limits(memory::read()),
        ..ClientOptions::new(inputs.clock)
    }
}

/// What a machine boots with.
#[must_use]
pub fn limits(memory: Memory) -> Limits {
    Limits { max_archive_len: memory::max_archive_len(memory), ..Limits::default() }
}

impl Scratch for MemFile {
    fn clear(&mut self) -> io::Result<()> {
        Self::clear(self).map_err(io::Error::other)
    }

    fn release_before(&mut self, offset: u64) -> io::Result<()> {
        Self::release_before(self, offset).map_err(io::Error::other)
    }
}

/// For simulations: nothing is given back.
impl Scratch for io::Cursor<Vec<u8>> {
    fn clear(&mut self) -> io::Result<()> {
        self.get_mut().clear();
        self.set_position(0);
        Ok(())
    }

    fn release_before(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
