use std::io::Write;

use proptest::prelude::*;

use super::*;

/// A cpio archive of these files: path, mode, content.
pub(crate) fn cpio(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let trailer = [(TRAILER, 0, b"".as_slice())];
    for (inode, (path, mode, content)) in (1_u32..).zip(files.iter().chain(&trailer)) {
        let length = content.len() as u32;
        let fields = [inode, *mode, 0, 0, 1, 0, length, 0, 0, 0, 0, path.len() as u32 + 1, 0];
        out.extend(b"070701");
        fields.iter().for_each(|field| out.extend(format!("{field:08X}").bytes()));
        out.extend(path.bytes().chain([0]));
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(*content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn archives_behind_each_other_are_read() {
    let first = cpio(&[("init", 0o100_755, b"#!"), ("etc", 0o040_755, b"")]);
    let second = cpio(&[("/etc/a", 0o100_644, b"hello")]);
    let mut bytes = first.clone();
    bytes.extend(zstd(&second));
    bytes.extend([0; 7]);
    bytes.extend(gzip(&second));
    let archives = read(&bytes, Limits::default()).unwrap();
    let shapes: Vec<_> = archives.iter().map(|it| (it.compression, it.members.len())).collect();
    assert_eq!(shapes, [("none", 2), ("zstd", 1), ("gzip", 1)]);
    assert_eq!(archives[0].at, 0);
    assert_eq!(archives[0].size as usize, first.len());
    assert_eq!(archives[1].at, first.len());
    let file = &archives[2].members[0];
    assert_eq!((file.path.as_str(), archives[2].content(file)), ("etc/a", b"hello".as_slice()));
    assert_eq!(file.mode, 0o100_644);
}

#[test]
fn limits_hold() {
    let zeros = vec![0; 100_000];
    let bytes = zstd(&cpio(&[("a", 0o100_644, &zeros), ("b", 0o100_644, b"")]));
    let few = Limits { members: 1, ..Limits::default() };
    let error = read(&bytes, few).unwrap_err().to_string();
    assert!(error.contains("more than 1 files"), "{error}");
    let small = Limits { unpacked: 50_000, ..Limits::default() };
    let error = read(&bytes, small).unwrap_err().to_string();
    assert!(error.contains("archive 1 at byte 0") && error.contains("limit"), "{error}");
    // Together, not each.
    let twice = [bytes.clone(), bytes].concat();
    let one = Limits { unpacked: 150_000, ..Limits::default() };
    assert!(read(&twice, one).unwrap_err().to_string().contains("archive 2"));
}

#[test]
fn what_is_cut_short_is_named() {
    let whole = cpio(&[("etc/file", 0o100_644, b"0123456789")]);
    for (len, words) in [(60, "in a header"), (115, "in a name"), (125, "in the file \"etc/file\"")]
    {
        let error = read(&whole[..len], Limits::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{len}: {error}");
    }
    let error = read(b"070701x", Limits::default()).unwrap_err().to_string();
    assert!(error.contains("archive 1 at byte 0"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..5) {
        let starts: [&[u8]; 5] = [b"", b"070701", ZSTD, GZIP, XZ];
        let bytes = [starts[magic as usize], &bytes].concat();
        let _ = read(&bytes, Limits { unpacked: 1 << 20, members: 100 });
    }

    #[test]
    fn damaged_archives_are_survived(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = cpio(&[("etc/a", 0o100_644, b"hello"), ("b", 0o120_777, b"etc/a")]);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(archives) = read(&bytes, Limits::default()) {
            for archive in &archives {
                archive.members.iter().for_each(|member| drop(archive.content(member).to_vec()));
            }
        }
    }
}
