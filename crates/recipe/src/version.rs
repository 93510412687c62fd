//! Versions of Debian packages and their order (deb-version(7)).

use core::cmp::Ordering;
use core::iter::Peekable;
use core::str::Chars;

/// Compares two versions.
#[must_use]
pub fn compare(one: &str, other: &str) -> Ordering {
    let (epoch, upstream, revision) = split(one);
    let (other_epoch, other_upstream, other_revision) = split(other);
    epoch
        .cmp(&other_epoch)
        .then_with(|| compare_part(upstream, other_upstream))
        .then_with(|| compare_part(revision, other_revision))
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or_default(), upstream, revision)
}

/// Parts without digits and numbers take turns.
fn compare_part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.chars().peekable(), other.chars().peekable());
    loop {
        if one.peek().is_none() && other.peek().is_none() {
            return Ordering::Equal;
        }
        loop {
            let here = one.next_if(|it| !it.is_ascii_digit());
            let there = other.next_if(|it| !it.is_ascii_digit());
            if here.is_none() && there.is_none() {
                break;
            }
            let order = weight(here).cmp(&weight(there));
            if order.is_ne() {
                return order;
            }
        }
        let order = number(&mut one).cmp(&number(&mut other));
        if order.is_ne() {
            return order;
        }
    }
}

/// `~` comes before the end, letters before everything else.
fn weight(letter: Option<char>) -> (u8, char) {
    match letter {
        Some('~') => (0, '~'),
        None => (1, '\0'),
        Some(letter) if letter.is_ascii_alphabetic() => (2, letter),
        Some(other) => (3, other),
    }
}

/// A number of any length: by its length without leading zeros, then by its digits.
fn number(letters: &mut Peekable<Chars<'_>>) -> (usize, String) {
    let mut digits = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        if digit != '0' || !digits.is_empty() {
            digits.push(digit);
        }
    }
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_debians_order() {
        let sorted = [
            "0.9~rc1-1",
            "0.9-1",
            "1.0~~",
            "1.0~",
            "1.0",
            "1.0-0+b1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0a",
            "1.0+dfsg",
            "1.9",
            "1.10",
            "1:0.1",
        ];
        for (index, one) in sorted.iter().enumerate() {
            for (other_index, other) in sorted.iter().enumerate() {
                assert_eq!(compare(one, other), index.cmp(&other_index), "{one} {other}");
            }
        }
        assert_eq!(compare("1.00", "1.0"), Ordering::Equal);
        assert_eq!(compare("0:1-0", "1"), Ordering::Equal);
    }
}
