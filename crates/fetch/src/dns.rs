//! Host names to addresses, asked of the link's own DNS servers over the link's own interface.
//!
//! A stub resolver: it asks recursive servers for A and AAAA side by side, over UDP from a random
//! port with a random number, over TCP where the answer did not fit, and moves on to the next
//! server when one is silent, broken, or gives addresses that no server can have. The search list is
//! the link's own, too. No cache, no file of the host.

use core::fmt;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::op::MessageType;
use hickory_proto::op::OpCode;
use hickory_proto::op::Query;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType;
use reqwest::dns::Addrs;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;
use rustls::crypto::SecureRandom;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::UdpSocket;
use tokio::time::timeout;

pub(crate) mod answers;
pub(crate) mod fuzz;
mod names;

use answers::Answers;
use answers::Families;
use names::candidates;
use names::may_be_server;
use names::shown;

use crate::client::ClientOptions;

const DNS_PORT: u16 = 53;
/// How long the second family may take when the first has already given addresses.
const GRACE: Duration = Duration::from_millis(500);
/// Longest chain of aliases in one answer.
const MAX_ALIASES: usize = 16;
/// More addresses than this are not tried anyway.
const MAX_ADDRESSES: usize = 16;

/// Why a name has no address. Printed by whoever asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DnsError(String);

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for DnsError {}

/// How the resolver asks.
pub(crate) struct DnsOptions {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    pub(crate) interface: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) tries: u32,
    /// Which addresses go first.
    pub(crate) families: Families,
    /// Whether answers are logged. What brings the log away must not write it.
    pub(crate) tell: bool,
    pub(crate) random: &'static dyn SecureRandom,
}

impl DnsOptions {
    /// As a link's client asks, at the servers of its network.
    pub(crate) fn of(options: &ClientOptions) -> Self {
        Self {
            servers: Self::servers(&options.dns),
            search: options.search.clone(),
            interface: options.interface.clone(),
            timeout: options.limits.dns_timeout,
            tries: options.limits.dns_tries,
            families: options.families,
            tell: true,
            random: rustls::crypto::ring::default_provider().secure_random,
        }
    }

    /// Servers on the standard port.
    pub(crate) fn servers(addresses: &[IpAddr]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(*address, DNS_PORT)).collect()
    }
}

/// The resolver of one interface.
#[derive(Clone)]
pub(crate) struct StubResolver {
    options: Arc<DnsOptions>,
    /// Index of the server that is asked first: moves on from one that failed.
    first: Arc<AtomicUsize>,
    answers: Answers,
}

impl Resolve for StubResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            // Port 0 stands for the port in the URL.
            let addresses: Addrs =
                Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

impl StubResolver {
    pub(crate) fn new(options: DnsOptions) -> Self {
        Self { options: Arc::new(options), first: Arc::default(), answers: Answers::default() }
    }

    /// The addresses of a host: those of the link's families first, and IPv4 first among them.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut found = self.lookup_host(host).await;
        let addresses = found.as_deref_mut().unwrap_or_default();
        self.options.families.sort(addresses);
        if self.answers.keep(host, addresses) && self.options.tell && !addresses.is_empty() {
            tracing::debug!("DNS: {host} has {}", answers::in_words(&self.answers.of(host)));
        }
        found
    }

    /// What a host had when it was last looked up, four addresses at most: for people. Empty for
    /// addresses, and for names that nobody looked up or that were not found.
    pub(crate) fn answered(&self, host: &str) -> Vec<IpAddr> {
        self.answers.of(host)
    }

    async fn lookup_host(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if self.options.servers.is_empty() {
            return Err(DnsError(format!("no DNS server to ask for {host}")));
        }
        let mut first_failure = None;
        for name in candidates(host, &self.options.search)? {
            match self.lookup_name(&name).await {
                Ok(answer) if !answer.list.is_empty() => return Ok(answer.list),
                Ok(answer) => {
                    first_failure.get_or_insert_with(|| answer.nothing(&name));
                }
                // A server that does not answer for one name does not for the others either.
                Err(error) => return Err(first_failure.unwrap_or(error)),
            }
        }
        Err(first_failure.unwrap_or_else(|| DnsError(format!("{host} is not a host name"))))
    }

    /// Asks the servers for one name until one says what there is, or that there is nothing.
    async fn lookup_name(&self, name: &Name) -> Result<Answer, DnsError> {
        let servers = &self.options.servers;
        let mut failures = Vec::new();
        for _ in 0..self.options.tries.max(1) {
            let index = self.first.load(Ordering::Relaxed) % servers.len();
            let Some(&server) = servers.get(index) else { break };
            let answer = self.ask_both(server, name).await;
            match answer.and_then(|answer| answer.of_servers(self.options.interface.as_deref())) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(%server, %name, %error, "DNS server did not help");
                    failures.push(format!("{}: {error}", server.ip()));
                    self.first.store(index + 1, Ordering::Relaxed);
                }
            }
        }
        failures.dedup();
        let name = shown(name);
        Err(DnsError(format!("no DNS server resolved {name} ({})", failures.join(", "))))
    }

    /// Asks one server for both families side by side. An error if neither was answered.
    async fn ask_both(&self, server: SocketAddr, name: &Name) -> io::Result<Answer> {
        let v4 = self.ask(server, name, RecordType::A);
        let v6 = self.ask(server, name, RecordType::AAAA);
        tokio::pin!(v4, v6);
        // Some servers never answer for a family that they do not know.
        let patience = |first: &io::Result<Answer>| match first {
            Ok(answer) if !answer.list.is_empty() => GRACE,
            _ => self.options.timeout,
        };
        let (v4, v6) = tokio::select! {
            v4 = &mut v4 => {
                let v6 = timeout(patience(&v4), v6).await.unwrap_or_else(|_| Err(timed_out()));
                (v4, v6)
            }
            v6 = &mut v6 => {
                let v4 = timeout(patience(&v6), v4).await.unwrap_or_else(|_| Err(timed_out()));
                (v4, v6)
            }
        };
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.list.extend(v6.list);
                Ok(v4)
            }
            // One family alone is an answer only if it has something to offer.
            (Ok(answer), Err(error)) | (Err(error), Ok(answer)) => {
                if answer.list.is_empty() {
                    Err(error)
                } else {
                    Ok(answer)
                }
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Asks one server for one family: UDP first, then TCP if the answer was cut.
    async fn ask(&self, server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Answer> {
        let mut id = [0; 2];
        self.options.random.fill(&mut id).map_err(|_| io::Error::other("no random numbers"))?;
        let query = Query::query(name.clone(), kind);
        let mut message = Message::new(u16::from_be_bytes(id), MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(query);
        let bytes = message.to_vec().map_err(io::Error::other)?;

        let exchange = async {
            let response = self.ask_udp(server, &message, &bytes).await?;
            if response.metadata.truncation {
                return self.ask_tcp(server, &message, &bytes).await;
            }
            Ok(response)
        };
        let response =
            timeout(self.options.timeout, exchange).await.unwrap_or_else(|_| Err(timed_out()))?;
        Answer::read(&response, name)
    }

    async fn ask_udp(
        &self,
        server: SocketAddr,
        query: &Message,
        bytes: &[u8],
    ) -> io::Result<Message> {
        let local: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await?;
        if let Some(interface) = &self.options.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        // Connected: the kernel drops what comes from anywhere else.
        socket.connect(server).await?;
        socket.send(bytes).await?;
        let mut buffer = [0; 4096];
        loop {
            let len = socket.recv(&mut buffer).await?;
            if let Some(response) = buffer.get(..len).and_then(|bytes| response_to(query, bytes)) {
                return Ok(response);
            }
        }
    }

    async fn ask_tcp(
        &self,
        server: SocketAddr,
        query: &Message,
        bytes: &[u8],
    ) -> io::Result<Message> {
        let socket = match server {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        if let Some(interface) = &self.options.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        let mut stream = socket.connect(server).await?;
        let len = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes(), bytes].concat()).await?;
        let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut buffer).await?;
        response_to(query, &buffer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "answer to something else"))
    }
}

/// The message, if it is a response to just this query.
fn response_to(query: &Message, bytes: &[u8]) -> Option<Message> {
    let response = Message::from_vec(bytes).ok()?;
    let fits = response.metadata.id == query.metadata.id
        && response.metadata.message_type == MessageType::Response
        && response.metadata.op_code == OpCode::Query
        && response.queries == query.queries;
    fits.then_some(response)
}

/// What a server said about a name.
struct Answer {
    list: Vec<IpAddr>,
    exists: bool,
}

impl Answer {
    /// Reads a response; an error if another server should be asked.
    fn read(response: &Message, name: &Name) -> io::Result<Self> {
        match response.metadata.response_code {
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => return Ok(Self { list: Vec::new(), exists: false }),
            code => return Err(io::Error::other(format!("it answered \"{code}\""))),
        }
        let mut owner = name;
        for _ in 0..MAX_ALIASES {
            let alias = response.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == *owner => Some(&target.0),
                _ => None,
            });
            match alias {
                Some(target) => owner = target,
                None => break,
            }
        }
        let list = response
            .answers
            .iter()
            .filter(|record| record.name == *owner)
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .take(MAX_ADDRESSES)
            .collect();
        Ok(Self { list, exists: true })
    }

    /// Leaves out addresses that no server behind this interface can have; an error if nothing but
    /// such was answered. Blocking resolvers and login pages answer so.
    fn of_servers(self, interface: Option<&str>) -> io::Result<Self> {
        let before = self.list.first().copied();
        let list: Vec<IpAddr> =
            self.list.into_iter().filter(|address| may_be_server(address, interface)).collect();
        match before {
            Some(address) if list.is_empty() => Err(io::Error::other(format!(
                "it answered {address}, which no server on the network can have"
            ))),
            _ => Ok(Self { list, exists: self.exists }),
        }
    }

    /// Why there is no address.
    fn nothing(&self, name: &Name) -> DnsError {
        let name = shown(name);
        DnsError(match self.exists {
            true => format!("{name} has no address"),
            false => format!("there is no {name}"),
        })
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

#[cfg(test)]
mod tests;
