//! The configuration of a Tor relay.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::Fields;
use crate::config::Problems;
use crate::config::Secret;
use crate::config::Ssh;
use crate::config::Time;
use crate::config::hostname;
use crate::config::vpn::common;

const MAX_NICKNAME_LEN: usize = 19;
const MAX_CONTACT_LEN: usize = 256;
const MAX_LINES: usize = 64;
const MAX_LINE_LEN: usize = 4096;
/// Options that say what a relay offers and to whom it belongs. Nothing here opens a port for
/// control or clients, writes a file, or asks for a log.
const OPTIONS: [&str; 17] = [
    "AccountingMax",
    "AccountingRule",
    "AccountingStart",
    "Address",
    "AssumeReachable",
    "AssumeReachableIPv6",
    "ExitPolicy",
    "ExitPolicyRejectPrivate",
    "IPv6Exit",
    "MaxAdvertisedBandwidth",
    "MaxMemInQueues",
    "MyFamily",
    "NumCPUs",
    "OutboundBindAddress",
    "ReducedExitPolicy",
    "RelayBandwidthBurst",
    "RelayBandwidthRate",
];
const EXIT_OPTIONS: [&str; 4] =
    ["ExitPolicy", "ExitPolicyRejectPrivate", "IPv6Exit", "ReducedExitPolicy"];

/// A Tor relay.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TorRelay {
    /// The machine's name.
    pub hostname: String,
    /// The relay.
    pub tor: Tor,
    /// How it keeps the time; `None`: as it was built.
    pub time: Option<Time>,
    /// How staff may log in; `None`: not at all.
    pub ssh: Option<Ssh>,
}

/// The relay.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Tor {
    /// Its name in the network.
    pub nickname: String,
    /// Whom to write to about it; public.
    pub contact: String,
    /// The TCP port for other relays and clients.
    pub or_port: u16,
    /// Whether traffic leaves the network here.
    pub exit: bool,
    /// How much of the line it uses, in Mbit/s; `None`: all.
    pub bandwidth_mbit: Option<u32>,
    /// The keys that make it the same relay after a restart.
    pub keys: TorKeys,
    /// Further lines of `torrc`, from a list of options that cannot make it keep or open anything.
    pub torrc: Vec<String>,
}

/// The files of a relay's `keys` directory, in base64 where they are binary.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TorKeys {
    /// `ed25519_master_id_public_key`.
    pub ed25519_master_id_public_key: String,
    /// `ed25519_signing_secret_key`.
    pub ed25519_signing_secret_key: Secret,
    /// `ed25519_signing_cert`.
    pub ed25519_signing_cert: String,
    /// `ed25519_master_id_secret_key`; better kept offline.
    pub ed25519_master_id_secret_key: Option<Secret>,
    /// `secret_id_key`, PEM.
    pub secret_id_key: Secret,
    /// `secret_onion_key`, PEM.
    pub secret_onion_key: Option<Secret>,
    /// `secret_onion_key_ntor`.
    pub secret_onion_key_ntor: Option<Secret>,
}

impl TorRelay {
    pub(crate) fn read(fields: &mut Fields, problems: &mut Problems) -> Option<Self> {
        let hostname = fields.text("hostname", problems, hostname);
        let tor = fields
            .required("tor", problems)
            .and_then(|value| Tor::read(fields.path("tor"), value, problems));
        let (time, ssh) = common(fields, problems);
        Some(Self { hostname: hostname?, tor: tor?, time: time?, ssh: ssh? })
    }
}

impl Tor {
    fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let nickname = fields.text("nickname", problems, nickname);
        let contact = fields.text("contact", problems, contact);
        let or_port = fields.number("or_port", 1..=65_535, None, problems);
        let exit = fields.flag("exit", problems);
        // 0 stands for "absent" on the way through.
        let bandwidth = fields.number("bandwidth_mbit", 1..=1_000_000, Some(0), problems);
        let keys = fields
            .required("keys", problems)
            .and_then(|value| TorKeys::read(fields.path("keys"), value, problems));
        let torrc = fields
            .texts("torrc", 0..=MAX_LINES, problems, |line| torrc(line, exit.unwrap_or_default()));
        fields.finish(problems);
        let bandwidth = u32::try_from(bandwidth?).ok()?;
        Some(Self {
            nickname: nickname?,
            contact: contact?,
            or_port: or_port?.try_into().ok()?,
            exit: exit?,
            bandwidth_mbit: (bandwidth > 0).then_some(bandwidth),
            keys: keys?,
            torrc: torrc?,
        })
    }
}

impl TorKeys {
    fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let public = fields.text("ed25519_master_id_public_key", problems, |text| {
            tagged(text, "public", 64).then(|| text.to_owned()).ok_or_else(|| {
                "the file of this name in base64: 64 bytes that begin with `== ed25519v1-public`".to_owned()
            })
        });
        let cert = fields.text("ed25519_signing_cert", problems, |text| {
            tagged(text, "cert", 32 + 104).then(|| text.to_owned()).ok_or_else(|| {
                "the file of this name in base64, which begins with `== ed25519v1-cert`".to_owned()
            })
        });
        let secret_key = |text: &str| {
            tagged(text, "secret", 96).then_some(()).ok_or(
                "not the file of this name; expected base64 of 96 bytes that begin with `== ed25519v1-secret`",
            )
        };
        let signing = fields.secret("ed25519_signing_secret_key", problems, secret_key);
        let master = fields.optional_secret("ed25519_master_id_secret_key", problems, secret_key);
        let identity = fields.secret("secret_id_key", problems, rsa_pem);
        let onion = fields.optional_secret("secret_onion_key", problems, rsa_pem);
        let ntor = fields.optional_secret("secret_onion_key_ntor", problems, |text| {
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).unwrap_or_default());
            (bytes.len() >= 64).then_some(()).ok_or("not the file of this name in base64")
        });
        fields.finish(problems);
        Some(Self {
            ed25519_master_id_public_key: public?,
            ed25519_signing_secret_key: signing?,
            ed25519_signing_cert: cert?,
            ed25519_master_id_secret_key: master?,
            secret_id_key: identity?,
            secret_onion_key: onion?,
            secret_onion_key_ntor: ntor?,
        })
    }
}

/// Tor's binary key files have a line of text and zeros, 32 bytes, before the key.
fn tagged(text: &str, kind: &str, length: usize) -> bool {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).unwrap_or_default());
    let fits = if kind == "cert" { bytes.len() >= length } else { bytes.len() == length };
    fits && bytes.starts_with(format!("== ed25519v1-{kind}: ").as_bytes())
}

fn rsa_pem(text: &str) -> Result<(), &'static str> {
    // Tor itself ends the file with a NUL.
    let text = text.trim_end_matches('\0').trim();
    let framed = text.starts_with("-----BEGIN RSA PRIVATE KEY-----")
        && text.ends_with("-----END RSA PRIVATE KEY-----");
    let plain = text.chars().all(|letter| letter == '\n' || letter == '\r' || !letter.is_control());
    (framed && plain).then_some(()).ok_or("not a PEM block RSA PRIVATE KEY")
}

fn nickname(text: &str) -> Result<String, String> {
    let fits = (1..=MAX_NICKNAME_LEN).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {MAX_NICKNAME_LEN} letters and digits"))
    }
}

fn contact(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    // A number sign would begin a comment in torrc, a backslash continue the line.
    if (1..=MAX_CONTACT_LEN).contains(&text.len()) && printable && !text.contains(['#', '\\', '"'])
    {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {MAX_CONTACT_LEN} printable ASCII characters, none of them # \\ \""))
    }
}

fn torrc(line: &str, exit: bool) -> Result<String, String> {
    let printable = line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let option = line.split(' ').next().unwrap_or_default();
    let known = OPTIONS.iter().find(|known| known.eq_ignore_ascii_case(option));
    if line.len() > MAX_LINE_LEN || !printable || line.contains(['#', '\\', '"']) {
        return Err(format!(
            "one line of at most {MAX_LINE_LEN} printable characters, none of them # \\ \""
        ));
    }
    match known {
        None => Err(format!("a line that begins with one of {}", OPTIONS.join(", "))),
        Some(known) if !exit && EXIT_OPTIONS.contains(known) => {
            Err(format!("no {known} while tor.exit is false"))
        }
        Some(_) => Ok(line.to_owned()),
    }
}
