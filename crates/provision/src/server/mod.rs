//! The machine's side.
//!
//! [`Server`] decides who may ask, that a request is meant for this machine in this boot, and in
//! which order requests are carried out; the [`Host`] carries them out.

mod admission;
mod connection;
mod gate;
mod verifier;

use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::ServerConfig;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::NoServerSessionStorage;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use trust::Sha256Digest;

use crate::Accepted;
use crate::Identity;
use crate::Refused;
use crate::Request;
use crate::RequestKind;
use crate::Staff;
use crate::Why;
use crate::tls;

use admission::Admission;
pub use gate::Gate;
pub use gate::Pass;
use verifier::StaffVerifier;

/// How long to wait after the system could not accept a connection, as without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What carries requests out.
pub trait Host {
    /// Carries out a request of a member of staff.
    ///
    /// The server has checked that it is meant for this machine and this package, that a
    /// configuration is valid and for this service, and that nothing else is being applied:
    /// provisioning comes only once, and neither it nor an upgrade beside another of the two. The
    /// future runs to its end even when the client goes away. `progress` lines go to the client.
    ///
    /// A restart must not happen here, or the client never hears of it: see [`Self::answered`].
    ///
    /// Of a refused provisioning, say with [`Refused::partly_applied`] if something of it was
    /// applied: the server takes no other one then.
    fn handle(
        &self,
        staff: &str,
        request: Request,
        progress: &mut (dyn FnMut(String) + Send),
    ) -> impl Future<Output = Result<Accepted, Refused>>;

    /// The answer is on its way, or the client is gone: the time to restart, switch off, or start
    /// the next release, if `accepted`.
    fn answered(&self, request: RequestKind, accepted: bool) {
        let _ = (request, accepted);
    }

    /// For the console. Says nothing of where somebody came from.
    fn event(&self, event: Event<'_>) {
        let _ = event;
    }
}

impl<H: Host> Host for Arc<H> {
    fn handle(
        &self,
        staff: &str,
        request: Request,
        progress: &mut (dyn FnMut(String) + Send),
    ) -> impl Future<Output = Result<Accepted, Refused>> {
        (**self).handle(staff, request, progress)
    }

    fn answered(&self, request: RequestKind, accepted: bool) {
        (**self).answered(request, accepted);
    }

    fn event(&self, event: Event<'_>) {
        (**self).event(event);
    }
}

/// What happened at the door.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A request was carried out.
    Accepted {
        /// Whose.
        staff: &'a str,
        /// Which.
        request: RequestKind,
    },
    /// A request was refused, by the server or by the host.
    Refused {
        /// Whose; `None` where the key is on no list.
        staff: Option<&'a str>,
        /// For programs.
        code: Why,
        /// For people; no secrets.
        reason: &'a str,
    },
}

/// What the machine tells about itself.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// SHA-256 of the archive of the OS package that was booted.
    pub package_sha256: Sha256Digest,
    /// The package's release number.
    pub release: Option<u64>,
    /// The package's label.
    pub label: Option<String>,
    /// `vpn` or `tor-relay`: a configuration for another service is refused.
    pub service: String,
    /// When the machine started.
    pub started: Instant,
}

/// Limits and deadlines. The defaults are for machines; tests make them smaller.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For all of the TLS handshake.
    pub handshake: Duration,
    /// For the client's request, and for each message that the client must take.
    pub message: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections at the same time from one address.
    pub per_address: usize,
    /// How long a failed handshake goes on counting as a connection, so that trying many keys
    /// takes long.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            message: Duration::from_secs(30),
            connections: 16,
            per_address: 4,
            pause: Duration::from_secs(2),
        }
    }
}

/// Waits for staff.
#[derive(Debug)]
pub struct Server {
    identity: Identity,
    staff: Staff,
    facts: HostFacts,
    limits: Limits,
    gate: Gate,
}

impl Server {
    /// A server that has not begun.
    #[must_use]
    pub fn new(identity: Identity, staff: Staff, facts: HostFacts) -> Self {
        Self { identity, staff, facts, limits: Limits::default(), gate: Gate::default() }
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// A handle that tells the state, also while the server runs.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Serves until it is dropped. All of it happens inside this future: nothing is spawned, and the
    /// host's futures need not be `Send`.
    ///
    /// # Errors
    /// Only if TLS cannot be set up, which is a bug.
    pub async fn run(
        self,
        listener: TcpListener,
        host: impl Host,
    ) -> Result<Infallible, rustls::Error> {
        let acceptor = TlsAcceptor::from(Arc::new(tls_config(&self.identity, &self.staff)?));
        let admission = Admission::new(self.limits);
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        // Whoever comes in excess is closed at once and without a word.
                        if let Some(place) = admission.enter(address.ip()) {
                            let connection = connection::Connection {
                                server: &self, host: &host, acceptor: &acceptor, place,
                            };
                            connections.push(connection.serve(stream));
                        }
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(()) = connections.next(), if !connections.is_empty() => {}
            }
        }
    }
}

fn tls_config(identity: &Identity, staff: &Staff) -> Result<ServerConfig, rustls::Error> {
    let provider = tls::provider();
    let verifier = StaffVerifier::new(staff.clone(), &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(tls::certified(
            identity,
        ))));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}
