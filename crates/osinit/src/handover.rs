//! What the bootloader left under `/ramstrap/`, as far as a running OS needs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hostcfg::HostConfig;
use report::BootReport;
use report::WatchdogState;
use serde::Deserialize;
use trust::Sha256Digest;

/// Where it is.
pub(crate) const DIRECTORY: &str = "/ramstrap";

/// What was found. Every part may be missing: an OS that was started by hand still comes up.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    pub(crate) report: Option<BootReport>,
    pub(crate) host: Option<HostConfig>,
    pub(crate) package: Package,
    /// What is missing or cannot be used, for the console.
    pub(crate) problems: Vec<String>,
}

/// What runs.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) sha256: Option<Sha256Digest>,
    #[serde(default)]
    pub(crate) release: Option<u64>,
    #[serde(default)]
    pub(crate) label: Option<String>,
}

/// The one key of the boot report that is read here by itself.
#[derive(Debug, Deserialize)]
struct PackageOnly {
    package: Option<Package>,
}

impl HandOver {
    pub(crate) fn read(directory: &Path) -> Self {
        let mut found = Self::default();
        let mut file = |name: &str| {
            let path = directory.join(name);
            fs::read(&path)
                .map_err(|error| found.problems.push(format!("{}: {error}", path.display())))
                .ok()
        };
        let (report, host) = (file("boot-report.json"), file("host_configuration.json"));
        if let Some(bytes) = report {
            match serde_json::from_slice(&bytes) {
                Ok(report) => found.report = Some(report),
                Err(error) => found.problems.push(format!("boot-report.json: {error}")),
            }
            if let Ok(PackageOnly { package: Some(package) }) = serde_json::from_slice(&bytes) {
                found.package = package;
            }
        }
        if let Some(bytes) = host {
            match HostConfig::parse(&bytes) {
                Ok(host) => found.host = Some(host),
                Err(error) => found.problems.push(format!("host_configuration.json: {error}")),
            }
        }
        found
    }

    /// The TCP ports of all URLs that the next release may come from, and of the proxy on the way.
    pub(crate) fn fetch_ports(&self) -> BTreeSet<u16> {
        let urls = self.host.iter().flat_map(HostConfig::urls);
        let ports = urls.filter_map(|url| url.url_without_userinfo().port_or_known_default());
        let proxy = self.host.as_ref().and_then(|host| Some(host.proxy.as_ref()?.port));
        ports.chain(proxy).collect()
    }

    /// The MAC address of the NIC that the package came over.
    pub(crate) fn used_mac(&self) -> Option<&str> {
        let nics = &self.report.as_ref()?.nics;
        nics.iter().find(|nic| nic.used).map(|nic| nic.mac.as_str())
    }

    /// Whether the bootloader left a watchdog running, and its time-out.
    pub(crate) fn watchdog_seconds(&self) -> Option<u32> {
        let watchdog = self.report.as_ref()?.watchdog.as_ref()?;
        (watchdog.state == WatchdogState::Running).then_some(watchdog.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::HandOver;

    #[test]
    fn what_is_missing_is_said_and_the_rest_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let host = r#"{"network_mode":"dhcp","ospkg_pointer":"https://a.example:8443/x.json,https://b.example/y.json","proxy":"http://proxy.example:3128"}"#;
        fs::write(directory.path().join("host_configuration.json"), host).unwrap();
        let found = HandOver::read(directory.path());
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        assert!(found.problems[0].contains("boot-report.json"));
        assert_eq!(found.fetch_ports().into_iter().collect::<Vec<_>>(), [443, 3128, 8443]);
        assert!(found.used_mac().is_none() && found.package.sha256.is_none());
    }

    #[test]
    fn the_package_is_known_with_its_release() {
        let directory = tempfile::tempdir().unwrap();
        let sha256 = "ab".repeat(32);
        let report = format!(r#"{{"package":{{"sha256":"{sha256}","release":7,"label":"vpn"}}}}"#);
        fs::write(directory.path().join("boot-report.json"), report).unwrap();
        let package = HandOver::read(directory.path()).package;
        assert_eq!(package.release, Some(7));
        assert_eq!(package.sha256.unwrap().to_string(), sha256);
    }
}
