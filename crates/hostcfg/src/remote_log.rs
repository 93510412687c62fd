//! Where else the log of a boot goes.

use core::fmt;

use serde::Serialize;
use serde::Serializer;

use crate::host::is_host;
use crate::provisioning_url::ProvisioningUrl;

/// A server that takes the log of the boot while it runs. It is told, never asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteLog {
    /// Where to.
    pub target: RemoteLogTarget,
    /// What is sent: this level and everything graver.
    pub level: LogLevel,
}

/// How the log is sent, and where to. Prints as a URL without secrets.
#[derive(Clone, Eq, PartialEq)]
pub enum RemoteLogTarget {
    /// Syslog, one message per datagram (RFC 5426).
    SyslogUdp {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// Syslog over TLS (RFC 5425).
    SyslogTls {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// JSON lines, sent by POST.
    Https(ProvisioningUrl),
}

impl RemoteLogTarget {
    const UDP: &'static str = "syslog+udp";
    const TLS: &'static str = "syslog+tls";

    /// The server's name or address; an IPv6 address in an `https://` URL has its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::SyslogUdp { host, .. } | Self::SyslogTls { host, .. } => host,
            Self::Https(url) => url.url_without_userinfo().host_str().unwrap_or_default(),
        }
    }

    /// Reads `syslog+udp://host[:514]`, `syslog+tls://host[:6514]` or an `https://` URL.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let syslog = |default| host_and_port(rest.strip_suffix('/').unwrap_or(rest), default);
        match scheme {
            Self::UDP => syslog(514).map(|(host, port)| Self::SyslogUdp { host, port }),
            Self::TLS => syslog(6514).map(|(host, port)| Self::SyslogTls { host, port }),
            _ => {
                ProvisioningUrl::parse(text).ok().filter(ProvisioningUrl::is_https).map(Self::Https)
            }
        }
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<core::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (address, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => default,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0)?
        }
        Some(_) => return None,
    };
    is_host(host).then(|| (host.to_ascii_lowercase(), port))
}

impl fmt::Display for RemoteLogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::SyslogUdp { host, port } => (Self::UDP, host, port),
            Self::SyslogTls { host, port } => (Self::TLS, host, port),
            Self::Https(url) => return fmt::Display::fmt(url, f),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl fmt::Debug for RemoteLogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RemoteLogTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How grave a message of the log is, the gravest first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    /// The boot has failed.
    Error,
    /// Something is wrong.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// Every try and why.
    Debug,
}

impl LogLevel {
    /// Every level, the gravest first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// `error`, `warn`, `info` or `debug`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::RemoteLogTarget;

    #[test]
    fn all_targets_are_read_and_printed() {
        for (text, printed) in [
            ("syslog+udp://192.0.2.9", "syslog+udp://192.0.2.9:514"),
            ("syslog+udp://[2001:db8::9]:5140/", "syslog+udp://[2001:db8::9]:5140"),
            ("syslog+tls://Log.example", "syslog+tls://log.example:6514"),
            ("syslog+tls://log.example:443", "syslog+tls://log.example:443"),
            ("https://canary:canary@log.example/in?canary", "https://***@log.example/in?***"),
        ] {
            let target = RemoteLogTarget::parse(text).unwrap();
            assert_eq!(target.to_string(), printed);
            assert_eq!(format!("{target:?}"), printed);
        }
        for text in [
            "",
            "log.example",
            "syslog://log.example",
            "syslog+udp://",
            "syslog+udp://a:0",
            "syslog+udp://a:+1",
            "syslog+udp://a:99999",
            "syslog+udp://a/x",
            "syslog+udp://u:p@a",
            "syslog+udp://2001:db8::9",
            "syslog+udp://[192.0.2.9]",
            "syslog+tls://[2001:db8::9]6514",
            "http://log.example/in",
        ] {
            assert_eq!(RemoteLogTarget::parse(text), None, "{text}");
        }
    }
}
