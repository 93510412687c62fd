//! JSON objects read so that no two readers can understand them differently.
//!
//! Files that decide what is trusted or where a machine boots from are also read by other programs.
//! A key that appears twice, or once as `Key` and once as `key`, means one thing to one reader and
//! another to the next; so do bytes behind the object. Both are refused here, at every level.
//! Keys are found whatever their case, as the readers of System Transparency do it.
//!
//! Guaranteed: no input makes these functions panic, nesting is at most 127 levels deep, numbers keep
//! their kind (`2`, `2.0` and `2e0` are three different things: only the first is an integer), and no
//! error repeats a value of the input, only the names of keys.

use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeSet;

use serde::de::DeserializeSeed;
use serde::de::Error as _;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;

/// Longest part of a key that an error repeats, in characters.
const MAX_KEY_IN_ERROR: usize = 64;

/// Why bytes are not an object that can be read in one way only.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StrictJsonError {
    /// Not JSON, cut short, not UTF-8, or nested too deeply.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// JSON, but not an object.
    #[error("must be a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// A key that appears twice in one object, perhaps in different case.
    #[error("key {0:?} appears more than once")]
    DuplicateKey(String),
    /// Something other than white space or NUL bytes follows the object.
    #[error("other data follows the JSON object")]
    TrailingData,
}

/// A JSON object whose keys are found regardless of case, each at most once.
///
/// Keys are taken out one by one; what is left in the end is unknown to the caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    entries: Vec<(String, Value)>,
}

/// Reads one object. White space and NUL bytes may follow it, nothing else.
///
/// # Errors
///
/// See [`StrictJsonError`].
pub fn parse_object(bytes: &[u8]) -> Result<Object, StrictJsonError> {
    let end = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0))
        .map_or(0, |last| last.saturating_add(1));
    let text = bytes.get(..end).unwrap_or_default();

    let duplicate = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Strict { duplicate: &duplicate }.deserialize(&mut deserializer);
    if let Some(key) = duplicate.into_inner() {
        return Err(StrictJsonError::DuplicateKey(key));
    }
    let value = parsed.map_err(|error| StrictJsonError::Syntax(error.to_string()))?;
    deserializer.end().map_err(|_| StrictJsonError::TrailingData)?;
    Object::from_value(value)
}

impl Object {
    /// The object that a value of an already parsed [`Object`] is: for objects inside objects.
    ///
    /// # Errors
    ///
    /// [`StrictJsonError::NotAnObject`]; [`StrictJsonError::DuplicateKey`] for a value that did not
    /// come out of [`parse_object`] and has two keys that differ in case only.
    pub fn from_value(value: Value) -> Result<Self, StrictJsonError> {
        let map = match value {
            Value::Object(map) => map,
            other => return Err(StrictJsonError::NotAnObject(kind(&other))),
        };
        let mut seen = BTreeSet::new();
        for key in map.keys() {
            if !seen.insert(fold(key)) {
                return Err(StrictJsonError::DuplicateKey(shorten(key)));
            }
        }
        Ok(Self { entries: map.into_iter().collect() })
    }

    /// Takes the value of `key` out, whatever the case of the key in the file. A value that is
    /// there but `null` comes as [`Value::Null`].
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let wanted = fold(key);
        let position = self.entries.iter().position(|(name, _)| fold(name) == wanted)?;
        Some(self.entries.remove(position).1)
    }

    /// Like [`Object::take`], but `null` counts as absent.
    pub fn take_set(&mut self, key: &str) -> Option<Value> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is there and not `null`.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_null())
    }

    /// The text that `key` holds, if it holds one. It is not taken out.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let wanted = fold(key);
        self.entries.iter().find(|(name, _)| fold(name) == wanted).map(|(_, value)| value)
    }

    /// Gives `key` a value, in the place of the one that it may have: for forms of older versions
    /// that are read as today's.
    pub fn put(&mut self, key: &str, value: Value) {
        self.take(key);
        self.entries.push((key.to_owned(), value));
    }

    /// Names of the keys that nobody has taken, as they are written in the file. They may hold
    /// control characters: print them with `{:?}`.
    pub fn unknown_keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// Name of a value's type, for messages such as "must be a string, not an array".
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What two keys must share to be the same key: ASCII case is ignored, and so are the two other
/// characters that fold to ASCII letters (long s and the Kelvin sign), because the readers of System
/// Transparency take them for `s` and `k`.
fn fold(key: &str) -> String {
    key.chars()
        .map(|character| match character {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

fn shorten(key: &str) -> String {
    key.chars().take(MAX_KEY_IN_ERROR).collect()
}

/// Reads any value, but no object with a repeated key. The key goes out through `duplicate`, since
/// the deserializer's own error can carry text only.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(fold(&key)) {
                *self.duplicate.borrow_mut() = Some(shorten(&key));
                return Err(A::Error::custom("duplicate key"));
            }
            let value = access.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;
    use serde_json::Value;
    use serde_json::json;

    use super::Object;
    use super::StrictJsonError;
    use super::parse_object;

    #[test]
    fn keys_are_found_in_any_case_and_the_rest_is_unknown() {
        let mut object = parse_object(br#"{"OSPKG_Url": 1, "null": null, "x": [2]}"#).unwrap();
        assert_eq!(object.take("ospkg_url"), Some(json!(1)));
        assert_eq!(object.take("ospkg_url"), None);
        assert_eq!(object.clone().take("null"), Some(Value::Null));
        assert_eq!(object.take_set("null"), None);
        assert_eq!(object.unknown_keys().collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn letters_that_fold_to_ascii_are_the_same_key() {
        let mut object = parse_object("{\"o\u{17f}p\u{212a}g\": 1}".as_bytes()).unwrap();
        assert_eq!(object.take("ospkg"), Some(json!(1)));
        let error = parse_object("{\"\u{17f}\": 1, \"S\": 2}".as_bytes()).unwrap_err();
        assert_eq!(error, StrictJsonError::DuplicateKey("S".into()));
    }

    #[test]
    fn repeated_keys_are_refused_at_every_level() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"A": 1, "a": 2}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"x": {"a": 1, "a": 2}}"#,
            r#"{"x": [[{"a": 1, "A": 2}]]}"#,
        ] {
            let error = parse_object(text.as_bytes()).unwrap_err();
            assert!(matches!(error, StrictJsonError::DuplicateKey(_)), "{text}: {error}");
        }
        assert!(parse_object(br#"{"x": {"a": 1}, "y": {"a": 2}}"#).is_ok());
    }

    #[test]
    fn white_space_and_nul_may_follow_and_nothing_else() {
        assert!(parse_object(b" {} \r\n\t\0\0\n").is_ok());
        for text in [&b"{} x"[..], b"{}{}", b"{},", b"{}\0{}", b"{}\x0b"] {
            let error = parse_object(text).unwrap_err();
            assert_eq!(error, StrictJsonError::TrailingData, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_objects_of_valid_json() {
        for (text, name) in
            [("[]", "an array"), ("null", "null"), ("\"secret\"", "a string"), ("2", "a number")]
        {
            let error = parse_object(text.as_bytes()).unwrap_err();
            assert_eq!(error, StrictJsonError::NotAnObject(name));
        }
        for text in
            [&b""[..], b"\0", b"{", b"hello", b"\xef\xbb\xbf{}", b"{\"a\": \"\xff\"}", b"{a: 1}"]
        {
            let error = parse_object(text).unwrap_err();
            assert!(matches!(error, StrictJsonError::Syntax(_)), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn numbers_keep_their_kind() {
        let mut object =
            parse_object(br#"{"a": 2, "b": 2.0, "c": 2e0, "d": 18446744073709551616, "e": -1}"#)
                .unwrap();
        assert_eq!(object.take("a").unwrap().as_u64(), Some(2));
        for key in ["b", "c", "d", "e"] {
            assert_eq!(object.take(key).unwrap().as_u64(), None, "{key}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested =
            |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(100).as_bytes()).is_ok());
        for depth in [128, 100_000] {
            let error = parse_object(nested(depth).as_bytes()).unwrap_err();
            assert!(matches!(error, StrictJsonError::Syntax(_)));
        }
    }

    #[test]
    fn objects_inside_objects_are_read_the_same_way() {
        let mut object = parse_object(br#"{"nic": {"MAC_Address": "x"}}"#).unwrap();
        let mut nic = Object::from_value(object.take("nic").unwrap()).unwrap();
        assert_eq!(nic.take("mac_address"), Some(json!("x")));
        let error = Object::from_value(json!({"a": 1, "A": 2})).unwrap_err();
        assert!(matches!(error, StrictJsonError::DuplicateKey(_)));
    }

    #[test]
    fn errors_name_keys_in_printable_form_and_no_values() {
        let error = parse_object(b"{\"\\u001b[31m\": \"secret\", \"\\u001b[31m\": 2}").unwrap_err();
        assert_eq!(error.to_string(), r#"key "\u{1b}[31m" appears more than once"#);
        let error = parse_object(b"{\"a\": \"secret\" \"b\"}").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse_object(&bytes);
        }

        #[test]
        fn never_panics_on_text_like_json(text in r#"[\{\}\[\]",:a-c0-2e.\\ -]{0,64}"#) {
            let _ = parse_object(text.as_bytes());
        }

        #[test]
        fn what_it_accepts_serde_json_reads_the_same(
            text in r#"\{"a": (1|-2|0\.5|"x"|\[1, null\]|\{"b": true\}), "c": [1-9][0-9]{0,5}\}"#
        ) {
            let mut object = parse_object(text.as_bytes())?;
            let plain: Value = serde_json::from_str(&text)?;
            proptest::prop_assert_eq!(object.take("a"), plain.get("a").cloned());
            proptest::prop_assert_eq!(object.take("c"), plain.get("c").cloned());
        }
    }
}
