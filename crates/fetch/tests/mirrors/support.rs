//! What all tests share.

use core::time::Duration;

use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Pki;
use fetch::Client;
use fetch::ClientOptions;
use fetch::Download;
use fetch::FetchError;
use fetch::Limits;
use fetch::Partial;
use fetch::Patience;
use fetch::Progress;
use fetch::Sink;
use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use report::Code;
use report::Coded;
use report::Failure;
use trust::Clock;
use trust::Sha256Digest;
use trust::Timestamp;

/// 2026-06-01.
pub(crate) const NOW: i64 = 1_780_272_000;
pub(crate) const DAY: i64 = 24 * 3600;
pub(crate) const LOOPBACK: &str = "127.0.0.1";

pub(crate) fn clock() -> Clock {
    Clock::exactly(Timestamp::from_unix(NOW))
}

/// As on a machine that boots, but without long waits between tries.
pub(crate) fn limits() -> Limits {
    Limits {
        resume_delay: Duration::from_millis(1),
        resume_delay_max: Duration::from_millis(2),
        ..Limits::default()
    }
}

pub(crate) fn client_with(tls_roots: Vec<Vec<u8>>, clock: Clock, limits: Limits) -> Client {
    Client::new(ClientOptions { tls_roots, limits, ..ClientOptions::new(clock) }).unwrap()
}

/// A client for http.
pub(crate) fn client(limits: Limits) -> Client {
    client_with(Vec::new(), clock(), limits)
}

/// An https server, and a client that trusts its CA.
pub(crate) fn secure(files: &[(&str, File)]) -> (FaultServer, Client) {
    let pki = Pki::new("test root").unwrap();
    let mut config = Config::https(pki.server(&[LOOPBACK]).unwrap());
    for (path, file) in files {
        config = config.file(path, file.clone());
    }
    (FaultServer::start(config).unwrap(), client_with(vec![pki.ca_der()], clock(), limits()))
}

/// An http server with one file.
pub(crate) fn plain(path: &str, file: File) -> FaultServer {
    FaultServer::start(Config::http().file(path, file)).unwrap()
}

pub(crate) fn url(text: &str) -> ProvisioningUrl {
    text.parse().unwrap()
}

pub(crate) fn mirror(text: &str) -> Mirror {
    Mirror::plain(url(text))
}

/// Bytes that do not repeat within a read or a TLS record.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    core::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

/// Downloads `/os.zip`; what came goes along with the outcome.
pub(crate) async fn archive(
    client: &Client,
    server: &FaultServer,
) -> (Vec<u8>, Result<Download, FetchError>) {
    let mut partial = Partial::new(Vec::new());
    let outcome = continued(client, server, &mut partial, Patience::ALONE).await;
    (partial.into_sink(), outcome)
}

/// Downloads an archive from a mirror that is asked for nothing else.
pub(crate) async fn download<S: Sink>(
    client: &Client,
    url: &ProvisioningUrl,
    sink: &mut S,
    admit: impl FnMut(Option<u64>) -> Result<(), Failure>,
    progress: impl FnMut(Progress),
) -> Result<Download, FetchError> {
    let mirror = Mirror::plain(url.clone());
    let mut partial = Partial::new(sink);
    client.archive(&mirror, url, &mut partial, Patience::ALONE, admit, progress).await
}

/// Downloads what a mirror has at its URL.
pub(crate) async fn whole(
    client: &Client,
    mirror: &Mirror,
) -> (Vec<u8>, Result<Download, FetchError>) {
    let mut sink = Vec::new();
    let mut partial = Partial::new(&mut sink);
    let patience = Patience::ALONE;
    let outcome =
        client.archive(mirror, &mirror.url, &mut partial, patience, |_| Ok(()), |_| {}).await;
    (sink, outcome)
}

/// Downloads what is missing of `/os.zip`.
pub(crate) async fn continued(
    client: &Client,
    server: &FaultServer,
    partial: &mut Partial<Vec<u8>>,
    patience: Patience,
) -> Result<Download, FetchError> {
    let mirror = mirror(&server.url("/os.zip"));
    client.archive(&mirror, &mirror.url, partial, patience, |_| Ok(()), |_| {}).await
}

#[track_caller]
pub(crate) fn assert_complete(outcome: &(Vec<u8>, Result<Download, FetchError>), expected: &[u8]) {
    let download = outcome.1.as_ref().unwrap();
    assert!(outcome.0 == expected, "{} bytes, {} expected", outcome.0.len(), expected.len());
    assert_eq!(download.len, u64::try_from(expected.len()).unwrap());
    assert_eq!(download.sha256, Sha256Digest::of(expected));
}

#[track_caller]
pub(crate) fn assert_fails<T: core::fmt::Debug>(
    outcome: Result<T, FetchError>,
    code: Code,
    answered: bool,
) -> FetchError {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.answered(), answered, "{error}");
    assert_eq!(error.failure().code, code);
    error
}
