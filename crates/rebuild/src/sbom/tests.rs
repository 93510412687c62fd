use std::collections::BTreeSet;

use super::*;

fn bill() -> Bill {
    let deb = |name: &str, version: &str| Deb {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        sha256: "a".repeat(64),
        copyright: Some("Format: x\n\nLicense: GPL-2+\n\nLicense: odd one\n".to_owned()),
    };
    let linked = |name: &str, sha256: Option<&str>| Crate {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        licence: Some("MIT/Apache-2.0".to_owned()),
        sha256: sha256.map(str::to_owned),
    };
    Bill {
        name: "vpn".to_owned(),
        release: Some(7),
        created: 1_700_000_000,
        debs: vec![deb("libstdc++6", "12.2.0-14+deb12u1"), deb("iproute2", "1:6.1.0-3")],
        crates: vec![linked("ring", Some("beef")), linked("osinit", None)],
        kernel: Some(Kernel {
            version: "6.12.117".to_owned(),
            sha256: "c".repeat(64),
            source_sha256: Some("d".repeat(64)),
            config_sha256: Some("e".repeat(64)),
        }),
    }
}

fn parsed(bill: &Bill) -> Value {
    serde_json::from_str(&write(bill)).unwrap()
}

#[test]
fn everything_is_in_it() {
    let document = parsed(&bill());
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    assert_eq!(document["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    let packages = document["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["vpn", "iproute2", "libstdc++6", "linux", "linux-source", "osinit", "ring"]);
    let purls: Vec<&str> = packages
        .iter()
        .filter_map(|it| it["externalRefs"][0]["referenceLocator"].as_str())
        .collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/iproute2@1:6.1.0-3?arch=amd64",
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64",
            "pkg:generic/linux@6.12.117",
            "pkg:cargo/ring@1.0.0",
        ]
    );
    assert_eq!(packages[1]["licenseDeclared"], "GPL-2.0-or-later AND LicenseRef-Debian-odd-one");
    assert_eq!(packages[6]["licenseDeclared"], "MIT OR Apache-2.0");
    assert_eq!(packages[6]["checksums"][0]["checksumValue"], "beef");
    let extracted = document["hasExtractedLicensingInfos"].as_array().unwrap();
    assert_eq!(extracted.len(), 1);
    assert_eq!(extracted[0]["licenseId"], "LicenseRef-Debian-odd-one");
}

#[test]
fn identifiers_are_unique_and_known() {
    let mut bill = bill();
    // Two that would be the same when what is not allowed is left out.
    bill.debs.extend(["a+b", "a-b"].map(|name| Deb { name: name.to_owned(), ..Deb::default() }));
    let document = parsed(&bill);
    let packages = document["packages"].as_array().unwrap();
    let ids: BTreeSet<&str> = packages.iter().map(|it| it["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), packages.len());
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
    for id in &ids {
        assert!(id.strip_prefix("SPDXRef-").unwrap().chars().all(allowed), "{id}");
    }
    for relationship in document["relationships"].as_array().unwrap() {
        assert!(ids.contains(relationship["relatedSpdxElement"].as_str().unwrap()));
    }
}

#[test]
fn the_same_bill_gives_the_same_bytes() {
    let first = bill();
    let mut second = bill();
    second.debs.reverse();
    second.crates.reverse();
    assert_eq!(write(&first), write(&second));
    let mut other = bill();
    other.kernel = None;
    let namespace = |bill: &Bill| parsed(bill)["documentNamespace"].as_str().unwrap().to_owned();
    assert_ne!(namespace(&first), namespace(&other));
    assert!(namespace(&first).starts_with("https://ramstrap.invalid/spdx/vpn-7-"));
}
