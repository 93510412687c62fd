use core::time::Duration;

use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use fetch::Client;
use fetch::ClientOptions;
use fetch::FetchError;
use fetch::Limits;
use report::Class;
use report::Code;
use report::Coded;

use crate::support::assert_fails;
use crate::support::client;
use crate::support::clock;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;
use crate::support::secure;

const PATH: &str = "/os.json";

/// Asks for the descriptor once.
async fn get(client: &Client, server: &FaultServer) -> Result<Vec<u8>, FetchError> {
    client.descriptor(&mirror(&server.url(PATH))).await
}

/// Asks a server whose descriptor has this fault.
async fn with_fault(fault: Fault) -> Result<Vec<u8>, FetchError> {
    get(&client(limits()), &plain(PATH, File::new("{}").always(fault))).await
}

#[tokio::test]
async fn comes_as_it_is() {
    let (server, client) = secure(&[(PATH, File::new("{ }\n"))]);
    assert_eq!(get(&client, &server).await.unwrap(), b"{ }\n");
    let request = &server.requests()[0];
    assert_eq!(request.header("user-agent"), Some(concat!("ramstrap/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.authorization(), None);
    assert_eq!(request.header("cookie"), None);
    assert_eq!(request.header("referer"), None);
}

#[tokio::test]
async fn a_status_that_will_not_change_is_permanent() {
    for status in [400, 401, 403, 404, 410, 416, 451] {
        let error = assert_fails(with_fault(Fault::Status(status)).await, Code::NotFound, true);
        assert_eq!(error.class(), Class::Permanent);
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        let about_credentials = error.to_string().contains("credentials");
        assert_eq!(about_credentials, matches!(status, 401 | 403), "{error}");
    }
}

#[tokio::test]
async fn a_status_that_may_heal_is_transient() {
    for status in [408, 425, 429, 500, 502, 503, 504, 511] {
        let error = assert_fails(with_fault(Fault::Status(status)).await, Code::ServerError, true);
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(error.retry_after(), None);
    }
}

#[tokio::test]
async fn retry_after_is_passed_on_within_bounds() {
    for (value, expected) in [
        ("7", Some(7)),
        ("86400", Some(120)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
    ] {
        let headers = vec![("Retry-After".to_owned(), value.to_owned())];
        let error = with_fault(Fault::StatusWith(503, headers)).await.unwrap_err();
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn a_server_may_recover() {
    let server = plain(PATH, File::new("{}").first(1, Fault::Status(500)));
    let client = client(limits());
    assert_fails(get(&client, &server).await, Code::ServerError, true);
    assert_eq!(get(&client, &server).await.unwrap(), b"{}");
}

#[tokio::test]
async fn what_is_not_a_plain_file_is_refused() {
    for fault in [
        Fault::Status(204),
        Fault::Status(206),
        Fault::Status(304),
        Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        Fault::Raw(b"HTTP/1.1 2OO OK\r\n\r\n".to_vec()),
    ] {
        let error = with_fault(fault).await.unwrap_err();
        assert_eq!(error.code(), Code::HttpInvalid, "{error}");
    }
    for (encoding, accepted) in [("gzip", false), ("identity", true), ("Identity", true)] {
        let server = plain(PATH, File::new("{}").header("Content-Encoding", encoding));
        let outcome = get(&client(limits()), &server).await;
        if accepted {
            outcome.unwrap();
        } else {
            let error = assert_fails(outcome, Code::HttpInvalid, true);
            assert!(error.to_string().contains(encoding), "{error}");
        }
    }
}

#[tokio::test]
async fn a_login_page_is_told_from_a_descriptor() {
    let html = || File::new("<!DOCTYPE html>\n<title>Please log in</title>");
    for file in [html(), html().header("Content-Type", "text/html"), html().chunked()] {
        let error = assert_fails(
            get(&client(limits()), &plain(PATH, file)).await,
            Code::PageForPeople,
            true,
        );
        assert!(error.to_string().contains("captive portal"), "{error}");
        assert_eq!(error.class(), Class::Transient, "the network may let the machine in later");
    }
    // What a server of ours sends is a page because somebody put it there.
    let (server, client) = secure(&[(PATH, html())]);
    assert_fails(get(&client, &server).await, Code::HttpInvalid, true);
}

#[tokio::test]
async fn heads_that_are_no_heads_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(10_000));
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\n{}",
        "HTTP/3.9 200 OK\r\n\r\n{}",
        "HTTP/1.1 99 Low\r\n\r\n{}",
        "\0\0\0\0\r\n\r\n",
        &long,
        &many,
    ] {
        let shown: String = head.chars().take(60).collect();
        let error = with_fault(Fault::Raw(head.into())).await.unwrap_err();
        assert_eq!(error.code(), Code::HttpInvalid, "{shown:?}: {error}");
    }
    // Chunks that lie about their length.
    for body in ["5\r\n{}\r\n0\r\n\r\n", "zz\r\n{}\r\n", "ffffffffffffffffff\r\n{}"] {
        let raw = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let error = with_fault(Fault::Raw(raw.into())).await.unwrap_err();
        assert_eq!(error.code(), Code::BodyTruncated, "{body:?}: {error}");
    }
}

#[tokio::test]
async fn its_length_is_bounded() {
    let client = client(limits());
    let largest = vec![b' '; 1 << 20];
    for file in [File::new(largest.clone()), File::new(largest.clone()).chunked()] {
        assert_eq!(get(&client, &plain(PATH, file)).await.unwrap(), largest);
    }
    let larger = vec![b' '; (1 << 20) + 1];
    for file in [
        File::new(larger.clone()),
        File::new(larger).chunked(),
        File::new("{}").always(Fault::Endless),
        File::new("{}").always(Fault::Announce(1 << 40)),
    ] {
        assert_fails(get(&client, &plain(PATH, file)).await, Code::DescriptorTooLarge, true);
    }
}

#[tokio::test]
async fn an_early_end_is_told() {
    assert_fails(with_fault(Fault::CloseAfter(1)).await, Code::BodyTruncated, true);
    assert_fails(with_fault(Fault::Announce(3)).await, Code::BodyTruncated, true);
    let chunked = File::new("{}").chunked().always(Fault::CloseAfter(1));
    assert_fails(get(&client(limits()), &plain(PATH, chunked)).await, Code::BodyTruncated, true);
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let client = client(Limits { header: Duration::from_millis(50), ..limits() });
    let server = plain(PATH, File::new("{}").always(Fault::Silence));
    assert_fails(get(&client, &server).await, Code::Stalled, false);
}

#[tokio::test]
async fn a_dripping_server_is_left() {
    let client = client(Limits { descriptor_time: Duration::from_secs(2), ..limits() });
    let fault = Fault::Drip { after: 0, every: Duration::from_millis(100) };
    let server = plain(PATH, File::new(vec![b' '; 10_000]).always(fault));
    assert_fails(get(&client, &server).await, Code::Stalled, true);
}

#[tokio::test]
async fn no_server_is_no_connection() {
    let server = plain(PATH, File::new("{}"));
    let mirror = mirror(&server.url(PATH));
    drop(server);
    let outcome = client(limits()).descriptor(&mirror).await;
    let error = assert_fails(outcome, Code::ConnectFailed, false);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(error.url(), mirror.url.to_string());
}

#[tokio::test]
async fn a_server_may_come_up_late() {
    let config = Config::http().file(PATH, File::new("{}")).start_after(Duration::from_millis(300));
    let server = FaultServer::start(config).unwrap();
    let client = client(limits());
    let mut refusals = 0;
    loop {
        match get(&client, &server).await {
            Ok(descriptor) => break assert_eq!(descriptor, b"{}"),
            Err(error) => assert_eq!(error.code(), Code::ConnectFailed, "{error}"),
        }
        refusals += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refusals > 0);
}

#[tokio::test]
async fn a_hangup_before_the_response_is_no_connection() {
    assert_fails(with_fault(Fault::Hangup).await, Code::ConnectFailed, false);
}

#[tokio::test]
async fn without_dns_servers_names_do_not_resolve() {
    let outcome = client(limits()).descriptor(&mirror("http://boot.example/os.json")).await;
    let error = assert_fails(outcome, Code::DnsFailed, false);
    assert!(error.to_string().contains("boot.example"), "{error}");
}

#[tokio::test]
async fn sockets_are_bound_to_the_interface() {
    let server = plain(PATH, File::new("{}"));
    let bound_to = |interface: &str| {
        Client::new(ClientOptions {
            interface: Some(interface.to_owned()),
            limits: limits(),
            ..ClientOptions::new(clock())
        })
        .unwrap()
    };
    assert_eq!(get(&bound_to("lo"), &server).await.unwrap(), b"{}");
    assert_fails(get(&bound_to("none0"), &server).await, Code::ConnectFailed, false);
}
