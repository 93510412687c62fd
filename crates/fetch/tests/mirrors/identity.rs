//! What a mirror wants to see: headers and client certificates.

use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Identity;
use fault_server::Pki;
use fetch::Client;
use fetch::ClientOptions;
use hostcfg::ClientIdentity;
use hostcfg::Mirror;
use hostcfg::Secret;
use report::Class;
use report::Code;
use report::Coded;

use crate::support::LOOPBACK;
use crate::support::assert_fails;
use crate::support::client;
use crate::support::clock;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;

fn with_header(mirror: Mirror) -> Mirror {
    let headers = vec![("X-Token".to_owned(), Secret::new("canary"))];
    Mirror { headers, ..mirror }
}

#[tokio::test]
async fn headers_go_to_the_mirrors_own_origin_only() {
    let other = FaultServer::start(
        Config::http().file("/os.json", File::new("{}")).file("/os.zip", File::new("")),
    )
    .unwrap();
    let away = File::new("").always(Fault::redirect(302, &other.url("/os.json")));
    let along = File::new("").always(Fault::redirect(302, "/os.json"));
    let config = Config::http()
        .file("/os.json", File::new("{}"))
        .file("/os.zip", File::new("12345"))
        .file("/away", away)
        .file("/along", along);
    let server = FaultServer::start(config).unwrap();
    let client = client(limits());
    for path in ["/os.json", "/away", "/along"] {
        client.descriptor(&with_header(mirror(&server.url(path)))).await.unwrap();
    }
    let mirror = with_header(mirror(&server.url("/os.json")));
    for target in ["os.zip", &other.url("/os.zip")] {
        let url = client.archive_url(&mirror, target).unwrap();
        let mut partial = fetch::Partial::new(Vec::new());
        let patience = fetch::Patience::ALONE;
        client.archive(&mirror, &url, &mut partial, patience, |_| Ok(()), |_| {}).await.unwrap();
    }
    let sent: Vec<(String, Option<String>)> = server
        .requests()
        .iter()
        .map(|request| (request.path.clone(), request.header("x-token").map(str::to_owned)))
        .collect();
    let with = |path: &str| (path.to_owned(), Some("canary".to_owned()));
    let without = |path: &str| (path.to_owned(), None);
    assert_eq!(
        sent,
        [with("/os.json"), with("/away"), with("/along"), without("/os.json"), with("/os.zip")]
    );
    assert_eq!(other.requests().len(), 2);
    assert!(other.requests().iter().all(|request| request.header("x-token").is_none()));
}

/// A server that wants a client certificate, the CA of both sides, and a client of it.
fn strict() -> (FaultServer, Pki, Identity) {
    let pki = Pki::new("root").unwrap();
    let config = Config::https(pki.server(&[LOOPBACK]).unwrap())
        .client_ca(pki.ca_der())
        .file("/os.json", File::new("{}"));
    let identity = pki.client("machine 7").unwrap();
    (FaultServer::start(config).unwrap(), pki, identity)
}

fn identity(identity: &Identity) -> ClientIdentity {
    ClientIdentity {
        certificate_pem: identity.chain_pem().to_owned(),
        key_pem: Secret::new(identity.key_pem()),
    }
}

fn client_of(pki: &Pki, identities: Vec<ClientIdentity>) -> Client {
    let options = ClientOptions::new(clock());
    let tls_roots = vec![pki.ca_der()];
    Client::new(ClientOptions { tls_roots, identities, limits: limits(), ..options }).unwrap()
}

#[tokio::test]
async fn a_client_certificate_opens_what_wants_one() {
    let (server, pki, own) = strict();
    let stranger = Pki::new("other").unwrap().client("stranger").unwrap();
    let client = client_of(&pki, vec![identity(&own), identity(&stranger)]);
    let plain = mirror(&server.url("/os.json"));
    let known = Mirror { client_identity: Some(identity(&own)), ..plain.clone() };
    let unknown = Mirror { client_identity: Some(identity(&stranger)), ..plain.clone() };
    assert_eq!(client.descriptor(&known).await.unwrap(), b"{}");
    for mirror in [plain, unknown] {
        let error = client.descriptor(&mirror).await.unwrap_err();
        assert!(!error.answered(), "{error}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_where_a_redirect_leads() {
    let (strict, pki, own) = strict();
    let away = File::new("").always(Fault::redirect(302, &strict.url("/os.json")));
    let server = plain("/os.json", away);
    let client = client_of(&pki, vec![identity(&own)]);
    let mirror =
        Mirror { client_identity: Some(identity(&own)), ..mirror(&server.url("/os.json")) };
    client.descriptor(&mirror).await.unwrap_err();
    assert_eq!(strict.requests().len(), 0);
}

/// What no TLS library can prove anything with, all of it with `canary` where there is a text.
fn broken(pki: &Pki, own: &Identity) -> [ClientIdentity; 3] {
    let other = pki.client("b").unwrap();
    [
        ClientIdentity { certificate_pem: "canary".to_owned(), ..identity(own) },
        ClientIdentity { key_pem: Secret::new("canary"), ..identity(own) },
        ClientIdentity { key_pem: Secret::new(other.key_pem()), ..identity(own) },
    ]
}

#[tokio::test]
async fn a_certificate_that_is_none_is_its_own_mirrors_fault() {
    let (server, pki, own) = strict();
    let plain = mirror(&server.url("/os.json"));
    for broken in broken(&pki, &own) {
        let client = client_of(&pki, vec![broken.clone()]);
        let mirror = Mirror { client_identity: Some(broken), ..plain.clone() };
        let answer = client.descriptor(&mirror).await;
        let error = assert_fails(answer, Code::HostConfigInvalid, false);
        assert_eq!(error.class(), Class::Permanent);
        let text = error.to_string();
        assert!(text.contains("/os.json: client_certificate and client_key: "), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_broken_certificate_keeps_no_other_mirror_from_being_asked() {
    let (server, pki, own) = strict();
    let open = plain("/os.json", File::new("{}"));
    let [broken, ..] = broken(&pki, &own);
    let client = client_of(&pki, vec![broken.clone(), identity(&own)]);
    let at = |server: &FaultServer, identity| Mirror {
        client_identity: identity,
        ..mirror(&server.url("/os.json"))
    };
    let refused = client.descriptor(&at(&server, Some(broken))).await;
    assert_fails(refused, Code::HostConfigInvalid, false);
    assert_eq!(client.descriptor(&at(&server, Some(identity(&own)))).await.unwrap(), b"{}");
    assert_eq!(client.descriptor(&at(&open, None)).await.unwrap(), b"{}");
}
