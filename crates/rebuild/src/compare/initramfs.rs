//! Two initramfs: archive by archive, file by file.

use std::collections::BTreeMap;

use super::Change;
use super::Comparison;
use super::Found;
use super::below;
use super::json;
use super::limits;
use crate::initramfs::Archive;
use crate::initramfs::Member;
use crate::initramfs::read;

const TYPE: u32 = 0o170_000;
const SYMLINK: u32 = 0o120_000;

/// Documents of ours in an initramfs, without secrets.
const DOCUMENTS: &str = "etc/ramstrap/";

/// Compares two initramfs.
#[must_use]
pub fn initramfs(first: &[u8], second: &[u8]) -> Comparison {
    let mut found = Found::default();
    inside(&mut found, &[], first, second);
    found.done(first, second)
}

/// Compares two initramfs that are at this place of something larger.
pub(super) fn inside(found: &mut Found, place: &[String], first: &[u8], second: &[u8]) {
    if first == second {
        return;
    }
    let before = found.count();
    let (one, other) = match (read(first, limits()), read(second, limits())) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            // A damaged one is compared as what it is: bytes.
            let state = |it: Result<Vec<_>, crate::Error>| {
                it.map_or_else(|error| error.to_string(), |_| "readable".to_owned())
            };
            found.value(place, "initramfs", &state(one), &state(other));
            found.content(place, first, second);
            return;
        }
    };
    let (len_one, len_other) = (one.len().to_string(), other.len().to_string());
    found.value(place, "number of archives", &len_one, &len_other);
    for (number, (one, other)) in (1..).zip(one.iter().zip(&other)) {
        let alone = len_one == "1" && len_other == "1";
        let place = if alone { place.to_vec() } else { below(place, format!("archive {number}")) };
        let before = found.count();
        archives(found, &place, one, other);
        let bytes = |whole: &[u8], archive: &Archive<'_>| {
            let size = usize::try_from(archive.size).unwrap_or(whole.len());
            whole.get(archive.at..).and_then(|it| it.get(..size)).unwrap_or_default().to_vec()
        };
        if found.count() == before {
            let hint = if one.plain == other.plain {
                "where the same files are compressed in another way"
            } else {
                "but its files are the same: headers or padding of the archive"
            };
            let (one, other) = (bytes(first, one), bytes(second, other));
            found.packing(&place, before, (&one, &other), hint);
        }
    }
    found.packing(place, before, (first, second), "between its archives, which are the same");
}

fn archives(found: &mut Found, place: &[String], first: &Archive<'_>, second: &Archive<'_>) {
    found.value(place, "compression", first.compression, second.compression);
    if first.plain == second.plain {
        return;
    }
    let before = found.count();
    let (named_first, named_second) = (by_name(first), by_name(second));
    for (key, member) in in_order(first) {
        let place = below(place, &key.0);
        match named_second.get(&key) {
            Some(other) => members(found, &place, (first, member), (second, other)),
            None => found.add(&place, Change::Removed),
        }
    }
    for (key, _) in in_order(second) {
        if !named_first.contains_key(&key) {
            found.add(&below(place, key.0), Change::Added);
        }
    }
    let names = |archive: &Archive<'_>| {
        archive.members.iter().map(|member| member.path.clone()).collect::<Vec<_>>()
    };
    if found.count() == before && names(first) != names(second) {
        found.add(place, Change::Order);
    }
}

/// Members by path and how often this path was there before: an archive may have a path twice.
type Key = (String, usize);

fn in_order<'a>(archive: &'a Archive<'_>) -> Vec<(Key, &'a Member)> {
    let mut seen = BTreeMap::new();
    let keys = archive.members.iter().map(|member| {
        let times = seen.entry(member.path.as_str()).or_insert(0_usize);
        *times += 1;
        ((member.path.clone(), *times), member)
    });
    keys.collect()
}

fn by_name<'a>(archive: &'a Archive<'_>) -> BTreeMap<Key, &'a Member> {
    in_order(archive).into_iter().collect()
}

fn members(
    found: &mut Found,
    place: &[String],
    (archive, first): (&Archive<'_>, &Member),
    (other_archive, second): (&Archive<'_>, &Member),
) {
    let before = found.count();
    found.value(place, "type", kind(first.mode), kind(second.mode));
    let permissions = |member: &Member| format!("{:04o}", member.mode & 0o7777);
    found.value(place, "mode", &permissions(first), &permissions(second));
    let pair = |(one, other): (u32, u32)| format!("{one}:{other}");
    found.value(place, "owner", &pair(first.owner), &pair(second.owner));
    found.value(place, "device", &pair(first.device), &pair(second.device));
    found.value(place, "time", &first.time.to_string(), &second.time.to_string());
    found.value(place, "links", &first.links.to_string(), &second.links.to_string());
    let (one, other) = (archive.content(first), other_archive.content(second));
    let symlinks = first.mode & TYPE == SYMLINK && second.mode & TYPE == SYMLINK;
    if symlinks {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        found.value(place, "target", &text(one), &text(other));
        return;
    }
    let path = &first.path;
    let document = path.starts_with(DOCUMENTS) && path.ends_with(".json");
    if document && one != other && json::documents(found, place, one, other) {
        found.packing(place, before, (one, other), "but says the same");
        return;
    }
    found.content(place, one, other);
}

fn kind(mode: u32) -> &'static str {
    match mode & TYPE {
        0o040_000 => "directory",
        0o100_000 => "file",
        SYMLINK => "symbolic link",
        0o020_000 => "character device",
        0o060_000 => "block device",
        0o010_000 => "pipe",
        0o140_000 => "socket",
        _ => "unknown",
    }
}
