//! Reading typed values out of JSON objects. Every problem is collected with the path of its field,
//! so that an operator learns of all of them at once; none repeats a secret.

use core::fmt;

use report::strict_json::Object;
use report::strict_json::kind;
use serde::Serialize;
use serde_json::Value;

use crate::config::Secret;

/// Text of this length or more is never repeated: a key in the wrong field has at least 43 characters.
const MAX_SHOWN: usize = 40;

/// A field and what is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Its path, with the position (from 1) of a list's entry: `wireguard.peers[2].public_key`.
    pub field: String,
    /// What is there and what is expected. Never holds a secret.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.field, self.problem)
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Problem { field: field.into(), problem: problem.into() });
    }
}

/// One JSON object of the configuration.
pub(crate) struct Fields {
    path: String,
    object: Object,
    known: Vec<&'static str>,
}

impl Fields {
    pub(crate) fn new(path: impl Into<String>, object: Object) -> Self {
        Self { path: path.into(), object, known: Vec::new() }
    }

    /// The object that a value is.
    pub(crate) fn of(path: String, value: Value, problems: &mut Problems) -> Option<Self> {
        match Object::from_value(value) {
            Ok(object) => Some(Self::new(path, object)),
            Err(error) => {
                problems.add(path, error.to_string());
                None
            }
        }
    }

    /// Path of one of its fields.
    pub(crate) fn path(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Takes a value; `null` is absent. Unlike the files of other projects, ours have their names
    /// in one spelling only.
    pub(crate) fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        let there = self.object.unknown_keys().any(|key| key == field);
        if there { self.object.take_set(field) } else { None }
    }

    /// Takes a value that must be there.
    pub(crate) fn required(
        &mut self,
        field: &'static str,
        problems: &mut Problems,
    ) -> Option<Value> {
        let value = self.take(field);
        if value.is_none() {
            problems.add(self.path(field), "missing");
        }
        value
    }

    /// Text that must be there and that `read` understands; its error says what is expected.
    pub(crate) fn text<T>(
        &mut self,
        field: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.required(field, problems)?;
        read_text(self.path(field), &value, problems, read)
    }

    /// A whole number in a range; `default` where it is absent.
    pub(crate) fn number(
        &mut self,
        field: &'static str,
        range: core::ops::RangeInclusive<u64>,
        default: Option<u64>,
        problems: &mut Problems,
    ) -> Option<u64> {
        let value = match (self.take(field), default) {
            (None, Some(default)) => return Some(default),
            (None, None) => {
                problems.add(self.path(field), "missing");
                return None;
            }
            (Some(value), _) => value,
        };
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            let expected = format!("{}, expected a number from {from} to {to}", shown(&value));
            problems.add(self.path(field), expected);
        }
        number
    }

    /// `true` or `false`; false where it is absent.
    pub(crate) fn flag(&mut self, field: &'static str, problems: &mut Problems) -> Option<bool> {
        match self.take(field) {
            None => Some(false),
            Some(Value::Bool(flag)) => Some(flag),
            Some(other) => {
                problems
                    .add(self.path(field), format!("{}, expected true or false", shown(&other)));
                None
            }
        }
    }

    /// A secret that may be absent: `Some(None)`. What `check` says never repeats it.
    pub(crate) fn optional_secret(
        &mut self,
        field: &'static str,
        problems: &mut Problems,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Option<Option<Secret>> {
        let secret = match self.take(field) {
            None => return Some(None),
            Some(Value::String(text)) => Secret::new(text),
            Some(other) => {
                problems.add(self.path(field), format!("{}, expected a string", kind(&other)));
                return None;
            }
        };
        match check(secret.expose()) {
            Ok(()) => Some(Some(secret)),
            Err(expected) => {
                problems.add(self.path(field), expected);
                None
            }
        }
    }

    /// A secret that must be there.
    pub(crate) fn secret(
        &mut self,
        field: &'static str,
        problems: &mut Problems,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Option<Secret> {
        let secret = self.optional_secret(field, problems, check)?;
        if secret.is_none() {
            problems.add(self.path(field), "missing");
        }
        secret
    }

    /// The entries of a list with so many of them, each with its path. An absent list is empty.
    pub(crate) fn list(
        &mut self,
        field: &'static str,
        count: core::ops::RangeInclusive<usize>,
        problems: &mut Problems,
    ) -> Option<Vec<(String, Value)>> {
        let path = self.path(field);
        let entries = match self.take(field) {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                problems.add(path, format!("{}, expected a list", shown(&other)));
                return None;
            }
        };
        if !count.contains(&entries.len()) {
            let problem = match entries.len() {
                0 => "missing or empty, expected a list".to_owned(),
                found => format!("{found} entries, at most {} are possible", count.end()),
            };
            problems.add(path, problem);
            return None;
        }
        let number = |(index, value)| (format!("{path}[{index}]"), value);
        Some((1_usize..).zip(entries).map(number).collect())
    }

    /// A list of texts that `read` understands.
    pub(crate) fn texts<T>(
        &mut self,
        field: &'static str,
        count: core::ops::RangeInclusive<usize>,
        problems: &mut Problems,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let entries = self.list(field, count, problems)?;
        let number = entries.len();
        let texts: Vec<T> = entries
            .into_iter()
            .filter_map(|(path, value)| read_text(path, &value, problems, &read))
            .collect();
        (texts.len() == number).then_some(texts)
    }

    /// What nobody has asked for is a mistake: a setting that is ignored is not a setting.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for key in self.object.unknown_keys() {
            let name = shown_text(key);
            let known = self.known.join(", ");
            problems.add(&self.path, format!("unknown field {name}; there are {known}"));
        }
    }
}

fn read_text<T>(
    path: String,
    value: &Value,
    problems: &mut Problems,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let Some(text) = value.as_str() else {
        problems.add(path, format!("{}, expected a string", shown(value)));
        return None;
    };
    match read(text) {
        Ok(read) => Some(read),
        Err(expected) => {
            problems.add(path, format!("{}, expected {expected}", shown_text(text)));
            None
        }
    }
}

/// How a value appears in messages.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => kind(other).to_owned(),
    }
}

/// How a text appears in messages: not at all if it could be a key.
fn shown_text(text: &str) -> String {
    let length = text.chars().count();
    if length < MAX_SHOWN { format!("{text:?}") } else { format!("a text of {length} characters") }
}
