//! Runs the tool as a user does, in a directory of its own.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_debug_implementations,
    unreachable_pub,
    reason = "shared by tests, none of which uses all of it"
)]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub struct Lab {
    directory: TempDir,
}

pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ramstrap"));
        command.current_dir(self.directory.path()).env_remove("SOURCE_DATE_EPOCH");
        // Records of rebuilds are this lab's own.
        command.env("XDG_STATE_HOME", self.path("state"));
        command
    }

    /// Runs the tool here with these words.
    pub fn run(&self, words: &str) -> Ran {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.run_args(&words)
    }

    pub fn run_args(&self, args: &[&str]) -> Ran {
        let output = self.command().args(args).output().unwrap();
        Ran {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it and insists on success.
    pub fn ok(&self, words: &str) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.status, 0, "{words}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Runs it and insists that it is refused with exactly these words in the reason.
    pub fn refused(&self, words: &str, reason: &str) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.status, 1, "{words}\n{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(reason), "{words}: no {reason:?} in\n{}", ran.stderr);
        assert!(ran.stderr.contains("\nhelp: "), "{words}: no remedy in\n{}", ran.stderr);
        assert!(!ran.stderr.contains("error: error"), "{}", ran.stderr);
        ran
    }

    /// A root, signers `a`, `b`, `c` and a trust policy of threshold 2.
    pub fn with_signers() -> Self {
        let lab = Self::new();
        lab.ok("keygen root");
        for name in ["a", "b", "c"] {
            lab.ok(&issue(name, ""));
        }
        lab.policy("policy", 2);
        lab
    }

    pub fn policy(&self, name: &str, threshold: u64) {
        let text = format!(
            r#"{{"ospkg_signature_threshold": {threshold}, "ospkg_fetch_method": "network"}}"#
        );
        self.write(&format!("{name}/trust_policy.json"), text);
        self.write(&format!("{name}/ospkg_signing_root.pem"), self.read("rootcert.pem"));
    }

    /// An unsigned package `os` from a kernel that looks like one.
    pub fn package(&self) {
        self.write("vmlinuz", kernel());
        self.write("initramfs", initramfs());
        self.ok("ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os");
    }

    /// The same package without its signatures.
    pub fn package_again(&self) {
        fs::remove_file(self.path("os.json")).unwrap();
        self.package();
    }

    pub fn sign(&self, name: &str) {
        self.ok(&format!("ospkg sign --key {name}.key --cert {name}.pem os.json"));
    }
}

pub fn issue(name: &str, more: &str) -> String {
    format!(
        "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem \
         --out-cert {name}.pem --out-key {name}.key {more}"
    )
}

/// What looks like a cpio archive at its start, 300,000 bytes long.
pub fn initramfs() -> Vec<u8> {
    let mut initramfs = b"070701".to_vec();
    initramfs.resize(300_000, 0x5a);
    initramfs
}

/// As much of a bzImage as its header is.
pub fn kernel() -> Vec<u8> {
    let mut kernel = vec![0_u8; 20_000];
    kernel[0x1f1] = 4;
    kernel[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    kernel[0x211] = 1;
    kernel[0x230..0x234].copy_from_slice(&0x20_0000_u32.to_le_bytes());
    kernel[0x234] = 1;
    kernel[0x236..0x238].copy_from_slice(&3_u16.to_le_bytes());
    kernel[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes());
    kernel[0x260..0x264].copy_from_slice(&0x200_0000_u32.to_le_bytes());
    kernel
}

/// A static x86-64 executable, as far as its header goes.
pub fn init() -> Vec<u8> {
    let mut elf = vec![0_u8; 4096];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    elf[16] = 2;
    elf[18] = 62;
    elf[32] = 64;
    elf[54] = 56;
    elf
}

/// A kernel module that says these things of itself.
pub fn module(notes: &[&str]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut info = Vec::new();
    for note in notes {
        info.extend_from_slice(note.as_bytes());
        info.push(0);
    }
    let mut elf = vec![0_u8; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let names_at = elf.len() as u64;
    elf.extend_from_slice(names);
    let info_at = elf.len() as u64;
    elf.extend_from_slice(&info);
    let table = elf.len() as u64;
    for (name, at, length) in
        [(0_u32, 0, 0), (1, info_at, info.len() as u64), (10, names_at, names.len() as u64)]
    {
        let mut header = [0_u8; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[0x18..0x20].copy_from_slice(&at.to_le_bytes());
        header[0x20..0x28].copy_from_slice(&length.to_le_bytes());
        elf.extend_from_slice(&header);
    }
    elf[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    elf[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
    elf[0x3c..0x3e].copy_from_slice(&3_u16.to_le_bytes());
    elf[0x3e..0x40].copy_from_slice(&2_u16.to_le_bytes());
    elf
}

pub struct Member {
    pub path: String,
    pub mode: u32,
    pub mtime: u32,
    pub content: Vec<u8>,
}

/// Unpacks an image as the kernel does: frame after frame, zeros between them passed over.
pub fn unpack(image: &[u8]) -> Vec<Member> {
    use std::io::Read;
    let mut rest = image;
    let mut members = Vec::new();
    loop {
        while rest.first() == Some(&0) {
            rest = &rest[1..];
        }
        if rest.is_empty() {
            return members;
        }
        assert_eq!((image.len() - rest.len()) % 4, 0, "archives start on 4 bytes");
        if rest.starts_with(b"070701") {
            members.extend(entries(rest));
            let trailer = rest.windows(10).position(|window| window == b"TRAILER!!!").unwrap();
            rest = &rest[(trailer + 11).next_multiple_of(4)..];
            continue;
        }
        let mut plain = Vec::new();
        zstd::Decoder::with_buffer(&mut rest)
            .unwrap()
            .single_frame()
            .read_to_end(&mut plain)
            .unwrap();
        members.extend(entries(&plain));
    }
}

fn entries(archive: &[u8]) -> Vec<Member> {
    let mut at = 0;
    let mut members = Vec::new();
    loop {
        let field = |index: usize| {
            let start = at + 6 + 8 * index;
            u32::from_str_radix(core::str::from_utf8(&archive[start..start + 8]).unwrap(), 16)
                .unwrap()
        };
        assert_eq!(&archive[at..at + 6], b"070701");
        let (mode, mtime, length, name_length) = (field(1), field(5), field(6), field(11));
        assert_eq!((field(2), field(3)), (0, 0), "owner is root");
        let name_end = at + 110 + name_length as usize - 1;
        let path = String::from_utf8(archive[at + 110..name_end].to_vec()).unwrap();
        let start = (name_end + 1).next_multiple_of(4);
        let end = start + length as usize;
        if path == "TRAILER!!!" {
            return members;
        }
        members.push(Member { path, mode, mtime, content: archive[start..end].to_vec() });
        at = end.next_multiple_of(4);
    }
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}
