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
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether it can be written and used.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        if self.cmdline.as_ref().is_some_and(|cmdline| cmdline.contains('\0')) {
            return Err(wrong("cmdline", "a NUL character", "text without it"));
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
        };
        let text = "{\n  \"version\": 1,\n  \"label\": \"a \\u003cb\\u003e\",\n  \
                    \"kernel\": \"boot/vmlinuz\",\n  \"initramfs\": \"boot/initramfs\",\n  \
                    \"cmdline\": \"\"\n}";
        assert_eq!(manifest.to_json(), text);
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
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
        ) {
            let manifest = Manifest { label, kernel, initramfs, cmdline };
            prop_assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
        }
    }
}
