use core::fmt;
use core::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;

use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultProxy;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Pki;
use fault_server::ProxyConfig;
use fetch::Client;
use fetch::ClientOptions;
use fetch::FetchError;
use hostcfg::Credentials;
use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use hostcfg::Proxy;
use hostcfg::Secret;
use report::Code;
use report::Coded;
use tracing::Event;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span;

use crate::support::LOOPBACK;
use crate::support::assert_complete;
use crate::support::client;
use crate::support::client_with;
use crate::support::clock;
use crate::support::content;
use crate::support::download;
use crate::support::limits;
use crate::support::plain;
use crate::support::url;

/// `canaryuser:canarypass`.
const SENT: &str = "Basic Y2FuYXJ5dXNlcjpjYW5hcnlwYXNz";
const CANARIES: [&str; 4] = ["canaryuser", "canarypass", "canarykey", "Y2FuYXJ5"];

/// Everything that was logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

/// A URL of the server with canaries as user name, password and in its query.
fn secret_url(server: &FaultServer, path: &str) -> ProvisioningUrl {
    let host = format!("canaryuser:canarypass@{}", server.addr().ip());
    url(&format!("{}?key=canarykey", server.url_for(&host, path)))
}

#[track_caller]
fn assert_clean(text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

#[track_caller]
fn assert_error_clean(error: &FetchError) {
    let json = serde_json::to_string(&error.failure()).unwrap();
    assert_clean(&format!("{error} {error:?} {error:#?} {} {json}", error.url()));
}

#[tokio::test]
async fn nothing_that_is_printed_has_credentials() {
    let log = Log::default();
    // For all threads: what the other tests log meanwhile must be as clean.
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let pki = Pki::new("root").unwrap();
    let fault = |fault| File::new(content(100_000)).always(fault);
    let config = Config::https(pki.server(&[LOOPBACK]).unwrap())
        .file("/status", fault(Fault::Status(403)))
        .file("/error", fault(Fault::Status(500)))
        .file("/cut", fault(Fault::CloseAfter(10)))
        .file("/garbage", fault(Fault::Raw(b"no HTTP canarypass\r\n\r\n".to_vec())))
        .file("/hangup", fault(Fault::Hangup))
        .file("/loop", fault(Fault::redirect(302, "/loop?key=canarykey")))
        .file("/echo", fault(Fault::redirect(302, "ftp://canaryuser:canarypass@a/?canarykey")))
        .file("/down", fault(Fault::redirect(302, "http://canaryuser:canarypass@a/?canarykey")))
        .file("/os.zip", File::new(content(9000)).first(1, Fault::CloseAfter(5000)));
    let server = FaultServer::start(config).unwrap();
    let client = client_with(vec![pki.ca_der()], clock(), limits());

    for path in
        ["/status", "/error", "/cut", "/garbage", "/hangup", "/loop", "/echo", "/down", "/x"]
    {
        let url = secret_url(&server, path);
        assert_error_clean(&client.descriptor(&Mirror::plain(url.clone())).await.unwrap_err());
        let mut sink = Vec::new();
        let outcome = download(&client, &url, &mut sink, |_| Ok(()), |_| {}).await;
        assert_error_clean(&outcome.unwrap_err());
    }
    let mut sink = Vec::new();
    let archive = secret_url(&server, "/os.zip");
    download(&client, &archive, &mut sink, |_| Ok(()), |_| {}).await.unwrap();

    let stranger = client_with(vec![Pki::new("other").unwrap().ca_der()], clock(), limits());
    assert_error_clean(&stranger.descriptor(&Mirror::plain(archive.clone())).await.unwrap_err());
    for os_pkg_url in ["x.tar", "//canaryuser:canarypass@host/x", "x.zip?canarykey\n"] {
        assert_error_clean(
            &client.archive_url(&Mirror::plain(archive.clone()), os_pkg_url).unwrap_err(),
        );
    }
    assert_clean(&format!("{client:?}"));

    // A proxy's credentials, a mirror's headers and keys.
    let proxy = FaultProxy::start(ProxyConfig { refuse: Some(502), ..ProxyConfig::default() });
    let proxy = proxy.unwrap();
    let credentials =
        Credentials { user: "canaryuser".to_owned(), password: Secret::new("canarypass") };
    let options = ClientOptions {
        proxy: Some(Proxy {
            host: LOOPBACK.to_owned(),
            port: proxy.addr().port(),
            tls: false,
            credentials: Some(credentials),
        }),
        tls_roots: vec![pki.ca_der()],
        ..ClientOptions::new(clock())
    };
    assert_clean(&format!("{options:?}"));
    let proxied = Client::new(options).unwrap();
    assert_clean(&format!("{proxied:?}"));
    for mirror in [archive, url("http://canaryuser:canarypass@mirror.example/?canarykey")] {
        let headers = vec![("X-Token".to_owned(), Secret::new("canarykey"))];
        let mirror = Mirror { headers, ..Mirror::plain(mirror) };
        assert_clean(&format!("{mirror:?}"));
        assert_error_clean(&proxied.descriptor(&mirror).await.unwrap_err());
    }
    // One request each, and one to find out why there is no tunnel.
    assert_eq!(proxy.requests().len(), 3);

    let log = log.0.lock().unwrap();
    assert!(log.contains("taking it up again"), "the log was not captured: {log}");
    assert_clean(&log);
    // The search would have found them: they were sent.
    assert!(server.requests().iter().any(|request| request.authorization() == Some(SENT)));
}

#[tokio::test]
async fn credentials_open_what_needs_them() {
    let expected = content(50_000);
    let archive = File::new(expected.clone())
        .credentials("canaryuser", "canarypass")
        .first(1, Fault::CloseAfter(20_000));
    let server = plain("/os.zip", archive);
    let client = client(limits());
    let mut sink = Vec::new();
    let url = secret_url(&server, "/os.zip");
    let outcome = download(&client, &url, &mut sink, |_| Ok(()), |_| {}).await;
    assert_complete(&(sink, outcome), &expected);
    assert!(server.requests().iter().all(|request| request.authorization() == Some(SENT)));
}

#[tokio::test]
async fn credentials_are_not_sent_after_a_redirect() {
    let other = plain("/os.json", File::new("{}"));
    let config = Config::http()
        .file("/away", File::new("").always(Fault::redirect(302, &other.url("/os.json"))))
        .file("/here", File::new("").always(Fault::redirect(307, "/os.json")))
        .file("/os.json", File::new("{}"));
    let server = FaultServer::start(config).unwrap();
    let client = client(limits());
    for path in ["/away", "/here"] {
        client.descriptor(&Mirror::plain(secret_url(&server, path))).await.unwrap();
    }
    for request in server.requests().iter().chain(&other.requests()) {
        let sent = request.authorization().is_some();
        assert_eq!(sent, request.path != "/os.json", "{}", request.path);
    }
    assert_eq!(server.count("/os.json") + other.count("/os.json"), 2);
}

#[tokio::test]
async fn credentials_go_to_an_archive_of_the_same_origin_only() {
    let server = plain("/os.zip", File::new("PK"));
    let other = plain("/os.zip", File::new("PK"));
    let client = client(limits());
    let descriptor = secret_url(&server, "/os.json");
    for os_pkg_url in ["os.zip", "/os.zip", &server.url("/os.zip"), &other.url("/os.zip")] {
        let url = client.archive_url(&Mirror::plain(descriptor.clone()), os_pkg_url).unwrap();
        download(&client, &url, &mut Vec::new(), |_| Ok(()), |_| {}).await.unwrap();
    }
    assert_eq!(server.requests().len(), 3);
    assert!(server.requests().iter().all(|request| request.authorization() == Some(SENT)));
    assert!(other.requests().iter().all(|request| request.authorization().is_none()));
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn an_archive_url_that_cannot_be_used_has_its_code() {
    let client = client(limits());
    let descriptor = url("https://boot.example/os.json");
    let error = client
        .archive_url(&Mirror::plain(descriptor.clone()), "ftp://boot.example/os.zip")
        .unwrap_err();
    assert_eq!(error.code(), Code::ArchiveUrlInvalid);
    assert!(error.answered());
    let plain =
        client.archive_url(&Mirror::plain(descriptor), "http://cdn.example/os.zip").unwrap();
    assert_eq!(plain.to_string(), "http://cdn.example/os.zip");
}
