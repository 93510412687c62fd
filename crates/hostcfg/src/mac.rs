//! Hardware addresses in the notations that are in use.

use core::fmt;
use core::str::FromStr;

use serde::Serialize;
use serde::Serializer;

/// A hardware address of 6 (Ethernet), 8 (EUI-64) or 20 (IP over InfiniBand) bytes.
///
/// Reads `52:54:00:12:34:56`, `52-54-00-12-34-56` and `5254.0012.3456` in either case; prints the
/// first form in lower case.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mac {
    bytes: [u8; Self::MAX],
    len: usize,
}

/// The text is not a hardware address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a MAC address such as 52:54:00:12:34:56")]
pub struct MacError;

impl Mac {
    const MAX: usize = 20;

    /// An Ethernet address.
    #[must_use]
    pub fn ethernet(address: [u8; 6]) -> Self {
        let mut bytes = [0; Self::MAX];
        for (to, from) in bytes.iter_mut().zip(address) {
            *to = from;
        }
        Self { bytes, len: address.len() }
    }

    /// The bytes of the address: 6, 8 or 20.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether it has the six bytes that an Ethernet interface has.
    #[must_use]
    pub(crate) fn is_ethernet(&self) -> bool {
        self.len == 6
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let (separator, group_digits) = match (text.as_bytes().get(2), text.as_bytes().get(4)) {
            (Some(b':'), _) => (':', 2),
            (Some(b'-'), _) => ('-', 2),
            (_, Some(b'.')) => ('.', 4),
            _ => return Err(MacError),
        };
        let mut mac = Self { bytes: [0; Self::MAX], len: 0 };
        for group in text.split(separator) {
            if group.len() != group_digits {
                return Err(MacError);
            }
            for pair in group.as_bytes().chunks(2) {
                let [high, low] = *pair else { return Err(MacError) };
                let slot = mac.bytes.get_mut(mac.len).ok_or(MacError)?;
                *slot = (hex_digit(high)? << 4) | hex_digit(low)?;
                mac.len += 1;
            }
        }
        if matches!(mac.len, 6 | 8 | 20) { Ok(mac) } else { Err(MacError) }
    }
}

fn hex_digit(byte: u8) -> Result<u8, MacError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(MacError),
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.as_bytes().iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Mac;
    use super::MacError;

    #[test]
    fn all_notations_give_the_same_address() {
        let expected = Mac::ethernet([0x52, 0x54, 0, 0x12, 0xab, 0xcd]);
        for text in
            ["52:54:00:12:ab:cd", "52-54-00-12-AB-CD", "5254.0012.abcd", "52:54:00:12:aB:Cd"]
        {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "52:54:00:12:ab:cd");
    }

    #[test]
    fn long_addresses_are_read_but_are_not_ethernet() {
        let eui64: Mac = "02:00:5e:10:00:00:00:01".parse().unwrap();
        assert!(!eui64.is_ethernet());
        assert_eq!(eui64.as_bytes().len(), 8);
        let infiniband = ["00"; 20].join("-");
        assert_eq!(infiniband.parse::<Mac>().unwrap().as_bytes().len(), 20);
        assert_eq!("0200.5e10.0000.0001".parse::<Mac>().unwrap(), eui64);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:",
            "52:54:00:12:34-56",
            "525400123456",
            "52:54:00:12:34:5g",
            "52:54:00:12:34:5",
            "52:54:00:12:34:56:78",
            "5254.0012:3456",
            " 52:54:00:12:34:56",
            "é:54:00:12:34:56",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(MacError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = text.parse::<Mac>();
        }

        #[test]
        fn printing_and_reading_agree(bytes in any::<[u8; 6]>()) {
            let mac = Mac::ethernet(bytes);
            prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
        }
    }
}
