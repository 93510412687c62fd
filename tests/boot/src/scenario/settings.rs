//! What a scenario can have that [`Scenario::new`] does not, but for hardware and NICs.

use ramstrap_cli::boot_image::EmbeddedPackage;
use serde_json::Value;

use super::Scenario;
use super::policy_json;
use crate::package::Archive;
use crate::package::Descriptor;

impl Scenario {
    /// With this file of the trust policy in place of the good one; `None` leaves it out.
    #[must_use]
    pub fn policy_file(mut self, name: &str, content: Option<&[u8]>) -> Self {
        match content {
            Some(content) => self.policy.insert(name.to_owned(), content.to_vec()),
            None => self.policy.remove(name),
        };
        self
    }

    /// With another number of signatures to ask for.
    #[must_use]
    pub fn threshold(self, threshold: u64) -> Self {
        self.policy_file("trust_policy.json", Some(&policy_json(threshold)))
    }

    /// With this key in the host configuration.
    #[must_use]
    pub fn host_config(mut self, key: &str, value: Value) -> Self {
        self.host_config.insert(key.to_owned(), value);
        self
    }

    /// With this key left to the host configuration's own default.
    #[must_use]
    pub fn without(self, key: &str) -> Self {
        self.host_config(key, Value::Null)
    }

    /// With these bytes as host configuration.
    #[must_use]
    pub fn raw_host_config(mut self, content: &[u8]) -> Self {
        self.raw_host_config = Some(content.to_vec());
        self
    }

    /// With the mirrors named in the form of 2022.
    #[must_use]
    pub const fn urls_as_in_2022(mut self) -> Self {
        self.old_form = true;
        self
    }

    /// With this package in the boot image, whatever it is worth.
    #[must_use]
    pub fn embed(mut self, name: &str, descriptor: &Descriptor, archive: &Archive) -> Self {
        let descriptor = descriptor.to_json().to_vec();
        let archive = archive.bytes.to_vec();
        self.packages.insert(name.to_owned(), EmbeddedPackage { descriptor, archive });
        self
    }

    /// With a second console, on the third serial port: see [`Run::second_console`].
    #[must_use]
    pub const fn second_console(mut self) -> Self {
        self.second_console = true;
        self
    }

    /// With so much memory.
    #[must_use]
    pub const fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = Some(memory_mib);
        self
    }

    /// With a clock that starts at this date.
    #[must_use]
    pub fn rtc(mut self, date: impl Into<String>) -> Self {
        self.rtc = Some(date.into());
        self
    }

    /// With so many seconds between a failure and the reboot.
    #[must_use]
    pub const fn reboot_delay(mut self, seconds: u32) -> Self {
        self.reboot_delay = seconds;
        self
    }

    /// With an `/init` that hangs while it downloads an archive from the first mirror.
    #[must_use]
    pub const fn hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// With an argument for `/init`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With more parameters for the boot kernel.
    #[must_use]
    pub fn parameters(mut self, parameters: &str) -> Self {
        self.parameters = parameters.to_owned();
        self
    }
}
