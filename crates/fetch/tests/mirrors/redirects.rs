use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use report::Class;
use report::Code;
use report::Coded;

use crate::support::assert_complete;
use crate::support::assert_fails;
use crate::support::client;
use crate::support::content;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;
use crate::support::secure;

fn to(location: &str) -> File {
    File::new("").always(Fault::redirect(302, location))
}

#[tokio::test]
async fn every_kind_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (server, client) = secure(&[
            ("/a/os.json", File::new("").always(Fault::redirect(status, "../b/os.json"))),
            ("/b/os.json", File::new("{}")),
        ]);
        let descriptor = client.descriptor(&mirror(&server.url("/a/os.json"))).await.unwrap();
        assert_eq!(descriptor, b"{}");
    }
}

#[tokio::test]
async fn five_are_followed_and_six_are_not() {
    let mut config = Config::http().file("/0", File::new("{}"));
    for hop in 1..=6 {
        config = config.file(&format!("/{hop}"), to(&format!("/{}", hop - 1)));
    }
    let server = FaultServer::start(config).unwrap();
    let client = client(limits());
    assert_eq!(client.descriptor(&mirror(&server.url("/5"))).await.unwrap(), b"{}");
    let outcome = client.descriptor(&mirror(&server.url("/6"))).await;
    let error = assert_fails(outcome, Code::RedirectRefused, true);
    assert_eq!(error.class(), Class::Security);
}

#[tokio::test]
async fn https_is_never_left() {
    let outside = plain("/os.json", File::new("{}"));
    let (server, client) = secure(&[("/os.json", to(&outside.url("/os.json")))]);
    let outcome = client.descriptor(&mirror(&server.url("/os.json"))).await;
    assert_fails(outcome, Code::RedirectRefused, true);
    assert_eq!(outside.connections(), 0);
}

#[tokio::test]
async fn http_may_lead_to_https() {
    let (inside, client) = secure(&[("/os.json", File::new("{}"))]);
    let server = plain("/os.json", to(&inside.url("/os.json")));
    assert_eq!(client.descriptor(&mirror(&server.url("/os.json"))).await.unwrap(), b"{}");
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_refused() {
    for location in ["", "ftp://127.0.0.1/os.json", "https://[::1/", "file:///etc/shadow"] {
        let server = plain("/os.json", to(location));
        let outcome = client(limits()).descriptor(&mirror(&server.url("/os.json"))).await;
        assert_fails(outcome, Code::RedirectRefused, true);
    }
    let server = plain("/os.json", File::new("").always(Fault::Status(302)));
    let outcome = client(limits()).descriptor(&mirror(&server.url("/os.json"))).await;
    assert_fails(outcome, Code::RedirectRefused, true);
}

#[tokio::test]
async fn a_failure_behind_a_redirect_is_an_answer_still() {
    let gone = plain("/os.json", File::new("{}"));
    let server = plain("/os.json", to(&gone.url("/os.json")));
    drop(gone);
    let outcome = client(limits()).descriptor(&mirror(&server.url("/os.json"))).await;
    assert_fails(outcome, Code::ConnectFailed, true);
}

#[tokio::test]
async fn a_redirected_archive_is_resumed_where_it_was() {
    let expected = content(100_000);
    let archive = File::new(expected.clone()).etag("\"1\"").first(1, Fault::CloseAfter(60_000));
    let (server, client) =
        secure(&[("/os.zip", to("/mirror/os.zip")), ("/mirror/os.zip", archive)]);
    let outcome = crate::support::archive(&client, &server).await;
    assert_complete(&outcome, &expected);
    assert_eq!(outcome.1.unwrap().resumed, 1);
    assert_eq!(server.requests()[3].range(), Some("bytes=60000-"));
}
