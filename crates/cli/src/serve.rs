//! A provisioning server for labs: static files over HTTPS or HTTP, with ranges.
//!
//! It serves regular files below one directory to GET and HEAD and nothing else: no listings, no
//! files whose name begins with a dot, nothing outside the directory even by symbolic link, no private
//! keys, and no files that are not for everybody to read.

mod answer;
mod lab;
mod secrets;

use core::fmt;
use core::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use lab::LabTls;

use crate::Error;
use crate::Result;

/// How long a client may take for a TLS handshake or its request header.
const PATIENCE: Duration = Duration::from_secs(30);

/// Certificate chain and private key in PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// The server's certificate first.
    pub certificates: Vec<u8>,
    /// PKCS#8, SEC 1 or PKCS#1.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

/// Called once for every answer, when its last byte was handed to the network or the client left.
pub type OnAnswer = Arc<dyn Fn(&Served) + Send + Sync>;

/// What to serve, and how.
pub struct Config {
    /// Files below this directory.
    pub directory: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTPS with these, or plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Told of every answer.
    pub on_answer: OnAnswer,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("directory", &self.directory)
            .field("listen", &self.listen)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// One answer that was given.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// Who asked.
    pub peer: SocketAddr,
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path as it was asked for.
    pub path: String,
    /// HTTP status.
    pub status: u16,
    /// Bytes of the body that were handed to the network.
    pub bytes: u64,
    /// `Content-Range` of a partial answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Whether the client left before the end.
    pub cut: bool,
    /// Why a file that is there was not handed out, where the reason is not the client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<&'static str>,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, method, path, status, bytes, .. } = self;
        write!(f, "{} {method} {path} {status} {bytes} bytes", peer.ip())?;
        if let Some(range) = &self.range {
            write!(f, " ({range})")?;
        }
        if let Some(reason) = self.kept {
            write!(f, ", refused: {reason}")?;
        }
        if self.cut { f.write_str(", client left early") } else { Ok(()) }
    }
}

/// A server at work. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; answers that are under way are cut.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a server on a thread of its own; it listens when this returns.
///
/// # Errors
/// If the directory is none, the address is taken, or certificate and key cannot be used.
pub fn start(config: Config) -> Result<Running> {
    let directory = config
        .directory
        .canonicalize()
        .map_err(|error| Error::io("serve", &config.directory, &error))?;
    if !directory.is_dir() {
        return Err(Error::new(format!("{} is not a directory", directory.display()))
            .remedy("name the directory that has the files: all of them are served"));
    }
    let tls = config.tls.as_ref().map(server_config).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::new(format!("cannot start the server: {error}")))?;
    let (stop, stopped) = watch::channel(false);
    let (ready, listening) = mpsc::channel();
    let Config { listen, on_answer, .. } = config;
    let site = Arc::new(Site { directory, on_answer });
    let thread = thread::spawn(move || {
        runtime.block_on(async move {
            let listener = TcpListener::bind(listen).await;
            let address = listener.as_ref().map_err(clone_io).and_then(|it| it.local_addr());
            let _ = ready.send(address);
            if let Ok(listener) = listener {
                accept(&listener, tls, &site, stopped).await;
            }
        });
        runtime.shutdown_background();
    });
    let failed = |error: &dyn fmt::Display| {
        Error::new(format!("cannot listen on {listen}: {error}"))
            .remedy("choose another address or port with --listen")
    };
    let address = match listening.recv() {
        Ok(Ok(address)) => address,
        Ok(Err(error)) => return Err(failed(&crate::error::io_reason(&error))),
        Err(error) => return Err(failed(&error)),
    };
    Ok(Running { address, stop, thread: Some(thread) })
}

struct Site {
    directory: PathBuf,
    on_answer: OnAnswer,
}

async fn accept(
    listener: &TcpListener,
    tls: Option<Arc<ServerConfig>>,
    site: &Arc<Site>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(converse(stream, peer, tls.clone(), Arc::clone(site)));
            }
            // Out of file descriptors, most likely: let some connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    site: Arc<Site>,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { answer::answer(&site.directory, peer, &request, &site.on_answer).await }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // A client that breaks the connection off is its own business.
    match tls {
        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
        Some(config) => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, handshake).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let bad = |what: &str, error: &dyn fmt::Display| {
        Error::new(format!("the TLS {what} cannot be used: {error}")).remedy(
            "give --tls-cert the chain and --tls-key its unencrypted private key, both in PEM",
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&files.certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| bad("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| bad("key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("versions", &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad("certificate", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn clone_io(error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), error.to_string())
}
