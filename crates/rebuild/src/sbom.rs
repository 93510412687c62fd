//! The bill of materials of an OS package: SPDX 2.3, as JSON.
//!
//! The same bill gives the same bytes: the time is that of the build, and the namespace, which has
//! to be of this document alone, is made of its digest.

mod crates;
mod licence;
#[cfg(test)]
mod tests;

use serde_json::Value;
use serde_json::json;

use crate::sha256;
use licence::Licence;

pub use crates::crates_of;

/// What a package is made of.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    /// Name of the package.
    pub name: String,
    /// Number of its release, if it has one.
    pub release: Option<u64>,
    /// What counts as the time of the build, Unix seconds.
    pub created: i64,
    /// Debian packages in it.
    pub debs: Vec<Deb>,
    /// Rust crates that are linked into binaries in it.
    pub crates: Vec<Crate>,
    /// Its kernel.
    pub kernel: Option<Kernel>,
}

/// A Debian package.
#[derive(Clone, Debug, Default)]
pub struct Deb {
    /// Name.
    pub name: String,
    /// Version, with its epoch.
    pub version: String,
    /// Architecture, such as `amd64` or `all`.
    pub arch: String,
    /// Of the `.deb` file.
    pub sha256: String,
    /// Text of its `usr/share/doc/NAME/copyright`.
    pub copyright: Option<String>,
}

/// A Rust crate.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Crate {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX expression, as the crate says it.
    pub licence: Option<String>,
    /// Of the `.crate` file; none for a crate of this source tree.
    pub sha256: Option<String>,
}

/// A kernel.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Version, such as `6.12.117`.
    pub version: String,
    /// Of the bzImage.
    pub sha256: String,
    /// Of the source that it was built from, if that is known.
    pub source_sha256: Option<String>,
    /// Of its configuration, if that is known.
    pub config_sha256: Option<String>,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const ROOT: &str = "SPDXRef-ospkg";
/// Debian's and the kernel's own word for it.
const KERNEL_LICENCE: &str = "GPL-2.0-only WITH Linux-syscall-note";

/// Writes the bill as an SPDX 2.3 document.
#[must_use]
pub fn write(bill: &Bill) -> String {
    let mut document = Document::default();
    document.root(bill);
    let mut debs: Vec<&Deb> = bill.debs.iter().collect();
    debs.sort_by_key(|deb| (&deb.name, &deb.version, &deb.arch));
    debs.into_iter().for_each(|deb| document.deb(deb));
    if let Some(kernel) = &bill.kernel {
        document.kernel(kernel);
    }
    let mut crates: Vec<&Crate> = bill.crates.iter().collect();
    crates.sort();
    crates.dedup();
    crates.into_iter().for_each(|it| document.linked(it));
    document.finish(bill)
}

#[derive(Default)]
struct Document {
    packages: Vec<Value>,
    relationships: Vec<Value>,
    licences: Vec<Licence>,
}

/// A package of the document.
struct Package<'a> {
    kind: &'a str,
    name: &'a str,
    version: &'a str,
    sha256: Option<&'a str>,
    licence: String,
    purl: Option<String>,
    purpose: &'a str,
    comment: Option<String>,
}

impl Document {
    fn root(&mut self, bill: &Bill) {
        let mut root = json!({
            "SPDXID": ROOT,
            "name": bill.name,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": "OPERATING_SYSTEM",
        });
        if let (Some(release), Some(object)) = (bill.release, root.as_object_mut()) {
            object.insert("versionInfo".to_owned(), release.to_string().into());
        }
        self.packages.push(root);
        self.relate(DOCUMENT, "DESCRIBES", ROOT);
    }

    fn deb(&mut self, deb: &Deb) {
        let licence = licence::of_debian(deb.copyright.as_deref());
        let (name, version, arch) = (quoted(&deb.name), quoted(&deb.version), quoted(&deb.arch));
        let id = self.package(&Package {
            kind: "deb",
            name: &deb.name,
            version: &deb.version,
            sha256: Some(&deb.sha256),
            licence: licence.expression(),
            purl: Some(format!("pkg:deb/debian/{name}@{version}?arch={arch}")),
            purpose: "APPLICATION",
            comment: None,
        });
        self.licences.push(licence);
        self.relate(ROOT, "CONTAINS", &id);
    }

    fn kernel(&mut self, kernel: &Kernel) {
        let configuration = kernel.config_sha256.as_ref();
        let version = quoted(&kernel.version);
        let linux = Package {
            kind: "kernel",
            name: "linux",
            version: &kernel.version,
            sha256: Some(&kernel.sha256),
            licence: KERNEL_LICENCE.to_owned(),
            purl: Some(format!("pkg:generic/linux@{version}")),
            purpose: "OPERATING_SYSTEM",
            comment: configuration.map(|it| format!("SHA-256 of its configuration: {it}")),
        };
        let id = self.package(&linux);
        self.relate(ROOT, "CONTAINS", &id);
        if let Some(source) = &kernel.source_sha256 {
            let from = self.package(&Package {
                kind: "kernel-source",
                name: "linux-source",
                sha256: Some(source),
                purl: None,
                purpose: "SOURCE",
                comment: None,
                ..linux
            });
            self.relate(&id, "GENERATED_FROM", &from);
        }
    }

    fn linked(&mut self, linked: &Crate) {
        let (name, version) = (quoted(&linked.name), quoted(&linked.version));
        // Some crates still write a slash, which was once the way to say OR.
        let licence = linked.licence.as_deref().filter(|it| !it.is_empty());
        let licence =
            licence.map_or_else(|| "NOASSERTION".to_owned(), |it| it.replace('/', " OR "));
        let id = self.package(&Package {
            kind: "crate",
            name: &linked.name,
            version: &linked.version,
            sha256: linked.sha256.as_deref(),
            licence,
            // Without a digest it is of this source tree, and no registry knows it.
            purl: linked.sha256.as_ref().map(|_| format!("pkg:cargo/{name}@{version}")),
            purpose: "LIBRARY",
            comment: None,
        });
        self.relate(ROOT, "CONTAINS", &id);
    }

    /// Adds a package; gives its identifier.
    fn package(&mut self, package: &Package<'_>) -> String {
        let Package { kind, name, version, sha256: digest, licence, purl, purpose, comment } =
            package;
        let id = identifier(kind, name, &format!("{version} {digest:?} {purl:?}"));
        let mut value = json!({
            "SPDXID": id,
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": licence,
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": purpose,
        });
        let mut add = |name: &str, more: Value| {
            if let Some(object) = value.as_object_mut() {
                object.insert(name.to_owned(), more);
            }
        };
        if let Some(digest) = digest {
            add("checksums", json!([{ "algorithm": "SHA256", "checksumValue": digest }]));
        }
        if let Some(purl) = purl {
            add(
                "externalRefs",
                json!([{
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": purl,
                }]),
            );
        }
        if let Some(comment) = comment {
            add("comment", comment.as_str().into());
        }
        self.packages.push(value);
        id
    }

    fn relate(&mut self, one: &str, how: &str, other: &str) {
        self.relationships.push(json!({
            "spdxElementId": one,
            "relationshipType": how,
            "relatedSpdxElement": other,
        }));
    }

    fn finish(mut self, bill: &Bill) -> String {
        let mut extracted: Vec<(String, String)> =
            self.licences.iter().flat_map(Licence::extracted).collect();
        extracted.sort();
        extracted.dedup_by(|one, other| one.0 == other.0);
        let extracted: Vec<Value> = extracted
            .into_iter()
            .map(|(id, text)| json!({ "licenseId": id, "extractedText": text }))
            .collect();
        let created = jiff::Timestamp::from_second(bill.created).unwrap_or_default();
        let name = match bill.release {
            Some(release) => format!("{}-{release}", bill.name),
            None => bill.name.clone(),
        };
        let mut document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": DOCUMENT,
            "name": name,
            "creationInfo": {
                "created": created.to_string(),
                "creators": [concat!("Tool: ramstrap-", env!("CARGO_PKG_VERSION"))],
            },
            "packages": core::mem::take(&mut self.packages),
            "relationships": core::mem::take(&mut self.relationships),
        });
        if let Some(object) = document.as_object_mut() {
            if !extracted.is_empty() {
                object.insert("hasExtractedLicensingInfos".to_owned(), extracted.into());
            }
            // Of everything else: another document has another namespace.
            let digest = sha256(Value::Object(object.clone()).to_string().as_bytes());
            let namespace = format!("https://ramstrap.invalid/spdx/{}-{digest}", quoted(&name));
            object.insert("documentNamespace".to_owned(), namespace.into());
        }
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Letters, digits, dots and dashes are allowed; a digest keeps apart what would become the same.
fn identifier(kind: &str, name: &str, rest: &str) -> String {
    let plain: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .collect();
    let digest = sha256(format!("{kind} {name} {rest}").as_bytes());
    format!("SPDXRef-{kind}-{plain}-{}", digest.get(..12).unwrap_or(&digest))
}

/// As parts of a package URL are written.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
