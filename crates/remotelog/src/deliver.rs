//! Brings lines to a server, over one link.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use fetch::ClientOptions;
use fetch::Poster;
use fetch::Resolver;
use hostcfg::ProvisioningUrl;
use hostcfg::RemoteLogTarget;
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::format::Sender;
use crate::queue::Batch;

/// How long connecting and each batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the server may take to say that it has read everything.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Datagrams that are sent without a pause: a server's buffer is not endless.
const BURST: usize = 16;

/// The pause between bursts.
const PAUSE: Duration = Duration::from_millis(5);

/// A way to the server that is open.
pub(crate) enum Delivery {
    Udp(UdpSocket),
    Tls(Box<TlsStream<TcpStream>>),
    Https(Poster, ProvisioningUrl),
}

impl Delivery {
    /// Opens the way to a server over the link of these options.
    ///
    /// # Errors
    /// Why it is not open, in words.
    pub(crate) async fn open(
        target: &RemoteLogTarget,
        options: &ClientOptions,
    ) -> Result<Self, String> {
        let opening = async {
            match target {
                RemoteLogTarget::SyslogUdp { host, port } => udp(options, host, *port).await,
                RemoteLogTarget::SyslogTls { host, port } => tls(options, host, *port).await,
                RemoteLogTarget::Https(url) => Poster::new(options, url)
                    .map(|poster| Self::Https(poster, url.clone()))
                    .map_err(|error| error.failure().detail),
            }
        };
        timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(too_slow("no connection")))
    }

    /// Sends these lines. What of them arrived is not known if it fails.
    ///
    /// # Errors
    /// Why it failed, in words.
    pub(crate) async fn send(&mut self, batch: &Batch, sender: &Sender) -> Result<(), String> {
        let sending = async {
            match self {
                Self::Udp(socket) => {
                    for (index, line) in batch.lines().enumerate() {
                        if index % BURST == BURST - 1 {
                            tokio::time::sleep(PAUSE).await;
                        }
                        socket.send(&sender.syslog(&line)).await.map_err(in_words)?;
                    }
                }
                Self::Tls(stream) => {
                    let frames: Vec<u8> =
                        batch.lines().flat_map(|line| sender.counted(&line)).collect();
                    stream.write_all(&frames).await.map_err(in_words)?;
                    stream.flush().await.map_err(in_words)?;
                }
                Self::Https(poster, url) => {
                    let body = batch.lines().flat_map(|line| sender.json(&line)).collect();
                    let posted = poster.post(url, "application/x-ndjson", body).await;
                    posted.map_err(|error| error.failure().detail)?;
                }
            }
            Ok(())
        };
        timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(too_slow("not taken")))
    }

    /// Ends it, so that what was sent has left the machine before its links are switched off.
    pub(crate) async fn close(self) {
        match self {
            // What is in the queue of the device leaves within the moment.
            Self::Udp(_) => tokio::time::sleep(PAUSE * 4).await,
            Self::Tls(mut stream) => {
                let closing = async {
                    stream.shutdown().await?;
                    // A server of this protocol says nothing but that it has come to the end.
                    stream.read(&mut [0; 64]).await
                };
                let _ = timeout(LAST_WORD, closing).await;
            }
            // Each post has had its answer.
            Self::Https(..) => {}
        }
    }
}

fn too_slow(what: &str) -> String {
    format!("{what} within {} s", PATIENCE.as_secs())
}

fn in_words(error: io::Error) -> String {
    error.to_string()
}

async fn resolve(
    options: &ClientOptions,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, String> {
    let found = Resolver::new(options).addresses(host).await;
    let found = found.map_err(|error| error.failure().detail)?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

async fn udp(options: &ClientOptions, host: &str, port: u16) -> Result<Delivery, String> {
    let addresses = resolve(options, host, port).await?;
    let first = addresses.first().ok_or("it has no address")?;
    let any: IpAddr = match first {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let open = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.bind_device(options.interface.as_deref().map(str::as_bytes))?;
        socket.connect(first).await?;
        Ok(socket)
    };
    open.await.map(Delivery::Udp).map_err(in_words)
}

async fn tls(options: &ClientOptions, host: &str, port: u16) -> Result<Delivery, String> {
    let config = fetch::tls_config(options).map_err(|error| error.failure().detail)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let mut last = "it has no address".to_owned();
    for address in resolve(options, host, port).await? {
        let connect = async {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            socket.bind_device(options.interface.as_deref().map(str::as_bytes))?;
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config.clone()).connect(name.clone(), stream).await
        };
        match connect.await {
            Ok(stream) => return Ok(Delivery::Tls(Box::new(stream))),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}
