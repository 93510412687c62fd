//! Where trust policy, host configuration and build time come from.
//!
//! The trust policy comes from the boot image and from nowhere else. The host configuration has a
//! fixed order of sources; the first that exists is used as a whole, and if it cannot be used the
//! boot fails and says which source it was. See `docs/host-configuration.md`.

mod host;

use std::path::Path;

use netboot::Policy;
use netboot::read_file;
use report::Failure;
use serde::Deserialize;
use tracing::warn;
use trust::Clock;
use trust::Timestamp;
use trust::TrustPolicy;

pub(crate) use host::host_configuration;

const POLICY_DIRECTORY: &str = "/etc/trust_policy";
const IMAGE_FILE: &str = "/etc/ramstrap/image.json";

/// Time floor of an image that does not say when it was built: when this code was written.
const FLOOR_WITHOUT_IMAGE: Timestamp = Timestamp::from_unix(1_795_219_200); // 2026-11-21

/// Reads the trust policy of the boot image.
///
/// # Errors
/// E0101 to E0107.
pub(crate) fn trust_policy() -> Result<Policy, Failure> {
    Policy::read(Path::new(POLICY_DIRECTORY))
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
