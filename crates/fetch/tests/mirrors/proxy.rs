//! By way of a proxy.

use fault_server::Config;
use fault_server::FaultProxy;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Pki;
use fault_server::ProxyConfig;
use fetch::Client;
use fetch::ClientOptions;
use hostcfg::Credentials;
use hostcfg::HostConfig;
use hostcfg::Mirror;
use hostcfg::Proxy;
use hostcfg::Secret;
use report::Class;
use report::Code;
use report::Coded;

use crate::support::assert_complete;
use crate::support::assert_fails;
use crate::support::clock;
use crate::support::content;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;
use crate::support::whole;

/// A name that no DNS server is asked for: the proxy knows where it is.
const NAME: &str = "mirror.example";

fn options(proxy: &FaultProxy) -> ClientOptions {
    let proxy = Proxy {
        host: proxy.addr().ip().to_string(),
        port: proxy.addr().port(),
        tls: false,
        credentials: None,
    };
    ClientOptions { proxy: Some(proxy), limits: limits(), ..ClientOptions::new(clock()) }
}

fn client(proxy: &FaultProxy) -> Client {
    Client::new(options(proxy)).unwrap()
}

fn with_credentials(proxy: &FaultProxy, password: &str) -> Client {
    let mut options = options(proxy);
    let credentials =
        Credentials { user: "canaryuser".to_owned(), password: Secret::new(password) };
    options.proxy.as_mut().unwrap().credentials = Some(credentials);
    Client::new(options).unwrap()
}

fn wants_credentials() -> FaultProxy {
    let credentials = Some(("canaryuser".to_owned(), "canarypass".to_owned()));
    FaultProxy::start(ProxyConfig { credentials, ..ProxyConfig::default() }).unwrap()
}

/// An https server for [`NAME`], its mirror, and the CA.
fn secure(path: &str, file: File) -> (FaultServer, Mirror, Vec<u8>) {
    let pki = Pki::new("root").unwrap();
    let config = Config::https(pki.server(&[NAME]).unwrap()).file(path, file);
    let server = FaultServer::start(config).unwrap();
    let mirror = mirror(&server.url_for(NAME, path));
    (server, mirror, pki.ca_der())
}

#[tokio::test]
async fn http_is_asked_for_with_its_whole_url() {
    let server = plain("/os.json", File::new("{}"));
    let proxy = FaultProxy::start(ProxyConfig::default()).unwrap();
    let mirror = mirror(&server.url_for(NAME, "/os.json"));
    assert_eq!(client(&proxy).descriptor(&mirror).await.unwrap(), b"{}");
    let port = server.addr().port();
    assert_eq!(proxy.requests(), [format!("GET http://{NAME}:{port}/os.json HTTP/1.1")]);
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_is_judged_by_the_policys_roots() {
    let expected = content(300_000);
    let (server, mirror, ca) = secure("/os.zip", File::new(expected.clone()));
    let proxy = FaultProxy::start(ProxyConfig::default()).unwrap();
    let client = Client::new(ClientOptions { tls_roots: vec![ca], ..options(&proxy) }).unwrap();
    assert_complete(&whole(&client, &mirror).await, &expected);
    let port = server.addr().port();
    assert_eq!(proxy.requests(), [format!("CONNECT {NAME}:{port} HTTP/1.1")]);

    let stranger = Pki::new("other").unwrap().ca_der();
    let client =
        Client::new(ClientOptions { tls_roots: vec![stranger], ..options(&proxy) }).unwrap();
    assert_fails(client.descriptor(&mirror).await, Code::TlsUntrusted, false);
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let server = plain("/os.json", File::new("{}"));
    let pki = Pki::new("root").unwrap();
    let identity = Some(pki.server(&["127.0.0.1"]).unwrap());
    let proxy = FaultProxy::start(ProxyConfig { identity, ..ProxyConfig::default() }).unwrap();
    let ask = async |ca: Vec<u8>| {
        let mut options = ClientOptions { tls_roots: vec![ca], ..options(&proxy) };
        options.proxy.as_mut().unwrap().tls = true;
        let mirror = mirror(&server.url_for(NAME, "/os.json"));
        Client::new(options).unwrap().descriptor(&mirror).await
    };
    assert_eq!(ask(pki.ca_der()).await.unwrap(), b"{}");
    assert_fails(ask(Pki::new("other").unwrap().ca_der()).await, Code::TlsUntrusted, false);
}

#[tokio::test]
async fn credentials_open_a_proxy_that_wants_them() {
    let server = plain("/os.json", File::new("{}"));
    let (_secure, https, ca) = secure("/os.json", File::new("{}"));
    let http = mirror(&server.url_for(NAME, "/os.json"));
    let proxy = wants_credentials();
    assert_eq!(with_credentials(&proxy, "canarypass").descriptor(&http).await.unwrap(), b"{}");
    assert_eq!(
        server.requests()[0].header("proxy-authorization"),
        None,
        "not the server's business"
    );

    for (credentials, said) in
        [(None, "wants a user name and password"), (Some("wrong"), "refused the user name")]
    {
        for mirror in [&http, &https] {
            let mut options = ClientOptions { tls_roots: vec![ca.clone()], ..options(&proxy) };
            options.proxy.as_mut().unwrap().credentials = credentials.map(|password| Credentials {
                user: "canaryuser".to_owned(),
                password: Secret::new(password),
            });
            let outcome = Client::new(options).unwrap().descriptor(mirror).await;
            let error = assert_fails(outcome, Code::ProxyAuth, false);
            assert_eq!(error.class(), Class::Permanent);
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}

/// As tinyproxy answers to credentials that are wrong.
#[tokio::test]
async fn a_tunnel_that_is_refused_with_401_wants_other_credentials() {
    let (_server, https, ca) = secure("/os.json", File::new("{}"));
    let pki = Pki::new("root").unwrap();
    for identity in [None, Some(pki.server(&["127.0.0.1"]).unwrap())] {
        let tls = identity.is_some();
        let config = ProxyConfig { refuse: Some(401), identity, ..ProxyConfig::default() };
        let proxy = FaultProxy::start(config).unwrap();
        let mut options =
            ClientOptions { tls_roots: vec![ca.clone(), pki.ca_der()], ..options(&proxy) };
        let proxy = options.proxy.as_mut().unwrap();
        proxy.tls = tls;
        proxy.credentials = Some(Credentials {
            user: "canaryuser".to_owned(),
            password: Secret::new("canarypass"),
        });
        let outcome = Client::new(options).unwrap().descriptor(&https).await;
        let error = assert_fails(outcome, Code::ProxyAuth, false);
        assert!(error.to_string().contains("refused the user name and password (401)"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

fn plain_mirror() -> Mirror {
    mirror("http://mirror.example/os.json")
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let (_server, https, ca) = secure("/os.json", File::new("{}"));
    let config = ProxyConfig { refuse: Some(403), ..ProxyConfig::default() };
    let hangup = ProxyConfig { hangup: true, ..ProxyConfig::default() };
    for (config, said) in [(config, "does not let the machine through"), (hangup, "closed")] {
        let proxy = FaultProxy::start(config).unwrap();
        let options = ClientOptions { tls_roots: vec![ca.clone()], ..options(&proxy) };
        let outcome = Client::new(options).unwrap().descriptor(&https).await;
        let error = assert_fails(outcome, Code::ProxyRefused, false);
        assert_eq!(error.class(), Class::Transient);
        assert!(error.to_string().contains(said), "{error}");
    }
    // Its sockets are bound to the link, too.
    let there = FaultProxy::start(ProxyConfig::default()).unwrap();
    let elsewhere = ClientOptions { interface: Some("none0".to_owned()), ..options(&there) };
    let outcome = Client::new(elsewhere).unwrap().descriptor(&plain_mirror()).await;
    assert_fails(outcome, Code::ConnectFailed, false);
    assert!(there.requests().is_empty());

    let gone = FaultProxy::start(ProxyConfig::default()).unwrap();
    let client = client(&gone);
    drop(gone);
    let outcome = client.descriptor(&plain_mirror()).await;
    let error = assert_fails(outcome, Code::ConnectFailed, false);
    assert!(error.to_string().contains("by way of the proxy http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn exceptions_and_direct_mirrors_pass_it_by() {
    let server = plain("/os.json", File::new("{}"));
    let proxy = FaultProxy::start(ProxyConfig { refuse: Some(502), ..ProxyConfig::default() });
    let proxy = proxy.unwrap();
    let by_address = mirror(&server.url("/os.json"));
    assert_fails(client(&proxy).descriptor(&by_address).await, Code::ServerError, true);

    let direct = Mirror { direct: true, ..by_address.clone() };
    assert_eq!(client(&proxy).descriptor(&direct).await.unwrap(), b"{}");
    let config = br#"{"network_mode": "dhcp", "ospkg_pointer": "http://a.example/os.json",
        "proxy": "http://proxy.example", "no_proxy": ["127.0.0.0/8"]}"#;
    let no_proxy = HostConfig::parse(config).unwrap().no_proxy;
    let client = Client::new(ClientOptions { no_proxy, ..options(&proxy) }).unwrap();
    assert_eq!(client.descriptor(&by_address).await.unwrap(), b"{}");
    assert_eq!(proxy.requests().len(), 1);
}

/// The proxy's way to the machine may swallow long packets, too; and then it is not the proxy that does
/// not answer.
#[tokio::test]
async fn a_handshake_without_answer_in_a_tunnel_is_told() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let pki = Pki::new("root").unwrap();
    for identity in [None, Some(pki.server(&["127.0.0.1"]).unwrap())] {
        let tls = identity.is_some();
        let proxy = FaultProxy::start(ProxyConfig { identity, ..ProxyConfig::default() }).unwrap();
        let mut options = ClientOptions { tls_roots: vec![pki.ca_der()], ..options(&proxy) };
        options.proxy.as_mut().unwrap().tls = tls;
        options.limits.connect = core::time::Duration::from_millis(500);
        let mirror = mirror(&format!("https://{NAME}:{port}/os.json"));
        let outcome = Client::new(options).unwrap().descriptor(&mirror).await;
        let error = assert_fails(outcome, Code::Stalled, false);
        assert!(error.to_string().contains("by way of the proxy http"), "{error}");
    }
}
