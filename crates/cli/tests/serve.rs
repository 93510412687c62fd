//! The provisioning server, asked over real connections.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

use ramstrap_cli::serve;
use ramstrap_cli::serve::Config;
use ramstrap_cli::serve::LabTls;
use ramstrap_cli::serve::Running;
use ramstrap_cli::serve::Served;
use ramstrap_cli::serve::TlsFiles;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::StatusCode;
use reqwest::header;
use support::Lab;

type Log = Arc<Mutex<Vec<Served>>>;

fn start(lab: &Lab, tls: Option<TlsFiles>) -> (Running, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let running = serve::start(Config {
        directory: lab.path("www"),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls,
        on_answer: Arc::new(move |served| seen.lock().unwrap().push(served.clone())),
    });
    (running.unwrap(), log)
}

fn content() -> Vec<u8> {
    (0..1_000_000_u32).map(|number| (number % 251) as u8).collect()
}

fn client(roots: Option<Vec<u8>>) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().no_proxy();
    if let Some(pem) = roots {
        builder = builder.tls_certs_only([Certificate::from_pem(&pem).unwrap()]);
    }
    builder.build().unwrap()
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("www/os.zip", content());
    lab.write("www/.hidden", "x");
    lab.write("secret", "x");
    std::os::unix::fs::symlink(lab.path("secret"), lab.path("www/link")).unwrap();
    lab
}

#[tokio::test]
async fn https_with_ranges_and_validators() {
    let lab = lab();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let tls = LabTls::open(&lab.path("tls"), &names).unwrap();
    assert_eq!(support::mode(&lab.path("tls/lab-ca-key.pem")), 0o600);
    let roots = std::fs::read(&tls.roots).unwrap();
    let (server, log) = start(&lab, Some(tls.server));
    let client = client(Some(roots.clone()));
    let url = format!("https://localhost:{}/os.zip", server.address().port());

    let whole = client.get(&url).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    let etag = whole.headers()[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(whole.headers()[header::ACCEPT_RANGES], "bytes");
    assert_eq!(whole.headers()[header::CONTENT_LENGTH], "1000000");
    assert!(whole.headers().contains_key(header::LAST_MODIFIED));
    assert_eq!(whole.bytes().await.unwrap(), content());

    let part = |range: &str, if_range: &str| {
        client.get(&url).header(header::RANGE, range).header(header::IF_RANGE, if_range).send()
    };
    let rest = part("bytes=999000-", &etag).await.unwrap();
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(rest.headers()[header::CONTENT_RANGE], "bytes 999000-999999/1000000");
    assert_eq!(rest.bytes().await.unwrap(), content()[999_000..]);
    let changed = part("bytes=999000-", "\"other\"").await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    drop(changed);
    let beyond = part("bytes=1000000-", &etag).await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()[header::CONTENT_RANGE], "bytes */1000000");
    let same = client.get(&url).header(header::IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], "1000000");

    assert!(client_without_roots().get(&url).send().await.is_err(), "the lab CA is not public");
    // The CA stays when the server is started again.
    let again = LabTls::open(&lab.path("tls"), &names).unwrap();
    assert_eq!(std::fs::read(&again.roots).unwrap(), roots);
    let (second, _) = start(&lab, Some(again.server));
    let url = format!("https://127.0.0.1:{}/os.zip", second.address().port());
    assert_eq!(client.head(&url).send().await.unwrap().status(), StatusCode::OK);
    server.stop();
    let log = log.lock().unwrap();
    assert_eq!((log[0].status, log[0].bytes, log[0].cut), (200, 1_000_000, false));
    let partial = log.iter().find(|it| it.status == 206).unwrap();
    assert_eq!(partial.range.as_deref(), Some("bytes 999000-999999/1000000"));
    assert_eq!(partial.bytes, 1000);
}

fn client_without_roots() -> Client {
    client(Some(
        rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem().into_bytes(),
    ))
}

#[tokio::test]
async fn nothing_but_its_files_is_served() {
    let lab = lab();
    let (server, _log) = start(&lab, None);
    let client = client(None);
    let get = |path: &str| client.get(format!("http://{}{path}", server.address())).send();
    assert_eq!(get("/os.zip").await.unwrap().status(), StatusCode::OK);
    for path in ["/", "/none", "/.hidden", "/link", "/%2e%2e/secret", "/os.zip/", "/..%2fsecret"] {
        assert_eq!(get(path).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
    let url = format!("http://{}/os.zip", server.address());
    let post = client.post(url).body("x").send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn it_says_why_it_cannot_start() {
    let lab = lab();
    let (server, _log) = start(&lab, None);
    let taken = server.address();
    lab.refused(&format!("serve www --plain-http --listen {taken}"), "cannot listen on");
    lab.refused("serve none --plain-http", "none");
    lab.refused("serve www --tls-cert secret --tls-key secret --listen 127.0.0.1:0", "TLS key");
    let address = server.address();
    server.stop();
    assert!(TcpStream::connect(address).is_err(), "it has stopped");
}

#[test]
fn the_command_prints_where_it_listens_and_ends_on_request() {
    let lab = lab();
    let mut child = lab
        .command()
        .args(["serve", "www", "--self-signed", "--json", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(event["event"], "listening");
    assert!(event["url"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    assert!(
        std::path::Path::new(event["tls_roots"].as_str().unwrap())
            .ends_with("www-tls/tls_roots.pem")
    );
    let ended = std::process::Command::new("sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status();
    assert!(ended.unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn keys_that_lie_there_are_kept() {
    use std::os::unix::fs::PermissionsExt;

    let lab = lab();
    lab.ok("keygen root --out-cert www/root.pem --out-key www/root.key");
    lab.ok("keygen age --out www/identity");
    for name in ["root.key", "identity"] {
        // Not only by their modes.
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(lab.path(&format!("www/{name}")), open).unwrap();
    }
    lab.write("www/notes", "private");
    let group = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(lab.path("www/notes"), group).unwrap();
    let (server, log) = start(&lab, None);
    let client = client(None);
    let url = |name: &str| format!("http://{}/{name}", server.address());
    for name in ["root.key", "identity", "notes"] {
        for head in [false, true] {
            let request = if head { client.head(url(name)) } else { client.get(url(name)) };
            let answer = request.header(header::RANGE, "bytes=0-9").send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
            assert_eq!(answer.bytes().await.unwrap(), "", "{name}");
        }
    }
    let whole = client.get(url("root.pem")).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.bytes().await.unwrap(), lab.read("www/root.pem"));
    assert_eq!(client.get(url("os.zip")).send().await.unwrap().status(), StatusCode::OK);
    server.stop();
    let log = log.lock().unwrap();
    let told = |path: &str| log.iter().find(|it| it.path == path).unwrap().to_string();
    assert!(told("/root.key").contains("refused: it holds a private key"), "{}", told("/root.key"));
    assert!(told("/identity").contains("refused: it holds a private key"));
    assert!(told("/notes").contains("refused: its mode"));
    assert!(!told("/root.pem").contains("refused"));
}
