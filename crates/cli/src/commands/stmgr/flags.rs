//! Flags as Go's package `flag` reads them: `-f v`, `-f=v`, `--f v`, `--f=v`; switches take their
//! value only behind `=`; the first word that is none ends them, as `--` does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::Error;
use crate::Result;
use crate::nearest::nearest;

/// A flag of a subcommand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// What stands behind it in the usage; nothing for a switch.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

impl Flag {
    pub(super) const fn value(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value: Some(value), help }
    }

    pub(super) const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { name, value: None, help }
    }
}

/// What every subcommand takes beside its own.
pub(super) const EVERYWHERE: &[Flag] = &[
    Flag::value("loglevel", "LEVEL", "debug, info or warn; anything else is info (default info)"),
    Flag::switch("json", "the result as JSON on stdout, errors too (not stmgr's)"),
];

/// The flags that were given, and the words behind them.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: BTreeMap<&'static str, OsString>,
    pub(super) rest: Vec<OsString>,
    pub(super) wants_help: bool,
}

impl Flags {
    /// Reads the words behind a subcommand. Of a flag that is given twice the last one counts.
    ///
    /// # Errors
    /// An unknown flag, a flag without its value, or a switch with a value that is neither true nor
    /// false: usage, which is status 2.
    pub(super) fn parse(known: &[Flag], words: &[OsString]) -> Result<Self> {
        let mut flags = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                break;
            }
            if bytes.len() < 2 || bytes.first() != Some(&b'-') {
                flags.rest.push(word.clone());
                break;
            }
            let (name, value) = split(word)?;
            if matches!(name.as_str(), "h" | "help") {
                flags.wants_help = true;
                return Ok(flags);
            }
            let flag = known.iter().chain(EVERYWHERE).find(|flag| flag.name == name);
            let flag = flag.ok_or_else(|| unknown(&name, known))?;
            let value = match (flag.value, value) {
                (_, Some(value)) => value,
                (None, None) => OsString::from("true"),
                (Some(what), None) => words.next().cloned().ok_or_else(|| {
                    Error::usage(format!("flag needs an argument: -{name}"))
                        .remedy(format!("write -{name} {what}"))
                })?,
            };
            if flag.value.is_none() && truth(&value).is_none() {
                return Err(Error::usage(format!(
                    "-{name}: {:?} is neither true nor false",
                    value.to_string_lossy()
                ))
                .remedy(format!("write -{name}, or -{name}=false")));
            }
            flags.given.insert(flag.name, value);
        }
        flags.rest.extend(words.cloned());
        Ok(flags)
    }

    /// The value of a flag, if it was given and is not empty: stmgr takes both for the same.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.given.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// As [`Self::get`], as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// A path without which nothing can be done.
    ///
    /// # Errors
    /// If it was not given.
    pub(super) fn required(&self, name: &str) -> Result<PathBuf> {
        self.path(name).ok_or_else(|| {
            Error::new(format!("missing {name}")).remedy(format!("give it: -{name} FILE"))
        })
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).and_then(truth).unwrap_or(false)
    }

    /// Refuses words that are no flags: what stands there was probably meant as a value.
    ///
    /// # Errors
    /// If there are any.
    pub(super) fn nothing_else(&self) -> Result<()> {
        match self.rest.first() {
            None => Ok(()),
            Some(word) => Err(Error::new(format!(
                "{:?} is in a place where nothing is expected",
                word.to_string_lossy()
            ))
            .remedy("every value stands behind its flag; what has blanks in it needs quotes")),
        }
    }
}

/// The lines about flags in a usage.
pub(super) fn usage(known: &[Flag]) -> String {
    let line = |flag: &Flag| {
        let name = format!("-{} {}", flag.name, flag.value.unwrap_or_default());
        format!("  {:<22} {}\n", name.trim_end(), flag.help)
    };
    known.iter().chain(EVERYWHERE).map(line).collect()
}

/// Name and value of `-name`, `--name`, `-name=value`.
fn split(word: &OsStr) -> Result<(String, Option<OsString>)> {
    let bytes = word.as_bytes();
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let equals = bytes.iter().skip(1).position(|byte| *byte == b'=').map(|at| at + 1);
    let (name, value) = match equals {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
        None => (bytes, None),
    };
    if matches!(name.first(), None | Some(b'-' | b'=')) {
        return Err(Error::usage(format!("bad flag syntax: {}", word.to_string_lossy())));
    }
    let value = value.map(|value| OsStr::from_bytes(value).to_owned());
    Ok((String::from_utf8_lossy(name).into_owned(), value))
}

/// What Go's `strconv.ParseBool` documents.
fn truth(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn unknown(name: &str, known: &[Flag]) -> Error {
    let error = Error::usage(format!("flag provided but not defined: -{name}"));
    match nearest(name, known.iter().chain(EVERYWHERE).map(|flag| flag.name)) {
        Some(it) => error.remedy(format!("did you mean -{it}?")),
        None => error.remedy("the flags of the subcommand are listed with -help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[Flag::value("out", "NAME", ""), Flag::switch("isCA", "")];

    fn parse(words: &[&str]) -> Result<Flags> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Flags::parse(KNOWN, &words)
    }

    #[test]
    fn every_form_of_go_is_read() {
        for words in [&["-out", "x"][..], &["-out=x"], &["--out", "x"], &["--out=x"]] {
            assert_eq!(parse(words).unwrap().get("out").unwrap(), "x", "{words:?}");
        }
        assert_eq!(parse(&["-out", "a", "-out=b"]).unwrap().get("out").unwrap(), "b");
        assert_eq!(parse(&["-out", "-isCA"]).unwrap().get("out").unwrap(), "-isCA");
        assert_eq!(parse(&["-out=a=b"]).unwrap().get("out").unwrap(), "a=b");
        assert!(parse(&["-isCA"]).unwrap().is_on("isCA"));
        assert!(!parse(&["-isCA=F"]).unwrap().is_on("isCA"));
        assert!(parse(&["-out="]).unwrap().get("out").is_none());
    }

    #[test]
    fn the_first_word_that_is_no_flag_ends_them() {
        let flags = parse(&["-isCA", "false", "-out", "x"]).unwrap();
        assert!(flags.is_on("isCA") && flags.get("out").is_none());
        assert_eq!(flags.rest, ["false", "-out", "x"]);
        assert!(flags.nothing_else().is_err());
        assert_eq!(parse(&["--", "-out"]).unwrap().rest, ["-out"]);
        assert_eq!(parse(&["-", "x"]).unwrap().rest, ["-", "x"]);
    }

    #[test]
    fn what_go_refuses_is_wrong_usage() {
        for words in [&["-nope"][..], &["-out"], &["---out", "x"], &["-=x"], &["-isCA=maybe"]] {
            assert_eq!(parse(words).unwrap_err().exit(), crate::Exit::Usage, "{words:?}");
        }
        assert_eq!(parse(&["-ouf", "x"]).unwrap_err().remedy_text(), Some("did you mean -out?"));
    }
}
