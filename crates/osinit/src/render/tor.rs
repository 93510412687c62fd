//! The configuration of Tor.

use core::fmt::Write;

use provision::config::Tor;

/// Where a relay's files are.
#[derive(Clone, Copy, Debug)]
pub struct TorPaths<'a> {
    /// Its data directory, with `keys` below.
    pub data: &'a str,
}

/// What never changes: a relay and nothing else, that logs nothing and writes as little as it can.
/// `Sandbox` is its own system call filter.
const FIXED: &str = "\
RunAsDaemon 0
SocksPort 0
ControlPort 0
DirPort 0
Log err file /dev/null
SafeLogging 1
AvoidDiskWrites 1
DisableDebuggerAttachment 1
Sandbox 1
ClientOnly 0
GeoIPFile /dev/null
GeoIPv6File /dev/null
ExtraInfoStatistics 0
HiddenServiceStatistics 0
DirReqStatistics 0
CellStatistics 0
EntryStatistics 0
ExitPortStatistics 0
ConnDirectionStatistics 0
OverloadStatistics 0
HardwareAccel 1
";

/// The relay.
#[must_use]
pub fn torrc(tor: &Tor, paths: TorPaths<'_>) -> String {
    let mut text = FIXED.to_owned();
    // Writing to a String cannot fail.
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} {value}");
    };
    line("DataDirectory", paths.data);
    line("Nickname", &tor.nickname);
    line("ContactInfo", &tor.contact);
    line("ORPort", &tor.or_port.to_string());
    line("ExitRelay", if tor.exit { "1" } else { "0" });
    if !tor.exit {
        line("ExitPolicy", "reject *:*");
    }
    if tor.keys.ed25519_master_id_secret_key.is_none() {
        // It must not wait for a key that stays with its owner.
        line("OfflineMasterKey", "1");
    }
    if let Some(megabits) = tor.bandwidth_mbit {
        let bytes = u64::from(megabits) * 1_000_000 / 8;
        line("RelayBandwidthRate", &format!("{bytes} bytes"));
        line("RelayBandwidthBurst", &format!("{} bytes", bytes * 2));
    }
    for option in &tor.torrc {
        let _ = writeln!(text, "{option}");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    /// Keys that have the form of keys.
    pub(in super::super) fn keys() -> String {
        let tagged = |kind: &str, length: usize| {
            let mut bytes = format!("== ed25519v1-{kind} ==").into_bytes();
            bytes.resize(length, 0);
            BASE64_STANDARD.encode(bytes)
        };
        let pem = "-----BEGIN RSA PRIVATE KEY-----\\nAAAA\\n-----END RSA PRIVATE KEY-----\\n";
        format!(
            r#"{{"ed25519_master_id_public_key":"{}","ed25519_signing_secret_key":"{}",
            "ed25519_signing_cert":"{}","secret_id_key":"{pem}"}}"#,
            tagged("public: type0", 64),
            tagged("secret: type0", 96),
            tagged("cert: type4", 172),
        )
    }
}
