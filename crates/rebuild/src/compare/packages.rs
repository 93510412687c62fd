//! Two archives of OS packages.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::io::Read;
use std::io::Seek;

use serde_json::Value;
use zip::ZipArchive;

use super::Change;
use super::Comparison;
use super::Found;
use super::below;
use super::initramfs;
use super::json;
use crate::Error;
use crate::Result;
use crate::initramfs::begins;

const MANIFEST: &str = "manifest.json";
/// Most entries that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// All entries of one archive together, unpacked.
const MAX_UNPACKED: u64 = 2 << 30;
/// A document that is larger is compared as bytes.
const MAX_DOCUMENT: usize = 16 << 20;

/// An entry of an archive: what is said of it, and its content.
struct Entry {
    name: String,
    facts: BTreeMap<&'static str, String>,
    content: Vec<u8>,
}

/// Compares two archives.
///
/// # Errors
/// If one of them is no ZIP file, or has more in it than is looked at. It is named as `first` or
/// `second`.
pub fn packages(first: &[u8], second: &[u8]) -> Result<Comparison> {
    let mut found = Found::default();
    if first == second {
        return Ok(found.done(first, second));
    }
    let one = entries(first).map_err(|error| error.on("first"))?;
    let other = entries(second).map_err(|error| error.on("second"))?;
    for entry in &one {
        let place = below(&[], &entry.name);
        match other.iter().find(|it| it.name == entry.name) {
            Some(other) => compare(&mut found, &place, entry, other),
            None => found.add(&place, Change::Removed),
        }
    }
    for entry in other.iter().filter(|it| one.iter().all(|one| one.name != it.name)) {
        found.add(&below(&[], &entry.name), Change::Added);
    }
    let names =
        |entries: &[Entry]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    if found.count() == 0 && names(&one) != names(&other) {
        found.add(&[], Change::Order);
    }
    found.packing(&[], 0, (first, second), "where no entry is: headers or padding of the archive");
    Ok(found.done(first, second))
}

fn compare(found: &mut Found, place: &[String], first: &Entry, second: &Entry) {
    for (name, value) in &first.facts {
        found.value(place, name, value, second.facts.get(name).map_or("", String::as_str));
    }
    let before = found.count();
    let (one, other) = (first.content.as_slice(), second.content.as_slice());
    if one == other {
        return;
    }
    if begins(one) && begins(other) {
        initramfs::inside(found, place, one, other);
        return;
    }
    let document = first.name.ends_with(".json") && one.len().max(other.len()) <= MAX_DOCUMENT;
    if document && json::documents(found, place, one, other) {
        found.packing(place, before, (one, other), "but says the same");
        return;
    }
    let release = |bytes| kernel_release(bytes).unwrap_or_default();
    found.value(place, "kernel release", &release(one), &release(other));
    found.content(place, one, other);
}

fn entries(archive: &[u8]) -> Result<Vec<Entry>> {
    let failed = |error: &dyn core::fmt::Display| {
        Error::new(format!("no ZIP file that can be read: {error}"))
            .remedy("give the archive NAME.zip of an OS package, or its descriptor NAME.json")
    };
    let mut zip = ZipArchive::new(Cursor::new(archive)).map_err(|error| failed(&error))?;
    if zip.len() > MAX_ENTRIES {
        return Err(Error::new(format!("more than {MAX_ENTRIES} entries")));
    }
    let mut left = MAX_UNPACKED;
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| failed(&error))?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        let time = member.last_modified().map(|time| time.to_string());
        let facts = BTreeMap::from([
            ("compression", member.compression().to_string()),
            (
                "mode",
                member.unix_mode().map_or_else(|| "none".to_owned(), |mode| format!("{mode:06o}")),
            ),
            ("time", time.unwrap_or_else(|| "none".to_owned())),
            ("comment", member.comment().to_owned()),
        ]);
        let mut content = Vec::new();
        (&mut member)
            .take(left + 1)
            .read_to_end(&mut content)
            .map_err(|error| failed(&error).on(&name))?;
        left = left.checked_sub(content.len() as u64).ok_or_else(|| {
            Error::new("its entries unpack to more than 2 GiB").remedy("is it an OS package?")
        })?;
        entries.push(Entry { name, facts, content });
    }
    Ok(entries)
}

/// What the setup header of a bzImage says of its version, up to the first space.
pub(super) fn kernel_release(kernel: &[u8]) -> Option<String> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at: [u8; 2] = kernel.get(0x20e..0x210)?.try_into().ok()?;
    let text = kernel.get(usize::from(u16::from_le_bytes(at)) + 0x200..)?;
    let text = text.get(..text.iter().take(256).position(|byte| *byte == 0)?)?;
    Some(String::from_utf8_lossy(text).split_whitespace().next()?.to_owned())
}

/// An entry of an archive that nothing vouches for.
///
/// # Errors
/// If it is no ZIP file, has no such entry, or the entry has more than `limit` bytes.
pub fn entry(archive: impl Read + Seek, name: &str, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: &dyn core::fmt::Display| {
        Error::new(format!("no ZIP file that can be read: {error}"))
            .remedy("give the descriptor NAME.json of an OS package with NAME.zip beside it")
    };
    let mut zip = ZipArchive::new(archive).map_err(|error| failed(&error))?;
    let member = zip.by_name(name);
    let member = member.map_err(|_| Error::new(format!("there is no {name} in it")))?;
    let mut content = Vec::new();
    member.take(limit + 1).read_to_end(&mut content).map_err(|error| failed(&error).on(name))?;
    if content.len() as u64 > limit {
        return Err(Error::new(format!("{name} has more than {limit} bytes")));
    }
    Ok(content)
}

/// The initramfs of a package that nothing vouches for, by its manifest.
///
/// # Errors
/// As [`entry`], and if the manifest names none.
pub fn initramfs_of(archive: &[u8]) -> Result<Vec<u8>> {
    named(archive, "initramfs")
}

/// The kernel of a package that nothing vouches for, by its manifest.
///
/// # Errors
/// As [`entry`], and if the manifest names none.
pub fn kernel_of(archive: &[u8]) -> Result<Vec<u8>> {
    named(archive, "kernel")
}

fn named(archive: &[u8], key: &str) -> Result<Vec<u8>> {
    let manifest = entry(Cursor::new(archive), MANIFEST, MAX_DOCUMENT as u64)?;
    let manifest: Value = serde_json::from_slice(&manifest)
        .map_err(|error| Error::new(format!("{MANIFEST}: {error}")))?;
    let name = manifest.get(key).and_then(Value::as_str);
    let name = name.ok_or_else(|| Error::new(format!("{MANIFEST} names no {key}")))?;
    entry(Cursor::new(archive), name, MAX_UNPACKED)
}
