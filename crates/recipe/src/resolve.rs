//! Which packages a list of names stands for: the newest versions, and all that they need.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::Error;
use crate::Result;
use crate::lock::Package;
use crate::packages::Offered;
use crate::packages::Relation;
use crate::version;

/// What can be had, by name: of each the newest version.
#[derive(Debug)]
struct Archive<'a> {
    newest: BTreeMap<&'a str, &'a Offered>,
    provided: BTreeMap<&'a str, Vec<(&'a Offered, Option<&'a str>)>>,
}

/// Resolves names to packages, sorted by name. Recommendations are not followed, of alternatives the
/// first that exists is taken unless another one is there already, and what is in `without` counts as
/// being there.
///
/// # Errors
/// If a name is unknown, or nothing will do for a dependency.
pub fn resolve(offered: &[Offered], wanted: &[String], without: &[String]) -> Result<Vec<Package>> {
    let archive = Archive::of(offered);
    let without: BTreeSet<&str> = without.iter().map(String::as_str).collect();
    let mut chosen: BTreeMap<&str, &Offered> = BTreeMap::new();
    let mut todo: Vec<(&Offered, String)> = Vec::new();
    for name in wanted {
        let found = archive.newest.get(name.as_str()).ok_or_else(|| archive.unknown(name))?;
        chosen.insert(&found.package.name, found);
        todo.push((found, name.clone()));
    }
    // Later ones first: the order does not matter, as what is chosen is never taken back.
    while let Some((package, why)) = todo.pop() {
        for group in &package.depends {
            let there = |relation: &Relation| {
                without.contains(relation.name.as_str()) || satisfied(relation, &chosen)
            };
            if group.iter().any(there) {
                continue;
            }
            let Some(found) = group.iter().find_map(|it| archive.candidate(it, &without)) else {
                return Err(nothing_for(group, &package.package, &why));
            };
            if chosen.insert(&found.package.name, found).is_none() {
                todo.push((found, format!("{why} → {}", found.package.name)));
            }
        }
    }
    Ok(chosen.into_values().map(|it| it.package.clone()).collect())
}

impl<'a> Archive<'a> {
    fn of(offered: &'a [Offered]) -> Self {
        let mut newest: BTreeMap<&str, &Offered> = BTreeMap::new();
        for it in offered {
            let slot = newest.entry(&it.package.name).or_insert(it);
            if version::compare(&it.package.version, &slot.package.version).is_gt() {
                *slot = it;
            }
        }
        let mut provided: BTreeMap<&str, Vec<(&Offered, Option<&str>)>> = BTreeMap::new();
        for it in newest.values() {
            for (name, version) in &it.provides {
                provided.entry(name).or_default().push((it, version.as_deref()));
            }
        }
        Self { newest, provided }
    }

    /// A package by its name, else one that stands for it.
    fn candidate(&self, relation: &Relation, without: &BTreeSet<&str>) -> Option<&'a Offered> {
        let named = self.newest.get(relation.name.as_str()).copied();
        let named = named.filter(|it| relation.accepts(&it.package.version));
        named.or_else(|| {
            let standing = self.provided.get(relation.name.as_str())?;
            let mut standing = standing.iter().filter(|(package, version)| {
                provides(relation, *version) && !without.contains(package.package.name.as_str())
            });
            standing.next().map(|(package, _)| *package)
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let nearest = self
            .newest
            .keys()
            .map(|it| (strsim::jaro_winkler(name, it), it))
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let error = Error::new(format!("the archive has no package {name}"));
        match nearest {
            Some((similarity, it)) if similarity > 0.85 => {
                error.remedy(format!("did you mean {it}? `packages` of recipe.toml names it"))
            }
            _ => error.remedy("correct `packages` in recipe.toml, or add a suite that has it"),
        }
    }
}

fn satisfied(relation: &Relation, chosen: &BTreeMap<&str, &Offered>) -> bool {
    let named = chosen.get(relation.name.as_str());
    named.is_some_and(|it| relation.accepts(&it.package.version))
        || chosen.values().any(|it| {
            let mut names = it.provides.iter().filter(|(name, _)| *name == relation.name);
            names.any(|(_, version)| provides(relation, version.as_deref()))
        })
}

/// What stands for a name without a version does not do where one is asked for.
fn provides(relation: &Relation, version: Option<&str>) -> bool {
    match version {
        Some(version) => relation.accepts(version),
        None => relation.version.is_none(),
    }
}

fn nothing_for(group: &[Relation], package: &Package, why: &str) -> Error {
    let text = |relation: &Relation| match &relation.version {
        Some((operator, version)) => format!("{} ({operator} {version})", relation.name),
        None => relation.name.clone(),
    };
    let wanted: Vec<String> = group.iter().map(text).collect();
    Error::new(format!(
        "{} {} needs {}, which the archive does not have",
        package.name,
        package.version,
        wanted.join(" | ")
    ))
    .detail(format!("wanted by: {why}"))
    .remedy("add the suite that has it, or leave it out with `without` if it is not needed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::parse;

    /// Name, version, dependencies, what it provides.
    fn archive(list: &[(&str, &str, &str, &str)]) -> Vec<Offered> {
        let entry = |&(name, version, depends, provides): &(&str, &str, &str, &str)| {
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nDepends: {depends}\n\
                 Provides: {provides}\nFilename: f\nSize: 1\nSHA256: c\n"
            )
        };
        let text: Vec<String> = list.iter().map(entry).collect();
        parse(&text.join("\n"), "s").unwrap()
    }

    fn names(offered: &[Offered], wanted: &[&str], without: &[&str]) -> Result<String> {
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let found = resolve(offered, &owned(wanted), &owned(without))?;
        let text = |it: &Package| format!("{}={}", it.name, it.version);
        Ok(found.iter().map(text).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_needed_comes_along_in_the_newest_version() {
        let archive = archive(&[
            ("a", "1", "b (>= 2), v", ""),
            ("b", "2~1", "", ""),
            ("b", "2+deb12u1", "a", ""),
            ("x", "1", "", "v"),
            ("unneeded", "1", "", ""),
        ]);
        assert_eq!(names(&archive, &["a"], &[]).unwrap(), "a=1 b=2+deb12u1 x=1");
        assert_eq!(names(&archive, &["a"], &["v"]).unwrap(), "a=1 b=2+deb12u1");
        assert_eq!(names(&archive, &["a", "unneeded"], &["b", "v"]).unwrap(), "a=1 unneeded=1");
    }

    #[test]
    fn of_alternatives_one_that_is_there_counts() {
        let archive = archive(&[
            ("a", "1", "b | c", ""),
            ("b", "1", "", ""),
            ("c", "1", "", ""),
            ("d", "1", "gone | c", ""),
        ]);
        assert_eq!(names(&archive, &["a", "c"], &[]).unwrap(), "a=1 c=1");
        assert_eq!(names(&archive, &["a"], &[]).unwrap(), "a=1 b=1");
        assert_eq!(names(&archive, &["d"], &[]).unwrap(), "c=1 d=1");
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let archive =
            archive(&[("unbound", "1", "", ""), ("a", "1", "b (>= 3)", ""), ("b", "2", "", "")]);
        let error = names(&archive, &["unbond"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "the archive has no package unbond");
        assert!(error.remedy_text().unwrap().contains("did you mean unbound?"));
        let error = names(&archive, &["a"], &[]).unwrap_err();
        assert!(error.to_string().contains("a 1 needs b (>= 3)"), "{error}");
        assert_eq!(error.details(), ["wanted by: a"]);
    }
}
