//! What machine to boot, and with what.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ramstrap_cli::boot_image::EmbeddedPackage;

use super::hardware::Disk;
use super::hardware::Display;
use super::hardware::Firmware;
use super::hardware::Machine;
use super::hardware::Start;
use super::uefi_vars::Variable;
use crate::kernels::Kernel;

/// How long a boot may take unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(180);

/// Memory of the guest unless told otherwise, in MiB.
const DEFAULT_MEMORY_MIB: u32 = 1024;

/// What to boot. [`BootOptions::new`] gives a machine with 1 GiB of memory and one virtio NIC on
/// QEMU's user network; change the fields from there.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// The boot kernel.
    pub kernel: Kernel,
    /// Directory with `trust_policy.json` and the roots. An empty or missing directory makes an
    /// image without a policy.
    pub trust_policy: PathBuf,
    /// Host configuration to put into the image; none makes an image without one.
    pub host_config: Option<PathBuf>,
    /// OS packages that the image holds, by their name without extension.
    pub packages: BTreeMap<String, EmbeddedPackage>,
    /// Memory of the guest.
    pub memory_mib: u32,
    /// Network interfaces, in the order of their PCI slots.
    pub nics: Vec<Nic>,
    /// More for the kernel command line. What stands behind ` -- ` goes to `/init`. Comes after the
    /// harness's own parameters, so that it wins over them.
    pub append: String,
    /// More arguments for QEMU, at the end of its command line.
    pub qemu_args: Vec<String>,
    /// Date that the guest's clock starts with, such as `2001-01-01` or `2001-01-01T12:00:00`.
    pub rtc: Option<String>,
    /// After this time QEMU is ended and the result says so.
    pub timeout: Duration,
    /// Where the console goes while the guest runs.
    pub echo: Echo,
    /// Put policy and host configuration into the image even if the checks of the image builder
    /// would refuse them: what `/init` makes of them is what is to be seen.
    pub allow_invalid: bool,
    /// Count instructions in place of time (`-icount shift=N,sleep=off`): figures repeat, but
    /// waiting takes no time. Never with time-out tests.
    pub icount: Option<u8>,
    /// The machine's chipset.
    pub machine: Machine,
    /// Processors.
    pub cpus: u8,
    /// What starts the machine.
    pub firmware: Firmware,
    /// What the firmware starts. With anything but [`Start::Direct`] the boot image comes from
    /// there: kernel, trust policy, host configuration and [`BootOptions::append`] of these options
    /// are not looked at.
    pub start: Start,
    /// UEFI variables that the machine finds when it is switched on, besides those that the
    /// firmware's package has.
    pub uefi_variables: Vec<Variable>,
    /// A file that UEFI variables are kept in from one boot to the next; made from the firmware's
    /// package and [`BootOptions::uefi_variables`] if it is not there yet. None: what the machine
    /// writes is lost.
    pub uefi_store: Option<PathBuf>,
    /// Disks besides the one that it starts from. What the machine writes to them stays.
    pub disks: Vec<Disk>,
    /// Whether the machine has a source of random numbers: the processor's instructions, and a
    /// virtio device.
    pub random_numbers: RandomNumbers,
    /// What the machine shows itself on.
    pub display: Display,
    /// Where to keep a picture (PNG) of the screen as it is at the end; wants a [`Display`] that
    /// has one.
    pub screenshot: Option<PathBuf>,
    /// Whether there is a watchdog (i6300esb), which resets the machine.
    pub watchdog: bool,
    /// Build time written into the image, Unix seconds. None: `SOURCE_DATE_EPOCH`, else now.
    pub build_time: Option<i64>,
    /// Cables pulled and plugged while the machine runs.
    pub link_changes: Vec<LinkChange>,
    /// Whether a reset starts the machine again, with what its memory holds; else it is the end.
    pub restarts: bool,
    /// Names of virtio-serial ports: [`super::Guest::port`] has their far ends.
    pub ports: Vec<String>,
}

impl BootOptions {
    /// A machine with 1 GiB of memory and one virtio NIC on QEMU's user network.
    #[must_use]
    pub fn new(kernel: Kernel, trust_policy: impl Into<PathBuf>) -> Self {
        Self {
            kernel,
            trust_policy: trust_policy.into(),
            host_config: None,
            packages: BTreeMap::new(),
            memory_mib: DEFAULT_MEMORY_MIB,
            nics: vec![Nic::default()],
            append: String::new(),
            qemu_args: Vec::new(),
            rtc: None,
            timeout: DEFAULT_TIMEOUT,
            echo: Echo::Quiet,
            allow_invalid: true,
            icount: None,
            machine: Machine::default(),
            cpus: 1,
            firmware: Firmware::default(),
            start: Start::default(),
            uefi_variables: Vec::new(),
            uefi_store: None,
            disks: Vec::new(),
            random_numbers: RandomNumbers::default(),
            display: Display::default(),
            screenshot: None,
            watchdog: false,
            build_time: None,
            link_changes: Vec::new(),
            restarts: false,
            ports: Vec::new(),
        }
    }
}

/// A network interface of the guest.
#[derive(Clone, Debug)]
pub struct Nic {
    /// QEMU's device name, such as `virtio-net-pci` or `e1000e`.
    pub model: String,
    /// What its cable leads to.
    pub netdev: Netdev,
    /// MAC address; QEMU's own if none is given (`52:54:00:12:34:56` and up).
    pub mac: Option<String>,
    /// Whether it has a carrier at power-on.
    pub link_up: bool,
}

impl Nic {
    /// A NIC of this model on QEMU's user network, with carrier.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), netdev: Netdev::User, mac: None, link_up: true }
    }

    /// The same NIC with another network behind it.
    #[must_use]
    pub fn on(self, netdev: Netdev) -> Self {
        Self { netdev, ..self }
    }
}

impl Default for Nic {
    fn default() -> Self {
        Self::new("virtio-net-pci")
    }
}

/// Where a machine has random numbers from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RandomNumbers {
    /// The processor, and a virtio device.
    #[default]
    Both,
    /// A virtio device; the processor has no instructions for it.
    Device,
    /// Nowhere.
    None,
}

/// What a NIC's cable leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Netdev {
    /// QEMU's user network: DHCP, DNS, and the host's loopback as 10.0.2.2.
    User,
    /// Any `-netdev` value without its `id=`, such as `socket,connect=127.0.0.1:4000`.
    Custom(String),
    /// A network with nothing on it: carrier, but never an answer.
    None,
}

/// A cable pulled or plugged while the machine runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkChange {
    /// When, counted from the start of QEMU.
    pub after: Duration,
    /// Which NIC: index into [`BootOptions::nics`].
    pub nic: usize,
    /// Plugged or pulled.
    pub up: bool,
}

/// Where the guest's console goes while it runs. It is in [`super::BootResult::serial`] either way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Echo {
    /// Live to standard output.
    Stdout,
    /// Nowhere.
    #[default]
    Quiet,
}
