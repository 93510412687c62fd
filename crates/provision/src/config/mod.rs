//! What staff hands over: the configuration of the service that a machine is to run.
//!
//! Strict: every field is known, every value checked, and all problems are told at once, each with
//! the path of its field. Keys are [`Secret`]s.

mod document;
mod explain;
mod fields;
mod network;
mod ssh;
mod tor;
mod vpn;
mod wg_quick;

use core::fmt;

use report::strict_json;
use serde::Serialize;
use serde_json::Value;

pub use document::Document;
pub use fields::Problem;
pub use hostcfg::Secret;
pub use network::Dns;
pub use network::DnsServer;
pub use network::Time;
pub use ssh::Ssh;
pub use tor::Tor;
pub use tor::TorKeys;
pub use tor::TorRelay;
pub use vpn::Peer;
pub use vpn::Vpn;
pub use vpn::Wireguard;

pub(crate) use fields::Fields;
pub(crate) use fields::Problems;

/// Version of the schema.
const VERSION: u64 = 1;
const MAX_SHOWN_PROBLEMS: usize = 16;
const MAX_HOSTNAME_LEN: usize = 63;

/// A whole configuration, valid. `Serialize` gives it with `***` in the place of secrets.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "service", rename_all = "kebab-case")]
pub enum ServiceConfig {
    /// A WireGuard server.
    Vpn(Vpn),
    /// A Tor relay.
    TorRelay(TorRelay),
}

/// Why a configuration cannot be used: everything that is wrong with it. Holds no secret.
///
/// `Display` names the first of them, as many as fit into a message to staff and on a console.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().take(MAX_SHOWN_PROBLEMS).enumerate() {
            write!(f, "{}{problem}", if number > 0 { "; " } else { "" })?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN_PROBLEMS) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl ConfigError {
    fn whole(problem: impl Into<String>) -> Self {
        Self(vec![Problem { field: String::new(), problem: problem.into() }])
    }
}

impl report::Coded for ConfigError {
    fn code(&self) -> report::Code {
        report::Code::ServiceConfigInvalid
    }
}

impl ServiceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let object = strict_json::parse_object(json)
            .map_err(|error| ConfigError::whole(error.to_string()))?;
        Self::read(Fields::new("", object))
    }

    /// As [`Self::parse`], of a value that strict JSON was read into.
    pub(crate) fn from_value(value: Value) -> Result<Self, ConfigError> {
        let object = strict_json::Object::from_value(value)
            .map_err(|error| ConfigError::whole(error.to_string()))?;
        Self::read(Fields::new("", object))
    }

    fn read(mut fields: Fields) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let _ = fields.number("version", VERSION..=VERSION, None, &mut problems);
        let service = fields.text("service", &mut problems, |text| match text {
            "vpn" | "tor-relay" => Ok(text.to_owned()),
            _ => Err("\"vpn\" or \"tor-relay\"".to_owned()),
        });
        let config = match service.as_deref() {
            Some("vpn") => Vpn::read(&mut fields, &mut problems).map(Self::Vpn),
            Some(_) => TorRelay::read(&mut fields, &mut problems).map(Self::TorRelay),
            // Which fields there may be is not known.
            None => return Err(ConfigError(problems.0)),
        };
        fields.finish(&mut problems);
        match config {
            Some(config) if problems.0.is_empty() => Ok(config),
            _ => Err(ConfigError(problems.0)),
        }
    }

    /// The service as `/etc/ramstrap/os.json` names it: `vpn` or `tor-relay`.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        match self {
            Self::Vpn(_) => "vpn",
            Self::TorRelay(_) => "tor-relay",
        }
    }

    /// The name that the machine gets.
    #[must_use]
    pub fn hostname(&self) -> &str {
        match self {
            Self::Vpn(vpn) => &vpn.hostname,
            Self::TorRelay(relay) => &relay.hostname,
        }
    }

    /// How it keeps the time, if it is told to.
    #[must_use]
    pub fn time(&self) -> Option<&Time> {
        match self {
            Self::Vpn(vpn) => vpn.time.as_ref(),
            Self::TorRelay(relay) => relay.time.as_ref(),
        }
    }

    /// How staff may log in, if at all.
    #[must_use]
    pub fn ssh(&self) -> Option<&Ssh> {
        match self {
            Self::Vpn(vpn) => vpn.ssh.as_ref(),
            Self::TorRelay(relay) => relay.ssh.as_ref(),
        }
    }
}

/// A host name of one or more labels, in lower case.
fn hostname(text: &str) -> Result<String, String> {
    if text.len() <= MAX_HOSTNAME_LEN && is_dns_name(text) && !text.contains(char::is_uppercase) {
        Ok(text.to_owned())
    } else {
        Err(format!("a host name of at most {MAX_HOSTNAME_LEN} characters, a-z 0-9 - and dots"))
    }
}

/// Labels of letters, digits and inner hyphens.
fn is_dns_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
