//! JSON documents: which keys differ.

use serde_json::Value;

use super::Change;
use super::Found;

/// Compares two documents key by key. Gives false, and says nothing, if one of them does not parse.
pub(super) fn documents(found: &mut Found, place: &[String], first: &[u8], second: &[u8]) -> bool {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(first), Some(second)) = (parse(first), parse(second)) else { return false };
    values(found, place, "", Some(&first), Some(&second));
    true
}

fn values(
    found: &mut Found,
    place: &[String],
    key: &str,
    first: Option<&Value>,
    second: Option<&Value>,
) {
    if first == second {
        return;
    }
    let inside = |name: &str| match key {
        "" => name.to_owned(),
        _ => format!("{key}.{name}"),
    };
    match (first, second) {
        (Some(Value::Object(first)), Some(Value::Object(second))) => {
            for (name, value) in first {
                values(found, place, &inside(name), Some(value), second.get(name));
            }
            for (name, value) in second.iter().filter(|(name, _)| !first.contains_key(*name)) {
                values(found, place, &inside(name), None, Some(value));
            }
        }
        (Some(Value::Array(first)), Some(Value::Array(second))) => {
            for index in 0..first.len().max(second.len()) {
                let key = format!("{key}[{index}]");
                values(found, place, &key, first.get(index), second.get(index));
            }
        }
        _ => {
            let text = |value: Option<&Value>| {
                value.map_or_else(|| "(absent)".to_owned(), Value::to_string)
            };
            let (first, second) = (text(first), text(second));
            let name = if key.is_empty() { "document" } else { key };
            if first == second {
                // Numbers may be the same for people and not for a parser.
                found.add(place, Change::Order);
            } else {
                found.value(place, name, &first, &second);
            }
        }
    }
}
