//! The remote log against real listeners on the loopback.
//!
//! No test measures time: what is waited for comes, or the test hangs and is ended from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::Arc;
use std::time::Duration;

use fault_server::Identity;
use fault_server::Pki;
use fetch::ClientOptions;
use hostcfg::HostConfig;
use hostcfg::LogLevel;
use remotelog::Link;
use remotelog::RemoteLog;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust::Clock;
use trust::Timestamp;

/// 2026-11-22T09:00:00Z.
const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

fn config(url: &str, level: &str) -> hostcfg::RemoteLog {
    let json = format!(
        r#"{{"network_mode": "dhcp", "ospkg_pointer": "http://192.0.2.1/os.json",
            "remote_log": {{"url": "{url}", "level": "{level}"}}}}"#
    );
    HostConfig::parse(json.as_bytes()).unwrap().remote_log.unwrap()
}

fn link(roots: Vec<Vec<u8>>) -> Link {
    let options = ClientOptions { tls_roots: roots, ..ClientOptions::new(Clock::exactly(NOW)) };
    Link { options, address: "192.0.2.7".into(), mac: "52:54:00:12:34:56".into(), used: true }
}

fn say(log: &RemoteLog, text: &str) {
    log.push(Duration::from_secs(1), LogLevel::Info, text);
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem().as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    root: Vec<u8>,
    port: u16,
}

impl Server {
    async fn start() -> Self {
        let pki = Pki::new("log CA").unwrap();
        let acceptor = acceptor(&pki.server(&["127.0.0.1"]).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, acceptor, root: pki.ca_der(), port }
    }

    async fn accept(&self) -> TlsStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(stream).await.unwrap()
    }
}

#[tokio::test]
async fn early_lines_come_over_udp_in_their_order_and_only_of_the_level() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("syslog+udp://127.0.0.1:{}", server.local_addr().unwrap().port());
    let log = RemoteLog::new();
    say(&log, "before anything is known");
    log.push(Duration::ZERO, LogLevel::Debug, "a detail");
    log.start(&config(&url, "info"), 0xb007, Some(NOW));
    log.link(link(Vec::new()));
    say(&log, "after\nthat");
    assert!(log.flush(LONG).await);

    let mut packet = [0; 2048];
    let mut messages = Vec::new();
    for _ in 0..3 {
        let length = server.recv(&mut packet).await.unwrap();
        messages.push(String::from_utf8(packet[..length].to_vec()).unwrap());
    }
    let header = "<30>1 2026-11-22T09:00:01.000000Z 192.0.2.7 ramstrap 000000000000b007 - - ";
    let expected = ["before anything is known", "after", "that"];
    assert_eq!(messages, expected.map(|text| format!("{header}{text}")));
}

#[tokio::test]
async fn tls_has_counted_messages_and_ends_with_the_last_of_them() {
    let server = Server::start().await;
    let url = format!("syslog+tls://127.0.0.1:{}", server.port);
    let log = RemoteLog::new();
    log.start(&config(&url, "info"), 1, None);
    log.link(link(vec![server.root.clone()]));
    say(&log, "größer");
    let (flushed, received) = tokio::join!(log.flush(LONG), async {
        let mut received = String::new();
        server.accept().await.read_to_string(&mut received).await.unwrap();
        received
    });
    let message = "<30>1 - 192.0.2.7 ramstrap 0000000000000001 - - \u{feff}größer";
    assert_eq!(received, format!("{} {message}", message.len()));
    assert!(flushed);
}

#[tokio::test]
async fn nobody_but_the_policys_roots_vouches_for_a_log_server() {
    let server = Server::start().await;
    let url = format!("syslog+tls://127.0.0.1:{}", server.port);
    let log = RemoteLog::new();
    log.start(&config(&url, "info"), 1, None);
    let stranger = Pki::new("another CA").unwrap();
    log.link(link(vec![stranger.ca_der()]));
    say(&log, "canary");
    let (flushed, ()) = tokio::join!(log.flush(LONG), async {
        let (stream, _) = server.listener.accept().await.unwrap();
        assert!(server.acceptor.accept(stream).await.is_err());
    });
    assert!(!flushed, "it is over after one try, and the line is still there");
}

#[tokio::test]
async fn json_lines_are_posted_again_until_they_are_taken_and_no_secret_is_in_them() {
    let server = Server::start().await;
    let url = format!("https://canaryuser:canarypass@127.0.0.1:{}/in", server.port);
    let log = RemoteLog::new();
    log.start(&config(&url, "debug"), 1, None);
    say(&log, "a line");
    let answer = async |status: &str| {
        let mut stream = server.accept().await;
        let mut request = String::new();
        while !request.ends_with("}\n") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "{request}");
            request.push_str(core::str::from_utf8(&piece[..length]).unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        request
    };
    log.link(link(vec![server.root.clone()]));
    let first = answer("503 Busy").await;
    let (again, flushed) = tokio::join!(answer("204 Taken"), log.flush(LONG));
    assert!(flushed);
    for request in [first, again] {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /in HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-ndjson"), "{head}");
        assert!(head.contains("authorization: Basic "), "{head}");
        assert!(body.contains("\"message\":\"a line\"") && body.lines().count() == 1, "{body}");
        assert!(!body.contains("canary"), "{body}");
    }
}

#[tokio::test]
async fn without_a_server_or_a_link_nobody_waits() {
    let log = RemoteLog::new();
    log.start(&config("syslog+tls://127.0.0.1:1", "info"), 1, None);
    say(&log, "lost");
    assert!(!log.flush(LONG).await, "no link");
    log.link(link(vec![Pki::new("CA").unwrap().ca_der()]));
    assert!(!log.flush(LONG).await, "nobody listens");

    let log = RemoteLog::new();
    say(&log, "forgotten");
    log.disable();
    assert!(log.flush(LONG).await);
    assert!(!log.takes(LogLevel::Error));
}

#[test]
fn what_is_left_gets_out_when_the_runtime_that_sends_stands_still() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+udp://127.0.0.1:{}", server.local_addr().unwrap().port());
    let log = RemoteLog::new();
    let standing_still = runtime();
    standing_still.block_on(async { log.start(&config(&url, "info"), 0xb007, Some(NOW)) });
    log.link(link(Vec::new()));
    say(&log, "E0701 the last word");

    assert!(runtime().block_on(log.send_rest(LONG)));
    let mut packet = [0; 2048];
    let length = server.recv(&mut packet).unwrap();
    let text = String::from_utf8(packet[..length].to_vec()).unwrap();
    assert!(text.ends_with("ramstrap 000000000000b007 - - E0701 the last word"), "{text}");
    drop(standing_still);
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_hold_up_the_rest() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("syslog+tls://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let log = RemoteLog::new();
    say(&log, "nobody hears this");
    assert!(!log.send_rest(LONG).await, "nowhere to send it");
    log.start(&config(&url, "info"), 1, None);
    assert!(!log.send_rest(LONG).await, "no link");
    let root = Pki::new("log CA").unwrap().ca_der();
    log.link(link(vec![root]));
    assert!(!log.send_rest(Duration::from_millis(20)).await);
}
