//! What the machine of a scenario is made of, and what it starts from.

use std::time::Duration;

use tempfile::TempPath;
use xtask::harness::Disk;
use xtask::harness::Display;
use xtask::harness::Firmware;
use xtask::harness::Machine;
use xtask::harness::RandomNumbers;
use xtask::harness::uefi_vars::Variable;
use xtask::kernels::Kernel;

use super::Scenario;
use crate::medium::Medium;
use crate::medium::Signature;

/// The machine, but for its NICs.
#[derive(Clone, Debug)]
pub(super) struct Hardware {
    pub(super) machine: Machine,
    pub(super) cpus: u8,
    pub(super) firmware: Firmware,
    pub(super) nic_model: &'static str,
    /// Model of the NICs after the first, if it is another.
    pub(super) later_nic_model: Option<&'static str>,
    pub(super) disks: Vec<Disk>,
    pub(super) display: Display,
    pub(super) watchdog: bool,
    pub(super) random_numbers: RandomNumbers,
    pub(super) tpm: bool,
    /// Whether it is frozen, for the most part, while `/init` waits for random numbers.
    pub(super) freezes: bool,
}

impl Hardware {
    /// Model of the NIC with this index.
    pub(super) const fn model_of(&self, index: u8) -> &'static str {
        match self.later_nic_model {
            Some(model) if index > 0 => model,
            _ => self.nic_model,
        }
    }
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            machine: Machine::default(),
            cpus: 1,
            firmware: Firmware::default(),
            nic_model: "virtio-net-pci",
            later_nic_model: None,
            disks: Vec::new(),
            display: Display::default(),
            watchdog: false,
            random_numbers: RandomNumbers::default(),
            tpm: false,
            freezes: false,
        }
    }
}

impl Scenario {
    /// On this chipset.
    #[must_use]
    pub const fn machine(mut self, machine: Machine) -> Self {
        self.hardware.machine = machine;
        self
    }

    /// With so many processors.
    #[must_use]
    pub const fn cpus(mut self, cpus: u8) -> Self {
        self.hardware.cpus = cpus;
        self
    }

    /// With this firmware.
    #[must_use]
    pub const fn firmware(mut self, firmware: Firmware) -> Self {
        self.hardware.firmware = firmware;
        self
    }

    /// With NICs of this model.
    #[must_use]
    pub const fn nic_model(mut self, model: &'static str) -> Self {
        self.hardware.nic_model = model;
        self
    }

    /// With NICs of this model after the first one.
    #[must_use]
    pub const fn later_nic_model(mut self, model: &'static str) -> Self {
        self.hardware.later_nic_model = Some(model);
        self
    }

    /// With these disks, besides the one that it may start from.
    #[must_use]
    pub fn disks(mut self, disks: Vec<Disk>) -> Self {
        self.hardware.disks = disks;
        self
    }

    /// With this in place of the first serial port. [`Run::picture`] says where a picture of the
    /// screen is.
    #[must_use]
    pub const fn display(mut self, display: Display) -> Self {
        self.hardware.display = display;
        self
    }

    /// With a watchdog that resets the machine.
    #[must_use]
    pub const fn watchdog(mut self) -> Self {
        self.hardware.watchdog = true;
        self
    }

    /// With random numbers from there only.
    #[must_use]
    pub const fn random_numbers(mut self, random_numbers: RandomNumbers) -> Self {
        self.hardware.random_numbers = random_numbers;
        self
    }

    /// With a TPM 2.0.
    #[must_use]
    pub const fn tpm(mut self) -> Self {
        self.hardware.tpm = true;
        self
    }

    /// Frozen for minutes, but for moments, from the time that `/init` waits for random numbers. Its clock
    /// goes on.
    #[must_use]
    pub const fn freezes(mut self) -> Self {
        self.hardware.freezes = true;
        self.second_console()
    }

    /// With another boot kernel.
    #[must_use]
    pub fn kernel(mut self, kernel: &Kernel) -> Self {
        self.kernel = Some(kernel.clone());
        self
    }

    /// Started from this medium, which is built for it.
    #[must_use]
    pub const fn medium(mut self, medium: Medium) -> Self {
        self.medium = medium;
        self
    }

    /// With this signature on the medium, for Secure Boot.
    #[must_use]
    pub const fn signed(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    /// With these UEFI variables.
    #[must_use]
    pub fn uefi_variables(mut self, variables: Vec<Variable>) -> Self {
        self.uefi_variables.extend(variables);
        self
    }

    /// With the UEFI variables of this machine, which has run before.
    #[must_use]
    pub fn uefi_store(mut self, store: TempPath) -> Self {
        self.uefi_store = Some(store);
        self
    }

    /// Ended after this time, whatever it does.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}
