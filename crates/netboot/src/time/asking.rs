//! Time servers are looked up and asked, all side by side.

use core::future::Future;
use core::net::IpAddr;
use core::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio::time::timeout_at;
use trust::Clock;

/// How time servers are asked.
pub(super) struct Asking<'a> {
    pub(super) interface: Option<&'a str>,
    pub(super) port: u16,
    pub(super) clock: Clock,
    pub(super) deadline: Instant,
}

impl Asking<'_> {
    /// Looks the servers up and asks them, each as soon as its addresses are known: a name that nobody
    /// answers for keeps no other server waiting. The first good answer wins. Ends at the deadline.
    ///
    /// # Errors
    /// What came of each server.
    pub(super) async fn ask<F>(
        &self,
        servers: &[String],
        addresses: impl Fn(String) -> F,
    ) -> Result<sntp::Reading, Vec<String>>
    where
        F: Future<Output = Result<Vec<IpAddr>, String>>,
    {
        let addresses = &addresses;
        let mut asked: FuturesUnordered<_> = servers
            .iter()
            .take(sntp::MAX_SERVERS)
            .map(|server| async move {
                match timeout_at(self.deadline, addresses(server.clone())).await {
                    Ok(Ok(found)) => self.ask_one(server, &found).await,
                    Ok(Err(reason)) => Err(reason),
                    Err(_) => {
                        Err(format!("{server}: not asked, its name was not resolved in time"))
                    }
                }
            })
            .collect();
        let mut reasons = Vec::new();
        while let Some(result) = asked.next().await {
            match result {
                Ok(reading) => return Ok(reading),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons)
    }

    /// Asks one server at its first addresses, side by side.
    async fn ask_one(&self, server: &str, found: &[IpAddr]) -> Result<sntp::Reading, String> {
        let addresses: Vec<SocketAddr> =
            to_ask(found).map(|ip| SocketAddr::new(ip, self.port)).collect();
        let patience = self.deadline.saturating_duration_since(Instant::now());
        let floor = self.clock.floor().unix();
        sntp::ask(self.interface, &addresses, floor, patience).await.map_err(|failures| {
            let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
            match found {
                // It says itself who it is.
                [only] if only.to_string() == server => reasons.join(", "),
                _ => format!("{server}: {}", reasons.join(", ")),
            }
        })
    }
}

/// The addresses of one server that are asked: the first of each family, in their order. Others are most
/// often the same machine.
fn to_ask(found: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first = found.first().copied();
    let second =
        first.and_then(|first| found.iter().find(|ip| ip.is_ipv4() != first.is_ipv4()).copied());
    first.into_iter().chain(second)
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::net::Ipv4Addr;
    use core::time::Duration;

    use tokio::net::UdpSocket;
    use tokio::time::Instant;
    use trust::Clock;
    use trust::Timestamp;

    use super::Asking;
    use super::to_ask;

    /// A time server on this machine that does not want to be asked, and says so.
    async fn server(address: &str) -> (u16, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let mut packet = [0; 48];
            let (_, peer) = socket.recv_from(&mut packet).await.unwrap();
            let sent: [u8; 8] = packet[40..].try_into().unwrap();
            packet[0] = 0x24;
            packet[1] = 0;
            packet[12..16].copy_from_slice(b"DENY");
            packet[24..32].copy_from_slice(&sent);
            socket.send_to(&packet, peer).await.unwrap();
        });
        (port, serving)
    }

    fn asking(port: u16) -> Asking<'static> {
        let deadline = Instant::now() + Duration::from_secs(2);
        let now = Timestamp::from_unix(1_795_338_000);
        let clock = Clock::from_rtc(now, Timestamp::from_unix(1_795_219_200), 315_360_000);
        Asking { interface: None, port, clock, deadline }
    }

    #[tokio::test]
    async fn a_name_that_nobody_answers_for_keeps_no_server_waiting() {
        let (port, serving) = server("127.0.0.1").await;
        let servers = ["slow.example".to_owned(), "127.0.0.1".to_owned()];
        let addresses = async |server: String| match server.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => core::future::pending().await,
        };
        let asking = asking(port);
        let asked = asking.ask(&servers, addresses);
        tokio::pin!(asked);
        // The server is asked while the name is still being looked up.
        tokio::select! {
            served = serving => served.unwrap(),
            outcome = &mut asked => panic!("over before the server was asked: {outcome:?}"),
        }
        let mut reasons = asked.await.unwrap_err();
        reasons.sort_unstable();
        let denied = "127.0.0.1: the server does not want to be asked (DENY)";
        let silent = "slow.example: not asked, its name was not resolved in time";
        assert_eq!(reasons, [denied, silent]);
    }

    #[tokio::test]
    async fn the_other_family_of_a_name_is_asked_too() {
        let (port, serving) = server("127.0.0.1").await;
        // Nobody has that one: 100::/64 is for discarding (RFC 6666).
        let found: Vec<IpAddr> = vec!["100::1".parse().unwrap(), Ipv4Addr::LOCALHOST.into()];
        let addresses = async |_| Ok(found.clone());
        let reasons = asking(port).ask(&["time.example".to_owned()], addresses).await.unwrap_err();
        serving.await.unwrap();
        assert!(reasons[0].starts_with("time.example: "), "{reasons:?}");
        assert!(reasons[0].contains("127.0.0.1: the server does not want"), "{reasons:?}");
    }

    #[test]
    fn one_address_of_each_family_is_asked() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let found = [ip("2001:db8::1"), ip("2001:db8::2"), ip("192.0.2.1"), ip("192.0.2.2")];
        assert_eq!(to_ask(&found).collect::<Vec<_>>(), [found[0], found[2]]);
        assert_eq!(to_ask(&found[..2]).collect::<Vec<_>>(), [found[0]]);
        assert_eq!(to_ask(&[]).count(), 0);
    }
}
