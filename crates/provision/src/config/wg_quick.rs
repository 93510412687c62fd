//! Files as `wg-quick` and `wg setconf` read them, made into the field `wireguard`.

use report::strict_json;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::Problems;

/// The keys of one section, in the order of the file, each with the number of its line.
struct Section {
    name: String,
    entries: Vec<(usize, String, Zeroizing<String>)>,
}

/// The object `wireguard`.
///
/// # Errors
/// With the number of the line. What a server cannot do is refused, not left out.
pub(crate) fn to_json(text: &str) -> Result<Value, ConfigError> {
    let mut problems = Problems::default();
    let mut object = Map::new();
    let mut peers = Vec::new();
    let mut interfaces = 0;
    for section in sections(text, &mut problems) {
        if section.name.eq_ignore_ascii_case("interface") {
            interfaces += 1;
            for (line, key, value) in section.entries {
                interface(&mut object, line, &key, &value, &mut problems);
            }
        } else {
            let mut peer = Map::new();
            for (line, key, value) in section.entries {
                self::peer(&mut peer, line, &key, &value, &mut problems);
            }
            peers.push(Value::Object(peer));
        }
    }
    if interfaces != 1 {
        problems.add(
            "",
            format!("the WireGuard file has {interfaces} sections [Interface], expected one"),
        );
    }
    if !problems.0.is_empty() {
        return Err(ConfigError(problems.0));
    }
    object.insert("peers".to_owned(), Value::Array(peers));
    Ok(Value::Object(object))
}

/// The configuration with `wireguard` in it.
///
/// # Errors
/// If the configuration is no JSON object, or has that field.
pub(crate) fn insert(json: &[u8], wireguard: &Value) -> Result<Zeroizing<String>, ConfigError> {
    let object =
        strict_json::parse_object(json).map_err(|error| ConfigError::whole(error.to_string()))?;
    if object.unknown_keys().any(|key| key == "wireguard") {
        return Err(ConfigError::whole(
            "wireguard: it is in the configuration as well as in a file of its own; keep one of them",
        ));
    }
    let text = String::from_utf8_lossy(json);
    let text = text.trim_matches([' ', '\t', '\r', '\n', '\0']);
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let comma = if inside.trim().is_empty() { "" } else { "," };
    let wireguard = Zeroizing::new(wireguard.to_string());
    Ok(Zeroizing::new(format!("{{{inside}{comma}\"wireguard\":{}}}", *wireguard)))
}

fn sections(text: &str, problems: &mut Problems) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if !["interface", "peer"].contains(&name.to_ascii_lowercase().as_str()) {
                problems.add(place(number), "a section must be [Interface] or [Peer]");
            }
            sections.push(Section { name: name.to_owned(), entries: Vec::new() });
            continue;
        }
        match (line.split_once('='), sections.last_mut()) {
            (Some((key, value)), Some(section)) => {
                let value = Zeroizing::new(value.trim().to_owned());
                section.entries.push((number, key.trim().to_ascii_lowercase(), value));
            }
            (_, None) => problems.add(place(number), "it stands before the first section"),
            (None, _) => problems.add(place(number), "not a line KEY = VALUE"),
        }
    }
    sections
}

fn interface(
    object: &mut Map<String, Value>,
    line: usize,
    key: &str,
    value: &str,
    problems: &mut Problems,
) {
    match key {
        "privatekey" => set(object, "private_key", json!(value), line, problems),
        "listenport" => set(object, "listen_port", number(value), line, problems),
        "mtu" => set(object, "mtu", number(value), line, problems),
        "address" => extend(object, "addresses", value),
        "saveconfig" if value.eq_ignore_ascii_case("false") => {}
        "dns" => problems
            .add(place(line), "DNS: clients are told of the server's resolver; take the line out"),
        "table" | "preup" | "postup" | "predown" | "postdown" | "saveconfig" | "fwmark" => {
            problems.add(
                place(line),
                "routes, firewall and address translation are the machine's own; take the line out",
            );
        }
        _ => problems.add(
            place(line),
            "unknown key; in [Interface] there are PrivateKey, ListenPort, Address, MTU",
        ),
    }
}

fn peer(
    object: &mut Map<String, Value>,
    line: usize,
    key: &str,
    value: &str,
    problems: &mut Problems,
) {
    match key {
        "publickey" => set(object, "public_key", json!(value), line, problems),
        "presharedkey" => set(object, "preshared_key", json!(value), line, problems),
        "allowedips" => extend(object, "allowed_ips", value),
        "endpoint" | "persistentkeepalive" => problems.add(
            place(line),
            "the server waits for its clients and never calls them; take the line out",
        ),
        _ => problems.add(
            place(line),
            "unknown key; in [Peer] there are PublicKey, PresharedKey, AllowedIPs",
        ),
    }
}

/// A number, or the text as it is, which the check of the whole will refuse.
fn number(value: &str) -> Value {
    value.parse::<u64>().map_or_else(|_| json!(value), Value::from)
}

fn set(
    object: &mut Map<String, Value>,
    field: &str,
    value: Value,
    line: usize,
    problems: &mut Problems,
) {
    if object.insert(field.to_owned(), value).is_some() {
        problems.add(place(line), "the section has this key already");
    }
}

/// Lists may be written in one line or in several.
fn extend(object: &mut Map<String, Value>, field: &str, value: &str) {
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    // A lone address means that one address.
    let entries = entries.map(|entry| match entry.parse::<core::net::IpAddr>() {
        Ok(address) => json!(format!("{entry}/{}", if address.is_ipv4() { 32 } else { 128 })),
        Err(_) => json!(entry),
    });
    let list = object.entry(field).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.extend(entries);
    }
}

fn place(line: usize) -> String {
    format!("line {line} of the WireGuard file")
}
