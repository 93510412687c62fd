//! Channels: which line of releases a package belongs to.

use core::fmt;
use core::str::FromStr;

use serde::Serialize;
use serde::Serializer;

/// Longest name of a channel, in bytes.
pub const MAX_CHANNEL_LEN: usize = 64;

/// The name of a line of releases, such as `stable` or `eu-west.canary`: 1 to [`MAX_CHANNEL_LEN`]
/// letters and digits of ASCII, `.`, `_` and `-`. Case counts, and nothing is trimmed, so that two
/// names are the same only if their bytes are.
///
/// ```
/// use trust::Channel;
///
/// assert!("stable".parse::<Channel>().is_ok());
/// assert!("stable ".parse::<Channel>().is_err());
/// assert_ne!("stable".parse::<Channel>(), "Stable".parse::<Channel>());
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(String);

/// Text that is no name of a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a channel is named with 1 to {MAX_CHANNEL_LEN} of the characters A-Z, a-z, 0-9, '.', '_' and '-'"
)]
pub struct ChannelError;

impl Channel {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=MAX_CHANNEL_LEN).contains(&text.len()) && text.bytes().all(plain);
        if is_name { Ok(Self(text.to_owned())) } else { Err(ChannelError) }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Channel;
    use super::ChannelError;
    use super::MAX_CHANNEL_LEN;

    #[test]
    fn names_are_short_and_plain() {
        let longest = "x".repeat(MAX_CHANNEL_LEN);
        for name in ["stable", "A", "0", "-", "..", "eu-west.canary_2", &longest] {
            assert_eq!(name.parse::<Channel>().unwrap().to_string(), name);
        }
        let too_long = "x".repeat(MAX_CHANNEL_LEN + 1);
        for name in ["", " ", "stable ", "a b", "a/b", "a\0", "Zoë", "a\n", "*", &too_long] {
            assert_eq!(name.parse::<Channel>(), Err(ChannelError), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_not(text in "\\PC{0,80}|[a-zA-Z0-9._-]{0,80}") {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let is_name = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
            proptest::prop_assert_eq!(text.parse::<Channel>().is_ok(), is_name);
        }
    }
}
