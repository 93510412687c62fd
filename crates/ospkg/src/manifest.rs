//! `manifest.json` inside the archive: which files to boot, and with what command line.

use report::strict_json::Object;
use report::strict_json::kind;
use serde::Serialize;
use serde_json::Value;

use crate::json::read_object;
use crate::json::write_pretty;

/// Longest `manifest.json` that is read, in bytes.
pub const MAX_MANIFEST_LEN: u64 = 1024 * 1024;

const VERSION: u64 = 1;

/// What `watchdog_seconds` may be. Below the least, a kernel has hardly started before it is reset.
pub const WATCHDOG_SECONDS: core::ops::RangeInclusive<u32> = 10..=86_400;

/// Why a manifest cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("manifest.json: {0}")]
pub struct ManifestError(String);

/// What the archive says about itself. It is covered by the signatures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// Name for people. Never empty.
    pub label: Option<String>,
    /// Name of the kernel in the archive.
    pub kernel: String,
    /// Name of the initramfs in the archive.
    pub initramfs: String,
    /// Command line for the kernel. Never empty, no NUL in it.
    pub cmdline: Option<String>,
    /// With what time-out a hardware watchdog runs on when the OS starts, which must take it over;
    /// without it, the watchdog is disarmed. Within [`WATCHDOG_SECONDS`].
    pub watchdog_seconds: Option<u32>,
    /// Number that grows from one release of a package to the next. By it a machine tells an older
    /// package from a newer one.
    pub release: Option<u64>,
}

impl Manifest {
    /// Reads a manifest. Unknown keys are ignored: later versions add keys that older readers
    /// need not know.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if it is not a JSON object of version 1, names no kernel or no initramfs,
    /// or has a value of a wrong type.
    pub fn parse(document: &[u8]) -> Result<Self, ManifestError> {
        let mut object = read_object(document).map_err(|error| ManifestError(error.to_string()))?;
        match object.take("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(Value::Number(other)) => return Err(wrong("version", &other.to_string(), "1")),
            Some(other) => return Err(wrong("version", kind(&other), "1")),
            None => return Err(wrong("version", "missing", "1")),
        }
        let manifest = Self {
            label: take_string(&mut object, "label")?,
            kernel: take_string(&mut object, "kernel")?
                .ok_or_else(|| wrong("kernel", "missing or empty", "a file name"))?,
            initramfs: take_string(&mut object, "initramfs")?
                .ok_or_else(|| wrong("initramfs", "missing or empty", "a file name"))?,
            cmdline: take_string(&mut object, "cmdline")?,
            watchdog_seconds: take_seconds(&mut object, "watchdog_seconds")?,
            release: take_release(&mut object, "release")?,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether it can be written and used.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        if self.cmdline.as_ref().is_some_and(|cmdline| cmdline.contains('\0')) {
            return Err(wrong("cmdline", "a NUL character", "text without it"));
        }
        if let Some(seconds) = self.watchdog_seconds
            && !WATCHDOG_SECONDS.contains(&seconds)
        {
            return Err(wrong("watchdog_seconds", &seconds.to_string(), &expected_seconds()));
        }
        Ok(())
    }

    /// The manifest as a file: what [`Manifest::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        write_pretty(&Document {
            version: VERSION,
            label: self.label.as_deref().unwrap_or_default(),
            kernel: &self.kernel,
            initramfs: &self.initramfs,
            cmdline: self.cmdline.as_deref().unwrap_or_default(),
            watchdog_seconds: self.watchdog_seconds,
            release: self.release,
        })
    }
}

/// The file, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    version: u64,
    label: &'a str,
    kernel: &'a str,
    initramfs: &'a str,
    cmdline: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    watchdog_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<u64>,
}

fn wrong(key: &str, found: &str, expected: &str) -> ManifestError {
    ManifestError(format!("{key}: {found}, expected {expected}"))
}

/// `null` and the empty text are the same as an absent key.
fn take_string(object: &mut Object, key: &str) -> Result<Option<String>, ManifestError> {
    match object.take_set(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(other) => Err(wrong(key, kind(&other), "a string")),
    }
}

/// A whole number, or `null` or nothing for none. That it is in the range is for
/// [`Manifest::check`] to see.
fn take_seconds(object: &mut Object, key: &str) -> Result<Option<u32>, ManifestError> {
    match object.take_set(key) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_u64().map(u32::try_from) {
            Some(Ok(seconds)) => Ok(Some(seconds)),
            _ => Err(wrong(key, &number.to_string(), &expected_seconds())),
        },
        Some(other) => Err(wrong(key, kind(&other), &expected_seconds())),
    }
}

/// A whole number, or `null` or nothing for none.
fn take_release(object: &mut Object, key: &str) -> Result<Option<u64>, ManifestError> {
    let expected = "a whole number, 0 or more";
    match object.take_set(key) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(release) => Ok(Some(release)),
            None => Err(wrong(key, &number.to_string(), expected)),
        },
        Some(other) => Err(wrong(key, kind(&other), expected)),
    }
}

fn expected_seconds() -> String {
    format!("a whole number from {} to {}", WATCHDOG_SECONDS.start(), WATCHDOG_SECONDS.end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Manifest;

    #[test]
    fn the_written_form_is_fixed() {
        let manifest = Manifest {
            label: Some("a <b>".into()),
            kernel: "boot/vmlinuz".into(),
            initramfs: "boot/initramfs".into(),
            cmdline: None,
            watchdog_seconds: None,
            release: None,
        };
        let text = "{\n  \"version\": 1,\n  \"label\": \"a \\u003cb\\u003e\",\n  \
                    \"kernel\": \"boot/vmlinuz\",\n  \"initramfs\": \"boot/initramfs\",\n  \
                    \"cmdline\": \"\"\n}";
        assert_eq!(manifest.to_json(), text);
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn a_watchdog_is_a_whole_number_of_seconds() {
        let manifest = Manifest {
            label: None,
            kernel: "k".into(),
            initramfs: "i".into(),
            cmdline: None,
            watchdog_seconds: Some(120),
            release: None,
        };
        let text = manifest.to_json();
        assert!(text.ends_with("\"cmdline\": \"\",\n  \"watchdog_seconds\": 120\n}"), "{text}");
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
        let read = |value: &str| {
            let text = format!(
                r#"{{"version": 1, "kernel": "k", "initramfs": "i", "watchdog_seconds": {value}}}"#
            );
            Manifest::parse(text.as_bytes()).map(|manifest| manifest.watchdog_seconds)
        };
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("10"), Ok(Some(10)));
        assert_eq!(read("86400"), Ok(Some(86_400)));
        for value in ["0", "9", "86401", "-1", "60.0", "1e2", "99999999999999999999"] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with("manifest.json: watchdog_seconds: "), "{error}");
            assert!(error.ends_with(", expected a whole number from 10 to 86400"), "{error}");
        }
        for (value, found) in [(r#""60""#, "a string"), ("true", "a boolean"), ("[60]", "an array")]
        {
            let error = read(value).unwrap_err().to_string();
            assert!(error.contains(&format!("watchdog_seconds: {found}")), "{error}");
        }
    }

    #[test]
    fn a_release_is_a_whole_number() {
        let manifest = Manifest {
            label: None,
            kernel: "k".into(),
            initramfs: "i".into(),
            cmdline: None,
            watchdog_seconds: None,
            release: Some(7),
        };
        let text = manifest.to_json();
        assert!(text.ends_with("\"cmdline\": \"\",\n  \"release\": 7\n}"), "{text}");
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
        let read = |value: &str| {
            let text =
                format!(r#"{{"version": 1, "kernel": "k", "initramfs": "i", "release": {value}}}"#);
            Manifest::parse(text.as_bytes()).map(|manifest| manifest.release)
        };
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("0"), Ok(Some(0)));
        assert_eq!(read("18446744073709551615"), Ok(Some(u64::MAX)));
        for (value, found) in [
            ("-1", "-1"),
            ("1.5", "1.5"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            (r#""7""#, "a string"),
            ("true", "a boolean"),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with("manifest.json: release: "), "{error}");
            assert!(error.contains(found), "{error}");
            assert!(error.ends_with(", expected a whole number, 0 or more"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("{}", "version: missing"),
            (r#"{"version": 2}"#, "version: 2"),
            (r#"{"version": 1.0}"#, "version: 1.0"),
            (r#"{"version": "1"}"#, "version: a string"),
            (r#"{"version": 1, "initramfs": "i"}"#, "kernel: missing"),
            (r#"{"version": 1, "kernel": "", "initramfs": "i"}"#, "kernel: missing or empty"),
            (r#"{"version": 1, "kernel": "k"}"#, "initramfs: missing"),
            (r#"{"version": 1, "kernel": "k", "initramfs": 7}"#, "initramfs: a number"),
            (r#"{"version": 1, "kernel": "k", "initramfs": "i", "label": []}"#, "label: an array"),
            (r#"{"version": 1, "kernel": "k", "initramfs": "i", "cmdline": "a\u0000b"}"#, "NUL"),
            (r#"{"version": 1, "kernel": "k", "initramfs": "i"} x"#, "other data"),
            ("hello", "not valid JSON"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("manifest.json: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        for extra in ["", r#", "label": null, "cmdline": null"#, r#", "label": "", "new": 7"#] {
            let text = format!(r#"{{"version": 1, "kernel": "k", "initramfs": "i"{extra}}}"#);
            let manifest = Manifest::parse(text.as_bytes()).unwrap();
            assert_eq!((manifest.label, manifest.cmdline), (None, None));
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes);
        }

        #[test]
        fn writing_and_reading_agree(
            label in prop::option::of("[^\0]{1,20}"),
            kernel in "[^\0]{1,20}",
            initramfs in "[^\0]{1,20}",
            cmdline in prop::option::of("[^\0]{1,20}"),
            watchdog_seconds in prop::option::of(10_u32..=86_400),
            release in prop::option::of(any::<u64>()),
        ) {
            let manifest =
                Manifest { label, kernel, initramfs, cmdline, watchdog_seconds, release };
            prop_assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
        }
    }
}
