//! The side of staff.
//!
//! [`connect`] proves whom it talks to before anything else is said: the key that the machine shows
//! must have the fingerprint that was read from its console. Only then does the machine learn which
//! member of staff knocks, and only [`Session::ask`] sends a configuration, after package, service
//! and state have been compared, too.

mod error;
mod target;
mod verifier;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::Resumption;
use rustls::pki_types::IpAddr;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trust::Sha256Digest;
use zeroize::Zeroizing;

use crate::Accepted;
use crate::Fingerprint;
use crate::Hello;
use crate::Identity;
use crate::Refused;
use crate::RequestKind;
use crate::State;
use crate::Why;
use crate::config::Document;
use crate::message::ServerMessage;
use crate::tls;
use crate::wire;
use crate::wire::WireError;

pub use error::ClientError;
pub use target::Target;
pub use target::TargetError;
use verifier::Expected;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a connection to one address.
    pub connect: Duration,
    /// For the TLS handshake, and for the machine's first words.
    pub handshake: Duration,
    /// For sending the request.
    pub send: Duration,
    /// For the answer, from one sign of progress to the next.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(15),
            send: Duration::from_secs(30),
            answer: Duration::from_secs(600),
        }
    }
}

/// What to ask of a machine.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// Take this configuration and serve.
    Provision(&'a Document),
    /// Say how you are.
    Status,
    /// Fetch the next release and start it.
    Upgrade,
    /// Start again from the firmware.
    Reboot,
    /// Switch off.
    Poweroff,
}

/// A machine whose identity is proved and that has introduced itself.
pub struct Session {
    stream: TlsStream<TcpStream>,
    hello: Hello,
    deadlines: Deadlines,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("hello", &self.hello).finish_non_exhaustive()
    }
}

/// Connects, proves the machine's identity, shows one's own, and hears the machine's first words.
///
/// # Errors
/// [`ClientError`]. Nothing but the handshake has been sent then.
pub async fn connect(
    target: &Target,
    key: &Identity,
    expected: Fingerprint,
    deadlines: Deadlines,
) -> Result<Session, ClientError> {
    let tcp = dial(target, deadlines.connect).await?;
    let verifier = Arc::new(Expected::new(expected));
    let config = tls_config(key, Arc::clone(&verifier)).map_err(ClientError::setup)?;
    // No name is sent or judged; the library wants one all the same.
    let name = ServerName::IpAddress(IpAddr::from(core::net::IpAddr::from([0, 0, 0, 0])));
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let mut stream = match timeout(deadlines.handshake, handshake).await {
        Err(_) => return Err(ClientError::silent(target, deadlines.handshake)),
        Ok(Err(error)) => return Err(verifier.explain(target, &error)),
        Ok(Ok(stream)) => stream,
    };
    // With TLS 1.3 a client hears only now what the server thinks of its key.
    let bytes = match wire::read(&mut stream, deadlines.handshake).await {
        Ok(bytes) => bytes,
        Err(WireError::Denied) => return Err(ClientError::UnknownKey(key.fingerprint())),
        Err(WireError::Deadline(_)) => {
            return Err(ClientError::silent(target, deadlines.handshake));
        }
        Err(error) => return Err(ClientError::NotAHost(target.to_string(), error.to_string())),
    };
    let Ok(ServerMessage::Hello(hello)) = serde_json::from_slice(&bytes) else {
        return Err(ClientError::Message("its first message is no hello".to_owned()));
    };
    if hello.version != crate::VERSION {
        return Err(ClientError::Message(format!(
            "it speaks version {} of the protocol, this tool version {}",
            hello.version,
            crate::VERSION
        )));
    }
    if hello.identity != expected {
        return Err(ClientError::WrongIdentity { expected, found: hello.identity });
    }
    Ok(Session { stream, hello, deadlines })
}

impl Session {
    /// How the machine introduced itself. All but its identity is what it claims; that it is the
    /// machine of that console is proved.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Sends the one request of a session, if machine and request fit each other, and waits for the
    /// answer. `package` is what the machine must run.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::sent`] tells whether the request has left.
    pub async fn ask(
        mut self,
        package: Sha256Digest,
        ask: Ask<'_>,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Accepted, ClientError> {
        self.check(package, ask)?;
        let message = self.message(package, ask);
        if message.len() > wire::MAX_LEN {
            return Err(ClientError::TooLong(message.len()));
        }
        // A server that has refused stops listening: its answer says more than the failed write.
        let written = wire::write(&mut self.stream, message.as_bytes(), self.deadlines.send).await;
        drop(message);
        let answer = self.answer(progress).await;
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
        match (answer, written) {
            (Err(ClientError::Cut(_)), Err(error)) => Err(ClientError::Cut(error.to_string())),
            (answer, _) => answer,
        }
    }

    /// What the client can see before it sends anything.
    fn check(&self, package: Sha256Digest, ask: Ask<'_>) -> Result<(), ClientError> {
        let hello = &self.hello;
        if hello.package_sha256 != package {
            let found = hello.package_sha256;
            return Err(ClientError::WrongPackage { expected: package, found });
        }
        let Ask::Provision(document) = ask else { return Ok(()) };
        let service = document.config().service();
        if hello.service != service {
            let machine = hello.service.clone();
            return Err(ClientError::WrongService { configuration: service, machine });
        }
        match hello.state {
            State::Waiting => Ok(()),
            State::Provisioning => Err(ClientError::NotSent(Refused::new(
                Why::Busy,
                "another provisioning is under way",
            ))),
            State::Provisioned => Err(ClientError::NotSent(Refused::new(
                Why::AlreadyProvisioned,
                "it says that it has its configuration",
            ))),
            State::Failed => Err(ClientError::NotSent(
                Refused::new(Why::Failed, "an earlier configuration was applied in part")
                    .partly_applied(),
            )),
        }
    }

    fn message(&self, package: Sha256Digest, ask: Ask<'_>) -> Zeroizing<String> {
        let (kind, body) = match ask {
            Ask::Provision(document) => (RequestKind::Provision, document.expose()),
            Ask::Status => (RequestKind::Status, "{}"),
            Ask::Upgrade => (RequestKind::Upgrade, "{}"),
            Ask::Reboot => (RequestKind::Reboot, "{}"),
            Ask::Poweroff => (RequestKind::Poweroff, "{}"),
        };
        // The nonce is the machine's word: written as JSON, not pasted.
        let head = format!(
            r#"{{"version":{},"nonce":{},"identity":"{}","package_sha256":"{package}","request":{{"{kind}":"#,
            crate::VERSION,
            json!(self.hello.nonce),
            self.hello.identity,
        );
        let mut message = Zeroizing::new(String::with_capacity(head.len() + body.len() + 2));
        message.push_str(&head);
        message.push_str(body);
        message.push_str("}}");
        message
    }

    async fn answer(
        &mut self,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Accepted, ClientError> {
        loop {
            let bytes = wire::read(&mut self.stream, self.deadlines.answer)
                .await
                .map_err(|error| ClientError::Cut(error.to_string()))?;
            match serde_json::from_slice(&bytes) {
                Ok(ServerMessage::Progress { text }) => progress(&text),
                Ok(ServerMessage::Accepted(accepted)) => return Ok(accepted),
                Ok(ServerMessage::Refused(refused)) => return Err(ClientError::Refused(refused)),
                Ok(ServerMessage::Hello(_)) | Err(_) => {
                    return Err(ClientError::Cut("its answer is not to be understood".to_owned()));
                }
            }
        }
    }
}

async fn dial(target: &Target, deadline: Duration) -> Result<TcpStream, ClientError> {
    let unreachable = |reason: String| ClientError::Unreachable(target.to_string(), reason);
    let addresses = tokio::net::lookup_host((target.host(), target.port()))
        .await
        .map_err(|error| unreachable(format!("the name cannot be resolved: {error}")))?;
    let mut reason = "the name has no address".to_owned();
    for address in addresses {
        match timeout(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = format!("no answer within {} s", deadline.as_secs()),
        }
    }
    Err(unreachable(reason))
}

fn tls_config(key: &Identity, verifier: Arc<Expected>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
            tls::certified(key),
        )));
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}
