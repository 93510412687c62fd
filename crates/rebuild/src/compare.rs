//! Where two builds differ: down to the entry of an archive, and to the file inside an initramfs.
//!
//! Contents are never shown, only where they differ and their digests: a boot image may hold a host
//! configuration with passwords. Values are shown of what is no secret: modes, owners, command
//! lines, and the JSON documents of a package.

mod images;
mod initramfs;
mod json;
mod packages;
#[cfg(test)]
mod tests;

use core::fmt;

use serde::Serialize;

use crate::initramfs::Limits as InitramfsLimits;
use crate::sha256;

pub use images::Parts;
pub use images::images;
pub use initramfs::initramfs as initramfses;
pub use packages::entry;
pub use packages::initramfs_of;
pub use packages::kernel_of;
pub use packages::packages;

/// Largest file that is compared.
pub const MAX_FILE: u64 = 2 << 30;

/// Most differences that are kept; the others are counted.
const MAX_KEPT: usize = 200;
/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 120;

/// What two files have in common, and what not.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Whether every byte is the same.
    pub identical: bool,
    /// The first.
    pub first: Side,
    /// The second.
    pub second: Side,
    /// Where they differ, the outermost and first place first. Not empty unless identical.
    pub differences: Vec<Difference>,
    /// How many more differences there are.
    pub more: usize,
}

/// One of two files.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Side {
    /// Length in bytes.
    pub size: u64,
    /// Of the whole.
    pub sha256: String,
}

/// A place where two files differ.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// From the outside in: entry of the package, archive of the initramfs, file. Empty: the file
    /// that was compared itself.
    pub place: Vec<String>,
    /// How.
    #[serde(flatten)]
    pub change: Change,
}

/// How two things differ.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Something that is said of it is another.
    Value {
        /// What: `mode`, `owner`, a key of a document.
        name: String,
        /// In the first.
        first: String,
        /// In the second.
        second: String,
    },
    /// The content.
    Content {
        /// The first byte that differs, from 0 on.
        offset: u64,
        /// The first.
        first: Side,
        /// The second.
        second: Side,
    },
    /// The same things in another order.
    Order,
    /// Everything in it is the same, but it is packed in another way.
    Packing {
        /// The first byte that differs, from 0 on.
        offset: u64,
        /// What that may be.
        hint: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place.join(" > "))?;
        }
        match &self.change {
            Change::Added => f.write_str("only the second has it"),
            Change::Removed => f.write_str("only the first has it"),
            Change::Value { name, first, second } => write!(f, "{name}: {first} and {second}"),
            Change::Content { offset, first, second } => {
                write!(f, "content differs from byte {offset} on ")?;
                if first.size == second.size {
                    write!(f, "({} bytes)", first.size)
                } else {
                    write!(f, "({} and {} bytes)", first.size, second.size)
                }
            }
            Change::Order => f.write_str("the same entries in another order"),
            Change::Packing { offset, hint } => write!(f, "differs from byte {offset} on, {hint}"),
        }
    }
}

impl Side {
    fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// The offset of the first byte that differs, if one does. Where one ends, the other goes on.
#[must_use]
pub fn first_difference(first: &[u8], second: &[u8]) -> Option<u64> {
    let common = first.len().min(second.len());
    // A page at a time: comparing slices is fast.
    let pages = first.chunks(4096).zip(second.chunks(4096));
    let equal = pages.take_while(|(one, other)| one == other).count() * 4096;
    let start = equal.min(common);
    let rest = |bytes| <[u8]>::get(bytes, start..common).unwrap_or_default();
    let at = rest(first).iter().zip(rest(second)).position(|(one, other)| one != other);
    let at = at.map_or(common, |at| start + at);
    (at < common || first.len() != second.len()).then_some(at as u64)
}

/// Compares two files of which nothing is known.
#[must_use]
pub fn bytes(first: &[u8], second: &[u8]) -> Comparison {
    let mut found = Found::default();
    found.content(&[], first, second);
    found.done(first, second)
}

/// Differences as they are found.
#[derive(Debug, Default)]
struct Found {
    differences: Vec<Difference>,
    more: usize,
}

impl Found {
    fn count(&self) -> usize {
        self.differences.len() + self.more
    }

    fn add(&mut self, place: &[String], change: Change) {
        if self.differences.len() < MAX_KEPT {
            self.differences.push(Difference { place: place.to_vec(), change });
        } else {
            self.more += 1;
        }
    }

    fn value(&mut self, place: &[String], name: &str, first: &str, second: &str) {
        if first != second {
            let (name, first, second) = (shown(name), shown(first), shown(second));
            self.add(place, Change::Value { name, first, second });
        }
    }

    fn content(&mut self, place: &[String], first: &[u8], second: &[u8]) {
        if let Some(offset) = first_difference(first, second) {
            let (first, second) = (Side::of(first), Side::of(second));
            self.add(place, Change::Content { offset, first, second });
        }
    }

    /// Says of what differs though nothing in it was found to, since there were `before`
    /// differences.
    fn packing(&mut self, place: &[String], before: usize, (first, second): Pair<'_>, hint: &str) {
        if self.count() == before
            && let Some(offset) = first_difference(first, second)
        {
            self.add(place, Change::Packing { offset, hint: hint.to_owned() });
        }
    }

    fn done(self, first: &[u8], second: &[u8]) -> Comparison {
        Comparison {
            identical: first == second,
            first: Side::of(first),
            second: Side::of(second),
            differences: self.differences,
            more: self.more,
        }
    }
}

/// Two contents.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn below(place: &[String], name: impl Into<String>) -> Vec<String> {
    let mut place = place.to_vec();
    place.push(name.into());
    place
}

fn shown(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX_SHOWN).collect();
    short.push('…');
    short
}

/// Limits of an initramfs inside of what is compared.
fn limits() -> InitramfsLimits {
    InitramfsLimits::default()
}
