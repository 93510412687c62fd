//! One connection, from the handshake to the answer.

use core::time::Duration;

use rustls::Error as TlsError;
use serde_json::to_vec;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust::Sha256Digest;

use crate::Accepted;
use crate::Hello;
use crate::PublicKey;
use crate::Refused;
use crate::Request;
use crate::RequestKind;
use crate::Why;
use crate::keys::random;
use crate::message::Envelope;
use crate::message::ServerMessage;
use crate::server::Event;
use crate::server::Host;
use crate::server::Server;
use crate::server::admission::Place;
use crate::wire;
use crate::wire::WireError;

/// How long what is left of the client's words is taken after the answer, so that the system does
/// not throw the answer away with them.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Connection<'a, H> {
    pub(crate) server: &'a Server,
    pub(crate) host: &'a H,
    pub(crate) acceptor: &'a TlsAcceptor,
    pub(crate) place: Place,
}

impl<H: Host> Connection<'_, H> {
    pub(crate) async fn serve(self, stream: TcpStream) {
        let limits = self.server.limits;
        let _ = stream.set_nodelay(true);
        let handshake = self.acceptor.accept(stream).into_fallible();
        let mut stream = match timeout(limits.handshake, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, stream))) => {
                if is_unknown_key(&error) {
                    self.host.event(Event::Refused {
                        staff: None,
                        code: Why::UnknownKey,
                        reason: "a key that is not on the package's list of staff",
                    });
                }
                return turn_away(stream, limits.pause).await;
            }
            Err(_) => return sleep(limits.pause).await,
        };
        // The verifier has seen this very key; what else could be here is treated as nobody.
        let done = match self.staff_of(&stream) {
            Some(staff) => self.talk(&mut stream, staff).await,
            None => None,
        };
        // Until the client has read its answer: what follows may be the end of this system.
        close(&mut stream).await;
        drop(self.place);
        if let Some((kind, accepted)) = done {
            self.host.answered(kind, accepted);
        }
    }

    fn staff_of(&self, stream: &TlsStream<TcpStream>) -> Option<&str> {
        let spki = stream.get_ref().1.peer_certificates()?.first()?;
        self.server.staff.name_of(PublicKey::from_spki(spki).ok()?)
    }

    /// All that is said. Gives the request and whether it was carried out.
    async fn talk(
        &self,
        stream: &mut TlsStream<TcpStream>,
        staff: &str,
    ) -> Option<(RequestKind, bool)> {
        let deadline = self.server.limits.message;
        let nonce = new_nonce()?;
        let hello = ServerMessage::Hello(self.hello(&nonce));
        send(stream, &hello, deadline).await.ok()?;
        let request = match wire::read(stream, deadline).await {
            Ok(bytes) => self.judge(&bytes, &nonce),
            Err(error @ WireError::TooLong(_)) => {
                Err(Refused::new(Why::Malformed, format!("the request is {error}")))
            }
            Err(_) => return None,
        };
        let kind = request.as_ref().ok().map(Request::kind);
        let result = match request {
            Ok(request) => self.carry_out(stream, staff, request).await,
            Err(refused) => Err(refused),
        };
        match (&result, kind) {
            (Ok(_), Some(request)) => self.host.event(Event::Accepted { staff, request }),
            (Ok(_), None) => {}
            (Err(Refused { code, reason, .. }), _) => {
                self.host.event(Event::Refused { staff: Some(staff), code: *code, reason });
            }
        }
        let accepted = result.is_ok();
        let answer = match result {
            Ok(accepted) => ServerMessage::Accepted(accepted),
            Err(refused) => ServerMessage::Refused(refused),
        };
        let _ = send(stream, &answer, deadline).await;
        kind.map(|kind| (kind, accepted))
    }

    fn hello(&self, nonce: &str) -> Hello {
        let facts = &self.server.facts;
        Hello {
            version: crate::VERSION,
            identity: self.server.identity.fingerprint(),
            package_sha256: facts.package_sha256,
            release: facts.release,
            label: facts.label.clone(),
            service: facts.service.clone(),
            state: self.server.gate.state(),
            nonce: nonce.to_owned(),
            uptime: facts.started.elapsed().as_secs(),
        }
    }

    /// Whether this request was made for this connection, this boot and this package; and only
    /// then, what it asks for.
    fn judge(&self, bytes: &[u8], nonce: &str) -> Result<Request, Refused> {
        let envelope = Envelope::parse(bytes)?;
        let facts = &self.server.facts;
        if envelope.nonce != nonce {
            return Err(Refused::new(
                Why::WrongNonce,
                "the request was made for another connection: it is a replay, or the client is broken",
            ));
        }
        if envelope.identity != self.server.identity.fingerprint() {
            return Err(Refused::new(
                Why::WrongIdentity,
                "the request is meant for another machine, or for this one before its restart",
            ));
        }
        if envelope.package != facts.package_sha256 {
            return Err(Refused::new(
                Why::WrongPackage,
                format!(
                    "the request is meant for the package {}; this machine runs {}",
                    envelope.package, facts.package_sha256
                ),
            ));
        }
        let request = envelope.open()?;
        if let Request::Provision(config) = &request
            && config.service() != facts.service
        {
            return Err(Refused::new(
                Why::InvalidConfiguration,
                format!(
                    "service: \"{}\", but this machine's package is for \"{}\"",
                    config.service(),
                    facts.service
                ),
            ));
        }
        Ok(request)
    }

    /// Runs the host's future to its end, whatever becomes of the client.
    async fn carry_out(
        &self,
        stream: &mut TlsStream<TcpStream>,
        staff: &str,
        request: Request,
    ) -> Result<Accepted, Refused> {
        let pass = self.server.gate.enter(request.kind())?;
        let (sender, mut lines) = mpsc::unbounded_channel();
        let work = async move {
            let mut progress = move |text: String| {
                // Nobody listens any more: the work goes on.
                let _ = sender.send(text);
            };
            self.host.handle(staff, request, &mut progress).await
        };
        let tell = async {
            while let Some(text) = lines.recv().await {
                let message = ServerMessage::Progress { text };
                if send(stream, &message, self.server.limits.message).await.is_err() {
                    return;
                }
            }
        };
        let (result, ()) = tokio::join!(work, tell);
        pass.decide(&result);
        result
    }
}

async fn send(
    stream: &mut TlsStream<TcpStream>,
    message: &ServerMessage,
    deadline: Duration,
) -> Result<(), WireError> {
    let bytes = to_vec(message).map_err(|error| WireError::Failed(error.to_string()))?;
    wire::write(stream, &bytes, deadline).await
}

/// Ends a failed handshake: what the client has still sent is taken and thrown away, because the
/// system would otherwise throw our alert away with it. The place of the connection stays taken for
/// all of the pause: who knocks often waits long.
async fn turn_away(mut stream: TcpStream, pause: Duration) {
    let mut rest = [0; 4096];
    let drain = async {
        let _ = stream.shutdown().await;
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::join!(timeout(pause, drain), sleep(pause));
}

/// Takes what the client may still be sending, for a moment.
async fn close(stream: &mut TlsStream<TcpStream>) {
    let mut rest = zeroize::Zeroizing::new([0; 4096]);
    let drain = async {
        let _ = stream.shutdown().await;
        while stream.read(&mut *rest).await.is_ok_and(|read| read > 0) {}
    };
    let _ = timeout(LINGER, drain).await;
}

fn new_nonce() -> Option<String> {
    let mut bytes = [0; 32];
    random(&mut bytes).ok()?;
    Some(Sha256Digest::from_bytes(bytes).to_string())
}

fn is_unknown_key(error: &std::io::Error) -> bool {
    use rustls::CertificateError::ApplicationVerificationFailure;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    matches!(tls, Some(TlsError::InvalidCertificate(ApplicationVerificationFailure)))
}
