//! Where trust policy, host configuration and build time come from.
//!
//! The trust policy comes from the boot image and from nowhere else. The host configuration has a
//! fixed order of sources; the first that exists is used as a whole, and if it cannot be used the
//! boot fails and says which source it was.

use std::io;
use std::path::Path;

use netboot::Host;
use netboot::Policy;
use netboot::read_file;
use report::Code;
use report::Failure;
use serde::Deserialize;
use tracing::warn;
use trust::Clock;
use trust::Timestamp;
use trust::TrustPolicy;

const POLICY_DIRECTORY: &str = "/etc/trust_policy";
const HOST_CONFIG_FILE: &str = "/etc/host_configuration.json";
const HOST_CONFIG_VARIABLE: &str =
    "/sys/firmware/efi/efivars/STHostConfig-f401f2c1-b005-4be0-8cee-f2e5945bcbe7";
const IMAGE_FILE: &str = "/etc/ramstrap/image.json";

/// Time floor of an image that does not say when it was built: when this code was written.
const FLOOR_WITHOUT_IMAGE: Timestamp = Timestamp::from_unix(1_795_219_200); // 2026-11-21

/// Reads the trust policy of the boot image.
///
/// # Errors
/// E0101 to E0106.
pub(crate) fn trust_policy() -> Result<Policy, Failure> {
    Policy::read(Path::new(POLICY_DIRECTORY))
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
    Host::parse(source, place, raw)
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

/// An EFI variable without the four bytes of attributes in front.
fn read_variable(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = read_file(path)?;
    if content.len() <= 4 {
        return Err(io::Error::other("the variable is empty"));
    }
    content.drain(..4);
    Ok(content)
}
