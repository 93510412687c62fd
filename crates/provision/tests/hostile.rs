//! Clients that want to hurt a machine, and servers that are none.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use provision::State;
use provision::Why;
use provision::client::Ask;
use provision::client::ClientError;
use provision::config::Document;
use provision::server::Limits;
use provision::wire;
use report::Code;
use report::Coded;
use rustls::AlertDescription;
use rustls::ClientConfig;
use serde_json::json;
use support::ALICE;
use support::Behave;
use support::Machine;
use support::fake::Fake;
use support::package;
use support::raw;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

/// Longer than any deadline of the machine under test, shorter than patience.
const SOON: Duration = Duration::from_secs(4);

/// Writes these bytes one by one and tells how long the machine bore it.
async fn drip(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> Duration {
    let begin = Instant::now();
    for byte in bytes.iter().cycle() {
        let mut answer = [0; 64];
        let closed =
            tokio::time::timeout(Duration::from_millis(20), stream.read(&mut answer)).await;
        if matches!(closed, Ok(Ok(0) | Err(_))) || stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        assert!(begin.elapsed() < SOON, "still connected");
    }
    begin.elapsed()
}

#[tokio::test]
async fn a_client_that_drips_is_cut_off_before_and_after_the_handshake() {
    let machine = Machine::start().await;
    let mut tcp = TcpStream::connect(machine.address).await.unwrap();
    // The head of a TLS record of 512 bytes, then its contents.
    tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
    let borne = drip(&mut tcp, &[0]).await;
    assert!(borne > Duration::from_millis(400), "{borne:?}: not for another reason");

    let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
    raw::hear(&mut stream).await.unwrap();
    stream.write_all(&1000_u32.to_be_bytes()).await.unwrap();
    let borne = drip(&mut stream, b"x").await;
    assert!(borne > Duration::from_millis(400), "{borne:?}");
    assert!(machine.host.handled().is_empty());
    machine.provision().await.unwrap();
}

#[tokio::test]
async fn garbage_before_tls_is_answered_with_nothing_that_helps() {
    let machine = Machine::start().await;
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 100_000], b"{\"version\":1}"]
    {
        let mut tcp = TcpStream::connect(machine.address).await.unwrap();
        let _ = tcp.write_all(garbage).await;
        let mut answer = Vec::new();
        let end = tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await;
        assert!(end.is_ok() && answer.len() <= 7, "an alert at most: {answer:?}");
    }
    assert!(machine.host.handled().is_empty() && machine.host.events.lock().unwrap().is_empty());
    // All its places are taken for the pause after a failure.
    tokio::time::sleep(Duration::from_millis(400)).await;
    machine.provision().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_unread() {
    let machine = Machine::start().await;
    for length in [(1 << 20) + 1, u32::MAX] {
        let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
        raw::hear(&mut stream).await.unwrap();
        stream.write_all(&u32::to_be_bytes(length)).await.unwrap();
        stream.write_all(&[b' '; 50_000]).await.unwrap();
        let answer = raw::hear(&mut stream).await.unwrap();
        assert_eq!(answer["refused"]["code"], "malformed");
        let reason = answer["refused"]["reason"].as_str().unwrap();
        assert!(reason.contains(&length.to_string()) && reason.contains("1 MiB"), "{reason}");
    }
    let text = support::vpn().to_string();
    let padded = format!("{{{}{}", " ".repeat(1 << 20), &text[1..]);
    let document = Document::parse(padded.as_bytes()).unwrap();
    let error = machine.ask(Ask::Provision(&document)).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong(_)) && !error.sent(), "{error:?}");
    assert_eq!(error.code(), Code::ProvisioningMessage);
    assert!(machine.host.handled().is_empty());
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_as_such() {
    let machine = Machine::start().await;
    for (request, part) in [
        (json!({ "provision": {}, "status": {} }), "must ask for one thing"),
        (json!({}), "must ask for one thing"),
        (json!({ "format": {} }), "what is not known"),
        (json!({ "reboot": { "now": true } }), "fields where none belong"),
        (json!("status"), "has no request"),
    ] {
        let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
        let hello = raw::hear(&mut stream).await.unwrap();
        raw::say(&mut stream, &raw::request(&hello, request.clone())).await;
        let answer = raw::hear(&mut stream).await.unwrap();
        assert_eq!(answer["refused"]["code"], "malformed", "{request}");
        let reason = answer["refused"]["reason"].as_str().unwrap();
        assert!(reason.contains(part), "{request}: {reason}");
    }
    let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
    let hello = raw::hear(&mut stream).await.unwrap();
    let mut request = raw::request(&hello, json!({ "status": {} }));
    request["version"] = json!(2);
    raw::say(&mut stream, &request).await;
    let answer = raw::hear(&mut stream).await.unwrap();
    assert!(answer["refused"]["reason"].as_str().unwrap().contains("version 2"), "{answer}");
    assert!(machine.host.handled().is_empty());
}

#[tokio::test]
async fn more_connections_than_it_takes_are_closed_at_once() {
    let few = Limits { per_address: 2, handshake: Duration::from_secs(2), ..support::limits() };
    let machine = Machine::with_limits(few).await;
    let idle = [
        TcpStream::connect(machine.address).await.unwrap(),
        TcpStream::connect(machine.address).await.unwrap(),
    ];
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begin = Instant::now();
    let error = machine.connect().await.unwrap_err();
    assert!(matches!(error, ClientError::ClosedAtOnce(_)), "{error:?}");
    assert!(error.to_string().contains("as many connections as it takes"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(1), "at once");
    drop(idle);
    tokio::time::sleep(Duration::from_millis(500)).await;
    machine.provision().await.unwrap();
}

#[tokio::test]
async fn a_failed_handshake_takes_a_place_for_a_while() {
    let few = Limits { per_address: 1, pause: Duration::from_millis(500), ..support::limits() };
    let machine = Machine::with_limits(few).await;
    let error = support::connect(&machine.target(), &support::MALLORY, machine.fingerprint)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::UnknownKey(_)), "{error:?}");
    assert!(matches!(machine.connect().await.unwrap_err(), ClientError::ClosedAtOnce(_)));
    tokio::time::sleep(Duration::from_millis(600)).await;
    machine.provision().await.unwrap();
}

#[tokio::test]
async fn tls_1_2_certificates_and_clients_without_a_key_are_refused() {
    let machine = Machine::start().await;
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(raw::Anybody { raw: false }))
        .with_no_client_auth();
    let error = raw::handshake(machine.address, old).await.unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::ProtocolVersion), "{error:?}");

    let certificates = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(raw::Anybody { raw: false }))
        .with_no_client_auth();
    let error = raw::handshake(machine.address, certificates).await.unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::HandshakeFailure), "{error:?}");

    let keyless = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(raw::Anybody { raw: true }))
        .with_no_client_auth();
    match raw::handshake(machine.address, keyless).await {
        Err(_) => {}
        Ok(mut stream) => assert!(raw::hear(&mut stream).await.is_err(), "it heard the hello"),
    }
    assert!(machine.host.handled().is_empty());
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn a_machine_that_is_gone_before_it_answers() {
    let machine = Machine::start().await;
    machine.host.next(Behave::Wait);
    let session = machine.connect().await.unwrap();
    let client = tokio::spawn(async move {
        let document = support::document();
        session.ask(package(), Ask::Provision(&document), &mut |_| {}).await
    });
    machine.host.begun.notified().await;
    drop(machine);
    let error = client.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Cut(_)) && error.sent(), "{error:?}");
    assert_eq!(error.code(), Code::AnswerCut);
    assert!(error.to_string().contains("request was sent, but no answer"), "{error}");
}

#[tokio::test]
async fn nobody_there_and_somebody_else_there() {
    let machine = Machine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let target = support::target(address);
    let error = support::connect(&target, &ALICE, machine.fingerprint).await.unwrap_err();
    assert_eq!(error.code(), Code::HostUnreachable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    for (banner, code, part) in [
        (Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]), Code::NotAHost, "does not speak TLS"),
        (Some(b"SSH-2.0-dropbear_2022.83\r\n"), Code::NotAHost, "does not speak TLS"),
        (Some(b""), Code::HostUnreachable, "closed the connection at once"),
        (None, Code::HostUnreachable, "said nothing within"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = support::target(listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            match banner {
                Some(banner) => stream.write_all(banner).await.unwrap(),
                None => tokio::time::sleep(SOON).await,
            }
        });
        let error = support::connect(&target, &ALICE, machine.fingerprint).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.to_string().contains(part), "no {part:?} in {error}");
        server.abort();
    }
}

/// Who knows a machine's public key is not yet that machine.
#[tokio::test]
async fn an_identity_without_its_private_half_is_refused() {
    let fake = Fake::impostor();
    let (target, heard) = fake.say(vec![b"{}".to_vec()]).await;
    let error = support::connect(&target, &ALICE, fake.fingerprint).await.unwrap_err();
    assert_eq!(error.code(), Code::NotAHost, "{error:?}");
    assert_eq!(heard.await.unwrap(), Err(wire::WireError::Denied), "the handshake failed");
}

/// What a machine says of itself does not stand in for its key.
#[tokio::test]
async fn a_stranger_that_claims_the_right_identity_is_refused_in_the_handshake() {
    let machine = Machine::start().await;
    let fake = Fake::new();
    let hello = json!({ "hello": {
        "version": 1, "identity": machine.fingerprint.to_string(),
        "package_sha256": package().to_string(),
        "service": "vpn", "state": "waiting", "nonce": "00", "uptime": 1
    } });
    let (target, heard) = fake.say(vec![hello.to_string().into_bytes()]).await;
    let error = support::connect(&target, &ALICE, machine.fingerprint).await.unwrap_err();
    assert_eq!(error.code(), Code::IdentityMismatch, "{error:?}");
    assert!(error.to_string().contains(&fake.fingerprint.to_string()), "{error}");
    assert_eq!(heard.await.unwrap(), Err(wire::WireError::Denied), "the handshake failed");
}

/// A machine with the right key that says something strange: the configuration stays at home.
#[tokio::test]
async fn first_words_that_are_none() {
    let hello = |fake: &Fake| {
        json!({ "hello": {
            "version": 1, "identity": fake.fingerprint.to_string(),
            "package_sha256": package().to_string(), "release": null, "label": null,
            "service": "vpn", "state": "waiting", "nonce": "00", "uptime": 1
        } })
    };
    let fake = Fake::new();
    let good = hello(&fake);
    let mut newer = good.clone();
    newer["hello"]["version"] = json!(2);
    let mut other = good.clone();
    other["hello"]["identity"] = json!(Machine::start().await.fingerprint.to_string());
    for (said, code, part) in [
        (newer.to_string(), Code::ProvisioningMessage, "version 2"),
        (other.to_string(), Code::IdentityMismatch, "expected was"),
        ("[]".to_owned(), Code::ProvisioningMessage, "no hello"),
        (json!({ "accepted": {} }).to_string(), Code::ProvisioningMessage, "no hello"),
        (String::new(), Code::ProvisioningMessage, "no hello"),
    ] {
        let (target, heard) = fake.say(vec![said.clone().into_bytes()]).await;
        let error = support::connect(&target, &ALICE, fake.fingerprint).await.unwrap_err();
        assert_eq!(error.code(), code, "{said}: {error:?}");
        assert!(error.to_string().contains(part), "{said}: {error}");
        assert_eq!(heard.await.unwrap(), Err(wire::WireError::Closed), "{said}");
    }

    // A nonce cannot break out of its place in the request.
    let mut tricky = good;
    tricky["hello"]["nonce"] = json!("\",\"request\":{\"reboot\":{}},\"x\":\"");
    let nonce = tricky["hello"]["nonce"].clone();
    let (target, heard) =
        fake.say(vec![tricky.to_string().into_bytes(), b"{\"accepted\":{}}".to_vec()]).await;
    let session = support::connect(&target, &ALICE, fake.fingerprint).await.unwrap();
    assert_eq!(session.hello().state, State::Waiting);
    session.ask(package(), Ask::Status, &mut |_| {}).await.unwrap();
    let request: serde_json::Value =
        serde_json::from_slice(&heard.await.unwrap().unwrap()).unwrap();
    assert_eq!((&request["nonce"], &request["request"]), (&nonce, &json!({ "status": {} })));
}

#[tokio::test]
async fn a_refusal_with_a_code_of_a_later_version_is_still_a_refusal() {
    let fake = Fake::new();
    let hello = json!({ "hello": {
        "version": 1, "identity": fake.fingerprint.to_string(),
        "package_sha256": package().to_string(),
        "service": "vpn", "state": "waiting", "nonce": "00", "uptime": 1, "later": true
    } });
    let refused = json!({ "refused": { "code": "too-hot", "reason": "it is too hot" } });
    let (target, _) =
        fake.say(vec![hello.to_string().into_bytes(), refused.to_string().into_bytes()]).await;
    let session = support::connect(&target, &ALICE, fake.fingerprint).await.unwrap();
    let error = session.ask(package(), Ask::Status, &mut |_| {}).await.unwrap_err();
    assert_eq!((support::why(&error), error.code()), (Why::Other, Code::HostFailed));
    assert!(error.to_string().contains("it is too hot"), "{error}");
}
