//! An initramfs: archives one behind the other, each compressed or not, as the kernel takes them.

use std::collections::BTreeMap;
use std::io::Read;

use hostcfg::HostConfig;
use serde::Serialize;
use serde_json::Value;
use trust::Certificate;
use trust::Timestamp;

use super::sha256;
use crate::Error;
use crate::Result;
use crate::boot_image;

/// All archives together, unpacked: several times what a large initramfs has.
const MAX_UNPACKED: u64 = 1 << 30;
const MAX_MEMBERS: usize = 100_000;

const CPIO: &[&[u8]] = &[b"070701", b"070702"];
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const GZIP: &[u8] = b"\x1f\x8b\x08";
const XZ: &[u8] = b"\xfd7zXZ\0";

const POLICY: &str = "etc/trust_policy/";
const HOST_CONFIG: &str = "etc/host_configuration.json";
const IMAGE: &str = "etc/ramstrap/image.json";
const FIRMWARE: &str = "lib/firmware/";
const MODULES: &str = "lib/modules/";

/// What an initramfs holds.
#[derive(Clone, Debug, Serialize)]
pub struct Initramfs {
    /// Length in bytes, compressed.
    pub size: u64,
    /// Of the whole.
    pub sha256: String,
    /// One behind the other.
    pub archives: Vec<Archive>,
    /// `/init`, if there is one.
    pub init: Option<Init>,
    /// Unix seconds: what expired before then never boots.
    pub build_time: Option<i64>,
    /// The trust policy, if there is one that a machine would take.
    pub trust_policy: Option<Policy>,
    /// The host configuration without its secrets, if there is one that a machine would take.
    pub host_configuration: Option<Value>,
    /// The kernel's modules, if there are any.
    pub modules: Option<Modules>,
    /// Names below `/lib/firmware`.
    pub firmware: Vec<String>,
    /// Everything in it, in its order.
    pub files: Vec<Member>,
}

/// The first program.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Init {
    /// Length in bytes.
    pub size: u64,
    /// Of the file.
    pub sha256: String,
}

/// Modules of a kernel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Modules {
    /// Release of the kernel that they are for.
    pub release: String,
    /// How many there are.
    pub count: usize,
}

/// One archive of an initramfs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Archive {
    /// `none`, `zstd`, `gzip` or `xz`.
    pub compression: &'static str,
    /// Length in bytes, compressed.
    pub size: u64,
    /// Length in bytes, unpacked.
    pub unpacked: u64,
    /// Members.
    pub members: usize,
}

/// A member of an archive.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Member {
    /// Path without a leading slash.
    pub path: String,
    /// Type and permissions, octal.
    pub mode: String,
    /// Length in bytes.
    pub size: u64,
    /// Which archive it is in, from 0 on.
    pub archive: usize,
}

/// A trust policy.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// How many distinct keys must have signed.
    pub threshold: u64,
    /// SHA-256 of `trust_policy.json`.
    pub sha256: String,
    /// The document as the machine understands it.
    pub document: Value,
    /// Who issues signers.
    pub signing_roots: Vec<Root>,
    /// Who issues HTTPS servers; empty if only http can work.
    pub tls_roots: Vec<Root>,
}

/// A root certificate.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Root {
    /// Subject; none for a TLS root that is no Ed25519 or RSA certificate that parses here.
    pub subject: Option<String>,
    /// SHA-256 of the certificate's DER.
    pub sha256: String,
    /// RFC 3339.
    pub not_before: Option<String>,
    /// RFC 3339.
    pub not_after: Option<String>,
}

/// Whether this may be an initramfs, by its first bytes.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| *byte != 0).and_then(|at| bytes.get(at..));
    start.is_some_and(|start| format(start).is_some())
}

/// The build time that an initramfs of `boot-image build` says, in Unix seconds.
#[must_use]
pub fn build_time(initramfs: &[u8]) -> Option<i64> {
    let unpacked = Unpacked::read(initramfs).ok()?;
    said_build_time(unpacked.kept.get(IMAGE)?)
}

impl Initramfs {
    /// Unpacks it and reads what is known of its files.
    pub(super) fn read(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Self> {
        let Unpacked { archives, files, kept } = Unpacked::read(bytes)?;
        let mut policy_files = BTreeMap::new();
        let mut firmware = Vec::new();
        let mut releases = BTreeMap::new();
        for file in &files {
            if let Some(name) = file.path.strip_prefix(POLICY)
                && let Some(content) = kept.get(&file.path)
            {
                policy_files.insert(name.to_owned(), content.clone());
            } else if let Some(name) = file.path.strip_prefix(FIRMWARE)
                && file.mode.starts_with("100")
            {
                firmware.push(name.to_owned());
            } else if let Some((release, name)) =
                file.path.strip_prefix(MODULES).and_then(|path| path.split_once('/'))
                && name.ends_with(".ko")
            {
                *releases.entry(release.to_owned()).or_insert(0) += 1;
            }
        }
        let init = kept.get("init");
        let init = init.map(|init| Init { size: init.len() as u64, sha256: sha256(init) });
        let trust_policy = policy(&policy_files, warnings);
        let host_configuration = match kept.get(HOST_CONFIG).map(|json| HostConfig::parse(json)) {
            Some(Ok(config)) => serde_json::from_str(&config.redacted_json()).ok(),
            Some(Err(error)) => {
                warnings.push(format!("host configuration: {error}"));
                None
            }
            None => None,
        };
        if init.is_none() {
            warnings.push("there is no /init".to_owned());
        }
        Ok(Self {
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            archives,
            init,
            build_time: kept.get(IMAGE).and_then(|json| said_build_time(json)),
            trust_policy,
            host_configuration,
            modules: releases.into_iter().next().map(|(release, count)| Modules { release, count }),
            firmware,
            files,
        })
    }
}

fn said_build_time(json: &[u8]) -> Option<i64> {
    let image: Value = serde_json::from_slice(json).ok()?;
    image.get("build_time")?.as_i64()
}

fn policy(files: &BTreeMap<String, Vec<u8>>, warnings: &mut Vec<String>) -> Option<Policy> {
    if files.is_empty() {
        warnings.push("there is no trust policy".to_owned());
        return None;
    }
    match boot_image::load_policy(files) {
        Ok(policy) => Some(Policy {
            threshold: policy.document().threshold(),
            sha256: policy.report().sha256,
            document: serde_json::to_value(policy.document()).unwrap_or_default(),
            signing_roots: policy.signing_roots().iter().map(Certificate::der).map(root).collect(),
            tls_roots: policy.tls_roots().iter().map(|der| root(der)).collect(),
        }),
        Err(error) => {
            let code = error.code().map_or_else(String::new, |code| format!("{code} "));
            warnings.push(format!("trust policy: {code}{error}"));
            None
        }
    }
}

fn root(der: &[u8]) -> Root {
    let validity = trust::validity(der).ok();
    let date = |which: fn(&(Timestamp, Timestamp)) -> Timestamp| {
        validity.as_ref().map(|both| which(both).to_string())
    };
    Root {
        subject: Certificate::parse(der).ok().map(|certificate| certificate.label()),
        sha256: sha256(der),
        not_before: date(|both| both.0),
        not_after: date(|both| both.1),
    }
}

/// All archives, and the content of the files that say something. Later files replace earlier ones.
struct Unpacked {
    archives: Vec<Archive>,
    files: Vec<Member>,
    kept: BTreeMap<String, Vec<u8>>,
}

impl Unpacked {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut this = Self { archives: Vec::new(), files: Vec::new(), kept: BTreeMap::new() };
        let mut budget = MAX_UNPACKED;
        let mut rest = bytes;
        // The kernel skips zeros between archives.
        while let Some(start) = rest.iter().position(|byte| *byte != 0) {
            rest = rest.get(start..).unwrap_or_default();
            let at = bytes.len() - rest.len();
            let number = this.archives.len();
            let failed = |what: &str| {
                Err(Error::new(format!("archive {} at byte {at}: {what}", number + 1))
                    .remedy("the file is damaged, or no initramfs from there on; build it again"))
            };
            let Some(compression) = format(rest) else {
                return failed("neither cpio nor zstd, gzip or xz");
            };
            let before = rest.len();
            let unpacked = if compression == "none" {
                let used = match this.members(rest, true) {
                    Ok(used) => used,
                    Err(error) => return failed(&error),
                };
                rest = rest.get(used..).unwrap_or_default();
                used as u64
            } else {
                let plain = match unpack(compression, &mut rest, budget) {
                    Ok(plain) => plain,
                    Err(error) => return failed(&error.to_string()),
                };
                if let Err(error) = this.members(&plain, false) {
                    return failed(&error);
                }
                plain.len() as u64
            };
            budget = budget.saturating_sub(unpacked);
            let members = this.files.iter().filter(|file| file.archive == number).count();
            let size = (before - rest.len()) as u64;
            this.archives.push(Archive { compression, size, unpacked, members });
        }
        Ok(this)
    }

    /// Reads one cpio archive (with `only_one`), or all that are one behind the other. Gives how
    /// many bytes that was.
    fn members(&mut self, archive: &[u8], only_one: bool) -> Result<usize, String> {
        let mut rest = archive;
        let number = self.archives.len();
        loop {
            let Some(start) = rest.iter().position(|byte| *byte != 0) else {
                return Ok(archive.len());
            };
            rest = rest.get(start..).unwrap_or_default();
            let mut member = cpio::NewcReader::new(rest).map_err(|error| error.to_string())?;
            if self.files.len() >= MAX_MEMBERS {
                return Err(format!("more than {MAX_MEMBERS} files"));
            }
            let entry = member.entry();
            if entry.is_trailer() {
                rest = member.finish().map_err(|error| error.to_string())?;
                if only_one {
                    return Ok(archive.len() - rest.len());
                }
                continue;
            }
            let path = entry.name().trim_start_matches('/').to_owned();
            self.files.push(Member {
                path: path.clone(),
                mode: format!("{:06o}", entry.mode()),
                size: entry.file_size().into(),
                archive: number,
            });
            if says_something(&path) {
                let mut content = Vec::new();
                member.read_to_end(&mut content).map_err(|error| error.to_string())?;
                self.kept.insert(path, content);
            }
            rest = member.finish().map_err(|error| error.to_string())?;
        }
    }
}

fn says_something(path: &str) -> bool {
    path.starts_with(POLICY) || [HOST_CONFIG, IMAGE, "init"].contains(&path)
}

/// How an archive is compressed, by its first bytes.
fn format(bytes: &[u8]) -> Option<&'static str> {
    if CPIO.iter().any(|magic| bytes.starts_with(magic)) {
        return Some("none");
    }
    let known = [(ZSTD, "zstd"), (GZIP, "gzip"), (XZ, "xz")];
    known.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name)
}

/// Unpacks one frame or stream, and moves `rest` behind it.
fn unpack(compression: &str, rest: &mut &[u8], limit: u64) -> Result<Vec<u8>, std::io::Error> {
    let mut plain = Vec::new();
    let whole = match compression {
        "zstd" => {
            let decoder = zstd::Decoder::with_buffer(&mut *rest)?.single_frame();
            decoder.take(limit + 1).read_to_end(&mut plain)
        }
        "gzip" => {
            flate2::bufread::GzDecoder::new(&mut *rest).take(limit + 1).read_to_end(&mut plain)
        }
        _ => lzma_rust2::XzReader::new(&mut *rest, false).take(limit + 1).read_to_end(&mut plain),
    };
    whole?;
    if plain.len() as u64 > limit {
        return Err(std::io::Error::other("all archives together unpack to more than 1 GiB"));
    }
    Ok(plain)
}
