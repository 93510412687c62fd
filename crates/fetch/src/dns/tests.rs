use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use hickory_proto::op::Message;
use hickory_proto::op::MessageType;
use hickory_proto::op::OpCode;
use hickory_proto::op::Query;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use hickory_proto::rr::RData;
use hickory_proto::rr::Record;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::rdata::AAAA;
use hickory_proto::rr::rdata::CNAME;
use proptest::prelude::any;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;

use super::Answer;
use super::DnsError;
use super::DnsOptions;
use super::StubResolver;
use super::answers::Families;
use super::response_to;
use crate::client::Client;
use crate::client::ClientOptions;

const HOST: &str = "boot.example";

/// How a scripted server answers: messages to send for a query, in their order.
type Script = fn(&Message) -> Vec<Message>;

/// A DNS server on a free port, over UDP and TCP.
struct Server {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl Server {
    async fn start(udp_script: Script, tcp_script: Script) -> Self {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&queries);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (len, peer) = udp.recv_from(&mut buffer).await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                for message in udp_script(&Message::from_vec(&buffer[..len]).unwrap()) {
                    udp.send_to(&message.to_vec().unwrap(), peer).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut query).await.unwrap();
                for message in tcp_script(&Message::from_vec(&query).unwrap()) {
                    let bytes = message.to_vec().unwrap();
                    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
                    stream.write_all(&bytes).await.unwrap();
                }
            }
        });
        Self { address, queries }
    }

    async fn udp(script: Script) -> Self {
        Self::start(script, |_| Vec::new()).await
    }

    fn asked(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

/// A resolver that waits long enough for any server that does answer.
fn resolver(servers: &[&Server]) -> StubResolver {
    resolver_with(servers, Duration::from_secs(5))
}

fn resolver_with(servers: &[&Server], timeout: Duration) -> StubResolver {
    resolver_for(servers, timeout, Families::BOTH)
}

fn resolver_for(servers: &[&Server], timeout: Duration, families: Families) -> StubResolver {
    StubResolver::new(DnsOptions {
        servers: servers.iter().map(|server| server.address).collect(),
        search: Vec::new(),
        interface: Some("lo".to_owned()),
        timeout,
        tries: 3,
        families,
        tell: true,
        random: rustls::crypto::ring::default_provider().secure_random,
    })
}

async fn lookup(servers: &[&Server]) -> Result<Vec<IpAddr>, DnsError> {
    resolver(servers).lookup(HOST).await
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn reply(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.queries.clone_from(&query.queries);
    reply
}

fn code(query: &Message, code: ResponseCode) -> Message {
    let mut reply = reply(query);
    reply.metadata.response_code = code;
    reply
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// 192.0.2.1 for A, 2001:db8::1 for AAAA.
fn well(query: &Message) -> Vec<Message> {
    let mut reply = reply(query);
    let data = match query.queries[0].query_type {
        RecordType::A => RData::A(A::new(192, 0, 2, 1)),
        _ => RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    reply.add_answer(Record::from_rdata(query.queries[0].name.clone(), 60, data));
    vec![reply]
}

fn only_v4(query: &Message) -> Vec<Message> {
    match query.queries[0].query_type {
        RecordType::A => well(query),
        _ => vec![reply(query)],
    }
}

fn silent(_: &Message) -> Vec<Message> {
    Vec::new()
}

#[tokio::test]
async fn both_families_are_asked_for() {
    let server = Server::udp(well).await;
    let addresses = lookup(&[&server]).await.unwrap();
    assert_eq!(addresses, [v4(1), "2001:db8::1".parse().unwrap()]);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn addresses_of_the_links_families_come_first_and_can_be_told_afterwards() {
    let server = Server::udp(well).await;
    let families = Families { v4: false, v6: true };
    let resolver = resolver_for(&[&server], Duration::from_secs(5), families);
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(resolver.lookup(HOST).await.unwrap(), [v6, v4(1)]);
    assert_eq!(resolver.answered(HOST), [v4(1), v6]);
    resolver.lookup("192.0.2.9").await.unwrap();
    assert!(resolver.answered("192.0.2.9").is_empty(), "nobody was asked");
}

#[tokio::test]
async fn one_family_is_enough_even_if_the_other_is_never_answered() {
    let server = Server::udp(only_v4).await;
    assert_eq!(lookup(&[&server]).await.unwrap(), [v4(1)]);
    let mute = Server::udp(|query| match query.queries[0].query_type {
        RecordType::A => well(query),
        _ => silent(query),
    })
    .await;
    assert_eq!(lookup(&[&mute]).await.unwrap(), [v4(1)]);
}

#[tokio::test]
async fn a_silent_or_broken_server_is_passed_over() {
    let good = Server::udp(only_v4).await;
    for script in [
        silent as Script,
        |query| vec![code(query, ResponseCode::ServFail)],
        |query| vec![code(query, ResponseCode::Refused)],
    ] {
        let bad = Server::udp(script).await;
        let resolver = resolver_with(&[&bad, &good], Duration::from_secs(1));
        assert_eq!(resolver.lookup(HOST).await.unwrap(), [v4(1)]);
        let asked = bad.asked();
        // Next time the good one is asked first.
        assert_eq!(resolver.lookup(HOST).await.unwrap(), [v4(1)]);
        assert_eq!(bad.asked(), asked);
    }
}

#[tokio::test]
async fn silence_everywhere_ends() {
    let server = Server::udp(silent).await;
    let impatient = resolver_with(&[&server], Duration::from_millis(100));
    let error = impatient.lookup(HOST).await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    assert_eq!(server.asked(), 6);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_not_asked_again() {
    let server = Server::udp(|query| vec![code(query, ResponseCode::NXDomain)]).await;
    let error = lookup(&[&server]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no boot.example");
    assert_eq!(server.asked(), 2);
    let empty = Server::udp(|query| vec![reply(query)]).await;
    let error = lookup(&[&empty]).await.unwrap_err();
    assert_eq!(error.to_string(), "boot.example has no address");
}

#[tokio::test]
async fn answers_to_something_else_are_ignored() {
    let server = Server::udp(|query| {
        let forged = || {
            let mut forged = reply(query);
            let data = RData::A(A::new(203, 0, 113, 66));
            forged.add_answer(Record::from_rdata(name(HOST), 60, data));
            forged
        };
        let mut wrong_id = forged();
        wrong_id.metadata.id ^= 1;
        let mut wrong_name = forged();
        wrong_name.queries = vec![Query::query(name("other.example"), RecordType::A)];
        let mut no_question = forged();
        no_question.queries.clear();
        let mut a_query = forged();
        a_query.metadata.message_type = MessageType::Query;
        let mut answers = vec![wrong_id, wrong_name, no_question, a_query];
        answers.extend(only_v4(query));
        answers
    })
    .await;
    assert_eq!(lookup(&[&server]).await.unwrap(), [v4(1)]);
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_over_tcp() {
    let cut = |query: &Message| {
        let mut reply = reply(query);
        reply.metadata.truncation = true;
        vec![reply]
    };
    let server = Server::start(cut, only_v4).await;
    assert_eq!(lookup(&[&server]).await.unwrap(), [v4(1)]);
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_at_once() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let gone = Server { address, queries: Arc::default() };
    let error = lookup(&[&gone]).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn addresses_and_nonsense_are_not_asked_for() {
    let server = Server::udp(well).await;
    let resolver = resolver(&[&server]);
    assert_eq!(resolver.lookup("192.0.2.9").await.unwrap(), [v4(9)]);
    assert!(resolver.lookup(&"a".repeat(64)).await.is_err());
    assert!(resolver.lookup("a..b").await.is_err());
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_an_error() {
    let server = Server::udp(well).await;
    let mut resolver = resolver(&[&server]);
    Arc::get_mut(&mut resolver.options).unwrap().interface = Some("none0".to_owned());
    assert!(resolver.lookup(HOST).await.is_err());
    assert_eq!(server.asked(), 0);
}

/// Answers with one address for A, and with nothing for AAAA.
fn address(query: &Message, address: Ipv4Addr) -> Vec<Message> {
    let mut reply = reply(query);
    if query.queries[0].query_type == RecordType::A {
        let name = query.queries[0].name.clone();
        reply.add_answer(Record::from_rdata(name, 60, RData::A(A(address))));
    }
    vec![reply]
}

#[tokio::test]
async fn addresses_that_no_server_can_have_are_not_taken() {
    let good = Server::udp(only_v4).await;
    let nowhere = Server::udp(|query| address(query, Ipv4Addr::UNSPECIFIED)).await;
    assert_eq!(lookup(&[&nowhere, &good]).await.unwrap(), [v4(1)], "the next server is asked");
    let error = lookup(&[&nowhere]).await.unwrap_err();
    assert!(error.to_string().contains("it answered 0.0.0.0, which no server"), "{error}");

    // Among good ones they are left out.
    let mixed = Server::udp(|query| {
        let mut replies = address(query, Ipv4Addr::BROADCAST);
        for reply in &mut replies {
            reply.answers.extend(well(query).remove(0).answers);
        }
        replies
    })
    .await;
    assert_eq!(lookup(&[&mixed]).await.unwrap(), [v4(1), "2001:db8::1".parse().unwrap()]);
}

#[test]
fn which_addresses_a_server_may_have() {
    let may =
        |text: &str, interface| super::names::may_be_server(&text.parse().unwrap(), interface);
    for text in
        ["192.0.2.1", "10.0.0.1", "223.255.255.1", "2001:db8::1", "fd00::1", "::ffff:192.0.2.1"]
    {
        assert!(may(text, Some("eth0")) && may(text, None), "{text}");
    }
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        assert!(!may(text, Some("eth0")) && !may(text, None), "{text}");
    }
    for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!(!may(text, Some("eth0")), "{text}: nobody behind a NIC");
        assert!(may(text, None) && may(text, Some("lo")), "{text}: this machine");
    }
}

#[tokio::test]
async fn names_are_looked_for_in_the_search_domains() {
    let server = Server::udp(|query| {
        let known = ["mirror.b.example.", "www.example.net.a.example."];
        match known.contains(&query.queries[0].name.to_string().as_str()) {
            true => only_v4(query),
            false => vec![code(query, ResponseCode::NXDomain)],
        }
    })
    .await;
    let mut resolver = resolver(&[&server]);
    Arc::get_mut(&mut resolver.options).unwrap().search =
        vec!["a.example.".to_owned(), "b.example".to_owned(), "not a domain..".to_owned()];
    assert_eq!(resolver.lookup("mirror").await.unwrap(), [v4(1)]);
    assert_eq!(server.asked(), 4, "in a.example, then in b.example");
    assert_eq!(resolver.lookup("www.example.net").await.unwrap(), [v4(1)]);
    let error = resolver.lookup("nowhere").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no nowhere.a.example");
    let error = resolver.lookup("no.where").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no no.where");
    // A dot at its end: nowhere else.
    let before = server.asked();
    assert!(resolver.lookup("mirror.").await.is_err());
    assert_eq!(server.asked(), before + 2);
}

#[tokio::test]
async fn who_cannot_connect_says_to_which_addresses() {
    let server = Server::udp(|query| {
        let mut reply = reply(query);
        if query.queries[0].query_type == RecordType::A {
            for last in [9, 1] {
                let data = RData::A(A(Ipv4Addr::new(127, 0, 0, last)));
                reply.add_answer(Record::from_rdata(query.queries[0].name.clone(), 60, data));
            }
        }
        vec![reply]
    })
    .await;
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let clock = trust::Clock::exactly(trust::Timestamp::from_unix(1_780_272_000));
    let options = ClientOptions { interface: Some("lo".to_owned()), ..ClientOptions::new(clock) };
    let client = Client::build(options, vec![server.address]).unwrap();
    let mirror = |host: &str| {
        hostcfg::Mirror::plain(format!("http://{host}:{port}/os.json").parse().unwrap())
    };
    let named = mirror(HOST);
    assert!(client.addresses(&named).is_empty(), "nobody has asked yet");
    let failure = client.descriptor(&named).await.unwrap_err().failure();
    assert_eq!(failure.code, report::Code::ConnectFailed);
    let told = format!(" ({HOST} is 127.0.0.1, 127.0.0.9)");
    assert!(failure.detail.ends_with(&told), "{}", failure.detail);
    let addresses: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 9].into()];
    assert_eq!(client.addresses(&named), addresses);
    let literal = mirror("127.0.0.1");
    let failure = client.descriptor(&literal).await.unwrap_err().failure();
    assert!(!failure.detail.contains(" is "), "{}", failure.detail);
    assert!(client.addresses(&literal).is_empty());
}

#[tokio::test]
async fn a_client_finds_its_server_by_name() {
    let server = Server::udp(|query| {
        let mut reply = reply(query);
        if query.queries[0].query_type == RecordType::A {
            let data = RData::A(A(Ipv4Addr::LOCALHOST));
            reply.add_answer(Record::from_rdata(query.queries[0].name.clone(), 60, data));
        }
        vec![reply]
    })
    .await;
    let pki = fault_server::Pki::new("root").unwrap();
    let identity = pki.server(&[HOST]).unwrap();
    let config =
        fault_server::Config::https(identity).file("/os.json", fault_server::File::new("{}"));
    let web = fault_server::FaultServer::start(config).unwrap();
    let clock = trust::Clock::exactly(trust::Timestamp::from_unix(1_780_272_000));
    let options = ClientOptions {
        interface: Some("lo".to_owned()),
        tls_roots: vec![pki.ca_der()],
        ..ClientOptions::new(clock)
    };
    let client = Client::build(options, vec![server.address]).unwrap();
    let mirror = hostcfg::Mirror::plain(web.url_for(HOST, "/os.json").parse().unwrap());
    assert_eq!(client.descriptor(&mirror).await.unwrap(), b"{}");
    assert_eq!(web.requests()[0].header("host"), Some(&*format!("{HOST}:{}", web.addr().port())));
}

fn records(list: &[(&str, RData)]) -> Message {
    let mut response = Message::response(1, OpCode::Query);
    for (owner, data) in list {
        response.add_answer(Record::from_rdata(name(owner), 60, data.clone()));
    }
    response
}

#[test]
fn aliases_are_followed_and_strangers_are_not() {
    let alias = |target| RData::CNAME(CNAME(name(target)));
    let address = |last| RData::A(A::new(192, 0, 2, last));
    let response = records(&[
        ("cdn.example", address(2)),
        ("stranger.example", address(3)),
        ("BOOT.example", alias("www.example")),
        ("www.example", alias("CDN.example")),
        ("boot.example", address(4)),
    ]);
    assert_eq!(Answer::read(&response, &name(HOST)).unwrap().list, [v4(2)]);
    // A ring of aliases ends.
    let ring = records(&[("boot.example", alias("a.example")), ("a.example", alias(HOST))]);
    assert!(Answer::read(&ring, &name(HOST)).unwrap().list.is_empty());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut query = Message::new(1, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name(HOST), RecordType::A));
        if let Some(response) = response_to(&query, &bytes) {
            let _ = Answer::read(&response, &name(HOST));
        }
    }

    #[test]
    fn a_damaged_answer_is_judged_without_panic(at in 0_usize..60, with in any::<u8>()) {
        let mut query = Message::new(1, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name(HOST), RecordType::A));
        let mut bytes = well(&query)[0].to_vec().unwrap();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        if let Some(response) = response_to(&query, &bytes) {
            let _ = Answer::read(&response, &name(HOST));
        }
    }
}

/// A family that swallows connections, as behind a router that is not one, must not hold up the
/// other: it has a short head start, and no more.
#[tokio::test]
async fn a_dead_family_does_not_hold_up_the_other() {
    let server = Server::udp(|query| {
        let mut reply = reply(query);
        let data = match query.queries[0].query_type {
            RecordType::A => RData::A(A(Ipv4Addr::LOCALHOST)),
            _ => RData::AAAA(AAAA(core::net::Ipv6Addr::LOCALHOST)),
        };
        reply.add_answer(Record::from_rdata(query.queries[0].name.clone(), 60, data));
        vec![reply]
    })
    .await;
    let Ok(probe) = TcpListener::bind("[::1]:0").await else {
        println!("SKIPPED: no IPv6 on this machine");
        return;
    };
    let address = probe.local_addr().unwrap();
    drop(probe);
    let web = fault_server::Config::http()
        .listen(address)
        .file("/os.json", fault_server::File::new("{}"));
    let web = fault_server::FaultServer::start(web).unwrap();
    // A listener with no room for further connections does not answer to them.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, address.port()).into()).unwrap();
    let full = socket.listen(0).unwrap();
    let _first = tokio::net::TcpStream::connect(full.local_addr().unwrap()).await.unwrap();

    let clock = trust::Clock::exactly(trust::Timestamp::from_unix(1_780_272_000));
    let limits = crate::limits::Limits {
        connect: Duration::from_secs(600),
        header: Duration::from_secs(60),
        descriptor_time: Duration::from_secs(60),
        ..crate::limits::Limits::default()
    };
    let options = ClientOptions { limits, ..ClientOptions::new(clock) };
    let client = Client::build(options, vec![server.address]).unwrap();
    let mirror = hostcfg::Mirror::plain(web.url_for(HOST, "/os.json").parse().unwrap());
    assert_eq!(client.descriptor(&mirror).await.unwrap(), b"{}");
}
