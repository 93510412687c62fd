//! `Packages`: the list of an archive's packages, and what they say they need.

use core::cmp::Ordering;
use std::collections::BTreeMap;

use crate::Error;
use crate::Result;
use crate::lock;
use crate::version;

/// A package that an archive offers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Offered {
    /// Name, version, file.
    pub package: lock::Package,
    /// What it needs: of each group, one.
    pub depends: Vec<Vec<Relation>>,
    /// Names that it stands for, with the version if it has one.
    pub provides: Vec<(String, Option<String>)>,
    /// Whether it belongs to every system (`Essential: yes`).
    pub essential: bool,
}

/// A package that is needed, perhaps of certain versions only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relation {
    /// Its name, or one that another package provides.
    pub name: String,
    /// Operator and version, such as `>=` and `2.36`.
    pub version: Option<(String, String)>,
}

impl Relation {
    /// Whether this version will do.
    #[must_use]
    pub fn accepts(&self, found: &str) -> bool {
        let Some((operator, wanted)) = &self.version else { return true };
        let order = version::compare(found, wanted);
        match operator.as_str() {
            "<<" => order == Ordering::Less,
            "<=" | "<" => order != Ordering::Greater,
            "=" => order == Ordering::Equal,
            ">=" | ">" => order != Ordering::Less,
            ">>" => order == Ordering::Greater,
            _ => false,
        }
    }
}

/// Reads a list.
///
/// # Errors
/// If an entry lacks what it must have.
pub fn parse(text: &str, suite: &str) -> Result<Vec<Offered>> {
    text.split("\n\n")
        .map(fields)
        .filter(|fields| fields.contains_key("Package"))
        .map(|fields| offered(&fields, suite))
        .collect()
}

/// The fields of one entry; lines that begin with a space go on with the field before.
fn fields(entry: &str) -> BTreeMap<&str, &str> {
    entry
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect()
}

fn offered(fields: &BTreeMap<&str, &str>, suite: &str) -> Result<Offered> {
    let get = |name: &str| fields.get(name).copied().unwrap_or_default();
    let name = get("Package");
    let missing = |what: &str| {
        Error::new(format!("the list of {suite}: {name} has no {what}"))
            .remedy("get the list anew; is it a list of Debian packages?")
    };
    for field in ["Version", "Architecture", "Filename", "SHA256"] {
        if get(field).is_empty() {
            return Err(missing(field));
        }
    }
    let source = get("Source").split(' ').next().filter(|it| !it.is_empty()).unwrap_or(name);
    let relations = |field: &str| get(field).split(',').filter_map(group).collect::<Vec<_>>();
    let provides = relations("Provides").into_iter().flatten();
    Ok(Offered {
        package: lock::Package {
            name: name.to_owned(),
            version: get("Version").to_owned(),
            architecture: get("Architecture").to_owned(),
            source: source.to_owned(),
            suite: suite.to_owned(),
            path: get("Filename").to_owned(),
            size: get("Size").parse().map_err(|_| missing("Size"))?,
            sha256: get("SHA256").to_ascii_lowercase(),
        },
        depends: [relations("Pre-Depends"), relations("Depends")].concat(),
        provides: provides.map(|it| (it.name, it.version.map(|(_, version)| version))).collect(),
        essential: get("Essential") == "yes",
    })
}

/// `a (>= 1) | b:any`
fn group(text: &str) -> Option<Vec<Relation>> {
    let alternatives: Vec<Relation> = text.split('|').filter_map(relation).collect();
    (!alternatives.is_empty()).then_some(alternatives)
}

fn relation(text: &str) -> Option<Relation> {
    let (name, rest) = text.split_once('(').unwrap_or((text, ""));
    let name = name.trim().split([':', ' ', '[', '<']).next().unwrap_or_default();
    let rest = rest.trim_end().trim_end_matches(')').trim();
    let split = rest.find(|letter: char| !"<>=".contains(letter)).unwrap_or(0);
    let (operator, version) = rest.split_at_checked(split)?;
    let version = (!operator.is_empty()).then(|| (operator.to_owned(), version.trim().to_owned()));
    (!name.is_empty()).then(|| Relation { name: name.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "Package: a\nVersion: 1:2-3\nArchitecture: amd64\nSource: src (1)\n\
        Pre-Depends: p (>= 1.54~)\nDepends: b (>= 1) | c:any, d (= 2)\nProvides: v, w (= 2)\n\
        Description: x\n more\nFilename: pool/a.deb\nSize: 7\nSHA256: AB\n\n\
        Package: b\nVersion: 1\nArchitecture: all\nEssential: yes\nFilename: f\nSize: 1\nSHA256: c\n";

    #[test]
    fn a_list_is_read() {
        let list = parse(LIST, "stable").unwrap();
        let [a, b] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!((a.package.source.as_str(), a.package.sha256.as_str()), ("src", "ab"));
        assert_eq!((b.package.source.as_str(), b.essential), ("b", true));
        let names: Vec<Vec<&str>> = a
            .depends
            .iter()
            .map(|group| group.iter().map(|it| it.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["p"], vec!["b", "c"], vec!["d"]]);
        assert!(a.depends[0][0].accepts("1.54") && !a.depends[0][0].accepts("1.53"));
        assert!(a.depends[2][0].accepts("2") && !a.depends[2][0].accepts("3"));
        assert_eq!(a.provides, [("v".to_owned(), None), ("w".to_owned(), Some("2".to_owned()))]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse(&LIST.replace("Size: 7\n", ""), "stable").unwrap_err().to_string();
        assert_eq!(error, "the list of stable: a has no Size");
    }
}
