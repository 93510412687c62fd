//! Archives made by hand, in which every field can lie.

/// The manifest of [`good`].
pub(crate) const MANIFEST: &str = r#"{"version": 1, "kernel": "boot/k", "initramfs": "boot/i"}"#;

/// Length of the end record.
pub(crate) const END_LEN: usize = 22;

/// A member.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) local_method: u16,
    pub(crate) flags: u16,
    pub(crate) local_flags: u16,
    pub(crate) crc: u32,
    pub(crate) local_crc: u32,
    pub(crate) len: u32,
    pub(crate) compressed_len: u32,
    /// Both lengths in the local header, if they are not those of the directory: compressed first.
    pub(crate) local_lens: Option<(u32, u32)>,
    /// Extra field of the central header.
    pub(crate) extra: Vec<u8>,
    /// Extra field of the local header.
    pub(crate) local_extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) disk: u16,
    pub(crate) offset: Option<u32>,
}

/// A stored member, about which nothing is wrong.
pub(crate) fn raw(name: &str, data: &[u8]) -> Raw {
    let crc = crc32fast::hash(data);
    let len = u32::try_from(data.len()).unwrap();
    Raw {
        name: name.into(),
        local_name: name.into(),
        data: data.to_vec(),
        method: 0,
        local_method: 0,
        flags: 0,
        local_flags: 0,
        crc,
        local_crc: crc,
        len,
        compressed_len: len,
        local_lens: None,
        extra: Vec::new(),
        local_extra: Vec::new(),
        comment: Vec::new(),
        disk: 0,
        offset: None,
    }
}

impl Raw {
    /// The same, compressed.
    pub(crate) fn deflated(mut self) -> Self {
        self.data = deflate(&self.data);
        self.compressed_len = u32::try_from(self.data.len()).unwrap();
        (self.method, self.local_method) = (8, 8);
        self
    }

    /// As a writer makes it that cannot go back: CRC and lengths stand behind the data, with or without
    /// a signature of their own.
    pub(crate) fn streamed(mut self, signature: bool) -> Self {
        (self.flags, self.local_flags) = (8, 8);
        if signature {
            self.data.extend(b"PK\x07\x08");
        }
        for field in [self.crc, self.compressed_len, self.len] {
            self.data.extend(field.to_le_bytes());
        }
        (self.local_crc, self.local_lens) = (0, Some((0, 0)));
        self
    }
}

pub(crate) fn deflate(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The members of a package that boots: kernel, initramfs, manifest.
pub(crate) fn good() -> Vec<Raw> {
    vec![
        raw("boot/k", b"kernel"),
        raw("boot/i", b"initramfs"),
        raw("manifest.json", MANIFEST.as_bytes()),
    ]
}

/// [`good`] with its first member, the kernel, changed.
pub(crate) fn with_kernel(change: impl FnOnce(&mut Raw)) -> Vec<u8> {
    let mut members = good();
    change(&mut members[0]);
    build(&members)
}

/// [`good`] with some bytes of its end record changed.
pub(crate) fn with_end(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut archive = build(&good());
    let at = archive.len() - END_LEN + offset;
    archive[at..at + value.len()].copy_from_slice(value);
    archive
}

/// The archive.
pub(crate) fn build(members: &[Raw]) -> Vec<u8> {
    let (mut archive, central) = parts(members);
    let start = archive.len();
    archive.extend(&central);
    archive.extend(end(members.len(), central.len(), start));
    archive
}

/// Local headers with their data, and the central directory.
pub(crate) fn parts(members: &[Raw]) -> (Vec<u8>, Vec<u8>) {
    let mut archive = Vec::new();
    let mut central = Vec::new();
    let short = |len: usize| u16::try_from(len).unwrap().to_le_bytes();
    for member in members {
        let offset = member.offset.unwrap_or_else(|| u32::try_from(archive.len()).unwrap());
        let (compressed_len, len) =
            member.local_lens.unwrap_or((member.compressed_len, member.len));
        archive.extend(b"PK\x03\x04\x14\0");
        archive.extend(member.local_flags.to_le_bytes());
        archive.extend(member.local_method.to_le_bytes());
        archive.extend([0; 4]);
        for field in [member.local_crc, compressed_len, len] {
            archive.extend(field.to_le_bytes());
        }
        archive.extend(short(member.local_name.len()));
        archive.extend(short(member.local_extra.len()));
        archive.extend(&member.local_name);
        archive.extend(&member.local_extra);
        archive.extend(&member.data);

        central.extend(b"PK\x01\x02\x14\0\x14\0");
        central.extend(member.flags.to_le_bytes());
        central.extend(member.method.to_le_bytes());
        central.extend([0; 4]);
        for field in [member.crc, member.compressed_len, member.len] {
            central.extend(field.to_le_bytes());
        }
        central.extend(short(member.name.len()));
        central.extend(short(member.extra.len()));
        central.extend(short(member.comment.len()));
        central.extend(member.disk.to_le_bytes());
        central.extend([0; 6]);
        central.extend(offset.to_le_bytes());
        central.extend(&member.name);
        central.extend(&member.extra);
        central.extend(&member.comment);
    }
    (archive, central)
}

/// An end record.
pub(crate) fn end(count: usize, central_len: usize, start: usize) -> Vec<u8> {
    let count = u16::try_from(count).unwrap().to_le_bytes();
    let mut record = b"PK\x05\x06\0\0\0\0".to_vec();
    record.extend(count);
    record.extend(count);
    for field in [central_len, start] {
        record.extend(u32::try_from(field).unwrap().to_le_bytes());
    }
    record.extend([0; 2]);
    record
}

/// What the end of a ZIP64 archive says, where it may lie.
#[derive(Clone)]
pub(crate) struct Zip64 {
    pub(crate) entries: u64,
    pub(crate) len: u64,
    pub(crate) start: u64,
    pub(crate) record_at: u64,
    pub(crate) disks: u32,
    pub(crate) locator: bool,
}

/// [`good`] with a ZIP64 end, whose narrow end record says "see there" in every field.
pub(crate) fn with_zip64_end(change: impl FnOnce(&mut Zip64)) -> Vec<u8> {
    let members = good();
    let (mut archive, central) = parts(&members);
    let start = archive.len() as u64;
    archive.extend(&central);
    let mut says = Zip64 {
        entries: members.len() as u64,
        len: central.len() as u64,
        start,
        record_at: archive.len() as u64,
        disks: 0,
        locator: true,
    };
    change(&mut says);
    archive.extend(b"PK\x06\x06");
    archive.extend(44_u64.to_le_bytes());
    archive.extend([45, 0, 45, 0]);
    archive.extend(says.disks.to_le_bytes());
    archive.extend(says.disks.to_le_bytes());
    for field in [says.entries, says.entries, says.len, says.start] {
        archive.extend(field.to_le_bytes());
    }
    if says.locator {
        archive.extend(b"PK\x06\x07\0\0\0\0");
        archive.extend(says.record_at.to_le_bytes());
        archive.extend(1_u32.to_le_bytes());
    }
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([0xff; 12]);
    archive.extend([0; 2]);
    archive
}

/// A ZIP64 part of an extra field.
pub(crate) fn zip64_extra(values: &[u64]) -> Vec<u8> {
    let mut extra = vec![1, 0];
    extra.extend(u16::try_from(values.len() * 8).unwrap().to_le_bytes());
    values.iter().for_each(|value| extra.extend(value.to_le_bytes()));
    extra
}
