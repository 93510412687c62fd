//! Reading typed values out of the JSON object, with messages that name field, value and what is
//! expected.

use core::ops::RangeInclusive;

use report::strict_json::Object;
use report::strict_json::kind;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::provisioning_url::UrlError;
use crate::secret::HIDDEN;

/// Longest part of a value that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

/// Longest part of an unknown key that a warning repeats, in characters.
const MAX_KEY_SHOWN: usize = 64;

/// How a value appears in messages. What looks like a URL with a password is not repeated.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::String(text)) if text.contains('@') => format!("\"{HIDDEN}\""),
        Some(Value::String(text)) => {
            let short: String = text.chars().take(MAX_SHOWN).collect();
            let cut = if short.len() < text.len() { "…" } else { "" };
            format!("{short:?}{cut}")
        }
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(other) => kind(other).to_owned(),
    }
}

/// The error for a value that is not what `expected` says.
pub(crate) fn invalid(
    field: impl Into<String>,
    value: Option<&Value>,
    expected: &'static str,
) -> HostConfigError {
    HostConfigError::Invalid { field: field.into(), found: shown(value), expected }
}

/// Like [`invalid`], for a field whose text must not be repeated.
pub(crate) fn invalid_secret(
    field: &str,
    value: Option<&Value>,
    expected: &'static str,
) -> HostConfigError {
    let found = match value {
        Some(Value::String(text)) if text.is_empty() => "\"\"".to_owned(),
        Some(Value::String(_)) => format!("\"{HIDDEN}\""),
        Some(Value::Number(_)) => "a number".to_owned(),
        other => shown(other),
    };
    HostConfigError::Invalid { field: field.to_owned(), found, expected }
}

/// Like [`invalid`], for a text that should be a URL: it is repeated only if it can hold no password
/// or token. `why` says what is wrong with it.
pub(crate) fn invalid_url(
    field: &str,
    text: &str,
    why: Option<UrlError>,
    expected: &'static str,
) -> HostConfigError {
    let text = if text.contains(['@', '?']) { HIDDEN } else { text };
    let mut found = shown(Some(&Value::from(text)));
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
        Some(other) => Err(invalid_secret(field, Some(&other), "a string")),
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
        format!("{short:?}: unknown key, ignored")
    }));
}
