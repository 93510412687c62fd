//! What the two sides say to each other.

use core::fmt;

use report::Code;
use report::Coded;
use report::strict_json;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use trust::Sha256Digest;

use crate::Fingerprint;
use crate::config::ServiceConfig;

/// The first message, by the machine: who it is and what it runs. Its identity is proved by TLS,
/// its package is what it says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the protocol.
    pub version: u64,
    /// Of the key made at this boot.
    pub identity: Fingerprint,
    /// SHA-256 of the archive of the OS package that was booted.
    pub package_sha256: Sha256Digest,
    /// The package's release number, if it has one.
    #[serde(default)]
    pub release: Option<u64>,
    /// The package's label, if it has one.
    #[serde(default)]
    pub label: Option<String>,
    /// What it can be: `vpn` or `tor-relay`.
    pub service: String,
    /// What it is doing.
    pub state: State,
    /// 64 hexadecimal digits that the request must repeat, good on this connection only.
    pub nonce: String,
    /// Seconds since it started.
    pub uptime: u64,
}

/// How far a machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has no configuration, and serves nobody.
    Waiting,
    /// It is applying one right now.
    Provisioning,
    /// It serves.
    Provisioned,
    /// Applying one failed half-way: only a restart helps.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Provisioning => "provisioning",
            Self::Provisioned => "provisioned",
            Self::Failed => "failed",
        })
    }
}

/// What staff asks of a machine.
#[derive(Clone, Debug)]
pub enum Request {
    /// Take this configuration and serve.
    Provision(Box<ServiceConfig>),
    /// Say how you are.
    Status,
    /// Fetch the next release and start it.
    Upgrade,
    /// Start again from the firmware.
    Reboot,
    /// Switch off.
    Poweroff,
}

impl Request {
    /// Which request it is.
    #[must_use]
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Provision(_) => RequestKind::Provision,
            Self::Status => RequestKind::Status,
            Self::Upgrade => RequestKind::Upgrade,
            Self::Reboot => RequestKind::Reboot,
            Self::Poweroff => RequestKind::Poweroff,
        }
    }
}

/// A [`Request`] without what it carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "as the variants of Request")]
pub enum RequestKind {
    Provision,
    Status,
    Upgrade,
    Reboot,
    Poweroff,
}

impl RequestKind {
    const ALL: [Self; 5] =
        [Self::Provision, Self::Status, Self::Upgrade, Self::Reboot, Self::Poweroff];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Status => "status",
            Self::Upgrade => "upgrade",
            Self::Reboot => "reboot",
            Self::Poweroff => "poweroff",
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer to a request that was carried out.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accepted {
    /// What there is to say about it; no secrets, no addresses of clients.
    pub details: Map<String, Value>,
}

impl Accepted {
    /// An answer without details.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is explained by the title of its code")]
pub enum Why {
    UnknownKey,
    WrongNonce,
    WrongIdentity,
    WrongPackage,
    AlreadyProvisioned,
    InvalidConfiguration,
    Busy,
    NotProvisioned,
    NoNewerRelease,
    Failed,
    Malformed,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

/// The answer to a request that was not carried out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// For programs.
    pub code: Why,
    /// For people. No secrets.
    pub reason: String,
    /// Whether a part of the request has been carried out all the same. Such a machine takes no
    /// configuration any more until it has been restarted.
    #[serde(default)]
    pub applied: bool,
}

impl Refused {
    /// Nothing of the request was carried out.
    #[must_use]
    pub fn new(code: Why, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), applied: false }
    }

    /// Says that a part of it was.
    #[must_use]
    pub fn partly_applied(self) -> Self {
        Self { applied: true, ..self }
    }
}

impl Coded for Refused {
    fn code(&self) -> Code {
        match self.code {
            Why::UnknownKey => Code::StaffKeyUnknown,
            Why::WrongNonce => Code::ProvisioningReplay,
            Why::WrongIdentity => Code::IdentityMismatch,
            Why::WrongPackage => Code::PackageMismatch,
            Why::AlreadyProvisioned => Code::AlreadyProvisioned,
            Why::InvalidConfiguration => Code::ServiceConfigInvalid,
            Why::Busy => Code::ProvisioningBusy,
            Why::NotProvisioned => Code::NotProvisioned,
            Why::NoNewerRelease => Code::NoNewerRelease,
            Why::Malformed => Code::ProvisioningMessage,
            Why::Failed | Why::Other => Code::HostFailed,
        }
    }
}

/// What the machine says.
#[cfg(any(feature = "client", feature = "server"))]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServerMessage {
    Hello(Hello),
    Progress { text: String },
    Accepted(Accepted),
    Refused(Refused),
}

/// What staff says, read as far as is needed to judge whether it may be read on.
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "the server's side"))]
pub(crate) struct Envelope {
    pub(crate) nonce: String,
    pub(crate) identity: Fingerprint,
    pub(crate) package: Sha256Digest,
    pub(crate) kind: RequestKind,
    body: Value,
}

#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "the server's side"))]
impl Envelope {
    /// Reads a message. Errors repeat nothing of it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let malformed = |what: &str| Refused::new(Why::Malformed, format!("the request {what}"));
        let mut object =
            strict_json::parse_object(bytes).map_err(|_| malformed("is not one JSON object"))?;
        match object.take("version").as_ref().and_then(Value::as_u64) {
            Some(crate::VERSION) => {}
            Some(other) => {
                return Err(malformed(&format!(
                    "is of version {other} of the protocol; this machine speaks version {}",
                    crate::VERSION
                )));
            }
            None => return Err(malformed("has no version")),
        }
        let mut text = |field: &str| match object.take(field) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(malformed(&format!("has no {field}"))),
        };
        let nonce = text("nonce")?;
        let identity = text("identity")?;
        let package = text("package_sha256")?;
        let Some(Value::Object(request)) = object.take("request") else {
            return Err(malformed("has no request"));
        };
        if object.unknown_keys().next().is_some() {
            return Err(malformed("has a field that is not known"));
        }
        let mut requests = request.into_iter();
        let (Some((name, body)), None) = (requests.next(), requests.next()) else {
            return Err(malformed("must ask for one thing"));
        };
        let kind = RequestKind::ALL.into_iter().find(|kind| kind.name() == name);
        let envelope = Self {
            nonce,
            identity: identity.parse().map_err(|_| malformed("has no identity"))?,
            package: package.parse().map_err(|_| malformed("has no package_sha256"))?,
            kind: kind.ok_or_else(|| malformed("asks for what is not known"))?,
            body,
        };
        let is_empty = envelope.body.as_object().is_some_and(Map::is_empty);
        if envelope.kind != RequestKind::Provision && !is_empty {
            return Err(malformed("has fields where none belong"));
        }
        Ok(envelope)
    }

    /// Reads what is asked for. Errors name the fields.
    pub(crate) fn open(self) -> Result<Request, Refused> {
        Ok(match self.kind {
            RequestKind::Provision => {
                let config = ServiceConfig::from_value(self.body)
                    .map_err(|error| Refused::new(Why::InvalidConfiguration, error.to_string()))?;
                Request::Provision(Box::new(config))
            }
            RequestKind::Status => Request::Status,
            RequestKind::Upgrade => Request::Upgrade,
            RequestKind::Reboot => Request::Reboot,
            RequestKind::Poweroff => Request::Poweroff,
        })
    }
}

#[cfg(test)]
mod tests;
