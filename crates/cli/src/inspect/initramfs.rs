//! An initramfs: archives one behind the other, each compressed or not, as the kernel takes them.

use std::collections::BTreeMap;

use hostcfg::HostConfig;
use rebuild::initramfs::Limits;
use serde::Serialize;
use serde_json::Value;
use trust::Certificate;
use trust::Timestamp;

use super::sha256;
use crate::Result;
use crate::boot_image;

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
        let found = rebuild::initramfs::read(bytes, Limits::default())?;
        let mut this = Self { archives: Vec::new(), files: Vec::new(), kept: BTreeMap::new() };
        for (number, archive) in found.iter().enumerate() {
            for member in &archive.members {
                if says_something(&member.path) {
                    this.kept.insert(member.path.clone(), archive.content(member).to_vec());
                }
                this.files.push(Member {
                    path: member.path.clone(),
                    mode: format!("{:06o}", member.mode),
                    size: member.content.len() as u64,
                    archive: number,
                });
            }
            this.archives.push(Archive {
                compression: archive.compression,
                size: archive.size,
                unpacked: archive.plain.len() as u64,
                members: archive.members.len(),
            });
        }
        Ok(this)
    }
}

fn says_something(path: &str) -> bool {
    path.starts_with(POLICY) || [HOST_CONFIG, IMAGE, "init"].contains(&path)
}
