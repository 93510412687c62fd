//! Licences of Debian packages, as SPDX says them.
//!
//! Source: "Machine-readable debian/copyright file", version 1.0. Debian's short names are not those
//! of SPDX; what has no counterpart there becomes a reference to the package's own file.

use std::collections::BTreeSet;

/// What a `copyright` file names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Licence {
    /// Each in SPDX's words, or as a reference.
    names: BTreeSet<String>,
    /// References: identifier and Debian's name.
    references: BTreeSet<(String, String)>,
}

/// Debian's short name in lower case, and SPDX's.
const KNOWN: &[(&str, &str)] = &[
    ("apache-2", "Apache-2.0"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-2.0", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-4-clause", "BSD-4-Clause"),
    ("bzip2", "bzip2-1.0.6"),
    ("cc0", "CC0-1.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("expat", "MIT"),
    ("gpl-1", "GPL-1.0-only"),
    ("gpl-1+", "GPL-1.0-or-later"),
    ("gpl-2", "GPL-2.0-only"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-2+", "GPL-2.0-or-later"),
    ("gpl-2.0+", "GPL-2.0-or-later"),
    ("gpl-3", "GPL-3.0-only"),
    ("gpl-3+", "GPL-3.0-or-later"),
    ("isc", "ISC"),
    ("lgpl-2", "LGPL-2.0-only"),
    ("lgpl-2+", "LGPL-2.0-or-later"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-2.1+", "LGPL-2.1-or-later"),
    ("lgpl-3", "LGPL-3.0-only"),
    ("lgpl-3+", "LGPL-3.0-or-later"),
    ("mit", "MIT"),
    ("mpl-2.0", "MPL-2.0"),
    ("openssl", "OpenSSL"),
    ("unlicense", "Unlicense"),
    ("zlib", "Zlib"),
];

/// Longest name that is taken for one, in bytes.
const MAX_NAME: usize = 120;
/// A file that names more than this is not read further.
const MAX_NAMES: usize = 100;

/// What the text of a `copyright` file says; nothing is known without a text in the machine-readable
/// form.
pub(super) fn of_debian(text: Option<&str>) -> Licence {
    let mut licence = Licence::default();
    let Some(text) = text else { return licence };
    let machine_readable = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.to_ascii_lowercase().starts_with("format"));
    if !machine_readable {
        return licence;
    }
    let fields = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("license").then(|| value.trim())
    });
    for name in fields.filter(|name| !name.is_empty() && name.len() <= MAX_NAME).take(MAX_NAMES) {
        licence.add(name);
    }
    licence
}

impl Licence {
    /// The expression for `licenseDeclared`: all that are named apply to some part of it.
    pub(super) fn expression(&self) -> String {
        if self.names.is_empty() {
            return "NOASSERTION".to_owned();
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.join(" AND ")
    }

    /// References of the expression, and what they stand for.
    pub(super) fn extracted(&self) -> Vec<(String, String)> {
        let text = |name: &str| {
            format!(
                "Called \"{name}\" in usr/share/doc/NAME/copyright of the Debian package that \
                 declares it; its text is there."
            )
        };
        self.references.iter().map(|(id, name)| (id.clone(), text(name))).collect()
    }

    fn add(&mut self, name: &str) {
        let alternatives: Option<Vec<&str>> = name.split(" or ").map(known).collect();
        let all: Option<Vec<&str>> = name.split(" and ").map(known).collect();
        match (alternatives, all) {
            (Some(names), _) if names.len() == 1 => {
                self.names.extend(names.into_iter().map(str::to_owned));
            }
            (Some(names), _) => {
                self.names.insert(format!("({})", names.join(" OR ")));
            }
            (None, Some(names)) => self.names.extend(names.into_iter().map(str::to_owned)),
            (None, None) => {
                let plain: String = name
                    .chars()
                    .map(|it| if it.is_ascii_alphanumeric() || it == '.' { it } else { '-' })
                    .collect();
                let id = format!("LicenseRef-Debian-{}", plain.trim_matches('-'));
                self.names.insert(id.clone());
                self.references.insert((id, name.to_owned()));
            }
        }
    }
}

fn known(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    KNOWN.iter().find(|(debian, _)| *debian == name).map(|(_, spdx)| *spdx)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(lines: &[&str]) -> String {
        let text = format!("Format: https://example.org/1.0/\n\n{}\n", lines.join("\n"));
        of_debian(Some(&text)).expression()
    }

    #[test]
    fn names_become_those_of_spdx() {
        assert_eq!(
            expression(&["License: GPL-2+", " text: of", "License: Expat"]),
            "GPL-2.0-or-later AND MIT"
        );
        assert_eq!(
            expression(&["license: GPL-1+ or Artistic"]),
            "(GPL-1.0-or-later OR Artistic-1.0-Perl)"
        );
        assert_eq!(expression(&["License: ISC and Zlib"]), "ISC AND Zlib");
        assert_eq!(
            expression(&["License: GPL-2+ with OpenSSL exception"]),
            "LicenseRef-Debian-GPL-2--with-OpenSSL-exception"
        );
    }

    #[test]
    fn without_a_machine_readable_file_nothing_is_asserted() {
        assert_eq!(of_debian(None).expression(), "NOASSERTION");
        assert_eq!(of_debian(Some("This is free.\nLicense: MIT\n")).expression(), "NOASSERTION");
        assert_eq!(expression(&["Files: *"]), "NOASSERTION");
    }
}
