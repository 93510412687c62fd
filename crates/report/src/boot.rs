//! The boot report: one JSON document that says what was booted, or why nothing was.
//!
//! It is printed on the console, sent to the harness, and handed to the OS as
//! `/ramstrap/boot-report.json`. It never holds a secret: URLs are redacted before they get here.

use core::net::IpAddr;
use core::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::Class;
use crate::Code;
use crate::Coded;

/// Version of the report's format. Readers ignore keys that they do not know.
pub const VERSION: u32 = 1;

/// A duration as the report has it: in whole microseconds.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything was done but the jump (`--dryrun`).
    Dryrun,
    /// Nothing was booted; `failure` says why.
    Failed,
    /// The new kernel was loaded and is being started.
    Kexec,
}

/// What failed, on what, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: Code,
    /// Class of the code, repeated for readers that have no table.
    pub class: Class,
    /// The code's title.
    pub title: String,
    /// What exactly, on which input. Redacted.
    pub detail: String,
    /// What to do now.
    pub remedy: String,
}

impl Failure {
    /// A failure with this code; `detail` says what exactly happened on which input.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            class: code.class(),
            title: code.title().to_owned(),
            detail: detail.into(),
            remedy: code.remedy().to_owned(),
        }
    }

    /// Code and title: the failure in a few words.
    #[must_use]
    pub fn headline(&self) -> String {
        format!("{} {}", self.code, self.title)
    }

    /// The failure that an error stands for.
    #[must_use]
    pub fn from_error<E: Coded + core::fmt::Display>(error: &E) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.title, self.detail)
    }
}

impl Coded for Failure {
    fn code(&self) -> Code {
        self.code
    }
}

/// One of the steps that a boot goes through.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Mounts, modules, trust policy, host configuration.
    Read,
    /// Links, addresses, the first provisioning server that answers.
    Connect,
    /// Descriptor and archive.
    Fetch,
    /// Signatures, then the archive's contents.
    Verify,
    /// Handing kernel and initramfs to the kernel.
    Kexec,
}

impl Stage {
    /// All stages in their order.
    pub const ALL: [Self; 5] = [Self::Read, Self::Connect, Self::Fetch, Self::Verify, Self::Kexec];

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Connect => "connect",
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Kexec => "kexec",
        }
    }
}

/// When a stage ran. A stage that ran more than once (another mirror) has more than one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTiming {
    /// Which stage.
    pub stage: Stage,
    /// Microseconds from the start of `/init` to the start of the stage.
    pub start_us: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Whether it succeeded.
    pub ok: bool,
    /// One line on what came of it.
    pub summary: String,
}

/// What the machine's clock was taken for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ClockReport {
    /// `trusted` if the RTC or a time server is plausible, else `untrusted`.
    pub state: String,
    /// Where the time is from that validities were judged by: `rtc`, `sntp`, or `floor` if neither is
    /// plausible.
    #[serde(default)]
    pub source: String,
    /// Reading of the RTC at start, RFC 3339.
    pub rtc: String,
    /// Build time of the boot image, or what Sigsum witnesses have signed since, RFC 3339: nothing
    /// that expired before it boots.
    pub floor: String,
    /// What a time server said last, whether it was believed or not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sntp: Option<SntpReport>,
}

/// The answer of a time server. Nothing proves it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SntpReport {
    /// Address that answered.
    pub server: String,
    /// Interface that it was asked over.
    pub interface: String,
    /// What it said, RFC 3339.
    pub time: String,
    /// What the RTC lies ahead of that, in seconds; negative if it is behind.
    pub rtc_ahead_seconds: i64,
    /// Whether it was used: it lies in the window in which an RTC is plausible.
    pub used: bool,
}

/// The kernel's pool of random numbers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EntropyReport {
    /// Whether it was ready when the network was first used.
    pub ready: bool,
    /// How long it was waited for, in microseconds.
    pub waited_us: u64,
    /// What this machine has to fill it from, such as `CPU (RDRAND)`.
    pub sources: Vec<String>,
}

/// The trust policy that was in force.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// SHA-256 of `trust_policy.json`, hex.
    pub sha256: String,
    /// How many distinct keys must have signed.
    pub threshold: u64,
    /// SHA-256 of each signing root's DER, hex.
    pub signing_roots: Vec<String>,
    /// SHA-256 of `ospkg_trust_policy`, hex; absent where plain signatures count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sigsum_sha256: Option<String>,
}

/// Where the host configuration came from.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct HostConfigReport {
    /// `initramfs`, `efi-variable`, `command-line`, `smbios` or `boot-origin`.
    pub source: String,
    /// The description in it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// What came of one network interface.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct NicReport {
    /// Kernel name, such as `eth0`.
    pub interface: String,
    /// MAC address.
    pub mac: String,
    /// Whether it had a carrier when last seen.
    pub carrier: bool,
    /// How it got its first address: `dhcp`, `dhcp6`, `slaac` or `static`; without one, how it was
    /// to get it: `dhcp`, `auto` or `static`.
    pub method: String,
    /// Addresses with prefix length.
    pub addresses: Vec<String>,
    /// Default gateway; the one of IPv4 if there are two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gateway: Option<String>,
    /// All routes, such as `default by 192.0.2.1` and `192.0.2.0/24`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub routes: Vec<String>,
    /// DNS servers.
    pub dns: Vec<String>,
    /// Domains that names without dots are looked up in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub search: Vec<String>,
    /// Time servers that the network names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ntp: Vec<String>,
    /// Longest packet, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtu: Option<u32>,
    /// Place of the device on the PCI bus, such as `0000:00:03.0`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pci_path: Option<String>,
    /// The device's driver.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<String>,
    /// The DHCP server that gave the lease.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dhcp_server: Option<String>,
    /// Whether this interface was used.
    pub used: bool,
    /// What went wrong on it last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// One try at one mirror.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MirrorReport {
    /// Descriptor URL, redacted.
    pub url: String,
    /// Interface that it was asked over.
    pub interface: String,
    /// What its name resolved to, four at most; empty where it was not looked up. DNS is not
    /// authenticated.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<IpAddr>,
    /// Microseconds from the start of `/init`.
    pub start_us: u64,
    /// Bytes of the archive that came.
    pub bytes: u64,
    /// How often a broken download was resumed.
    pub resumed: u32,
    /// Why it did not serve; absent on the mirror that was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// A signature that counted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignerReport {
    /// SHA-256 of the key's SubjectPublicKeyInfo, hex.
    pub key: String,
    /// Subject of the certificate.
    pub subject: String,
    /// End of the certificate's validity, RFC 3339.
    pub not_after: String,
    /// Where the signature was published; absent for a plain one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sigsum: Option<SigsumReport>,
}

/// Where a signature was published before it counted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SigsumReport {
    /// SHA-256 of the log's key, hex.
    pub log: String,
    /// Leaves in the log's tree.
    pub size: u64,
    /// Names of the witnesses that counted.
    pub witnesses: Vec<String>,
    /// When enough of them had cosigned, RFC 3339; absent where the policy needs none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
}

impl core::fmt::Display for SigsumReport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "log {}, size {}", self.log.get(..8).unwrap_or(&self.log), self.size)?;
        if let Some(time) = &self.time {
            write!(f, ", cosigned by {} on {time}", self.witnesses.join(", "))?;
        }
        Ok(())
    }
}

/// A signature that did not count.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SkippedReport {
    /// Position in the descriptor, from 1.
    pub entry: usize,
    /// Code of the reason.
    pub code: Code,
    /// The reason in words.
    pub reason: String,
}

/// The OS package that was authorised.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PackageReport {
    /// Label from the signed manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// Release from the signed manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<u64>,
    /// End from the signed manifest, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<String>,
    /// Channel from the signed manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<String>,
    /// SHA-256 of the archive, hex.
    pub sha256: String,
    /// Length of the archive in bytes.
    pub size: u64,
    /// Descriptor URL, redacted.
    pub descriptor_url: String,
    /// Archive URL, redacted.
    pub archive_url: String,
    /// Length of the kernel in bytes.
    pub kernel_size: u64,
    /// Length of the initramfs in bytes, without the hand-over.
    pub initramfs_size: u64,
    /// Signatures that counted.
    pub signers: Vec<SignerReport>,
    /// Signatures that did not.
    pub skipped: Vec<SkippedReport>,
}

/// Memory, in KiB.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// `MemTotal`.
    pub total_kib: u64,
    /// `MemAvailable` when the need was computed.
    pub available_kib: u64,
    /// What booting this package needs at that point.
    pub needed_kib: u64,
}

/// What the OS finds the hardware watchdog in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchdogState {
    /// It watches over `/init`. Nothing was booted.
    Armed,
    /// It was stopped before the jump.
    Disarmed,
    /// It was left running: the OS must take it over within the time-out.
    Running,
}

/// The hardware watchdog.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WatchdogReport {
    /// Device, such as `/dev/watchdog0`.
    pub device: String,
    /// What its driver calls it.
    pub identity: String,
    /// What became of it.
    pub state: WatchdogState,
    /// The time-out in seconds: the OS's if it was left running, else that of `/init`.
    pub timeout_seconds: u32,
    /// `watchdog_seconds` of the package's signed manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked_seconds: Option<u32>,
    /// What is not as it was asked for, or as an OS would expect it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// The package that ran before, and fetched its successor itself.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct UpgradedFrom {
    /// SHA-256 of its archive, hex.
    pub sha256: String,
    /// Its release, if it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<u64>,
}

/// Everything that happened between the start of `/init` and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootReport {
    /// [`VERSION`].
    pub version: u32,
    /// Version of ramstrap that wrote this.
    pub ramstrap: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Microseconds from kernel start to the start of `/init`.
    pub kernel_us: u64,
    /// Microseconds from the start of `/init` to this report.
    pub total_us: u64,
    /// The clock.
    pub clock: ClockReport,
    /// Random numbers, once they were looked after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entropy: Option<EntropyReport>,
    /// Stages in the order in which they ran.
    pub stages: Vec<StageTiming>,
    /// Trust policy, once it was read.
    pub trust_policy: Option<PolicyReport>,
    /// Host configuration, once it was read.
    pub host_configuration: Option<HostConfigReport>,
    /// All interfaces that were tried.
    pub nics: Vec<NicReport>,
    /// All tries at mirrors, in their order.
    pub mirrors: Vec<MirrorReport>,
    /// The package, once it was authorised.
    pub package: Option<PackageReport>,
    /// Memory, once the need was computed.
    pub memory: Option<MemoryReport>,
    /// The hardware watchdog, if the machine has one that the kernel knows.
    #[serde(default)]
    pub watchdog: Option<WatchdogReport>,
    /// Set if no firmware and no bootloader ran in between: an OS was upgraded to this package.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgraded_from: Option<UpgradedFrom>,
    /// Why nothing was booted.
    pub failure: Option<Failure>,
}

impl BootReport {
    /// The report of a boot that has just begun and has come to nothing yet.
    #[must_use]
    pub fn new(ramstrap: &str) -> Self {
        Self {
            version: VERSION,
            ramstrap: ramstrap.to_owned(),
            outcome: Outcome::Failed,
            kernel_us: 0,
            total_us: 0,
            clock: ClockReport {
                state: "unknown".to_owned(),
                source: String::new(),
                rtc: String::new(),
                floor: String::new(),
                sntp: None,
            },
            entropy: None,
            stages: Vec::new(),
            trust_policy: None,
            host_configuration: None,
            nics: Vec::new(),
            mirrors: Vec::new(),
            package: None,
            memory: None,
            watchdog: None,
            upgraded_from: None,
            failure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MirrorReport;

    #[test]
    fn a_try_at_a_mirror_may_or_may_not_have_addresses() {
        let old = r#"{"url":"https://a.example/os.json","interface":"eth0","start_us":1,"bytes":2,"resumed":0}"#;
        let read: MirrorReport = serde_json::from_str(old).unwrap();
        assert!(read.addresses.is_empty());
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let addresses = vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()];
        let written = serde_json::to_value(MirrorReport { addresses, ..read }).unwrap();
        assert_eq!(written["addresses"], serde_json::json!(["192.0.2.9", "2001:db8::9"]));
    }
}
