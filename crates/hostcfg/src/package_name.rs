//! Names of OS packages that are in the boot image.

use core::fmt;

/// Longest name, in bytes, without the extension.
const MAX_LEN: usize = 128;

/// The pointer that means the boot image's own package, whatever the trust policy says.
const PROVISION: &str = "provision.zip";

/// The name of an OS package in the boot image: what `ospkg_pointer` is where packages do not come
/// over the network.
///
/// Letters and digits of ASCII and `.`, `_`, `-`, `+`, `~`, not with a dot in front: it can name a
/// file in one directory, and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackageName {
    stem: String,
    is_provision: bool,
}

impl PackageName {
    /// Reads a name: `os.zip`, `os.json` and `os` are the same package. `None` if it cannot be one,
    /// as a URL or a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(".zip").or_else(|| text.strip_suffix(".json")).unwrap_or(text);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~".contains(&byte);
        let plain = (1..=MAX_LEN).contains(&stem.len())
            && !stem.starts_with('.')
            && stem.bytes().all(known);
        plain.then(|| Self { stem: stem.to_owned(), is_provision: text == PROVISION })
    }

    /// Whether it was written exactly as `provision.zip`, which is taken from the boot image even
    /// where the trust policy has packages come over the network.
    #[must_use]
    pub const fn is_provision(&self) -> bool {
        self.is_provision
    }

    /// File name of the descriptor.
    #[must_use]
    pub fn descriptor(&self) -> String {
        format!("{}.json", self.stem)
    }

    /// File name of the archive.
    #[must_use]
    pub fn archive(&self) -> String {
        format!("{}.zip", self.stem)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.archive())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PackageName;

    #[test]
    fn the_extension_makes_no_difference() {
        for text in ["os-1.2.zip", "os-1.2.json", "os-1.2"] {
            let name = PackageName::parse(text).unwrap();
            assert_eq!((&*name.descriptor(), &*name.archive()), ("os-1.2.json", "os-1.2.zip"));
            assert!(!name.is_provision());
        }
        assert_eq!(PackageName::parse("os.v2").unwrap().to_string(), "os.v2.zip");
    }

    #[test]
    fn only_one_spelling_is_the_provision_package() {
        assert!(PackageName::parse("provision.zip").unwrap().is_provision());
        for other in ["provision", "provision.json", "Provision.zip", "provision.zip.zip"] {
            assert!(!PackageName::parse(other).unwrap().is_provision(), "{other}");
        }
    }

    #[test]
    fn paths_and_urls_are_no_names() {
        for text in [
            "",
            ".",
            "..",
            ".zip",
            ".json",
            ".os.zip",
            "a/b.zip",
            "/os.zip",
            "..\\os.zip",
            "os zip",
            "os.zip ",
            "https://a/os.json",
            "a,b",
            "o\0s",
            "ös.zip",
            "a:b",
            "%2e%2e",
        ] {
            assert_eq!(PackageName::parse(text), None, "{text:?}");
        }
        assert!(PackageName::parse(&"a".repeat(128)).is_some());
        assert_eq!(PackageName::parse(&"a".repeat(129)), None);
    }

    proptest! {
        #[test]
        fn a_name_stays_in_its_directory(text in "[./a-z\\\\]{0,12}") {
            if let Some(name) = PackageName::parse(&text) {
                let path = std::path::Path::new("/ospkg").join(name.archive());
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/ospkg")));
                prop_assert_eq!(path.components().count(), 3);
            }
        }
    }
}
