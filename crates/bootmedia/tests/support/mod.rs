//! Images and keys for tests.

#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_debug_implementations,
    unreachable_pub,
    reason = "shared by tests, none of which uses all of it"
)]

/// A key with its certificate, and further files that go wrong in some way.
pub const KEY: &[u8] = include_bytes!("../data/signer.key");
pub const CERTIFICATE: &[u8] = include_bytes!("../data/signer.crt");
pub const OTHER_KEY: &[u8] = include_bytes!("../data/other.key");
pub const OTHER_CERTIFICATE: &[u8] = include_bytes!("../data/other.crt");

/// Where Debian and Ubuntu keep systemd's UEFI stub.
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// How a stub says what it is.
pub const MAGIC: &[u8] = b"#### LoaderInfo: systemd-stub 252.1-test ####\0";

/// Section of an image: name, place in memory, content.
pub type Part<'a> = (&'a str, u32, &'a [u8]);

/// A PE32+ image with its COFF header at `coff`, headers of 0x400 bytes and these sections.
pub fn pe(coff: usize, sections: &[Part<'_>]) -> Vec<u8> {
    let mut file = vec![0; 0x400];
    put(&mut file, 0, b"MZ");
    put(&mut file, 0x3c, &(coff as u32).to_le_bytes());
    put(&mut file, coff, b"PE\0\0\x64\x86");
    put(&mut file, coff + 6, &(sections.len() as u16).to_le_bytes());
    put(&mut file, coff + 20, &240_u16.to_le_bytes());
    put(&mut file, coff + 22, &0x206_u16.to_le_bytes());
    let optional = coff + 24;
    put(&mut file, optional, &0x20b_u16.to_le_bytes());
    let end = sections.iter().map(|(_, at, content)| at + content.len() as u32).max().unwrap_or(0);
    for (field, value) in
        [(32, 0x1000), (36, 0x200), (56, end.next_multiple_of(0x1000)), (60, 0x400), (108, 16)]
    {
        put(&mut file, optional + field, &u32::to_le_bytes(value));
    }
    for (index, (name, at, content)) in sections.iter().enumerate() {
        let header = optional + 240 + 40 * index;
        let raw = file.len() as u32;
        let raw_size = content.len().next_multiple_of(0x200) as u32;
        put(&mut file, header, name.as_bytes());
        for (field, value) in [(8, content.len() as u32), (12, *at), (16, raw_size), (20, raw)] {
            put(&mut file, header + field, &value.to_le_bytes());
        }
        put(&mut file, header + 36, &0x4000_0040_u32.to_le_bytes());
        file.extend(*content);
        file.resize((raw + raw_size) as usize, 0);
    }
    file
}

/// A stub with code and `.sbat` in front of another section, as real ones have it.
pub fn stub() -> Vec<u8> {
    let sbat = b"sbat,1,SBAT Version,sbat,1,https://x/\nstub,3,A,b,1,https://y/\n";
    pe(
        0x80,
        &[(".text", 0x4000, &[0x90; 700]), (".sbat", 0x9000, sbat), (".sdmagic", 0xa000, MAGIC)],
    )
}

/// A bzImage with an EFI stub that takes 2047 bytes of command line.
pub fn kernel() -> Vec<u8> {
    let mut kernel = pe(0x40, &[(".text", 0x1000, &[0xcc; 5000])]);
    for (at, bytes) in [
        (0x1f1, [39].as_slice()),
        (0x1fe, &[0x55, 0xaa]),
        (0x202, b"HdrS"),
        (0x206, &[0x0f, 0x02]),
        (0x211, &[1]),
        (0x230, &0x20_0000_u32.to_le_bytes()),
        (0x234, &[1]),
        (0x236, &[0x7f, 0]),
        (0x238, &2047_u32.to_le_bytes()),
        (0x258, &0x100_0000_u64.to_le_bytes()),
        (0x260, &0x100_0000_u32.to_le_bytes()),
    ] {
        put(&mut kernel, at, bytes);
    }
    kernel
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
