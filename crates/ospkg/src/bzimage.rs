//! The setup header at the start of an x86 Linux kernel: the one place that reads it.
//!
//! Offsets and meanings are those of the Linux/x86 boot protocol.

use report::Code;
use report::Coded;

/// How much of the kernel's start [`BzImage::parse`] wants to see, in bytes.
pub const HEADER_LEN: usize = 4096;

/// How much of the kernel's start [`BzImage::release`] may have to see, in bytes.
pub const RELEASE_LEN: usize = SETUP + u16::MAX as usize + RELEASE_MAX;

/// What the header's pointers are counted from.
const SETUP: usize = 0x200;
/// Longest text about the kernel's version, with the NUL behind it.
const RELEASE_MAX: usize = 256;

/// Boot protocol 2.12: the first whose kernels say whether they are 64-bit.
const OLDEST_PROTOCOL: u16 = 0x020c;

const LOADED_HIGH: u8 = 1;
const KERNEL_64: u16 = 1;
const CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;

/// Why a file is not a kernel that can be started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BzImageError {
    /// Too short to have the header.
    #[error("kernel: shorter than the header of a bzImage")]
    TooShort,
    /// No boot flag or no `HdrS`.
    #[error("kernel: not a bzImage (no x86 boot header)")]
    NotBzImage,
    /// A boot protocol before 2.12 (Linux 3.8).
    #[error("kernel: boot protocol {}.{} is older than 2.12", .0 >> 8, .0 & 0xff)]
    TooOld(u16),
    /// A zImage, which wants to be loaded into the first megabyte.
    #[error("kernel: a zImage, not a bzImage")]
    NotLoadedHigh,
    /// No 64-bit entry point.
    #[error("kernel: not a 64-bit kernel")]
    Not64Bit,
    /// The file ends before what its header speaks of.
    #[error("kernel: cut short: {len} bytes, and its header speaks of {least}")]
    Cut {
        /// Length of the file, in bytes.
        len: u64,
        /// [`BzImage::least_len`].
        least: u64,
    },
}

impl Coded for BzImageError {
    fn code(&self) -> Code {
        Code::KernelInvalid
    }
}

/// What the setup header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BzImage {
    /// Boot protocol: major version in the upper byte, minor in the lower.
    pub protocol: u16,
    /// Length of the real-mode part at the start of the file, in bytes.
    pub setup_len: u32,
    /// Memory that the kernel needs from where it is loaded until it has unpacked itself, in bytes.
    pub init_size: u32,
    /// Longest command line that it takes, in bytes without NUL.
    pub cmdline_size: u32,
    /// Whether it runs wherever it is loaded.
    pub relocatable: bool,
    /// Alignment that it wants to be loaded at, in bytes.
    pub alignment: u32,
    /// Address that it would like to be loaded at.
    pub preferred_address: u64,
    /// Whether kernel, command line and initramfs may lie above 4 GiB.
    pub above_4g: bool,
    /// What the whole file has at the least, in bytes.
    pub least_len: u64,
    /// Where the text about the version starts, if it says where.
    release_at: Option<usize>,
}

impl BzImage {
    /// Reads the header from the start of a kernel: [`HEADER_LEN`] bytes, or all if it is shorter.
    ///
    /// # Errors
    ///
    /// [`BzImageError`] for everything that the kernel's own loader for kexec would not take.
    pub fn parse(start: &[u8]) -> Result<Self, BzImageError> {
        let header = Header(start);
        // The last field that is read ends at 0x264.
        if start.len() < 0x264 {
            return Err(BzImageError::TooShort);
        }
        if header.u16(0x1fe) != 0xaa55 || header.bytes::<4>(0x202) != *b"HdrS" {
            return Err(BzImageError::NotBzImage);
        }
        let protocol = header.u16(0x206);
        if protocol < OLDEST_PROTOCOL {
            return Err(BzImageError::TooOld(protocol));
        }
        let [loadflags] = header.bytes(0x211);
        if loadflags & LOADED_HIGH == 0 {
            return Err(BzImageError::NotLoadedHigh);
        }
        let xloadflags = header.u16(0x236);
        if xloadflags & KERNEL_64 == 0 {
            return Err(BzImageError::Not64Bit);
        }
        let [setup_sectors] = header.bytes(0x1f1);
        // Zero means four, for historical reasons; the boot sector comes on top.
        let setup_sectors = if setup_sectors == 0 { 4 } else { u32::from(setup_sectors) };
        let setup_len = (setup_sectors + 1) * 512;
        let [relocatable] = header.bytes(0x234);
        // In units of 16 bytes, which the build rounds up to.
        let system = u64::from(header.u32(0x1f4)).saturating_mul(16);
        let release_at = usize::from(header.u16(0x20e));
        Ok(Self {
            protocol,
            setup_len,
            init_size: header.u32(0x260),
            cmdline_size: header.u32(0x238),
            relocatable: relocatable != 0,
            alignment: header.u32(0x230),
            preferred_address: u64::from_le_bytes(header.bytes(0x258)),
            above_4g: xloadflags & CAN_BE_LOADED_ABOVE_4G != 0,
            least_len: (u64::from(setup_len) + system).saturating_sub(15),
            release_at: (release_at != 0).then_some(SETUP + release_at),
        })
    }

    /// As [`Self::parse`], of a whole kernel: everything that the header speaks of must be there.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], and [`BzImageError::Cut`].
    pub fn parse_whole(kernel: &[u8]) -> Result<Self, BzImageError> {
        let header = Self::parse(kernel)?;
        let len = kernel.len() as u64;
        if len < header.least_len {
            return Err(BzImageError::Cut { len, least: header.least_len });
        }
        Ok(header)
    }

    /// The kernel's release, such as `6.12.117`, if it says it in its first [`RELEASE_LEN`] bytes.
    #[must_use]
    pub fn release<'a>(&self, start: &'a [u8]) -> Option<&'a str> {
        let text = start.get(self.release_at?..)?;
        let text = text.get(..text.iter().take(RELEASE_MAX).position(|byte| *byte == 0)?)?;
        let release = core::str::from_utf8(text).ok()?.split_whitespace().next()?;
        // It becomes part of paths and of lines of text.
        let plain = |letter: char| letter.is_ascii_graphic() && letter != '/';
        release.chars().all(plain).then_some(release)
    }
}

/// Little-endian fields; zero behind the end.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let field = self.0.get(offset..).and_then(<[u8]>::first_chunk::<N>);
        field.copied().unwrap_or([0; N])
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.bytes(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::BzImage;
    use super::BzImageError;
    use super::HEADER_LEN;
    use super::RELEASE_LEN;

    fn kernel() -> Vec<u8> {
        let mut start = vec![0_u8; HEADER_LEN];
        let mut set = |offset: usize, bytes: &[u8]| {
            start[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        set(0x1f1, &[39]);
        set(0x1f4, &400_u32.to_le_bytes());
        set(0x1fe, &[0x55, 0xaa]);
        set(0x202, b"HdrS");
        set(0x206, &[0x0f, 0x02]);
        set(0x20e, &0x600_u16.to_le_bytes());
        set(0x211, &[1]);
        set(0x230, &0x20_0000_u32.to_le_bytes());
        set(0x234, &[1]);
        set(0x236, &[0x7f, 0]);
        set(0x238, &2047_u32.to_le_bytes());
        set(0x258, &0x100_0000_u64.to_le_bytes());
        set(0x260, &54_001_664_u32.to_le_bytes());
        set(0x800, b"6.1.0-56-cloud-amd64 (a@b) #1 SMP\0");
        start
    }

    #[test]
    fn the_header_is_read() {
        assert_eq!(
            BzImage::parse(&kernel()),
            Ok(BzImage {
                protocol: 0x020f,
                setup_len: 20_480,
                init_size: 54_001_664,
                cmdline_size: 2047,
                relocatable: true,
                alignment: 0x20_0000,
                preferred_address: 0x100_0000,
                above_4g: true,
                least_len: 26_865,
                release_at: Some(0x800),
            })
        );
    }

    #[test]
    fn a_kernel_that_is_cut_is_refused() {
        let mut whole = kernel();
        let cut = BzImageError::Cut { len: 4096, least: 26_865 };
        assert_eq!(BzImage::parse_whole(&whole), Err(cut));
        assert_eq!(
            cut.to_string(),
            "kernel: cut short: 4096 bytes, and its header speaks of 26865"
        );
        whole.resize(26_864, 0);
        BzImage::parse_whole(&whole).unwrap_err();
        whole.push(0);
        assert_eq!(BzImage::parse_whole(&whole), BzImage::parse(&whole));
    }

    #[test]
    fn the_release_is_read_where_the_header_points_to() {
        let release =
            |start: &[u8]| BzImage::parse(start).unwrap().release(start).map(str::to_owned);
        let changed = |offset: usize, bytes: &[u8]| {
            let mut start = kernel();
            start[offset..offset + bytes.len()].copy_from_slice(bytes);
            release(&start)
        };
        assert_eq!(release(&kernel()).as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(changed(0x20e, &[0, 0]), None, "no pointer");
        assert_eq!(changed(0x20e, &[0xff, 0xff]), None, "a pointer behind the end");
        assert_eq!(changed(0x800, b"../x "), None, "a path");
        assert_eq!(changed(0x800, b"\xff"), None, "no text");
        assert_eq!(changed(0x800, &[b'6'; 300]), None, "no end");
        let mut far = kernel();
        far[0x20e..0x210].copy_from_slice(&[0xff, 0xff]);
        far.resize(RELEASE_LEN, 0);
        far[0x101ff..0x10202].copy_from_slice(b"6.1");
        assert_eq!(release(&far).as_deref(), Some("6.1"));
    }

    #[test]
    fn what_kexec_would_not_take_is_refused() {
        let changed = |offset: usize, byte: u8| {
            let mut start = kernel();
            start[offset] = byte;
            BzImage::parse(&start).unwrap_err()
        };
        assert_eq!(changed(0x1fe, 0), BzImageError::NotBzImage);
        assert_eq!(changed(0x202, b'X'), BzImageError::NotBzImage);
        assert_eq!(changed(0x206, 0x0b), BzImageError::TooOld(0x020b));
        assert_eq!(
            changed(0x206, 0x0b).to_string(),
            "kernel: boot protocol 2.11 is older than 2.12"
        );
        assert_eq!(changed(0x211, 0), BzImageError::NotLoadedHigh);
        assert_eq!(changed(0x236, 0), BzImageError::Not64Bit);
        assert_eq!(BzImage::parse(&kernel()[..0x263]), Err(BzImageError::TooShort));
        assert_eq!(BzImage::parse(b"\x7fELF"), Err(BzImageError::TooShort));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
            let _ = BzImage::parse(&bytes);
        }

        #[test]
        fn reading_a_release_never_panics(
            at in any::<u16>(),
            text in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut start = kernel();
            start[0x20e..0x210].copy_from_slice(&at.to_le_bytes());
            start.extend(text);
            let _ = BzImage::parse_whole(&start);
            let _ = BzImage::parse(&start).unwrap().release(&start);
        }
    }
}
