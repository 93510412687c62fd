//! A machine and staff on the loopback interface, and a wire between them that remembers.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_debug_implementations,
    unreachable_pub,
    reason = "shared by tests, none of which uses all of it"
)]

pub mod fake;
pub mod raw;
pub mod tap;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use provision::Accepted;
use provision::Fingerprint;
use provision::Identity;
use provision::Refused;
use provision::Request;
use provision::RequestKind;
use provision::Staff;
use provision::Why;
use provision::client::Ask;
use provision::client::ClientError;
use provision::client::Deadlines;
use provision::client::Session;
use provision::client::Target;
use provision::config::Document;
use provision::server::Event;
use provision::server::Gate;
use provision::server::Host;
use provision::server::HostFacts;
use provision::server::Limits;
use provision::server::Server;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use trust::Sha256Digest;

pub const ALICE: [u8; 32] = [1; 32];
pub const MALLORY: [u8; 32] = [9; 32];

/// What the host does with the next requests; "accept" when nothing is left.
pub enum Behave {
    Refuse(Refused),
    /// Says so, then waits until it may go on.
    Wait,
}

#[derive(Default)]
pub struct Mock {
    pub behave: Mutex<VecDeque<Behave>>,
    pub handled: Mutex<Vec<String>>,
    pub answered: Mutex<Vec<(RequestKind, bool)>>,
    pub events: Mutex<Vec<String>>,
    pub go_on: Notify,
    pub begun: Notify,
    pub keys: Mutex<Vec<String>>,
}

impl Host for Mock {
    async fn handle(
        &self,
        staff: &str,
        request: Request,
        progress: &mut (dyn FnMut(String) + Send),
    ) -> Result<Accepted, Refused> {
        self.handled.lock().unwrap().push(format!("{staff}: {}", request.kind()));
        if let Request::Provision(config) = &request
            && let provision::config::ServiceConfig::Vpn(vpn) = &**config
        {
            self.keys.lock().unwrap().push(vpn.wireguard.private_key.expose().to_owned());
        }
        progress("begun".to_owned());
        let behave = self.behave.lock().unwrap().pop_front();
        self.begun.notify_one();
        match behave {
            Some(Behave::Refuse(refused)) => Err(refused),
            Some(Behave::Wait) => {
                self.go_on.notified().await;
                progress("went on".to_owned());
                Ok(Accepted::new())
            }
            None => Ok(Accepted::new().with("done", request.kind().name())),
        }
    }

    fn answered(&self, request: RequestKind, accepted: bool) {
        self.answered.lock().unwrap().push((request, accepted));
    }

    fn event(&self, event: Event<'_>) {
        self.events.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Mock {
    pub fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    pub fn next(&self, behave: Behave) {
        self.behave.lock().unwrap().push_back(behave);
    }
}

pub struct Machine {
    pub address: SocketAddr,
    pub fingerprint: Fingerprint,
    pub host: Arc<Mock>,
    pub gate: Gate,
    task: JoinHandle<()>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn package() -> Sha256Digest {
    Sha256Digest::of(b"package")
}

pub fn limits() -> Limits {
    Limits {
        handshake: Duration::from_millis(600),
        message: Duration::from_millis(600),
        pause: Duration::from_millis(200),
        ..Limits::default()
    }
}

impl Machine {
    pub async fn start() -> Self {
        Self::with_limits(limits()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let identity = Identity::generate().unwrap();
        let fingerprint = identity.fingerprint();
        let pem = Identity::from_seed(&ALICE).public().to_pem();
        let staff = Staff::from_pems([("alice", pem)]).unwrap();
        let facts = HostFacts {
            package_sha256: package(),
            release: Some(7),
            label: Some("test".to_owned()),
            service: "vpn".to_owned(),
            started: Instant::now(),
        };
        let server = Server::new(identity, staff, facts).with_limits(limits);
        let gate = server.gate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host = Arc::new(Mock::default());
        let handle = Arc::clone(&host);
        let task = tokio::spawn(async move {
            match server.run(listener, handle).await {
                Ok(never) => match never {},
                Err(error) => panic!("{error}"),
            }
        });
        Self { address, fingerprint, host, gate, task }
    }

    pub fn target(&self) -> Target {
        target(self.address)
    }

    pub async fn connect(&self) -> Result<Session, ClientError> {
        connect(&self.target(), &ALICE, self.fingerprint).await
    }

    /// As Alice does it.
    pub async fn provision(&self) -> Result<Accepted, ClientError> {
        self.ask(Ask::Provision(&document())).await
    }

    pub async fn ask(&self, ask: Ask<'_>) -> Result<Accepted, ClientError> {
        self.connect().await?.ask(package(), ask, &mut |_| {}).await
    }
}

pub async fn connect(
    target: &Target,
    seed: &[u8; 32],
    fingerprint: Fingerprint,
) -> Result<Session, ClientError> {
    let deadlines = Deadlines {
        connect: Duration::from_secs(2),
        handshake: Duration::from_secs(2),
        send: Duration::from_secs(2),
        answer: Duration::from_secs(3),
    };
    provision::client::connect(target, &Identity::from_seed(seed), fingerprint, deadlines).await
}

pub fn target(address: SocketAddr) -> Target {
    address.to_string().parse().unwrap()
}

pub const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
pub const PEER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

pub fn vpn() -> serde_json::Value {
    serde_json::json!({
        "version": 1, "service": "vpn", "hostname": "se-sto-1",
        "wireguard": {
            "private_key": PRIVATE, "listen_port": 51820,
            "addresses": ["10.64.0.1/24", "fd00:64::1/64"],
            "peers": [{"public_key": PEER, "allowed_ips": ["10.64.0.2/32"]}]
        }
    })
}

pub fn document() -> Document {
    Document::parse(vpn().to_string().as_bytes()).unwrap()
}

/// A valid configuration of more than 100 kB.
pub fn large_document() -> Document {
    let mut config = vpn();
    let peers: Vec<_> = (0..1000_u32)
        .map(|number| {
            let mut key = [7; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            let secret = provision::config::Secret::new(base64(&key));
            let public = provision::wireguard::public_key(&secret).unwrap();
            let [_, _, high, low] = number.to_be_bytes();
            serde_json::json!({
                "public_key": public, "allowed_ips": [format!("10.65.{high}.{low}/32")]
            })
        })
        .collect();
    config["wireguard"]["peers"] = peers.into();
    let text = config.to_string();
    assert!(text.len() > 90_000, "{}", text.len());
    Document::parse(text.as_bytes()).unwrap()
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

pub fn why(error: &ClientError) -> Why {
    match error {
        ClientError::Refused(refused) | ClientError::NotSent(refused) => refused.code,
        other => panic!("{other:?}"),
    }
}
