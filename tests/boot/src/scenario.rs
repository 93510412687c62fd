//! A scenario: a machine, its configuration, and the mirrors that it is pointed at.

mod hardware;
mod nics;
mod place;
mod preparation;
mod running;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use ramstrap_cli::boot_image::EmbeddedPackage;
use serde_json::Value;
use serde_json::json;
use tempfile::TempPath;
use xtask::harness::LinkChange;
use xtask::harness::Netdev;
use xtask::harness::uefi_vars::Variable;
use xtask::kernels::Kernel;

use hardware::Hardware;
use nics::End;
use place::Place;

pub use running::Running;

use crate::bench::Bench;
use crate::medium::Beside;
use crate::medium::Medium;
use crate::medium::Signature;
use crate::site::Mirror;

/// A guest that has not ended by then is taken for hung. Generous: hosts are slow and shared.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Everything that a boot depends on. [`Scenario::new`] gives one that boots, but for its mirrors.
#[derive(Debug)]
pub struct Scenario {
    mirrors: Vec<Mirror>,
    policy: BTreeMap<String, Vec<u8>>,
    host_config: BTreeMap<String, Value>,
    raw_host_config: Option<Vec<u8>>,
    /// Whether the mirrors are named in the form of 2022.
    old_form: bool,
    /// Packages that the boot image holds.
    packages: BTreeMap<String, EmbeddedPackage>,
    place: Place,
    efi_variable: Option<Vec<u8>>,
    second_console: bool,
    nics: Vec<End>,
    /// What [`End::Lab`] stands for.
    wires: Vec<Netdev>,
    link_changes: Vec<LinkChange>,
    memory_mib: Option<u32>,
    rtc: Option<String>,
    /// Seconds before the reboot after a failure.
    reboot_delay: u32,
    /// Whether `/init` is made to hang while it downloads.
    hangs: bool,
    arguments: Vec<String>,
    parameters: String,
    hardware: Hardware,
    kernel: Option<Kernel>,
    medium: Medium,
    /// What a web server has beside the medium.
    beside: Beside,
    signature: Signature,
    uefi_variables: Vec<Variable>,
    uefi_store: Option<TempPath>,
    timeout: Duration,
}

impl Scenario {
    /// A machine that gets its address by DHCP and asks these mirrors in their order. Two of the
    /// signers must have signed.
    #[must_use]
    pub fn new(bench: &Bench, mirrors: impl IntoIterator<Item = Mirror>) -> Self {
        let policy = BTreeMap::from([
            ("trust_policy.json".to_owned(), policy_json(2)),
            ("ospkg_signing_root.pem".to_owned(), bench.keys.root.pem.clone().into_bytes()),
            ("tls_roots.pem".to_owned(), bench.identities.root_pem().into_bytes()),
        ]);
        Self {
            mirrors: mirrors.into_iter().collect(),
            policy,
            host_config: BTreeMap::from([("network_mode".to_owned(), json!("dhcp"))]),
            raw_host_config: None,
            old_form: false,
            packages: BTreeMap::new(),
            place: Place::Image,
            efi_variable: None,
            second_console: false,
            nics: vec![End::Network],
            wires: Vec::new(),
            link_changes: Vec::new(),
            memory_mib: None,
            rtc: None,
            // A failed boot is over soon: the delay is not what most cases are about.
            reboot_delay: 1,
            hangs: false,
            arguments: Vec::new(),
            parameters: String::new(),
            hardware: Hardware::default(),
            kernel: None,
            medium: Medium::default(),
            beside: Beside::new(),
            signature: Signature::default(),
            uefi_variables: Vec::new(),
            uefi_store: None,
            timeout: TIMEOUT,
        }
    }
}

fn policy_json(threshold: u64) -> Vec<u8> {
    json!({ "ospkg_signature_threshold": threshold, "ospkg_fetch_method": "network" })
        .to_string()
        .into_bytes()
}
