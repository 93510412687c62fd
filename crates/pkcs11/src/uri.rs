//! PKCS#11 URIs (RFC 7512).

use core::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::Serialize;

/// Which key on which token, and where its PIN and driver are.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Manufacturer of the token.
    pub manufacturer: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Number of the slot.
    pub slot_id: Option<u64>,
    /// Label of the key (`CKA_LABEL`).
    pub object: Option<String>,
    /// Identifier of the key (`CKA_ID`).
    pub id: Option<Vec<u8>>,
    /// The driver.
    pub module_path: Option<PathBuf>,
    /// File with the PIN.
    pub pin_source: Option<PathBuf>,
}

/// Why a text is no such URI.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    #[error("it does not begin with pkcs11:")]
    Scheme,
    /// A part is not NAME=VALUE.
    #[error("`{0}` is not of the form name=value")]
    Form(String),
    /// An attribute comes twice.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// An attribute that would choose among keys or drivers and is not understood here.
    #[error("the attribute `{0}` is not supported")]
    Unknown(String),
    /// A value that cannot be.
    #[error("`{name}`: {reason}")]
    Value {
        /// The attribute.
        name: String,
        /// What is wrong with its value.
        reason: &'static str,
    },
    /// The PIN itself is in the URI.
    #[error("pin-value would show the PIN to everybody who can list processes")]
    PinValue,
    /// Nothing says which token or key is meant.
    #[error("it says neither which token (token=, serial=, slot-id=) nor which key (object=, id=)")]
    Empty,
}

impl Uri {
    /// Reads a URI. What is not understood is refused, never passed over: it might have told one key
    /// from another.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let rest = text.strip_prefix("pkcs11:").ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = pair(part)?;
            match name {
                "token" => set(&mut uri.token, name, utf8(name, value)?)?,
                "manufacturer" => set(&mut uri.manufacturer, name, utf8(name, value)?)?,
                "serial" => set(&mut uri.serial, name, utf8(name, value)?)?,
                "model" => set(&mut uri.model, name, utf8(name, value)?)?,
                "object" => set(&mut uri.object, name, utf8(name, value)?)?,
                "id" => set(&mut uri.id, name, percent_decode_str(value).collect())?,
                "slot-id" => {
                    let number = value.parse().map_err(|_| UriError::Value {
                        name: name.to_owned(),
                        reason: "it is not a number",
                    })?;
                    set(&mut uri.slot_id, name, number)?;
                }
                // Tools write it for either half of a pair; both are needed.
                "type" if matches!(value, "private" | "public") => {}
                "type" => {
                    return Err(UriError::Value {
                        name: name.to_owned(),
                        reason: "only a private key can sign (type=private)",
                    });
                }
                other => return Err(UriError::Unknown(other.to_owned())),
            }
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = pair(part)?;
            match name {
                "module-path" => set(&mut uri.module_path, name, utf8(name, value)?.into())?,
                "pin-source" => {
                    let source = utf8(name, value)?;
                    let file = source.strip_prefix("file:").unwrap_or(&source);
                    // `file:///run/pin` and `file:/run/pin` are the same file.
                    let file = file.strip_prefix("//").unwrap_or(file);
                    if file.starts_with('|') {
                        return Err(UriError::Value {
                            name: name.to_owned(),
                            reason: "a program is not run: give a file",
                        });
                    }
                    set(&mut uri.pin_source, name, file.into())?;
                }
                "pin-value" => return Err(UriError::PinValue),
                other => return Err(UriError::Unknown(other.to_owned())),
            }
        }
        let empty = Self { module_path: None, pin_source: None, ..uri.clone() };
        if empty == Self::default() {
            return Err(UriError::Empty);
        }
        Ok(uri)
    }
}

/// The key and token in words, without driver and PIN.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot_id.map(|number| number.to_string());
        let id = self.id.as_ref().map(hex::encode);
        let parts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("slot-id", &slot),
            ("object", &self.object),
            ("id", &id),
        ];
        let mut first = true;
        for (name, value) in parts {
            let Some(value) = value else { continue };
            write!(f, "{}{name}={value}", if first { "" } else { " " })?;
            first = false;
        }
        Ok(())
    }
}

fn pair(part: &str) -> Result<(&str, &str), UriError> {
    part.split_once('=').ok_or_else(|| UriError::Form(part.to_owned()))
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice(name.to_owned())),
    }
}

fn utf8(name: &str, value: &str) -> Result<String, UriError> {
    let decoded = percent_decode_str(value).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| UriError::Value { name: name.to_owned(), reason: "it is not UTF-8" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn all_that_names_a_key_is_read() {
        let uri = Uri::parse(
            "pkcs11:token=My%20token;serial=12;object=root;id=%01%ff;type=private?pin-source=file:/run/pin&module-path=/lib/m.so",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
        assert_eq!(uri.pin_source.as_deref(), Some("/run/pin".as_ref()));
        assert_eq!(uri.module_path.as_deref(), Some("/lib/m.so".as_ref()));
        assert_eq!(uri.to_string(), "token=My token serial=12 object=root id=01ff");
        let triple = Uri::parse("pkcs11:slot-id=7?pin-source=file:///run/pin").unwrap();
        assert_eq!((triple.slot_id, triple.pin_source), (Some(7), Some("/run/pin".into())));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, reason) in [
            ("pkcs12:token=a", "does not begin"),
            ("pkcs11:", "neither which token"),
            ("pkcs11:?module-path=/m.so", "neither which token"),
            ("pkcs11:token", "name=value"),
            ("pkcs11:token=a;token=b", "`token` is there twice"),
            ("pkcs11:library-version=3;token=a", "`library-version` is not supported"),
            ("pkcs11:token=a;x-colour=red", "`x-colour` is not supported"),
            ("pkcs11:token=%ff", "not UTF-8"),
            ("pkcs11:slot-id=one", "not a number"),
            ("pkcs11:token=a;type=cert", "only a private key can sign"),
            ("pkcs11:token=a?pin-value=1234", "show the PIN"),
            ("pkcs11:token=a?pin-source=%7Cpass", "a program is not run"),
            ("pkcs11:token=a?module-name=x", "`module-name` is not supported"),
        ] {
            let error = Uri::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("1234"), "{error}");
        }
    }
}
