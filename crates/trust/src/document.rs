//! `trust_policy.json`.

use core::num::NonZeroU64;
use std::collections::BTreeSet;

use report::strict_json;
use report::strict_json::Object;
use report::strict_json::kind;
use serde::Serialize;
use serde_json::Value;

use crate::Channel;
use crate::PolicyError;
use crate::Sha256Digest;
use crate::authorize::MAX_ENDORSEMENTS;

/// Longest `trust_policy.json` that is read, in bytes.
pub const MAX_POLICY_LEN: usize = 64 * 1024;

/// How far behind the build time of the boot image a real-time clock is still believed, in seconds,
/// where the policy does not say otherwise: ten years of 365.25 days.
pub const DEFAULT_MAX_CLOCK_SKEW: u64 = 315_576_000;

const THRESHOLD: &str = "ospkg_signature_threshold";
const FETCH_METHOD: &str = "ospkg_fetch_method";
const DENIED_KEYS: &str = "denied_keys";
const MAX_CLOCK_SKEW: &str = "max_clock_skew";
const MIN_RELEASE: &str = "min_release";
pub(crate) const MAX_COSIGNATURE_AGE: &str = "max_cosignature_age";
const CHANNEL: &str = "channel";

/// Where OS packages come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FetchMethod {
    /// From provisioning servers.
    Network,
    /// From the boot image itself.
    Initramfs,
}

/// The contents of `trust_policy.json`. Serialises to its normal form: known keys only, optional
/// ones only where they say something.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PolicyDocument {
    #[serde(rename = "ospkg_signature_threshold")]
    threshold: NonZeroU64,
    #[serde(rename = "ospkg_fetch_method")]
    fetch_method: FetchMethod,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    denied_keys: BTreeSet<Sha256Digest>,
    #[serde(skip_serializing_if = "is_default_skew")]
    max_clock_skew: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_release: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cosignature_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Channel>,
    #[serde(skip)]
    warnings: Vec<String>,
}

const fn is_default_skew(seconds: &u64) -> bool {
    *seconds == DEFAULT_MAX_CLOCK_SKEW
}

impl PolicyDocument {
    /// Reads `trust_policy.json`. Keys are found in any case; unknown ones become warnings.
    ///
    /// # Errors
    ///
    /// [`PolicyError::TooLong`] and [`PolicyError::Json`] for what is not one JSON object,
    /// [`PolicyError::Field`] for values that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_LEN {
            return Err(PolicyError::TooLong);
        }
        let mut object = strict_json::parse_object(bytes)?;
        let mut document = Self {
            threshold: threshold(&mut object)?,
            fetch_method: fetch_method(&mut object)?,
            denied_keys: denied_keys(&mut object)?,
            max_clock_skew: max_clock_skew(&mut object)?,
            min_release: min_release(&mut object)?,
            max_cosignature_age: max_cosignature_age(&mut object)?,
            channel: channel(&mut object)?,
            warnings: Vec::new(),
        };
        document.warn_of_threshold();
        document.warnings.extend(
            object
                .unknown_keys()
                .map(|key| format!("trust_policy.json: unknown key {key:?} is ignored")),
        );
        Ok(document)
    }

    /// A policy that is not in a file: this threshold, network, nothing else set.
    pub(crate) fn with_threshold(threshold: u64) -> Result<Self, PolicyError> {
        let threshold = NonZeroU64::new(threshold)
            .ok_or_else(|| PolicyError::field(THRESHOLD, "must be 1 or more"))?;
        let mut document = Self {
            threshold,
            fetch_method: FetchMethod::Network,
            denied_keys: BTreeSet::new(),
            max_clock_skew: DEFAULT_MAX_CLOCK_SKEW,
            min_release: None,
            max_cosignature_age: None,
            channel: None,
            warnings: Vec::new(),
        };
        document.warn_of_threshold();
        Ok(document)
    }

    fn warn_of_threshold(&mut self) {
        if usize::try_from(self.threshold.get()).is_ok_and(|needed| needed <= MAX_ENDORSEMENTS) {
            return;
        }
        self.warnings.push(format!(
            "trust_policy.json: {THRESHOLD} is above {MAX_ENDORSEMENTS}, the most signatures that a \
             package can have: nothing can boot"
        ));
    }

    /// How many distinct keys must have signed; at least 1.
    #[must_use]
    pub const fn threshold(&self) -> u64 {
        self.threshold.get()
    }

    /// Where OS packages come from.
    #[must_use]
    pub const fn fetch_method(&self) -> FetchMethod {
        self.fetch_method
    }

    /// Keys that never count, neither as signers nor as signing roots: SHA-256 of their
    /// SubjectPublicKeyInfo.
    #[must_use]
    pub const fn denied_keys(&self) -> &BTreeSet<Sha256Digest> {
        &self.denied_keys
    }

    /// How far behind the boot image's build time the real-time clock is believed, in seconds.
    #[must_use]
    pub const fn max_clock_skew(&self) -> u64 {
        self.max_clock_skew
    }

    /// The lowest release that may run; packages without a release may not either. `None` if every
    /// package that is signed may.
    #[must_use]
    pub const fn min_release(&self) -> Option<u64> {
        self.min_release
    }

    /// How old the cosignatures of a Sigsum proof may be, in seconds; at least 1. `None` if they may be
    /// of any age.
    #[must_use]
    pub const fn max_cosignature_age(&self) -> Option<u64> {
        self.max_cosignature_age
    }

    /// The channel that packages must belong to; packages of no channel may not run then either.
    /// `None` if the channel does not matter.
    #[must_use]
    pub const fn channel(&self) -> Option<&Channel> {
        self.channel.as_ref()
    }

    /// What an operator should look at, though it does not make the policy invalid.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn threshold(object: &mut Object) -> Result<NonZeroU64, PolicyError> {
    let Some(value) = object.take_set(THRESHOLD) else {
        return Err(PolicyError::field(THRESHOLD, "is missing"));
    };
    let Value::Number(number) = &value else {
        return Err(PolicyError::field(
            THRESHOLD,
            format!("must be an integer, not {}", kind(&value)),
        ));
    };
    // Other readers hold it in a signed 64-bit integer; what they refuse is refused here.
    let threshold = match number.as_i64() {
        Some(number) => u64::try_from(number).ok().and_then(NonZeroU64::new),
        None => {
            return Err(PolicyError::field(THRESHOLD, format!("must be an integer, not {number}")));
        }
    };
    threshold.ok_or_else(|| PolicyError::field(THRESHOLD, "must be 1 or more"))
}

fn fetch_method(object: &mut Object) -> Result<FetchMethod, PolicyError> {
    match object.take_set(FETCH_METHOD) {
        None => Err(PolicyError::field(FETCH_METHOD, "is missing")),
        Some(Value::String(text)) if text == "network" => Ok(FetchMethod::Network),
        Some(Value::String(text)) if text == "initramfs" => Ok(FetchMethod::Initramfs),
        Some(_) => Err(PolicyError::field(FETCH_METHOD, "must be \"network\" or \"initramfs\"")),
    }
}

fn denied_keys(object: &mut Object) -> Result<BTreeSet<Sha256Digest>, PolicyError> {
    let must = "must be a list of SHA-256 digests of 64 hexadecimal digits";
    match object.take_set(DENIED_KEYS) {
        None => Ok(BTreeSet::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().and_then(|text| text.parse().ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| PolicyError::field(DENIED_KEYS, must)),
        Some(_) => Err(PolicyError::field(DENIED_KEYS, must)),
    }
}

fn max_clock_skew(object: &mut Object) -> Result<u64, PolicyError> {
    object.take_set(MAX_CLOCK_SKEW).map_or(Ok(DEFAULT_MAX_CLOCK_SKEW), |value| {
        let must = "must be a whole number of seconds, 0 or more";
        value.as_u64().ok_or_else(|| PolicyError::field(MAX_CLOCK_SKEW, must))
    })
}

fn min_release(object: &mut Object) -> Result<Option<u64>, PolicyError> {
    let Some(value) = object.take_set(MIN_RELEASE) else { return Ok(None) };
    let must = "must be a whole number, 0 or more";
    value.as_u64().map(Some).ok_or_else(|| PolicyError::field(MIN_RELEASE, must))
}

fn max_cosignature_age(object: &mut Object) -> Result<Option<u64>, PolicyError> {
    let Some(value) = object.take_set(MAX_COSIGNATURE_AGE) else { return Ok(None) };
    let must = "must be a whole number of seconds, 1 or more";
    let seconds = value.as_u64().filter(|seconds| *seconds > 0);
    seconds.map(Some).ok_or_else(|| PolicyError::field(MAX_COSIGNATURE_AGE, must))
}

fn channel(object: &mut Object) -> Result<Option<Channel>, PolicyError> {
    match object.take_set(CHANNEL) {
        None => Ok(None),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|error| PolicyError::field(CHANNEL, format!("is no channel: {error}"))),
        Some(other) => {
            Err(PolicyError::field(CHANNEL, format!("must be a string, not {}", kind(&other))))
        }
    }
}

#[cfg(test)]
mod tests;
