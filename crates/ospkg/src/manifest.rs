//! `manifest.json` inside the archive: which files to boot, and with what command line.

use report::strict_json::Object;
use report::strict_json::kind;
use serde::Serialize;
use serde_json::Value;
use trust::Channel;
use trust::Timestamp;

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
    /// The last second at which it may be booted: a machine that knows of a later time refuses it.
    pub not_after: Option<Timestamp>,
    /// The line of releases that it belongs to: a trust policy may demand one.
    pub channel: Option<Channel>,
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
            not_after: take_not_after(&mut object, "not_after")?,
            channel: take_channel(&mut object, "channel")?,
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
        if let Some(end) = self.not_after
            && end.to_string().parse() != Ok(end)
        {
            return Err(wrong("not_after", &end.to_string(), EXPECTED_DATE));
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
            not_after: self.not_after.map(|end| end.to_string()),
            channel: self.channel.as_ref(),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a Channel>,
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

/// A date in the one form that is written, or `null` or nothing for none. The empty text is no
/// date: where it came from something that computes one, nothing would end.
fn take_not_after(object: &mut Object, key: &str) -> Result<Option<Timestamp>, ManifestError> {
    match object.take_set(key) {
        None => Ok(None),
        Some(Value::String(text)) => match text.parse() {
            Ok(end) => Ok(Some(end)),
            Err(_) => Err(wrong(key, &shortened(&text), EXPECTED_DATE)),
        },
        Some(other) => Err(wrong(key, kind(&other), EXPECTED_DATE)),
    }
}

/// A name, or `null` or nothing for none.
fn take_channel(object: &mut Object, key: &str) -> Result<Option<Channel>, ManifestError> {
    match object.take_set(key) {
        None => Ok(None),
        Some(Value::String(text)) => match text.parse() {
            Ok(channel) => Ok(Some(channel)),
            Err(error) => {
                Err(ManifestError(format!("{key}: {} is none: {error}", shortened(&text))))
            }
        },
        Some(other) => Err(wrong(key, kind(&other), "a string")),
    }
}

const EXPECTED_DATE: &str = "a date of the form 2026-11-21T22:07:17Z";

/// Longest part of a value that a message repeats, in characters.
const MAX_SHOWN: usize = 40;

/// A value in a form that can go to a terminal.
fn shortened(text: &str) -> String {
    let short: String = text.chars().take(MAX_SHOWN).collect();
    format!("{short:?}")
}

fn expected_seconds() -> String {
    format!("a whole number from {} to {}", WATCHDOG_SECONDS.start(), WATCHDOG_SECONDS.end())
}

#[cfg(test)]
mod tests;
