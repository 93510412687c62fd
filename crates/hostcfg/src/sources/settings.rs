//! `ramstrap.key=value`, as it stands on the kernel command line and in OEM strings.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use crate::bond::BondMode;
use crate::config::HostConfig;
use crate::config::MAX_LEN;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::mac::Mac;
use crate::nearest::nearest;

const PREFIX: &str = "ramstrap.";

/// The key whose value is a whole configuration.
const WHOLE: &str = "host_config";

/// Keys that mean something to `/init` and are no part of a host configuration.
const OTHER_KEYS: [&str; 1] = ["report"];

/// Every key of a host configuration, without `ramstrap.` in front, in the order of the
/// documentation.
pub const KEYS: [&str; 15] = [
    WHOLE,
    "url",
    "network_mode",
    "ip",
    "gateway",
    "dns",
    "dns_search",
    "ntp",
    "interface",
    "bond",
    "vlan",
    "mtu",
    "proxy",
    "no_proxy",
    "remote_log",
];

const EXPECTED_BOND: &str = "802.3ad (which is LACP), active-backup, balance-rr, balance-xor, \
                             broadcast, balance-tlb or balance-alb, perhaps with a comma and the \
                             bond's name behind it";

/// Most settings that are looked at; the rest is left out with a warning.
const MAX_SETTINGS: usize = 1024;

/// Longest key that a warning repeats, in characters.
const MAX_KEY_SHOWN: usize = 64;

/// The settings of one source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Keys, without prefix, with their values, in the order of the source.
    entries: Vec<(&'static str, Zeroizing<String>)>,
    warnings: Vec<String>,
}

/// A host configuration that was put together from settings.
#[derive(Clone, Eq, PartialEq)]
pub struct Document {
    /// The JSON text. Holds secrets.
    pub json: Zeroizing<Vec<u8>>,
    /// What was tolerated, beside [`Settings::warnings`]. Holds no secret.
    pub warnings: Vec<String>,
}

/// Without the JSON text, which holds secrets.
impl core::fmt::Debug for Document {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Document").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

impl Settings {
    /// Picks what begins with `ramstrap.` out of words or strings. Everything else is somebody
    /// else's.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut settings = Self::default();
        let ours = words.into_iter().filter_map(|word| word.strip_prefix(PREFIX));
        for (count, word) in ours.enumerate() {
            if count == MAX_SETTINGS {
                settings
                    .warnings
                    .push(format!("more than {MAX_SETTINGS} settings; the rest is ignored"));
                break;
            }
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match KEYS.into_iter().find(|known| *known == key) {
                Some(_) if value.is_empty() => {
                    settings.warnings.push(format!("{PREFIX}{key}: has no value, ignored"));
                }
                Some(known) => {
                    settings.entries.push((known, Zeroizing::new(value.to_owned())));
                }
                None if OTHER_KEYS.contains(&key) => {}
                None => settings.warnings.push(unknown(key)),
            }
        }
        settings
    }

    /// Whether there is a host configuration: any setting that is part of one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was tolerated while the settings were read: unknown keys, keys without value.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The names of all settings as they are written, each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let present = KEYS.into_iter().filter(|key| self.entries.iter().any(|(k, _)| k == key));
        present.map(|key| format!("{PREFIX}{key}")).collect()
    }

    /// The host configuration that the settings are, as JSON that [`HostConfig::parse`] accepts.
    ///
    /// `ramstrap.host_config` is a configuration as a whole, and then nothing else counts; several
    /// of them are one text that was cut. Without it, the other settings are put together.
    ///
    /// # Errors
    ///
    /// Those of [`HostConfig::parse`], with the names of the settings in the place of the keys.
    pub fn document(&self) -> Result<Document, HostConfigError> {
        let mut warnings = Vec::new();
        let json = if self.has(WHOLE) {
            if self.names().len() > 1 {
                warnings.push(format!(
                    "{PREFIX}{WHOLE} is a configuration as a whole: all other settings beside it \
                     are ignored"
                ));
            }
            self.whole()?
        } else {
            let json = self.put_together()?;
            // Here, so that the message has the names that the author has written.
            HostConfig::parse(&json).map_err(renamed)?;
            json
        };
        Ok(Document { json, warnings })
    }

    /// A warning about [`Settings::document`], with the name of the setting in the place of the key's
    /// where they were put together.
    #[must_use]
    pub fn renamed_warning(&self, warning: &str) -> String {
        match warning.split_once(": ") {
            Some((field, what)) if !self.has(WHOLE) && !field.contains([' ', '"']) => {
                format!("{}: {what}", setting_of(field))
            }
            _ => warning.to_owned(),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.values(key).next().is_some()
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(move |(known, _)| *known == key).map(|(_, v)| v.as_str())
    }

    fn whole(&self) -> Result<Zeroizing<Vec<u8>>, HostConfigError> {
        let text = Zeroizing::new(self.values(WHOLE).collect::<String>());
        // Both alphabets: `base64` on a shell writes the one, command lines want the other.
        let alphabet =
            if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
        let lenient = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(false);
        let refused = |found: String| HostConfigError::Invalid {
            field: format!("{PREFIX}{WHOLE}"),
            found,
            expected: "the JSON text of a host configuration in base64 (URL alphabet), as \
                       `ramstrap host-config encode FILE` prints it; perhaps it was cut",
        };
        if text.len() > MAX_LEN {
            return Err(refused(format!("more than {MAX_LEN} characters")));
        }
        GeneralPurpose::new(&alphabet, lenient)
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| refused(format!("{} characters that are not base64", text.len())))
    }

    fn put_together(&self) -> Result<Zeroizing<Vec<u8>>, HostConfigError> {
        let mut json = Map::new();
        if !self.has("url") {
            return Err(missing("url", "an http:// or https:// URL of a descriptor"));
        }
        let mirrors: Vec<Value> = self.values("url").map(|url| json!({ "url": url })).collect();
        json.insert("mirrors".to_owned(), Value::Array(mirrors));

        let mode = match self.last("network_mode") {
            Some(mode) => mode,
            None if self.has("ip") => "static",
            None => "auto",
        };
        json.insert("network_mode".to_owned(), Value::from(mode));
        for (key, field) in [
            ("ip", "addresses"),
            ("gateway", "gateways"),
            ("dns", "dns"),
            ("dns_search", "dns_search"),
            ("ntp", "ntp"),
            ("no_proxy", "no_proxy"),
        ] {
            if self.has(key) {
                json.insert(field.to_owned(), self.list(key).map(Value::from).collect());
            }
        }
        if mode == "static" && !self.has("gateway") {
            // An address alone is a network without a way out: said here, not left to chance.
            json.insert("gateways".to_owned(), Value::Array(Vec::new()));
        }
        if self.has("interface") {
            json.insert(
                "network_interfaces".to_owned(),
                self.list("interface").map(selector).collect(),
            );
        }
        if let Some(bond) = self.last("bond") {
            let (mode, name) = bond.split_once(',').unwrap_or((bond, "bond0"));
            if mode.is_empty() || BondMode::from_name(mode).is_none() {
                let value = Value::from(mode);
                return Err(invalid(format!("{PREFIX}bond"), Some(&value), EXPECTED_BOND));
            }
            json.insert("bonding_mode".to_owned(), Value::from(mode));
            json.insert("bond_name".to_owned(), Value::from(name));
        }
        for key in ["vlan", "mtu"] {
            if let Some(text) = self.last(key) {
                let number = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
                json.insert(key.to_owned(), number);
            }
        }
        if let Some(proxy) = self.last("proxy") {
            json.insert("proxy".to_owned(), Value::from(proxy));
        }
        if let Some(url) = self.last("remote_log") {
            json.insert("remote_log".to_owned(), json!({ "url": url }));
        }
        let text = serde_json::to_vec(&Value::Object(json));
        text.map(Zeroizing::new).map_err(|error| HostConfigError::Malformed(error.to_string()))
    }

    /// The last one counts, as for everything on a command line that can be there only once.
    fn last(&self, key: &'static str) -> Option<&str> {
        self.values(key).last()
    }

    /// All values, also those of a list with commas.
    fn list<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.values(key).flat_map(|value| value.split(',')).filter(|value| !value.is_empty())
    }
}

/// An interface by whatever it is named with: MAC address, PCI path, or else name.
fn selector(text: &str) -> Value {
    let is_pci_path = text.contains(':') && text.contains('.');
    if text.parse::<Mac>().is_ok() {
        json!({ "mac_address": text })
    } else if is_pci_path {
        json!({ "pci_path": text })
    } else {
        json!({ "interface_name": text })
    }
}

fn missing(key: &str, expected: &'static str) -> HostConfigError {
    let (field, found) = (format!("{PREFIX}{key}"), "missing".to_owned());
    HostConfigError::Invalid { field, found, expected }
}

/// The name of a field as the author of a setting knows it.
fn renamed(error: HostConfigError) -> HostConfigError {
    let HostConfigError::Invalid { field, found, expected } = error else { return error };
    HostConfigError::Invalid { field: setting_of(&field), found, expected }
}

fn setting_of(field: &str) -> String {
    const NAMES: [(&str, &str); 8] = [
        ("mirrors", "url"),
        ("addresses", "ip"),
        ("host_ip", "ip"),
        ("gateways", "gateway"),
        ("network_interfaces", "interface"),
        ("bonding_mode", "bond"),
        ("bond_name", "bond"),
        ("bond_options", "bond"),
    ];
    let end = field.find(['[', '.']).unwrap_or(field.len());
    let (key, rest) = field.split_at(end);
    let key = NAMES.into_iter().find(|(name, _)| *name == key).map_or(key, |(_, key)| key);
    // Behind the index is the name of a key that no setting has.
    let rest = rest.split('.').next().unwrap_or_default();
    format!("{PREFIX}{key}{rest}")
}

fn unknown(key: &str) -> String {
    let short: String = key.chars().take(MAX_KEY_SHOWN).collect();
    let near = nearest(&short, KEYS);
    match near {
        Some(known) => {
            format!("{PREFIX}{}: unknown, ignored; is it {PREFIX}{known}?", short.escape_debug())
        }
        None => format!(
            "{PREFIX}{}: unknown, ignored; known are {}",
            short.escape_debug(),
            KEYS.join(", ")
        ),
    }
}
