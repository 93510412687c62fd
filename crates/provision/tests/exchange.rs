//! What staff and machine say to each other, over real connections.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use provision::Accepted;
use provision::Refused;
use provision::RequestKind;
use provision::State;
use provision::Why;
use provision::client::Ask;
use provision::client::ClientError;
use provision::config::Document;
use report::Code;
use report::Coded;
use serde_json::json;
use support::ALICE;
use support::Behave;
use support::MALLORY;
use support::Machine;
use support::package;
use support::raw;
use support::tap::Tap;
use support::why;
use trust::Sha256Digest;

#[tokio::test]
async fn a_machine_is_provisioned_and_keeps_telling_how_it_is() {
    let machine = Machine::start().await;
    let session = machine.connect().await.unwrap();
    let hello = session.hello().clone();
    assert_eq!(hello.identity, machine.fingerprint);
    assert_eq!((hello.release, hello.label.as_deref()), (Some(7), Some("test")));
    assert_eq!((hello.service.as_str(), hello.state), ("vpn", State::Waiting));
    let mut lines = Vec::new();
    let accepted = session
        .ask(package(), Ask::Provision(&support::large_document()), &mut |line| {
            lines.push(line.to_owned());
        })
        .await
        .unwrap();
    assert_eq!(accepted, Accepted::new().with("done", "provision"));
    assert_eq!(lines, ["begun"]);
    assert_eq!(machine.gate.state(), State::Provisioned);
    assert_eq!(*machine.host.keys.lock().unwrap(), [support::PRIVATE], "it got the very key");
    for (ask, name) in [
        (Ask::Status, "status"),
        (Ask::Upgrade, "upgrade"),
        (Ask::Reboot, "reboot"),
        (Ask::Poweroff, "poweroff"),
    ] {
        assert_eq!(machine.ask(ask).await.unwrap(), Accepted::new().with("done", name));
    }
    assert_eq!(
        machine.host.handled()[1..],
        ["alice: status", "alice: upgrade", "alice: reboot", "alice: poweroff"]
    );
    tokio::task::yield_now().await;
    let answered = machine.host.answered.lock().unwrap().clone();
    assert!(answered.contains(&(RequestKind::Reboot, true)), "{answered:?}");
}

#[tokio::test]
async fn an_unknown_staff_key_is_refused_and_told_so() {
    let machine = Machine::start().await;
    let error =
        support::connect(&machine.target(), &MALLORY, machine.fingerprint).await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownKey(_)), "{error:?}");
    assert_eq!(error.code(), Code::StaffKeyUnknown);
    assert!(error.to_string().contains("is not on the list of staff"), "{error}");
    assert!(machine.host.handled().is_empty());
    let events = machine.host.events.lock().unwrap().clone();
    assert!(events[0].contains("UnknownKey") && events[0].contains("staff: None"), "{events:?}");
}

/// A stolen public key is no use: the handshake's signature must be its own.
#[tokio::test]
async fn a_staff_key_without_its_private_half_is_refused() {
    let machine = Machine::start().await;
    let mut stream = raw::connect_as(machine.address, raw::key(&MALLORY, &ALICE)).await.unwrap();
    raw::hear(&mut stream).await.unwrap_err();
    let mut stream = raw::connect_as(machine.address, raw::key(&ALICE, &ALICE)).await.unwrap();
    raw::hear(&mut stream).await.unwrap();
}

#[tokio::test]
async fn with_a_wrong_fingerprint_no_byte_of_the_configuration_leaves() {
    let (machine, other) = (Machine::start().await, Machine::start().await);
    let tap = Tap::before(machine.address).await;
    let target = support::target(tap.address);
    let document = support::large_document();

    let error = support::connect(&target, &ALICE, other.fingerprint).await.unwrap_err();
    assert_eq!(error.code(), Code::IdentityMismatch);
    let text = error.to_string();
    assert!(text.contains(&machine.fingerprint.to_string()), "{text}");
    assert!(text.contains(&other.fingerprint.to_string()), "{text}");
    assert!(text.contains("nothing was sent"), "{text}");
    assert!(!error.sent());
    // Its first message and an alert: shorter than the key of a member of staff would make it.
    let said = tap.said().len();
    assert!(said < 1000, "{said} bytes left");
    assert!(machine.host.handled().is_empty());

    // The control: the same wire sees all of it when the fingerprint is right.
    let session = support::connect(&target, &ALICE, machine.fingerprint).await.unwrap();
    session.ask(package(), Ask::Provision(&document), &mut |_| {}).await.unwrap();
    assert!(tap.said().len() > said + document.expose().len());
}

#[tokio::test]
async fn a_wrong_package_is_refused_by_the_client() {
    let machine = Machine::start().await;
    let tap = Tap::before(machine.address).await;
    let session =
        support::connect(&support::target(tap.address), &ALICE, machine.fingerprint).await.unwrap();
    let before = tap.said().len();
    let document = support::large_document();
    let error = session
        .ask(Sha256Digest::of(b"other"), Ask::Provision(&document), &mut |_| {})
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PackageMismatch);
    assert!(error.to_string().contains(&package().to_string()), "{error}");
    assert!(!error.sent() && tap.said().len() < before + 100, "{}", tap.said().len());
    assert_eq!(machine.gate.state(), State::Waiting);
}

/// Says `change`d words to a machine and gives its answer.
async fn answer_to(machine: &Machine, change: impl FnOnce(&mut serde_json::Value)) -> Refused {
    let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
    let hello = raw::hear(&mut stream).await.unwrap();
    let mut request = raw::request(&hello, json!({ "provision": support::vpn() }));
    change(&mut request);
    raw::say(&mut stream, &request).await;
    let answer = raw::hear(&mut stream).await.unwrap();
    serde_json::from_value(answer["refused"].clone()).unwrap_or_else(|_| panic!("{answer}"))
}

#[tokio::test]
async fn a_request_for_another_machine_package_or_service_is_refused_by_the_machine() {
    let machine = Machine::start().await;
    let other = Machine::start().await;
    let refused = answer_to(&machine, |request| {
        request["package_sha256"] = json!(Sha256Digest::of(b"other").to_string());
    });
    let refused = refused.await;
    assert_eq!(refused.code, Why::WrongPackage);
    assert!(refused.reason.contains(&package().to_string()), "{refused}");
    let fingerprint = other.fingerprint.to_string();
    let refused = answer_to(&machine, |request| request["identity"] = json!(fingerprint)).await;
    assert_eq!(refused.code, Why::WrongIdentity);
    assert!(refused.reason.contains("another machine"), "{refused}");
    assert!(machine.host.handled().is_empty());
    assert_eq!(machine.gate.state(), State::Waiting);
}

#[tokio::test]
async fn a_nonce_counts_on_its_connection_only() {
    let machine = Machine::start().await;
    let mut stream = raw::connect(machine.address, &ALICE).await.unwrap();
    let first = raw::hear(&mut stream).await.unwrap();
    let old = first["hello"]["nonce"].clone();
    assert_eq!(old.as_str().unwrap().len(), 64);
    let refused = answer_to(&machine, |request| {
        assert_ne!(request["nonce"], old);
        request["nonce"] = old.clone();
    })
    .await;
    assert_eq!((refused.code, Coded::code(&refused)), (Why::WrongNonce, Code::ProvisioningReplay));
    assert!(refused.reason.contains("replay"), "{refused}");
    assert!(machine.host.handled().is_empty());
    // The connection that it was made for still takes it.
    raw::say(&mut stream, &raw::request(&first, json!({ "status": {} }))).await;
    assert_eq!(raw::hear(&mut stream).await.unwrap()["progress"]["text"], "begun");
    assert_eq!(raw::hear(&mut stream).await.unwrap()["accepted"]["done"], "status");
}

#[tokio::test]
async fn recorded_bytes_played_again_do_nothing() {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let machine = Machine::start().await;
    let tap = Tap::before(machine.address).await;
    let session =
        support::connect(&support::target(tap.address), &ALICE, machine.fingerprint).await.unwrap();
    session.ask(package(), Ask::Reboot, &mut |_| {}).await.unwrap();
    assert_eq!(machine.host.handled(), ["alice: reboot"]);
    let recorded = tap.said();
    let mut replay = tokio::net::TcpStream::connect(machine.address).await.unwrap();
    replay.write_all(&recorded).await.unwrap();
    let mut answer = Vec::new();
    let _ = replay.read_to_end(&mut answer).await;
    assert!(!answer.is_empty(), "it answers the first message of the handshake, as always");
    assert_eq!(machine.host.handled(), ["alice: reboot"], "and nothing after it");
}

#[tokio::test]
async fn a_second_provisioning_is_refused_on_both_sides() {
    let machine = Machine::start().await;
    machine.provision().await.unwrap();
    let error = machine.provision().await.unwrap_err();
    assert!(matches!(error, ClientError::NotSent(_)), "{error:?}");
    assert_eq!(error.code(), Code::AlreadyProvisioned);
    let refused = answer_to(&machine, |_| {}).await;
    assert_eq!(refused.code, Why::AlreadyProvisioned);
    assert!(refused.reason.contains("until it is restarted"), "{refused}");
    assert_eq!(machine.host.handled().len(), 1);
}

#[tokio::test]
async fn one_provisioning_at_a_time() {
    let machine = Machine::start().await;
    machine.host.next(Behave::Wait);
    // Both have heard "waiting" before either speaks.
    let (one, two) = (machine.connect().await.unwrap(), machine.connect().await.unwrap());
    let first = tokio::spawn(async move {
        let document = support::document();
        one.ask(package(), Ask::Provision(&document), &mut |_| {}).await
    });
    machine.host.begun.notified().await;
    assert_eq!(machine.gate.state(), State::Provisioning);
    let document = support::document();
    let error = two.ask(package(), Ask::Provision(&document), &mut |_| {}).await.unwrap_err();
    assert_eq!((why(&error), error.sent()), (Why::Busy, true));
    assert_eq!(why(&machine.ask(Ask::Upgrade).await.unwrap_err()), Why::Busy);
    let error = machine.provision().await.unwrap_err();
    assert_eq!((why(&error), error.sent()), (Why::Busy, false));
    machine.ask(Ask::Status).await.unwrap();
    machine.host.go_on.notify_one();
    first.await.unwrap().unwrap();
    assert_eq!(machine.gate.state(), State::Provisioned);
}

#[tokio::test]
async fn after_a_failure_staff_may_try_again_only_if_nothing_was_applied() {
    let machine = Machine::start().await;
    machine.host.next(Behave::Refuse(Refused::new(Why::Failed, "no such module")));
    let error = machine.provision().await.unwrap_err();
    assert_eq!(error.to_string(), "the machine refused: no such module");
    assert_eq!((error.code(), machine.gate.state()), (Code::HostFailed, State::Waiting));

    let half = Refused::new(Why::Failed, "the firewall was not taken").partly_applied();
    machine.host.next(Behave::Refuse(half));
    let error = machine.provision().await.unwrap_err();
    assert!(error.to_string().contains("a part of it was applied: restart"), "{error}");
    assert_eq!(machine.gate.state(), State::Failed);
    let error = machine.provision().await.unwrap_err();
    assert!(!error.sent() && error.to_string().contains("applied in part"), "{error}");
    let refused = answer_to(&machine, |_| {}).await;
    assert!(refused.applied && refused.reason.contains("restart"), "{refused}");
    machine.ask(Ask::Reboot).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_what_it_began() {
    let machine = Machine::start().await;
    machine.host.next(Behave::Wait);
    let session = machine.connect().await.unwrap();
    let client = tokio::spawn(async move {
        let document = support::document();
        session.ask(package(), Ask::Provision(&document), &mut |_| {}).await
    });
    machine.host.begun.notified().await;
    client.abort();
    let _ = client.await;
    machine.host.go_on.notify_one();
    let mut tries = 0;
    while machine.gate.state() != State::Provisioned {
        tries += 1;
        assert!(tries < 100, "{}", machine.gate.state());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(*machine.host.answered.lock().unwrap(), [(RequestKind::Provision, true)]);
}

#[tokio::test]
async fn an_invalid_configuration_is_refused_by_the_machine_with_the_names_of_its_fields() {
    let machine = Machine::start().await;
    let canary = "canarycanarycanarycanarycanary";
    let refused = answer_to(&machine, |request| {
        let config = &mut request["request"]["provision"];
        config["hostname"] = json!("UPPER");
        config["wireguard"]["listen_port"] = json!(70_000);
        config["wireguard"]["private_key"] = json!(canary);
        config["wireguard"]["peers"][0]["allowed_ips"] = json!(["10.64.0.2/24"]);
        config["extra"] = json!(1);
    })
    .await;
    assert_eq!(
        (refused.code, Coded::code(&refused)),
        (Why::InvalidConfiguration, Code::ServiceConfigInvalid)
    );
    for part in [
        "hostname: \"UPPER\", expected",
        "wireguard.listen_port: 70000, expected a number from 1 to 65535",
        "wireguard.private_key: not a WireGuard key",
        "wireguard.peers[1].allowed_ips[1]: \"10.64.0.2/24\"",
        "unknown field \"extra\"",
    ] {
        assert!(refused.reason.contains(part), "no {part:?} in {refused}");
    }
    assert!(!refused.reason.contains(canary), "{refused}");
    assert_eq!(machine.gate.state(), State::Waiting);
    assert!(machine.host.handled().is_empty());
    machine.provision().await.unwrap();
}

#[tokio::test]
async fn an_answer_has_room_for_many_problems() {
    let machine = Machine::start().await;
    let refused = answer_to(&machine, |request| {
        let peers: Vec<_> = (0..9_000).map(|_| json!({ "public_key": "x", "more": 1 })).collect();
        request["request"]["provision"]["wireguard"]["peers"] = peers.into();
    })
    .await;
    assert!(refused.reason.contains("wireguard.peers[1].public_key"), "{refused}");
    assert!(refused.reason.ends_with("more") && refused.reason.len() < 4_000, "{refused}");
}

#[tokio::test]
async fn a_configuration_for_another_service_is_refused_on_both_sides() {
    let machine = Machine::start().await;
    let relay = support_relay();
    let refused = answer_to(&machine, |request| {
        request["request"]["provision"] = relay.clone();
    })
    .await;
    assert_eq!(refused.code, Why::InvalidConfiguration);
    assert!(refused.reason.contains("service: \"tor-relay\""), "{refused}");
    let document = Document::parse(relay.to_string().as_bytes()).unwrap();
    let error = machine.ask(Ask::Provision(&document)).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongService { .. }), "{error:?}");
    assert!(machine.host.handled().is_empty());
}

fn support_relay() -> serde_json::Value {
    let tagged = |kind: &str, length: usize| {
        let mut bytes = format!("== ed25519v1-{kind}: type0 ==").into_bytes();
        bytes.resize(32, 0);
        bytes.resize(length, 5);
        support::base64(&bytes)
    };
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----\n";
    json!({
        "version": 1, "service": "tor-relay", "hostname": "relay-1",
        "tor": {
            "nickname": "relay1", "contact": "tor at example.org", "or_port": 9001,
            "keys": {
                "ed25519_master_id_public_key": tagged("public", 64),
                "ed25519_signing_secret_key": tagged("secret", 96),
                "ed25519_signing_cert": tagged("cert", 172),
                "secret_id_key": pem, "secret_onion_key": null
            }
        }
    })
}
