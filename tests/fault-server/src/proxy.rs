//! An HTTP proxy that misbehaves on request, for tests.

use core::net::Ipv4Addr;
use core::net::SocketAddr;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::connection::read_head;
use crate::pki::Identity;
use crate::server::acceptor;

/// What a [`FaultProxy`] does.
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// User name and password that it wants; 407 without them.
    pub credentials: Option<(String, String)>,
    /// Answers every request with this status, which is not 200.
    pub refuse: Option<u16>,
    /// Closes every connection after it has read a request.
    pub hangup: bool,
    /// Speaks TLS itself.
    pub identity: Option<Identity>,
}

/// A running proxy: `CONNECT`, and requests with a whole URL in their first line. Whatever host is
/// wanted, it connects to the loopback address: names need not exist. Dropping it frees the port.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy. Its port is taken when this returns.
    ///
    /// # Errors
    /// When there is no port, or the certificate cannot be used.
    pub fn start(config: ProxyConfig) -> anyhow::Result<Self> {
        let tls = config.identity.as_ref().map(|it| acceptor(it, false, None)).transpose()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the proxy's runtime")?;
        let log = Arc::clone(&requests);
        let thread = thread::Builder::new().name("fault-proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listen(listener, config, tls, log) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(core::time::Duration::ZERO);
        })?;
        Ok(Self { address, requests, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The first line of each request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(
    listener: std::net::TcpListener,
    config: ProxyConfig,
    tls: Option<TlsAcceptor>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (config, tls, log) = (config.clone(), tls.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = serve(stream, &config, &log).await;
                    }
                }
                None => {
                    let _ = serve(stream, &config, &log).await;
                }
            }
        });
    }
}

async fn serve<S>(mut stream: S, config: &ProxyConfig, log: &Mutex<Vec<String>>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    let Some(head) = read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
    let head = String::from_utf8_lossy(&head).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    log.lock().unwrap_or_else(PoisonError::into_inner).push(first.clone());
    if config.hangup {
        return Ok(());
    }
    let mut answer = async |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Some((user, password)) = &config.credentials {
        let wanted = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let sent = head.lines().filter_map(|line| line.split_once(": ")).any(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == wanted
        });
        if !sent {
            return answer("407 Proxy Authentication Required").await;
        }
    }
    if let Some(status) = config.refuse {
        return answer(&format!("{status} Scripted")).await;
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port(target))).await?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut stream, &mut server).await?;
        return Ok(());
    }
    // The server is asked as if there were no proxy, and for one file only.
    let rest = target.strip_prefix("http://").unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port(authority))).await?;
    let headers: Vec<&str> = head
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("proxy-"))
        .collect();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n",
        headers.join("\r\n")
    );
    server.write_all(request.as_bytes()).await?;
    copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}

fn port(authority: &str) -> u16 {
    authority.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(80)
}
