//! Staff's way in for maintenance, off unless it is configured.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostcfg::Cidr;
use serde::Serialize;
use serde_json::Value;

use crate::config::Fields;
use crate::config::Problems;
use crate::config::network::network;

const MAX_KEYS: usize = 64;
const MAX_NETWORKS: usize = 64;
const MAX_LINE_LEN: usize = 512;
const TYPES: [&str; 2] = ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"];

/// An SSH server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ssh {
    /// Its TCP port.
    pub port: u16,
    /// Lines of `authorized_keys`, without options.
    pub authorized_keys: Vec<String>,
    /// The networks that it answers; at least one.
    pub allow_from: Vec<Cidr>,
}

impl Ssh {
    pub(crate) fn read(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems)?;
        let port = fields.number("port", 1..=65_535, Some(22), problems);
        let place = fields.path("port");
        let authorized_keys = fields.texts("authorized_keys", 1..=MAX_KEYS, problems, key);
        let allow_from = fields.texts("allow_from", 1..=MAX_NETWORKS, problems, network);
        fields.finish(problems);
        if port == Some(crate::PORT.into()) {
            problems.add(place, format!("{} is the port of provisioning", crate::PORT));
            return None;
        }
        Some(Self {
            port: port?.try_into().ok()?,
            authorized_keys: authorized_keys?,
            allow_from: allow_from?,
        })
    }
}

/// A line `TYPE BASE64 COMMENT`, the comment being optional.
fn key(line: &str) -> Result<String, String> {
    let expected =
        || "a line such as `ssh-ed25519 AAAA… name`, without options before it".to_owned();
    if line.len() > MAX_LINE_LEN || line.chars().any(char::is_control) {
        return Err(expected());
    }
    let mut words = line.split(' ');
    let kind = words.next().filter(|kind| TYPES.contains(kind)).ok_or_else(expected)?;
    let blob = words.next().and_then(|text| BASE64_STANDARD.decode(text).ok());
    // The key itself begins with its type behind a length, as everything in it.
    let head: Vec<u8> =
        [&u32::try_from(kind.len()).unwrap_or_default().to_be_bytes()[..], kind.as_bytes()]
            .concat();
    let rest = blob.as_deref().and_then(|blob| blob.strip_prefix(head.as_slice()));
    match rest {
        Some([0, 0, 0, 32, key @ ..]) if key.len() >= 32 => Ok(line.to_owned()),
        _ => Err(expected()),
    }
}
