//! What the bootloader left for the OS, read by the OS.

use core::net::IpAddr;
use std::io;
use std::path::Path;

use report::BootReport;
use report::ClockReport;
use report::Code;
use report::Failure;
use report::HostConfigReport;
use report::NicReport;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use trust::Clock;
use trust::Timestamp;

use super::Current;
use crate::inputs::Host;
use crate::inputs::Inputs;
use crate::inputs::Origin;
use crate::inputs::Policy;
use crate::inputs::read_file;
use crate::time::clock_report;

/// Trust policy, host configuration and what the boot report says, read once.
#[derive(Debug)]
pub struct Handover {
    /// What decides about the next package as it did about this one.
    pub inputs: Inputs,
    /// The package that runs.
    pub current: Current,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// How the bootloader was connected, without what failed.
    pub nics: Vec<NicReport>,
}

/// The network as the running OS has set it up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Network {
    /// Name of the interface that every socket is bound to; `None` leaves it to the OS's routes.
    pub interface: Option<String>,
    /// DNS servers. Without any, only IP addresses work as hosts.
    pub dns: Vec<IpAddr>,
}

impl Handover {
    /// Reads the directory, which is `/ramstrap` in an OS that keeps its initramfs. `now` is the
    /// system clock: it is believed as the bootloader would believe it, never below the build time
    /// of the boot image.
    ///
    /// # Errors
    /// E0101 to E0107, E0112 to E0114 and E0125 for policy and host configuration, E0126 where packages
    /// do not come over the network, E0705 for all else.
    pub fn read(directory: &Path, now: Timestamp) -> Result<Self, Failure> {
        let report = Report::read(&directory.join("boot-report.json"))?;
        let policy = Policy::read(&directory.join("trust_policy"))?;
        let clock = Clock::from_rtc(now, report.floor, policy.policy.document().max_clock_skew());
        let path = directory.join("host_configuration.json");
        let raw = read_file(&path).map_err(|error| unusable(&path, &error.to_string()))?;
        let host = Host::parse(&report.host.source, &path.display().to_string(), raw)?;
        if let Origin::BootImage(name) = Origin::of(&policy, &host)? {
            let detail = format!("what runs is {name} of the boot image");
            return Err(Failure::new(Code::EmbeddedOnly, detail));
        }
        let inputs = Inputs { policy, host, clock };
        Ok(Self { inputs, current: report.current, label: report.label, nics: report.nics })
    }

    /// The OS's routes, and the DNS servers that the bootloader used: those of the host
    /// configuration, or else those of the lease.
    ///
    /// An OS that knows better, because its own lease names others, makes a [`Network`] itself.
    #[must_use]
    pub fn network(&self) -> Network {
        let configured = &self.inputs.host.config.dns;
        let dns = if configured.is_empty() {
            let used = self.used_nic().map(|nic| nic.dns.as_slice()).unwrap_or_default();
            used.iter().filter_map(|address| address.parse().ok()).collect()
        } else {
            configured.clone()
        };
        Network { interface: None, dns }
    }

    pub(crate) fn used_nic(&self) -> Option<&NicReport> {
        self.nics.iter().find(|nic| nic.used)
    }

    /// The report of the next boot before anything has happened.
    pub(crate) fn new_report(&self) -> BootReport {
        let clock = &self.inputs.clock;
        let mut report = BootReport::new(env!("CARGO_PKG_VERSION"));
        report.clock = clock_report(clock);
        report.trust_policy = Some(self.inputs.policy.policy.report());
        report.host_configuration = Some(self.inputs.host.report.clone());
        report.nics.clone_from(&self.nics);
        report.upgraded_from = Some(self.current.report());
        report
    }
}

/// What is needed of the boot report. Not all of it is read: it may be by a newer bootloader, with
/// codes of failures that this version does not know.
struct Report {
    floor: Timestamp,
    host: HostConfigReport,
    current: Current,
    label: Option<String>,
    nics: Vec<NicReport>,
}

impl Report {
    fn read(path: &Path) -> Result<Self, Failure> {
        let unusable = |what: &str| unusable(path, what);
        let json = read_file(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable("it does not exist"),
            _ => unusable(&error.to_string()),
        })?;
        let report: Value =
            serde_json::from_slice(&json).map_err(|error| unusable(&error.to_string()))?;
        let version = report.get("version").and_then(Value::as_u64);
        if version != Some(u64::from(report::VERSION)) {
            return Err(unusable("it is of another version"));
        }

        let clock: ClockReport = part(&report, "clock").map_err(|error| unusable(&error))?;
        let floor = clock
            .floor
            .parse()
            .map_err(|error| unusable(&format!("clock.floor: {:?} is {error}", clock.floor)))?;
        let host = part(&report, "host_configuration").map_err(|error| unusable(&error))?;
        let package: Package = part(&report, "package").map_err(|error| unusable(&error))?;
        let sha256 = package
            .sha256
            .parse()
            .map_err(|_| unusable("package.sha256 is not 64 hexadecimal digits"))?;
        let current = Current { sha256, release: package.release };
        let nics = report.get("nics").and_then(Value::as_array).cloned().unwrap_or_default();
        let nics = nics.into_iter().filter_map(nic).collect();
        Ok(Self { floor, host, current, label: package.label, nics })
    }
}

/// What is needed of the report's `package`.
#[derive(Deserialize)]
struct Package {
    sha256: String,
    #[serde(default)]
    release: Option<u64>,
    #[serde(default)]
    label: Option<String>,
}

fn part<T: DeserializeOwned>(report: &Value, key: &str) -> Result<T, String> {
    let value = report.get(key).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("{key}: {error}"))
}

fn nic(mut value: Value) -> Option<NicReport> {
    value.as_object_mut()?.remove("failure");
    serde_json::from_value(value).ok()
}

fn unusable(path: &Path, what: &str) -> Failure {
    Failure::new(Code::HandOverUnusable, format!("{}: {what}", path.display()))
}
