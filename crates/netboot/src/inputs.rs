//! What is known before the network is asked: trust policy, host configuration, time.
//!
//! Where the files come from is the caller's business, and it matters: a trust policy is as good as
//! the place that it is read from.

use std::borrow::Cow;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use agefile::AgeError;
use hostcfg::HostConfig;
use hostcfg::PackageName;
use ospkg::Descriptor;
use report::Code;
use report::Coded;
use report::Failure;
use report::HostConfigReport;
use tracing::warn;
use trust::Clock;
use trust::FetchMethod;
use trust::PolicyFiles;
use trust::TrustPolicy;

/// Files of the boot image, EFI variables and what was handed over are read up to this size.
const MAX_FILE: u64 = 1 << 20;

/// Everything that decides what is fetched from where, and whether it may run.
#[derive(Debug)]
pub struct Inputs {
    /// What must hold.
    pub policy: Policy,
    /// Where packages are.
    pub host: Host,
    /// What is known about the present.
    pub clock: Clock,
}

/// The trust policy and the raw files that it was read from, which are handed to the OS.
#[derive(Debug)]
pub struct Policy {
    /// What must hold.
    pub policy: TrustPolicy,
    /// File names and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Policy {
    /// Reads the directory of a trust policy.
    ///
    /// # Errors
    /// E0101 to E0107 and E0127.
    pub fn read(directory: &Path) -> Result<Self, Failure> {
        let missing = |path: &Path| {
            let detail = format!("{} does not exist", path.display());
            Failure::new(Code::TrustPolicyMissing, detail)
        };
        let entries = fs::read_dir(directory).map_err(|_| missing(directory))?;
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let content = read_file(&entry.path()).map_err(|error| {
                Failure::new(Code::TrustPolicyMalformed, format!("{name}: {error}"))
            })?;
            files.push((name, content));
        }
        files.sort();
        let file = |wanted: &str| {
            files.iter().find(|(name, _)| name == wanted).map(|(_, content)| content.as_slice())
        };
        let policy = TrustPolicy::load(&PolicyFiles {
            trust_policy_json: file("trust_policy.json")
                .ok_or_else(|| missing(&directory.join("trust_policy.json")))?,
            signing_root_pem: file("ospkg_signing_root.pem"),
            tls_roots_pem: file("tls_roots.pem"),
            sigsum_policy: file("ospkg_trust_policy"),
            decryption_identities: file("decryption_identities"),
        })
        .map_err(|error| Failure::from_error(&error))?;
        for warning in policy.warnings() {
            warn!("{warning}");
        }
        Ok(Self { policy, files })
    }

    /// Reads a descriptor as a mirror has it: encrypted exactly if the policy has identities.
    ///
    /// # Errors
    /// E0324 to E0329, E0401 to E0403.
    pub fn descriptor(&self, file: &[u8]) -> Result<Descriptor, Failure> {
        let plain = match self.policy.decryption_identities() {
            Some(identities) => agefile::decrypt(identities, file).map(Cow::Owned),
            None if agefile::is_age_file(file) => Err(AgeError::Unexpected),
            None => Ok(Cow::Borrowed(file)),
        };
        let plain = plain
            .map_err(|error| Failure::new(error.code(), format!("the descriptor: {error}")))?;
        Descriptor::parse(&plain).map_err(|error| Failure::from_error(&error))
    }
}

/// Where this machine's package is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// With the mirrors of the host configuration, of which there is at least one.
    Mirrors,
    /// In the boot image, under this name.
    BootImage(PackageName),
}

impl Origin {
    /// What trust policy and host configuration say together: the policy, but for a host
    /// configuration that points at `provision.zip`. That one may be by anybody, and it may do this:
    /// a package of the boot image is signed like any other.
    ///
    /// # Errors
    /// E0114 if there is no mirror to ask, E0125 if the pointer is no name of a package.
    pub fn of(policy: &Policy, host: &Host) -> Result<Self, Failure> {
        let Host { config, place, .. } = host;
        let method = policy.policy.document().fetch_method();
        match (&config.package, method) {
            (Some(name), _) if name.is_provision() => Ok(Self::BootImage(name.clone())),
            (_, FetchMethod::Network) => match config.provisioning_urls() {
                Ok(_) => Ok(Self::Mirrors),
                Err(error) => Err(Failure::new(error.code(), format!("{place}: {error}"))),
            },
            (Some(name), FetchMethod::Initramfs) => Ok(Self::BootImage(name.clone())),
            (None, FetchMethod::Initramfs) => {
                let detail = format!(
                    "{place}: ospkg_pointer is no file name such as os.zip, and the trust policy \
                     has ospkg_fetch_method \"initramfs\""
                );
                Err(Failure::new(Code::EmbeddedNameInvalid, detail))
            }
        }
    }
}

/// The host configuration, where it came from, and its raw form, which is handed to the OS.
pub struct Host {
    /// What it says.
    pub config: HostConfig,
    /// For the report.
    pub report: HostConfigReport,
    /// What a person calls the place that it came from.
    pub place: String,
    /// As it was read. Holds secrets.
    pub raw: Vec<u8>,
}

impl Host {
    /// Reads a host configuration. `source` is what the report calls the place that it came from,
    /// `place` what a person does. Whether it leads to a package, [`Origin::of`] says.
    ///
    /// # Errors
    /// E0112 and E0113; the detail names the place.
    pub fn parse(source: &str, place: &str, raw: Vec<u8>) -> Result<Self, Failure> {
        let config = HostConfig::parse(&raw)
            .map_err(|error| Failure::new(error.code(), format!("{place}: {error}")))?;
        for warning in &config.warnings {
            warn!("{place}: {warning}");
        }
        let report =
            HostConfigReport { source: source.to_owned(), description: config.description.clone() };
        Ok(Self { config, report, place: place.to_owned(), raw })
    }
}

/// Without the raw form, which holds secrets.
impl core::fmt::Debug for Host {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Host")
            .field("config", &self.config)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// Reads a small file.
///
/// # Errors
/// Those of reading, and one for a file above 1 MiB.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(content)
}
