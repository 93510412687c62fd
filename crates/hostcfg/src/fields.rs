//! Reading typed values out of the JSON object, with messages that name field, value and what is
//! expected.

use report::strict_json::Object;
use report::strict_json::kind;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::secret::HIDDEN;

/// Longest part of a value that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

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
