//! Where trust policy, host configuration and build time come from.
//!
//! The trust policy comes from the boot image and from nowhere else. The host configuration has a
//! fixed order of sources; the first that exists is used as a whole, and if it cannot be used the
//! boot fails and says which source it was.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use hostcfg::HostConfig;
use report::Code;
use report::Coded;
use report::Failure;
use report::HostConfigReport;
use serde::Deserialize;
use tracing::warn;
use trust::Clock;
use trust::PolicyFiles;
use trust::Timestamp;
use trust::TrustPolicy;

const POLICY_DIRECTORY: &str = "/etc/trust_policy";
const HOST_CONFIG_FILE: &str = "/etc/host_configuration.json";
const HOST_CONFIG_VARIABLE: &str =
    "/sys/firmware/efi/efivars/STHostConfig-f401f2c1-b005-4be0-8cee-f2e5945bcbe7";
const IMAGE_FILE: &str = "/etc/ramstrap/image.json";

/// Files of the boot image and EFI variables are read up to this size.
const MAX_FILE: u64 = 1 << 20;

/// Time floor of an image that does not say when it was built: when this code was written.
const FLOOR_WITHOUT_IMAGE: Timestamp = Timestamp::from_unix(1_795_219_200); // 2026-11-21

/// The trust policy and the raw files that it was read from, which are handed to the OS.
#[derive(Debug)]
pub(crate) struct Policy {
    /// What must hold.
    pub(crate) policy: TrustPolicy,
    /// File names and contents.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Reads the trust policy of the boot image.
///
/// # Errors
/// E0101 to E0106.
pub(crate) fn trust_policy() -> Result<Policy, Failure> {
    let missing =
        |what: &str| Failure::new(Code::TrustPolicyMissing, format!("{what} does not exist"));
    let entries = fs::read_dir(POLICY_DIRECTORY).map_err(|_| missing(POLICY_DIRECTORY))?;
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
    let other_files: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let policy = TrustPolicy::load(&PolicyFiles {
        trust_policy_json: file("trust_policy.json")
            .ok_or_else(|| missing("/etc/trust_policy/trust_policy.json"))?,
        signing_root_pem: file("ospkg_signing_root.pem"),
        tls_roots_pem: file("tls_roots.pem"),
        other_files: &other_files,
    })
    .map_err(|error| Failure::from_error(&error))?;
    for warning in policy.document().warnings() {
        warn!("trust_policy.json: {warning}");
    }
    Ok(Policy { policy, files })
}

/// The host configuration, where it came from, and its raw form, which is handed to the OS.
pub(crate) struct Host {
    /// What it says.
    pub(crate) config: HostConfig,
    /// For the report.
    pub(crate) report: HostConfigReport,
    /// As it was read. Holds secrets.
    pub(crate) raw: Vec<u8>,
}

/// Reads the host configuration from the first source that exists.
///
/// # Errors
/// E0111 to E0114; the detail names the source.
pub(crate) fn host_configuration() -> Result<Host, Failure> {
    let (source, place, raw) = if Path::new(HOST_CONFIG_FILE).exists() {
        ("initramfs", HOST_CONFIG_FILE, read_file(Path::new(HOST_CONFIG_FILE)))
    } else if Path::new(HOST_CONFIG_VARIABLE).exists() {
        (
            "efi-variable",
            "EFI variable STHostConfig",
            read_variable(Path::new(HOST_CONFIG_VARIABLE)),
        )
    } else {
        let detail = format!("neither {HOST_CONFIG_FILE} nor the EFI variable STHostConfig exists");
        return Err(Failure::new(Code::HostConfigMissing, detail));
    };
    let raw =
        raw.map_err(|error| Failure::new(Code::HostConfigMalformed, format!("{place}: {error}")))?;
    let named =
        |error: &hostcfg::HostConfigError| Failure::new(error.code(), format!("{place}: {error}"));
    let config = HostConfig::parse(&raw).map_err(|error| named(&error))?;
    for warning in &config.warnings {
        warn!("{place}: {warning}");
    }
    config.provisioning_urls().map_err(|error| named(&error))?;
    let report =
        HostConfigReport { source: source.to_owned(), description: config.description.clone() };
    Ok(Host { config, report, raw })
}

/// The clock: the RTC's reading, never below the image's build time.
pub(crate) fn clock(policy: &TrustPolicy, rtc: Timestamp) -> Clock {
    Clock::from_rtc(rtc, build_time(), policy.document().max_clock_skew())
}

fn build_time() -> Timestamp {
    #[derive(Deserialize)]
    struct Image {
        build_time: i64,
    }
    let read = read_file(Path::new(IMAGE_FILE)).ok();
    match read.and_then(|json| serde_json::from_slice::<Image>(&json).ok()) {
        Some(image) => Timestamp::from_unix(image.build_time).max(FLOOR_WITHOUT_IMAGE),
        None => {
            warn!("{IMAGE_FILE} does not tell when the image was built");
            FLOOR_WITHOUT_IMAGE
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(content)
}

/// An EFI variable without the four bytes of attributes in front.
fn read_variable(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = read_file(path)?;
    if content.len() <= 4 {
        return Err(io::Error::other("the variable is empty"));
    }
    content.drain(..4);
    Ok(content)
}
