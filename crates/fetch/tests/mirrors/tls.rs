use core::time::Duration;

use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Identity;
use fault_server::Pki;
use fault_server::Validity;
use fetch::Client;
use fetch::ClientOptions;
use fetch::FetchError;
use fetch::Limits;
use report::Class;
use report::Code;
use report::Coded;
use trust::Clock;
use trust::Timestamp;

use crate::support::DAY;
use crate::support::LOOPBACK;
use crate::support::NOW;
use crate::support::assert_fails;
use crate::support::client;
use crate::support::client_with;
use crate::support::clock;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;

const SKEW: u64 = 10 * 365 * 86_400;

fn server(identity: Identity) -> FaultServer {
    FaultServer::start(Config::https(identity).file("/os.json", File::new("{}"))).unwrap()
}

/// Asks a server of this identity, with these roots, at this time.
async fn ask(identity: Identity, root: &Pki, clock: Clock) -> Result<Vec<u8>, FetchError> {
    let server = server(identity);
    let client = client_with(vec![root.ca_der()], clock, limits());
    client.descriptor(&mirror(&server.url("/os.json"))).await
}

/// The clock of a machine whose image was built `NOW`, and that shows something else.
fn dead_clock(rtc: i64) -> Clock {
    let clock = Clock::from_rtc(Timestamp::from_unix(rtc), Timestamp::from_unix(NOW), SKEW);
    assert!(!clock.is_trusted());
    clock
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let pki = Pki::new("root").unwrap();
    let config = Config::https(pki.server(&[LOOPBACK]).unwrap()).file("/os.json", File::new("{}"));
    for config in [config.clone(), config.tls12_only()] {
        let server = FaultServer::start(config).unwrap();
        let client = client_with(vec![pki.ca_der()], clock(), limits());
        assert_eq!(client.descriptor(&mirror(&server.url("/os.json"))).await.unwrap(), b"{}");
    }
}

#[tokio::test]
async fn any_of_several_roots_will_do() {
    let (one, other) = (Pki::new("one").unwrap(), Pki::new("other").unwrap());
    let server = server(other.server(&[LOOPBACK]).unwrap());
    let client = client_with(vec![one.ca_der(), other.ca_der()], clock(), limits());
    client.descriptor(&mirror(&server.url("/os.json"))).await.unwrap();
}

#[tokio::test]
async fn a_foreign_ca_is_refused() {
    let (ours, foreign) = (Pki::new("root").unwrap(), Pki::new("root").unwrap());
    let outcome = ask(foreign.server(&[LOOPBACK]).unwrap(), &ours, clock()).await;
    let error = assert_fails(outcome, Code::TlsUntrusted, false);
    assert_eq!(error.class(), Class::Security);
    let stranger = Pki::new("stranger").unwrap();
    let outcome = ask(stranger.server(&[LOOPBACK]).unwrap(), &ours, clock()).await;
    assert_fails(outcome, Code::TlsUntrusted, false);
}

#[tokio::test]
async fn another_name_is_refused() {
    let pki = Pki::new("root").unwrap();
    let identity = pki.server(&["boot.example", "10.0.2.2"]).unwrap();
    let error = assert_fails(ask(identity, &pki, clock()).await, Code::TlsWrongName, false);
    assert!(error.to_string().contains("boot.example"), "{error}");
}

#[tokio::test]
async fn validity_is_enforced_on_a_trusted_clock() {
    let pki = Pki::new("root").unwrap();
    for (not_before, not_after) in [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)] {
        let validity = Validity { not_before, not_after };
        let identity = pki.server_with_validity(&[LOOPBACK], validity).unwrap();
        assert_fails(ask(identity, &pki, clock()).await, Code::TlsExpired, false);
    }
}

#[tokio::test]
async fn a_dead_clock_locks_nobody_out() {
    let pki = Pki::new("root").unwrap();
    for rtc in [0, 981_173_106, 4_080_000_000] {
        for (not_before, not_after) in [
            (NOW - 100 * DAY, NOW + DAY),
            // Issued after the image was built.
            (NOW + 1000 * DAY, NOW + 1001 * DAY),
        ] {
            let validity = Validity { not_before, not_after };
            let identity = pki.server_with_validity(&[LOOPBACK], validity).unwrap();
            assert_eq!(ask(identity, &pki, dead_clock(rtc)).await.unwrap(), b"{}");
        }
    }
}

#[tokio::test]
async fn what_expired_before_the_floor_is_refused_on_any_clock() {
    let pki = Pki::new("root").unwrap();
    let validity = Validity { not_before: NOW - 100 * DAY, not_after: NOW - DAY };
    for rtc in [0, NOW - 50 * DAY, 4_080_000_000] {
        let identity = pki.server_with_validity(&[LOOPBACK], validity).unwrap();
        assert_fails(ask(identity, &pki, dead_clock(rtc)).await, Code::TlsExpired, false);
    }
}

#[tokio::test]
async fn a_chain_is_judged_as_one() {
    let pki = Pki::new("root").unwrap();
    let validity = Validity { not_before: NOW, not_after: NOW + DAY };
    let later = Validity { not_before: NOW + 2 * DAY, not_after: NOW + 3 * DAY };
    let companion = Pki::with_validity("companion", later).unwrap().ca_der();
    let identity =
        pki.server_with_validity(&[LOOPBACK], validity).unwrap().with_intermediate(companion);
    assert_fails(ask(identity, &pki, dead_clock(0)).await, Code::TlsExpired, false);
}

#[tokio::test]
async fn expired_roots_do_not_count() {
    let validity = Validity { not_before: NOW - 100 * DAY, not_after: NOW - DAY };
    let pki = Pki::with_validity("root", validity).unwrap();
    for clock in [clock(), dead_clock(0)] {
        let identity = pki.server(&[LOOPBACK]).unwrap();
        assert_fails(ask(identity, &pki, clock).await, Code::TlsExpired, false);
    }
    // A stranger's certificate stays a stranger's.
    let stranger = Pki::new("stranger").unwrap();
    let outcome = ask(stranger.server(&[LOOPBACK]).unwrap(), &pki, clock()).await;
    assert_fails(outcome, Code::TlsUntrusted, false);
}

#[tokio::test]
async fn without_roots_https_is_refused_before_connecting() {
    let pki = Pki::new("root").unwrap();
    let server = server(pki.server(&[LOOPBACK]).unwrap());
    let outcome = client(limits()).descriptor(&mirror(&server.url("/os.json"))).await;
    assert_fails(outcome, Code::TlsNoRoots, false);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn roots_that_are_not_certificates_are_refused() {
    let outcome = Client::new(ClientOptions {
        tls_roots: vec![Pki::new("root").unwrap().ca_der(), b"not a certificate".to_vec()],
        limits: limits(),
        ..ClientOptions::new(clock())
    });
    let error = assert_fails(outcome, Code::TlsRootsInvalid, false);
    assert!(error.to_string().starts_with("TLS root 2: "), "{error}");
}

#[tokio::test]
async fn a_cut_handshake_is_transient() {
    let pki = Pki::new("root").unwrap();
    let config = Config::https(pki.server(&[LOOPBACK]).unwrap())
        .file("/os.json", File::new("{}"))
        .cut_connections(1);
    let server = FaultServer::start(config).unwrap();
    let client = client_with(vec![pki.ca_der()], clock(), limits());
    let mirror = mirror(&server.url("/os.json"));
    let error = assert_fails(client.descriptor(&mirror).await, Code::ConnectFailed, false);
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(client.descriptor(&mirror).await.unwrap(), b"{}");
}

/// What a path looks like that swallows the server's long first packets.
#[tokio::test]
async fn a_handshake_without_answer_is_told_from_no_connection() {
    // The kernel takes connections for it; nobody reads.
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connect: Duration::from_millis(300), ..limits() };
    let client = client_with(vec![Pki::new("root").unwrap().ca_der()], clock(), limits);
    let outcome = client.descriptor(&mirror(&format!("https://{address}/os.json"))).await;
    let error = assert_fails(outcome, Code::Stalled, false);
    assert!(error.to_string().contains("within 0.3 s: the server hangs, or"), "{error}");
    assert!(error.to_string().contains("(MTU)"), "{error}");
    // Whoever sends no answer at all is as if it were not there.
    drop(listener);
    let outcome = client.descriptor(&mirror(&format!("https://{address}/os.json"))).await;
    assert_fails(outcome, Code::ConnectFailed, false);
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    // It answers to the first line of the handshake, as web servers do.
    let server = plain("/os.json", File::new("{}"));
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    let client = client_with(vec![Pki::new("root").unwrap().ca_der()], clock(), limits());
    let outcome = client.descriptor(&mirror(&format!("https://{address}/os.json"))).await;
    assert_fails(outcome, Code::TlsFailed, false);
    thread.join().unwrap();
    drop(server);
}
