//! Option files: what they ask for, line by line, and what a resolved `.config` has.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;

/// What every symbol's name begins with in option files.
const PREFIX: &str = "CONFIG_";

/// A line of an option file: a symbol, what it is to be, and where that was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Without `CONFIG_`.
    pub symbol: String,
    /// As it stands behind the `=`; none for "is not set".
    pub value: Option<String>,
    /// `boot.config:12`.
    pub place: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(&self.symbol, self.value.as_deref()))
    }
}

/// What the option files of one kernel ask for, in their order. A later file overrides an earlier
/// one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests(Vec<Request>);

impl Requests {
    /// Reads option files, the general one first.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or has lines that are no options or contradict each other: all of them
    /// are named.
    pub fn read(files: &[&Path]) -> Result<Self> {
        let mut texts = Vec::new();
        for file in files {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read the options {}", file.display()))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            texts.push((name, text));
        }
        Self::parse(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// As [`Requests::read`], of names and texts.
    ///
    /// # Errors
    ///
    /// As [`Requests::read`].
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut merged: Vec<Request> = Vec::new();
        let mut problems = Vec::new();
        for (name, text) in files {
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            for (index, text) in text.lines().enumerate() {
                let place = format!("{name}:{}", index + 1);
                match parse_line(text) {
                    Line::Nothing => {}
                    Line::Unknown => problems.push(format!(
                        "{place}: {text:?} is neither CONFIG_NAME=value, nor \
                         \"# CONFIG_NAME is not set\", nor a comment"
                    )),
                    Line::Option(symbol, value) => {
                        if let Some(first) = seen.insert(symbol.clone(), place.clone()) {
                            problems.push(format!(
                                "{place}: CONFIG_{symbol} has been asked for before, in {first}"
                            ));
                        }
                        merged.retain(|request| request.symbol != symbol);
                        merged.push(Request { symbol, value, place });
                    }
                }
            }
        }
        if !problems.is_empty() {
            bail!("the kernel's options cannot be used:\n  {}", problems.join("\n  "));
        }
        Ok(Self(merged))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Request> {
        self.0.iter()
    }

    /// What `make allnoconfig` is given. Comments and order within a section make no difference to
    /// a kernel, but only comments are left out.
    #[must_use]
    pub fn merged(&self) -> String {
        self.0.iter().map(|request| format!("{request}\n")).collect()
    }

    /// SHA-256 over [`Requests::merged`].
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.merged()))
    }
}

/// A resolved `.config`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads it; lines that are not options are of no interest.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let options = text.lines().filter_map(|line| match parse_line(line) {
            Line::Option(symbol, value) => Some((symbol, value?)),
            Line::Nothing | Line::Unknown => None,
        });
        Self(options.collect())
    }

    /// The value of a symbol, given without `CONFIG_`; none if it is not set.
    #[must_use]
    pub fn get(&self, symbol: &str) -> Option<&str> {
        self.0.get(symbol).map(String::as_str)
    }
}

/// An option as a line of an option file.
#[must_use]
pub fn line(symbol: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{PREFIX}{symbol}={value}"),
        None => format!("# {PREFIX}{symbol} is not set"),
    }
}

enum Line {
    Nothing,
    Option(String, Option<String>),
    Unknown,
}

fn parse_line(text: &str) -> Line {
    let text = text.trim();
    if let Some(comment) = text.strip_prefix('#') {
        let comment = comment.trim();
        let Some(rest) = comment.strip_prefix(PREFIX) else { return Line::Nothing };
        // A commented-out or mistyped option would be a demand that is never checked.
        return match rest.strip_suffix(" is not set") {
            Some(symbol) if is_symbol(symbol) => Line::Option(symbol.to_owned(), None),
            _ => Line::Unknown,
        };
    }
    if text.is_empty() {
        return Line::Nothing;
    }
    match text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('=')) {
        Some((symbol, "n")) if is_symbol(symbol) => Line::Option(symbol.to_owned(), None),
        Some((symbol, value)) if is_symbol(symbol) && is_value(value) => {
            Line::Option(symbol.to_owned(), Some(value.to_owned()))
        }
        _ => Line::Unknown,
    }
}

fn is_symbol(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_value(text: &str) -> bool {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        match digits.strip_prefix("0x") {
            Some(hex) => !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    let quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    matches!(text, "y" | "m") || quoted || number(text)
}

#[cfg(test)]
mod tests {
    use super::Config;
    use super::Requests;

    #[test]
    fn a_later_file_overrides_an_earlier_one() {
        let requests = Requests::parse([
            ("common.config", "# words\nCONFIG_A=y\nCONFIG_B=\"x y\"\n\n# CONFIG_C is not set\n"),
            ("boot.config", "# CONFIG_A is not set\nCONFIG_D=0x10\n"),
        ])
        .unwrap();
        assert_eq!(
            requests.merged(),
            "CONFIG_B=\"x y\"\n# CONFIG_C is not set\n# CONFIG_A is not set\nCONFIG_D=0x10\n"
        );
        assert_eq!(requests.iter().last().unwrap().place, "boot.config:2");
    }

    #[test]
    fn comments_do_not_count_in_the_digest() {
        let of = |text| Requests::parse([("a", text)]).unwrap().digest();
        assert_eq!(of("CONFIG_A=y\n"), of("# why\nCONFIG_A=y\n"));
        assert_ne!(of("CONFIG_A=y\n"), of("CONFIG_A=m\n"));
    }

    #[test]
    fn every_line_that_cannot_be_used_is_named() {
        let text =
            "CONFIG_A=y\nCONFIG_B = y\nCONFIG_A=y\n# CONFIG_C is not st\nCONFIG_D=yes\nE=y\n";
        let error = Requests::parse([("boot.config", text)]).unwrap_err().to_string();
        for expected in [
            "boot.config:2:",
            "boot.config:3: CONFIG_A has been asked for before, in \
                         boot.config:1",
            "boot.config:4:",
            "boot.config:5:",
            "boot.config:6:",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn not_set_is_no_value() {
        let config = Config::parse("#\n# x\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"\"\n");
        assert_eq!(config.get("A"), Some("y"));
        assert_eq!(config.get("B"), None);
        assert_eq!(config.get("C"), Some("\"\""));
    }
}
