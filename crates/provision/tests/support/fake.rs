//! A server with a proved identity that says whatever a test wants.

use std::sync::Arc;
use std::time::Duration;

use provision::Fingerprint;
use provision::client::Target;
use provision::wire;
use provision::wire::WireError;
use rustls::ServerConfig;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const SEED: [u8; 32] = [42; 32];

pub struct Fake {
    pub fingerprint: Fingerprint,
    acceptor: TlsAcceptor,
}

impl Fake {
    /// It takes any key of its client.
    pub fn new() -> Self {
        Self::with_key(&SEED)
    }

    /// It shows the same public key, and has another private one.
    pub fn impostor() -> Self {
        Self::with_key(&super::MALLORY)
    }

    fn with_key(seed: &[u8; 32]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = super::raw::key(seed, &SEED);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(super::raw::AnyClient))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
        Self {
            fingerprint: provision::Identity::from_seed(&SEED).fingerprint(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// Says the first message, hears one, and says the others.
    pub async fn say(
        &self,
        messages: Vec<Vec<u8>>,
    ) -> (Target, JoinHandle<Result<Vec<u8>, WireError>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = super::target(listener.local_addr().unwrap());
        let acceptor = self.acceptor.clone();
        let heard = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(tcp).await.map_err(|_| WireError::Denied)?;
            let second = Duration::from_secs(1);
            let mut messages = messages.into_iter();
            let first = messages.next().unwrap();
            wire::write(&mut stream, &first, second).await.unwrap();
            let heard = wire::read(&mut stream, second).await.map(|bytes| bytes.to_vec());
            for message in messages {
                let _ = wire::write(&mut stream, &message, second).await;
            }
            heard.map_err(|error| match error {
                // A client that leaves without good-bye is gone as well.
                WireError::Cut => WireError::Closed,
                error => error,
            })
        });
        (target, heard)
    }
}
