//! The server's thread, and what a test sees of it.

use core::net::SocketAddr;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

use anyhow::Context;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::config::File;
use crate::connection;
use crate::pki::Identity;
use crate::request::Request;

const BACKLOG: u32 = 1024;

/// A running server. Dropping it closes all connections and frees the port.
#[derive(Debug)]
pub struct FaultServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread and the test both see.
#[derive(Debug)]
pub(crate) struct Shared {
    files: Mutex<BTreeMap<String, (File, usize)>>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicU64,
}

impl FaultServer {
    /// Starts a server. Its port is taken when this returns.
    ///
    /// # Errors
    /// When the address is in use, or the certificate cannot be used.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let scheme = if config.identity.is_some() { "https" } else { "http" };
        let tls = config
            .identity
            .as_ref()
            .map(|it| acceptor(it, config.tls12_only, config.client_ca.as_deref()))
            .transpose()?;
        let shared = Arc::new(Shared {
            files: Mutex::new(
                config.files.iter().map(|(path, file)| (path.clone(), (file.clone(), 0))).collect(),
            ),
            requests: Mutex::default(),
            connections: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::channel();
        let thread = thread::Builder::new().name("fault-server".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime =
                    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                        Ok(runtime) => runtime,
                        Err(error) => {
                            let _ = bound.send(Err(error));
                            return;
                        }
                    };
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(&config, tls, shared, &bound) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_timeout(Duration::ZERO);
            }
        })?;
        let address = address.recv().context("the server's thread ended")??;
        Ok(Self { address, scheme, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash, with the server's IP address as host.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same with another host, and optionally userinfo in front of it: `user:password@name`.
    #[must_use]
    pub fn url_for(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// All requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// How many requests there were for a path.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        lock(&self.shared.requests).iter().filter(|request| request.path == path).count()
    }

    /// How many TCP connections there were.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Puts a file in the place of another from the next request on; its script starts anew.
    pub fn set_file(&self, path: &str, file: File) {
        lock(&self.shared.files).insert(path.to_owned(), (file, 0));
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Logs a request; the file that it asks for, and how often that was asked for before.
    pub(crate) fn log(&self, request: Request) -> Option<(File, usize)> {
        let found = lock(&self.files).get_mut(&request.path).map(|(file, asked)| {
            *asked += 1;
            (file.clone(), *asked - 1)
        });
        lock(&self.requests).push(request);
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever a panicking thread left behind is still the truth about what was served.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With `client_ca`, clients need a certificate by it.
pub(crate) fn acceptor(
    identity: &Identity,
    tls12_only: bool,
    client_ca: Option<&[u8]>,
) -> anyhow::Result<TlsAcceptor> {
    let versions = if tls12_only {
        &[&rustls::version::TLS12][..]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let config = match client_ca {
        None => config.with_no_client_auth(),
        Some(der) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(der.to_vec()))?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let config = config.with_single_cert(identity.chain(), identity.key())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections for ever. Tells `bound` the address, or why there is none.
async fn serve(
    config: &Config,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    bound: &mpsc::Sender<std::io::Result<SocketAddr>>,
) {
    let listening = async {
        let (socket, address) = bind(config.listen)?;
        if !config.start_after.is_zero() {
            // A socket that is bound but does not listen keeps its port and refuses connections.
            let _ = bound.send(Ok(address));
            tokio::time::sleep(config.start_after).await;
        }
        let listener = socket.listen(BACKLOG)?;
        let _ = bound.send(Ok(address));
        Ok(listener)
    };
    let listener: TcpListener = match listening.await {
        Ok(listener) => listener,
        Err(error) => {
            let _ = bound.send(Err(error));
            return;
        }
    };
    loop {
        // An error here concerns one connection only, which is gone already.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        if number < config.cut_connections {
            continue;
        }
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = connection::serve(stream, &shared).await;
                    }
                }
                None => {
                    let _ = connection::serve(stream, &shared).await;
                }
            }
        });
    }
}

fn bind(address: SocketAddr) -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
