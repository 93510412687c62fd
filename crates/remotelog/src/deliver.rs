//! Brings lines to a server, over one link.

use core::future::Future;
use core::future::pending;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use fetch::ClientOptions;
use fetch::Poster;
use fetch::Resolver;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hostcfg::ProvisioningUrl;
use hostcfg::RemoteLogTarget;
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::format::Sender;
use crate::queue::Batch;

/// How long connecting and each batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an address is waited for before the next one of the same name is tried beside it.
const HEAD_START: Duration = Duration::from_millis(500);

/// More addresses of a name than this are not tried.
const MAX_ADDRESSES: usize = 4;

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
    /// Opens the way to a server over the link of these options. `turn` counts how often it has failed.
    ///
    /// # Errors
    /// Why it is not open, in words.
    pub(crate) async fn open(
        target: &RemoteLogTarget,
        options: &ClientOptions,
        turn: usize,
    ) -> Result<Self, String> {
        let opening = async {
            match target {
                RemoteLogTarget::SyslogUdp { host, port } => {
                    udp(options, resolve(options, host, *port).await?, turn).await
                }
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
                            sleep(PAUSE).await;
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
            Self::Udp(_) => sleep(PAUSE * 4).await,
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

/// `turn` is the number of times that it failed before: then it is another address's turn. What is sent
/// into the void comes back as an error at best, and that only with the next datagram.
async fn udp(
    options: &ClientOptions,
    addresses: Vec<SocketAddr>,
    turn: usize,
) -> Result<Delivery, String> {
    let addresses = in_turns(addresses);
    let count = addresses.len().max(1);
    let mut last = "it has no address".to_owned();
    for to in addresses.into_iter().cycle().skip(turn % count).take(count) {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let open = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.bind_device(options.interface.as_deref().map(str::as_bytes))?;
            socket.connect(to).await?;
            Ok(socket)
        };
        match open.await {
            Ok(socket) => return Ok(Delivery::Udp(socket)),
            Err(error) => last = format!("{to}: {}", in_words(error)),
        }
    }
    Err(last)
}

async fn tls(options: &ClientOptions, host: &str, port: u16) -> Result<Delivery, String> {
    let config = fetch::tls_config(options).map_err(|error| error.failure().detail)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connect = async |address: SocketAddr| {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.bind_device(options.interface.as_deref().map(str::as_bytes))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(config.clone()).connect(name.clone(), stream).await
    };
    let addresses = in_turns(resolve(options, host, port).await?);
    first_of(&addresses, connect).await.map(|stream| Delivery::Tls(Box::new(stream)))
}

/// The addresses that are tried, the families taking turns: the first may be of one that is broken.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|it| it.is_ipv4() == first_is_v4);
    let mut other = other.into_iter();
    let mut turns: Vec<SocketAddr> =
        one.into_iter().flat_map(|it| [Some(it), other.next()]).flatten().collect();
    turns.extend(other);
    turns.truncate(MAX_ADDRESSES);
    turns
}

/// Connects to the first address that lets it: each has [`HEAD_START`] before the next is tried
/// beside it. Waits for the last of them as long as the caller does.
async fn first_of<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, String>
where
    F: Future<Output = io::Result<T>>,
{
    let mut rest = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut last = "it has no address".to_owned();
    loop {
        let mut more = false;
        if let Some(address) = rest.next() {
            let connecting = connect(address);
            under_way.push(async move {
                connecting.await.map_err(|error| format!("{address}: {error}"))
            });
            more = rest.len() > 0;
        }
        let head_start = async { if more { sleep(HEAD_START).await } else { pending().await } };
        tokio::select! {
            biased;
            connected = under_way.next() => match connected {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(reason)) => last = reason,
                None => return Err(last),
            },
            () = head_start => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use core::future::pending;
    use core::net::SocketAddr;
    use core::time::Duration;
    use std::io;
    use std::sync::Mutex;

    use fetch::ClientOptions;
    use tokio::net::UdpSocket;
    use tokio::time::Instant;
    use trust::Clock;
    use trust::Timestamp;

    use super::Delivery;
    use super::HEAD_START;
    use super::MAX_ADDRESSES;
    use super::first_of;
    use super::in_turns;
    use super::udp;

    fn to(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_everything_keeps_nobody_from_the_next() {
        let addresses = to(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
        let started = Instant::now();
        let asked = Mutex::new(Vec::new());
        let connect = async |address: SocketAddr| {
            asked.lock().unwrap().push((address, started.elapsed()));
            match address {
                address if address == addresses[0] => pending().await,
                address if address == addresses[1] => Err(io::Error::other("refused")),
                address => Ok(address),
            }
        };
        assert_eq!(first_of(&addresses, connect).await, Ok(addresses[2]));
        let times = [Duration::ZERO, HEAD_START, HEAD_START];
        let expected: Vec<_> = addresses.iter().copied().zip(times).collect();
        assert_eq!(
            *asked.lock().unwrap(),
            expected,
            "after a failure there is nothing to wait for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_only_slow_still_wins() {
        let addresses = to(&["192.0.2.1:1", "192.0.2.2:1"]);
        let connect = async |address: SocketAddr| {
            if address == addresses[1] {
                return Err(io::Error::other("refused"));
            }
            tokio::time::sleep(HEAD_START * 4).await;
            Ok(address)
        };
        assert_eq!(first_of(&addresses, connect).await, Ok(addresses[0]));
        let refused = async |_| Err::<(), _>(io::Error::other("refused"));
        let reason = first_of(&addresses, refused).await.unwrap_err();
        assert_eq!(reason, "192.0.2.2:1: refused");
        assert_eq!(first_of(&[], refused).await.unwrap_err(), "it has no address");
    }

    #[test]
    fn families_take_turns_and_few_addresses_are_tried() {
        let found = to(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"]);
        assert_eq!(in_turns(found.clone()), [found[0], found[3], found[1], found[2]]);
        let many: Vec<SocketAddr> =
            (1..=9).map(|n| format!("[2001:db8::{n}]:1").parse().unwrap()).chain(found).collect();
        let turns = in_turns(many.clone());
        assert_eq!(turns, [many[0], many[9], many[1], many[10]]);
        assert_eq!(turns.len(), MAX_ADDRESSES);
        assert!(in_turns(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn after_a_failure_datagrams_go_to_another_address() {
        let options = ClientOptions::new(Clock::exactly(Timestamp::from_unix(0)));
        let servers = [
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        ];
        let addresses = servers.map(|server| server.local_addr().unwrap());
        for turn in 0..4 {
            let open = udp(&options, addresses.to_vec(), turn).await;
            let Ok(Delivery::Udp(socket)) = open else { panic!("not open") };
            assert_eq!(socket.peer_addr().unwrap(), addresses[turn % 2]);
        }
        let error = udp(&options, Vec::new(), 3).await.err();
        assert_eq!(error.as_deref(), Some("it has no address"));
    }
}
