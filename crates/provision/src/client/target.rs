//! Where a machine is.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    host: String,
    port: u16,
}

/// Text that is no [`Target`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected HOST, HOST:PORT or [IPV6]:PORT")]
pub struct TargetError;

impl Target {
    /// The name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = if text.parse::<Ipv6Addr>().is_ok() {
            (text, None)
        } else if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or(TargetError)?;
            host.parse::<Ipv6Addr>().map_err(|_| TargetError)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or(TargetError)?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(TargetError);
        }
        let port = match port {
            None => crate::PORT,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(TargetError)?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn hosts_with_and_without_port() {
        for (text, shown) in [
            ("vpn1.example", "vpn1.example:7443"),
            ("192.0.2.1:70", "192.0.2.1:70"),
            ("2001:db8::1", "[2001:db8::1]:7443"),
            ("[2001:db8::1]", "[2001:db8::1]:7443"),
            ("[2001:db8::1]:70", "[2001:db8::1]:70"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        for text in ["", ":70", "a:", "a:0", "a:70000", "[a]:70", "[::1]70", "https://a", "a b"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
