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
use hostcfg::ProvisioningUrl;
use report::Code;
use report::Coded;
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
    Client::new(ClientOptions { interface: None, dns: Vec::new(), tls_roots, clock, limits })
        .unwrap()
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
    let mut sink = Vec::new();
    let url = url(&server.url("/os.zip"));
    let outcome = client.archive(&url, &mut sink, |_| Ok(()), |_| {}).await;
    (sink, outcome)
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
