//! Asks several servers side by side, until one gives an answer that can be used.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tracing::debug;

use crate::packet::Answer;
use crate::packet::Rejected;
use crate::packet::request;

/// The port of time servers.
pub const PORT: u16 = 123;

/// More servers than this are not asked.
pub const MAX_SERVERS: usize = 4;

/// How long an answer to one packet is waited for; doubles with every packet.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// What a server said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Who answered.
    pub server: IpAddr,
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    pub unix_time: i64,
    /// How long question and answer took together.
    pub round_trip: Duration,
}

/// Why one server was of no use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Who was asked.
    pub server: IpAddr,
    /// What came of it.
    pub reason: String,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.server, self.reason)
    }
}

/// Asks these servers (the first [`MAX_SERVERS`]) over this interface; the first good answer wins.
/// `about` is what time it may be, in seconds since 1970, to within half a century.
///
/// # Errors
/// What came of each server, once all have refused or `patience` is over.
pub async fn ask(
    interface: Option<&str>,
    servers: &[SocketAddr],
    about: i64,
    patience: Duration,
) -> Result<Reading, Vec<Failure>> {
    let deadline = Instant::now() + patience;
    let mut asked: FuturesUnordered<_> = servers
        .iter()
        .take(MAX_SERVERS)
        .map(|server| async move {
            ask_one(interface, *server, about, deadline).await.map_err(|reason| {
                debug!("time server {}: {reason}", server.ip());
                Failure { server: server.ip(), reason }
            })
        })
        .collect();
    let mut failures = Vec::new();
    while let Some(result) = asked.next().await {
        match result {
            Ok(reading) => return Ok(reading),
            Err(failure) => failures.push(failure),
        }
    }
    Err(failures)
}

/// Asks one server, again and again until the deadline, unless it says not to.
async fn ask_one(
    interface: Option<&str>,
    server: SocketAddr,
    about: i64,
    deadline: Instant,
) -> Result<Reading, String> {
    let socket = open(interface, server).await.map_err(|error| error.to_string())?;
    let mut patience = FIRST_PATIENCE;
    let mut last = "no answer".to_owned();
    while Instant::now() < deadline {
        let mut nonce = [0; 8];
        SystemRandom::new().fill(&mut nonce).map_err(|_| "no random numbers".to_owned())?;
        let sent = Instant::now();
        let until = deadline.min(sent + patience);
        patience *= 2;
        match exchange(&socket, nonce, until).await {
            Ok(Some(answer)) => {
                let round_trip = sent.elapsed();
                let unix_time = answer.unix_time(about, round_trip / 2);
                return Ok(Reading { server: server.ip(), unix_time, round_trip });
            }
            Ok(None) => {}
            Err(Trouble::Rejected(rejected)) => return Err(rejected.to_string()),
            // Such as a port that nobody listens on: the server may be starting.
            Err(Trouble::Io(error)) => {
                last = error.to_string();
                tokio::time::sleep_until(until).await;
            }
        }
    }
    Err(last)
}

enum Trouble {
    Rejected(Rejected),
    Io(io::Error),
}

/// One packet, and the answer to it; `None` if none came in time.
async fn exchange(
    socket: &UdpSocket,
    nonce: [u8; 8],
    until: Instant,
) -> Result<Option<Answer>, Trouble> {
    socket.send(&request(nonce)).await.map_err(Trouble::Io)?;
    let mut packet = [0; 512];
    loop {
        let Ok(received) = timeout_at(until, socket.recv(&mut packet)).await else {
            return Ok(None);
        };
        let length = received.map_err(Trouble::Io)?;
        match Answer::parse(packet.get(..length).unwrap_or_default(), nonce) {
            Ok(answer) => return Ok(Some(answer)),
            // An attacker who guesses must not keep the real answer away.
            Err(Rejected::Origin | Rejected::Short(_)) => {}
            Err(rejected) => return Err(Trouble::Rejected(rejected)),
        }
    }
}

/// A socket on the interface that hears this server only, on a port that the kernel chose.
async fn open(interface: Option<&str>, server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.bind_device(interface.map(str::as_bytes))?;
    socket.connect(server).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;
    use core::time::Duration;

    use tokio::net::UdpSocket;

    use super::ask;

    const NOW: i64 = 1_795_338_000;
    /// Longer than any test takes: what it ends by is the servers' answers.
    const LONG: Duration = Duration::from_secs(600);

    /// A server on the loopback that answers every request with these.
    async fn server(answers: fn(&[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                for answer in answers(&packet[..length]) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        address
    }

    fn good(request: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 48];
        packet[0] = 4 << 3 | 4;
        packet[1] = 3;
        packet[24..32].copy_from_slice(&request[40..48]);
        let seconds = u32::try_from(NOW + 2_208_988_800).unwrap();
        packet[40..44].copy_from_slice(&seconds.to_be_bytes());
        packet[44] = 1;
        packet
    }

    #[tokio::test]
    async fn the_first_good_answer_wins() {
        let silent = server(|_| Vec::new()).await;
        let alive = server(|request| vec![good(request)]).await;
        let reading = ask(None, &[silent, alive], NOW, LONG).await.unwrap();
        assert_eq!(reading.server, alive.ip());
        assert!((NOW..NOW + 60).contains(&reading.unix_time), "{reading:?}");
    }

    #[tokio::test]
    async fn guesses_are_passed_over() {
        let guessed = server(|request| {
            let mut forged = good(request);
            forged[24] ^= 1;
            forged[40] ^= 1;
            vec![b"short".to_vec(), forged, good(request)]
        });
        let reading = ask(None, &[guessed.await], NOW, LONG).await.unwrap();
        assert!((NOW..NOW + 60).contains(&reading.unix_time), "{reading:?}");
    }

    #[tokio::test]
    async fn a_server_that_wants_no_questions_is_asked_once() {
        let refusing = server(|request| {
            let mut packet = good(request);
            packet[1] = 0;
            packet[12..16].copy_from_slice(b"DENY");
            vec![packet]
        });
        let failures = ask(None, &[refusing.await], NOW, LONG).await.unwrap_err();
        assert_eq!(failures[0].reason, "the server does not want to be asked (DENY)");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_in_time() {
        let started = tokio::time::Instant::now();
        let silent = server(|_| Vec::new()).await;
        let failures = ask(None, &[silent], NOW, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(failures[0].to_string(), "127.0.0.1: no answer");
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_nobody_listens_on_is_no_hot_loop() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let closed = socket.local_addr().unwrap();
        drop(socket);
        let started = tokio::time::Instant::now();
        let failures = ask(None, &[closed], NOW, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(failures.len(), 1);
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn without_servers_there_is_nothing_to_wait_for() {
        assert_eq!(ask(None, &[], NOW, LONG).await, Err(Vec::new()));
    }
}
