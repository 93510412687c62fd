//! Mirrors: provisioning servers on the host's loopback, good or bad in a scripted way.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Identity;
use fault_server::Pki;
use fault_server::Request;
use fault_server::Validity;

use crate::net;
use crate::package::Archive;
use crate::package::Descriptor;

/// The host's loopback as the guest sees it.
pub(crate) const HOST: &str = "10.0.2.2";

/// 1 January 2020 and 2024, in Unix seconds.
const OVER: Validity = Validity { not_before: 1_577_836_800, not_after: 1_704_067_200 };

/// How a mirror proves who it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tls {
    /// A good certificate under the root of the trust policy.
    #[default]
    Good,
    /// A certificate under a root that nobody knows.
    Foreign,
    /// A certificate that has expired.
    Expired,
    /// A certificate for another name.
    WrongName,
    /// Not at all: plain http.
    None,
}

/// What servers prove themselves with, one for each of [`Tls`] but the last.
#[derive(Debug)]
pub struct Identities {
    root: Pki,
    good: Identity,
    foreign: Identity,
    expired: Identity,
    wrong_name: Identity,
    lab: Identity,
}

impl Identities {
    /// Makes a CA and certificates under it.
    ///
    /// # Errors
    /// If a key or a certificate cannot be made.
    pub fn generate() -> Result<Self> {
        let root = Pki::new("boot test TLS root")?;
        Ok(Self {
            good: root.server(&[HOST])?,
            foreign: Pki::new("foreign TLS root")?.server(&[HOST])?,
            expired: root.server_with_validity(&[HOST], OVER)?,
            wrong_name: root.server(&["mirror.example.org"])?,
            lab: root.server(&net::NAMES)?,
            root,
        })
    }

    /// The CA, as `tls_roots.pem` holds it.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root.ca_pem()
    }

    /// The web server's in the lab VM, which is good.
    #[must_use]
    pub const fn of_lab(&self) -> &Identity {
        &self.lab
    }

    fn config(&self, tls: Tls) -> Config {
        match tls {
            Tls::Good => Config::https(self.good.clone()),
            Tls::Foreign => Config::https(self.foreign.clone()),
            Tls::Expired => Config::https(self.expired.clone()),
            Tls::WrongName => Config::https(self.wrong_name.clone()),
            Tls::None => Config::http(),
        }
    }
}

/// A mirror, as a scenario wants it.
#[derive(Clone, Debug)]
pub struct Mirror {
    tls: Tls,
    descriptor: File,
    archive: File,
    userinfo: Option<(&'static str, &'static str)>,
    opens_after_lease: Option<Duration>,
    redirects_to_plain: bool,
}

impl Mirror {
    /// A mirror that serves these bytes over https.
    #[must_use]
    pub fn new(descriptor: &[u8], archive: &[u8]) -> Self {
        Self {
            tls: Tls::Good,
            descriptor: File::new(descriptor),
            archive: File::new(archive),
            userinfo: None,
            opens_after_lease: None,
            redirects_to_plain: false,
        }
    }

    /// A mirror that serves a descriptor with its archive.
    #[must_use]
    pub fn serving(descriptor: &Descriptor, archive: &Archive) -> Self {
        Self::new(&descriptor.to_json(), &archive.bytes)
    }

    /// The same with another proof of who it is.
    #[must_use]
    pub const fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The same with a change in how it serves the descriptor.
    #[must_use]
    pub fn descriptor(mut self, change: impl FnOnce(File) -> File) -> Self {
        self.descriptor = change(self.descriptor);
        self
    }

    /// The same with a change in how it serves the archive.
    #[must_use]
    pub fn archive(mut self, change: impl FnOnce(File) -> File) -> Self {
        self.archive = change(self.archive);
        self
    }

    /// The same, with a name and a password in its URL that it insists on.
    #[must_use]
    pub fn userinfo(mut self, user: &'static str, password: &'static str) -> Self {
        self.userinfo = Some((user, password));
        self.descriptor(|file| file.credentials(user, password))
            .archive(|file| file.credentials(user, password))
    }

    /// The same, but it refuses connections until this long after the guest has its address. The
    /// guest needs a NIC on a cable of ours.
    #[must_use]
    pub const fn opens_after_lease(mut self, delay: Duration) -> Self {
        self.opens_after_lease = Some(delay);
        self
    }

    /// The same, but whoever asks for the descriptor is sent to a plain http server with the same
    /// files.
    #[must_use]
    pub const fn redirects_to_plain(mut self) -> Self {
        self.redirects_to_plain = true;
        self
    }

    fn config(&self, config: Config, index: usize) -> Config {
        config
            .file(&format!("/{index}/os.json"), self.descriptor.clone())
            .file(&format!("/{index}/os.zip"), self.archive.clone())
    }
}

/// A mirror that runs, or will.
#[derive(Debug)]
pub(crate) struct Site {
    url: String,
    later: Option<(Duration, Config)>,
    server: Mutex<Option<FaultServer>>,
    plain: Option<FaultServer>,
}

/// What the mirrors of a scenario were asked.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// The mirror itself.
    pub own: Vec<Request>,
    /// The plain http server that it sends others to.
    pub plain: Vec<Request>,
}

impl Site {
    pub(crate) fn open(mirror: &Mirror, index: usize, identities: &Identities) -> Result<Self> {
        let mut mirror = mirror.clone();
        let mut plain = None;
        if mirror.redirects_to_plain {
            let server = FaultServer::start(mirror.config(Config::http(), index))?;
            let target = server.url_for(HOST, &format!("/{index}/os.json"));
            mirror = mirror.descriptor(|file| file.always(Fault::redirect(302, &target)));
            plain = Some(server);
        }
        let address = free_address()?;
        let config = mirror.config(identities.config(mirror.tls), index).listen(address);
        let scheme = if mirror.tls == Tls::None { "http" } else { "https" };
        let userinfo = mirror.userinfo.map(|(user, password)| format!("{user}:{password}@"));
        let (later, server) = match mirror.opens_after_lease {
            Some(delay) => (Some((delay, config)), None),
            None => (None, Some(FaultServer::start(config)?)),
        };
        Ok(Self {
            url: format!(
                "{scheme}://{}{HOST}:{}/{index}/os.json",
                userinfo.unwrap_or_default(),
                address.port(),
            ),
            later,
            server: Mutex::new(server),
            plain,
        })
    }

    /// The descriptor's URL for the guest.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How long after the guest has its address this is to be opened.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.later.as_ref().map(|(delay, _)| *delay)
    }

    /// Opens a mirror that was closed so far.
    pub(crate) fn open_now(&self) -> Result<()> {
        if let Some((_, config)) = &self.later {
            let server = FaultServer::start(config.clone())?;
            *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        }
        Ok(())
    }

    /// Serves something else from now on.
    pub(crate) fn replace(&self, index: usize, descriptor: &Descriptor, archive: &Archive) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = server.as_ref() {
            // The archive first: who has the new descriptor finds what it names.
            server.set_file(&format!("/{index}/os.zip"), File::new(&archive.bytes[..]));
            server.set_file(&format!("/{index}/os.json"), File::new(&descriptor.to_json()[..]));
        }
    }

    pub(crate) fn requests(&self) -> Requests {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        Requests {
            own: server.as_ref().map(FaultServer::requests).unwrap_or_default(),
            plain: self.plain.as_ref().map(FaultServer::requests).unwrap_or_default(),
        }
    }
}

/// A port that nobody listens on at the moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
