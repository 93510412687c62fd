//! Reading typed values out of the JSON object, with messages that name field, value and what is
//! expected.

use core::ops::RangeInclusive;

use report::strict_json::Object;
use report::strict_json::kind;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::nearest::KNOWN_KEYS;
use crate::nearest::nearest;
use crate::provisioning_url::UrlError;
use crate::secret::HIDDEN;

/// Longest part of a value that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

/// Longest part of an unknown key that a warning repeats, in characters.
const MAX_KEY_SHOWN: usize = 64;

/// Where a text that is shown ends, as a token may follow: a query, a value, a header's value.
const SHOWN_UNTIL: [char; 4] = ['?', '=', ' ', '\t'];

/// Keys whose values may be secrets, or hold them, at whatever place they were written.
const SECRET_KEYS: [&str; 11] = [
    "authentication",
    "client_certificate",
    "client_key",
    "headers",
    "identity",
    "mirrors",
    "ospkg_pointer",
    "provisioning_urls",
    "proxy",
    "remote_log",
    "url",
];

/// How a value appears in messages. Of a text no more than what stands before a query or a blank,
/// and nothing if it looks like a URL with a password.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::String(text)) if text.contains('@') => format!("\"{HIDDEN}\""),
        Some(Value::String(text)) => {
            let plain = text.split(SHOWN_UNTIL).next().unwrap_or_default();
            let short: String = plain.chars().take(MAX_SHOWN).collect();
            let cut = if short.len() < text.len() { "…" } else { "" };
            format!("{short:?}{cut}")
        }
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(other) => kind(other).to_owned(),
    }
}

/// What a value is, without any of it.
fn described(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "\"\"".to_owned(),
        Some(Value::String(text)) => match text.chars().count() {
            1 => "a string of 1 character".to_owned(),
            count => format!("a string of {count} characters"),
        },
        Some(other) => kind(other).to_owned(),
    }
}

/// Whether this field's value, or that of a list's entry, may be a secret.
fn is_secret(field: &str) -> bool {
    let key = field.split('[').next().unwrap_or_default();
    SECRET_KEYS.contains(&key)
}

/// The error for a value that is not what `expected` says. What may be a secret is told by its kind
/// and length.
pub(crate) fn invalid(
    field: impl Into<String>,
    value: Option<&Value>,
    expected: &'static str,
) -> HostConfigError {
    let field = field.into();
    let found = if is_secret(&field) { described(value) } else { shown(value) };
    HostConfigError::Invalid { field, found, expected }
}

/// Like [`invalid`], for a text that should be a URL: it is not repeated, as it can hold a password
/// or a token anywhere. `why` says what is wrong with it.
pub(crate) fn invalid_url(
    field: &str,
    text: &str,
    why: Option<UrlError>,
    expected: &'static str,
) -> HostConfigError {
    let mut found = described(Some(&Value::from(text)));
    if let Some(why) = why {
        found.push_str(&format!(" ({why})"));
    }
    HostConfigError::Invalid { field: field.to_owned(), found, expected }
}

/// A string that may be absent or `null`.
pub(crate) fn optional_string(
    object: &mut Object,
    field: &str,
    expected: &'static str,
) -> Result<Option<String>, HostConfigError> {
    match object.take_set(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(field, Some(&other), expected)),
    }
}

/// A secret string that may be absent or `null`.
pub(crate) fn optional_secret_string(
    object: &mut Object,
    field: &str,
) -> Result<Option<String>, HostConfigError> {
    match object.take_set(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(field, Some(&other), "a string")),
    }
}

/// A value that is read from a string, and may be absent or `null`.
pub(crate) fn optional_parsed<T>(
    object: &mut Object,
    field: &str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, HostConfigError> {
    let Some(value) = object.take_set(field) else { return Ok(None) };
    match value.as_str().and_then(read) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(invalid(field, Some(&value), expected)),
    }
}

/// A list that may be absent or `null`.
pub(crate) fn optional_list(
    object: &mut Object,
    field: &str,
    expected: &'static str,
) -> Result<Option<Vec<Value>>, HostConfigError> {
    match object.take_set(field) {
        None => Ok(None),
        Some(Value::Array(entries)) => Ok(Some(entries)),
        Some(other) => Err(invalid(field, Some(&other), expected)),
    }
}

/// A list that may be absent or `null`, of at most `limit` entries; entries that are `null` are
/// skipped with a warning. Gives the field name of each entry (indexes from 1) with its value;
/// `None` if there is no list.
pub(crate) fn optional_entries(
    object: &mut Object,
    field: &str,
    expected: &'static str,
    limit: usize,
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<(String, Value)>>, HostConfigError> {
    let Some(values) = optional_list(object, field, expected)? else { return Ok(None) };
    if values.len() > limit {
        let found = format!("{} entries", values.len());
        return Err(HostConfigError::Invalid { field: field.to_owned(), found, expected });
    }
    let mut entries = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let name = format!("{field}[{}]", index + 1);
        if value.is_null() {
            warnings.push(format!("{name}: null is skipped"));
        } else {
            entries.push((name, value));
        }
    }
    Ok(Some(entries))
}

/// A list as [`optional_entries`] has it, each entry read from a string.
pub(crate) fn parsed_list<T>(
    object: &mut Object,
    field: &str,
    expected: &'static str,
    limit: usize,
    warnings: &mut Vec<String>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, HostConfigError> {
    let entries = optional_entries(object, field, expected, limit, warnings)?;
    let Some(entries) = entries else { return Ok(None) };
    let read_one = |(name, value): (String, Value)| {
        value.as_str().and_then(&read).ok_or_else(|| invalid(name, Some(&value), expected))
    };
    entries.into_iter().map(read_one).collect::<Result<_, _>>().map(Some)
}

/// A whole number within limits, that may be absent or `null`.
pub(crate) fn optional_number<T: TryFrom<u64> + PartialOrd>(
    object: &mut Object,
    field: &str,
    expected: &'static str,
    range: RangeInclusive<T>,
) -> Result<Option<T>, HostConfigError> {
    let Some(value) = object.take_set(field) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(invalid(field, Some(&value), expected)),
    }
}

/// A boolean that may be absent or `null`.
pub(crate) fn optional_flag(
    object: &mut Object,
    field: &str,
) -> Result<Option<bool>, HostConfigError> {
    match object.take_set(field) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(invalid(field, Some(&other), "true or false")),
    }
}

/// Reads an object inside the object. Errors and warnings get the name of its field in front; keys
/// that `read` does not take are warned of.
pub(crate) fn nested<T>(
    field: &str,
    value: Value,
    expected: &'static str,
    warnings: &mut Vec<String>,
    read: impl FnOnce(&mut Object, &mut Vec<String>) -> Result<T, HostConfigError>,
) -> Result<T, HostConfigError> {
    if !value.is_object() {
        return Err(invalid(field, Some(&value), expected));
    }
    let mut object = Object::from_value(value)
        .map_err(|error| HostConfigError::Malformed(format!("{field}: {error}")))?;
    let mut inner = Vec::new();
    let result = read(&mut object, &mut inner).map_err(|error| match error {
        HostConfigError::Invalid { field: name, found, expected } => {
            HostConfigError::Invalid { field: format!("{field}.{name}"), found, expected }
        }
        other => other,
    });
    warn_of_unknown_keys(&object, &mut inner);
    warnings.extend(inner.into_iter().map(|warning| format!("{field}.{warning}")));
    result
}

/// Names of keys only: what an unknown key holds may be a secret.
pub(crate) fn warn_of_unknown_keys(object: &Object, warnings: &mut Vec<String>) {
    warnings.extend(object.unknown_keys().map(|key| {
        let short: String = key.chars().take(MAX_KEY_SHOWN).collect();
        let folded = short.to_ascii_lowercase();
        match nearest(&folded, KNOWN_KEYS) {
            Some(known) if known == folded => {
                format!("{short:?}: unknown key, ignored; it is known, but not at this place")
            }
            Some(near) => format!("{short:?}: unknown key, ignored; is it {near:?}?"),
            None => format!("{short:?}: unknown key, ignored"),
        }
    }));
}
