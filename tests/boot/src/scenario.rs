//! A scenario: a machine, its configuration, and the mirrors that it is pointed at.

mod hardware;
mod place;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::boot_image::EmbeddedPackage;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tempfile::TempPath;
use trust::Sha256Digest;
use xtask::harness;
use xtask::harness::BootOptions;
use xtask::harness::Disk;
use xtask::harness::Display;
use xtask::harness::Firmware;
use xtask::harness::Guest;
use xtask::harness::Lan;
use xtask::harness::LinkChange;
use xtask::harness::Netdev;
use xtask::harness::Nic;
use xtask::harness::uefi_vars::Variable;
use xtask::kernels::Kernel;

use hardware::Hardware;

use crate::bench::Bench;
use crate::case::Run;
use crate::freeze::Freezer;
use crate::hang;
use crate::lab_vm;
use crate::medium;
use crate::medium::Beside;
use crate::medium::Medium;
use crate::medium::Signature;
use crate::package::Archive;
use crate::package::Descriptor;
use crate::site::Mirror;
use crate::site::Requests;
use crate::site::Site;
use crate::story::Machine;
use crate::story::Story;
use crate::tpm::Tpm;
use crate::wire::Cable;
use crate::wire::Faults;
use crate::wire::Message;

/// A guest that has not ended by then is taken for hung. Generous: hosts are slow and shared.
const TIMEOUT: Duration = Duration::from_secs(300);

/// File of the second console.
const SECOND_CONSOLE: &str = "second-console";

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

/// What a machine needs, as long as it needs it.
#[derive(Debug)]
struct Prepared {
    options: BootOptions,
    sites: Vec<Site>,
    cables: Vec<Cable>,
    scratch: TempDir,
    _medium: medium::Prepared,
}

/// A machine that runs, and the mirrors that it is pointed at.
#[derive(Debug)]
pub struct Running {
    /// The machine.
    pub machine: Machine,
    sites: Vec<Site>,
    _scratch: TempDir,
    _medium: medium::Prepared,
}

impl Running {
    /// Lets every mirror serve this from now on.
    pub fn serve(&self, descriptor: &Descriptor, archive: &Archive) {
        for (index, site) in self.sites.iter().enumerate() {
            site.replace(index, descriptor, archive);
        }
    }

    /// What the mirrors were asked.
    #[must_use]
    pub fn requests(&self) -> Vec<Requests> {
        self.sites.iter().map(Site::requests).collect()
    }
}

/// Where the machine finds its host configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// In a file of the boot image.
    Image,
    /// In the EFI variable.
    EfiVariable,
    /// In settings on the kernel command line: what [`Scenario::new`] has.
    CommandLine,
    /// In OEM strings of the machine, as a whole.
    OemStrings,
    /// Beside the boot image, as a URL that the firmware says to have loaded it from.
    BootOrigin,
    Nowhere,
}

/// What is at the far end of a NIC's cable.
#[derive(Clone, Copy, Debug)]
enum End {
    /// QEMU's user network behind a cable with these faults.
    Cable(Faults),
    /// QEMU's user network.
    Network,
    /// QEMU's user network, but the cable is not plugged in before so much time has passed.
    PluggedAfter(Duration),
    /// No cable is plugged in.
    Unplugged,
    /// The lab VM's cable of this number.
    Lab(usize),
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

    /// Without a host configuration.
    #[must_use]
    pub const fn no_host_config(mut self) -> Self {
        self.place = Place::Nowhere;
        self
    }

    /// With the host configuration in the EFI variable in place of the boot image.
    #[must_use]
    pub const fn host_config_in_efi_variable(mut self) -> Self {
        self.place = Place::EfiVariable;
        self
    }

    /// With these bytes in the EFI variable, whatever is in the boot image.
    #[must_use]
    pub fn efi_variable(mut self, content: &[u8]) -> Self {
        self.efi_variable = Some(content.to_vec());
        self
    }

    /// With a second console, on the third serial port: see [`Run::second_console`].
    #[must_use]
    pub const fn second_console(mut self) -> Self {
        self.second_console = true;
        self
    }

    /// Without any NIC, until one is added. A new scenario has one, on QEMU's user network.
    #[must_use]
    pub fn no_nic(mut self) -> Self {
        self.nics.clear();
        self
    }

    /// With one more NIC, on a cable of ours with these faults.
    #[must_use]
    pub fn and_cable(mut self, faults: Faults) -> Self {
        self.nics.push(End::Cable(faults));
        self
    }

    /// With one NIC only, on a cable of ours with these faults.
    #[must_use]
    pub fn cable(self, faults: Faults) -> Self {
        self.no_nic().and_cable(faults)
    }

    /// With one NIC only, that has no cable.
    #[must_use]
    pub fn unplugged(mut self) -> Self {
        self.nics = vec![End::Unplugged];
        self
    }

    /// With one NIC only, whose cable is plugged in so much time after power-on.
    #[must_use]
    pub fn plugged_after(mut self, time: Duration) -> Self {
        self.nics = vec![End::PluggedAfter(time)];
        self
    }

    /// With so many NICs, on the lab VM's cables.
    #[must_use]
    pub fn lab_cables(mut self, number: usize) -> Self {
        self.nics = (0..number).map(End::Lab).collect();
        self
    }

    /// With a NIC whose cable is plugged or pulled so much time after power-on. One whose first
    /// change is that it is plugged was not plugged before.
    #[must_use]
    pub fn link_change(mut self, nic: usize, after: Duration, up: bool) -> Self {
        self.link_changes.push(LinkChange { after, nic, up });
        self
    }

    /// With these as the lab VM's cables.
    pub(crate) fn wired(mut self, wires: Vec<Netdev>) -> Self {
        self.wires = wires;
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

    /// Starts the mirrors, boots the machine and waits for its end.
    pub(crate) fn run(self, bench: &Bench, name: &str) -> Result<Run> {
        let directory = bench.output.join(name);
        fs::create_dir_all(&directory)?;
        let Prepared { mut options, sites, cables, scratch, _medium } =
            self.prepare(bench, &directory)?;
        let disks = self.hardware.disks.iter().map(|disk| digest(&disk.file));
        let disks: Vec<Sha256Digest> = disks.collect::<Result<_>>()?;

        let stub = self.hangs.then(|| scratch.path().join("stub"));
        options.qemu_args.extend(stub.iter().flat_map(|stub| hang::qemu_args(stub)));
        let tpm = self.hardware.tpm.then(|| Tpm::start(scratch.path())).transpose()?;
        options.qemu_args.extend(tpm.iter().flat_map(Tpm::qemu_args));
        let console = scratch.path().join(SECOND_CONSOLE);
        let freezer = self.hardware.freezes.then(|| Freezer::new(scratch.path(), console));
        options.qemu_args.extend(freezer.iter().flat_map(Freezer::qemu_args));

        let over = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            for site in &sites {
                scope.spawn(|| open_later(site, &cables, &over));
            }
            let freezing = freezer.as_ref().map(|it| scope.spawn(|| it.freeze(&over)));
            let hanging = stub.as_deref().zip(sites.first());
            let hanging = hanging.map(|(stub, site)| scope.spawn(|| hang_later(site, stub, &over)));
            let result = harness::boot(&options);
            over.store(true, Ordering::Relaxed);
            match hanging.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(hung)) => hung.context("/init could not be made to hang")?,
                Some(Err(_)) => anyhow::bail!("the thread that makes /init hang has panicked"),
                None => {}
            }
            match freezing.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(frozen)) => frozen.context("the machine could not be frozen")?,
                Some(Err(_)) => anyhow::bail!("the thread that freezes the machine has panicked"),
                None => {}
            }
            result
        })?;
        let run = Run {
            result,
            requests: sites.iter().map(Site::requests).collect(),
            cables: cables.iter().map(Cable::record).collect(),
            second_console: self
                .second_console
                .then(|| fs::read(scratch.path().join(SECOND_CONSOLE)))
                .transpose()?
                .map(|said| String::from_utf8_lossy(&said).into_owned()),
            picture: options.screenshot,
            disks_changed: disks_changed(&self.hardware.disks, &disks)?,
            mute: self.hardware.display == Display::Mute,
            lab: BTreeMap::new(),
            directory,
        };
        run.save()?;
        Ok(run)
    }

    /// Starts the mirrors and switches the machine on, as the first one of this network. A reset
    /// starts it again.
    ///
    /// # Errors
    /// If something cannot be made, or QEMU cannot be started.
    pub fn start(self, story: &Story<'_>, name: &str, lan: &Lan) -> Result<Running> {
        self.start_on(story, name, (lan.first(), lan.qemu_args()))
    }

    /// The same at the end of a wire. `qemu_args` are what the wire needs besides.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        self,
        story: &Story<'_>,
        name: &str,
        (wire, qemu_args): (Netdev, Vec<String>),
    ) -> Result<Running> {
        let Prepared { mut options, sites, scratch, _medium, .. } =
            self.prepare(story.bench, &story.directory)?;
        options.nics = vec![Nic::new(self.hardware.nic_model).on(wire)];
        options.qemu_args.extend(qemu_args);
        options.restarts = true;
        let machine = Machine::new(Guest::start(&options)?, &story.directory, name);
        Ok(Running { machine, sites, _scratch: scratch, _medium })
    }

    /// With more parameters for the boot kernel.
    #[must_use]
    pub fn parameters(mut self, parameters: &str) -> Self {
        self.parameters = parameters.to_owned();
        self
    }

    /// Makes everything that the machine needs.
    fn prepare(&self, bench: &Bench, directory: &Path) -> Result<Prepared> {
        let scratch = tempfile::tempdir()?;
        let sites = self.mirrors.iter().enumerate();
        let sites = sites
            .map(|(index, mirror)| Site::open(mirror, index, &bench.identities))
            .collect::<Result<Vec<_>>>()?;
        let policy = scratch.path().join("trust_policy");
        fs::create_dir(&policy)?;
        for (file, content) in &self.policy {
            fs::write(policy.join(file), content)?;
        }

        let kernel = self.kernel.as_ref().unwrap_or(&bench.kernel).clone();
        let Hardware {
            machine,
            cpus,
            firmware,
            nic_model: _,
            later_nic_model: _,
            disks,
            display,
            watchdog,
            random_numbers,
            tpm: _,
            freezes: _,
        } = self.hardware.clone();
        let mut options = BootOptions {
            machine,
            cpus,
            firmware,
            disks,
            display,
            watchdog,
            random_numbers,
            screenshot: display.has_screen().then(|| directory.join("screen.png")),
            packages: self.packages.clone(),
            uefi_variables: self.uefi_variables.clone(),
            uefi_store: self.uefi_store.as_deref().map(Path::to_path_buf),
            ..BootOptions::new(kernel, &policy)
        };
        self.place_host_configuration(&sites, scratch.path(), &mut options)?;
        options.rtc.clone_from(&self.rtc);
        options.timeout = self.timeout;
        if let Some(memory_mib) = self.memory_mib {
            options.memory_mib = memory_mib;
        }
        options.append =
            format!("panic={} {} {}", self.reboot_delay, self.parameters, options.append);
        if self.second_console {
            options.append += " console=ttyS2";
            let file = format!("file:{}", scratch.path().join(SECOND_CONSOLE).display());
            options.qemu_args.extend(["-serial".to_owned(), file]);
        }
        options.append += &format!(" -- {}", self.arguments.join(" "));
        let cables = self.lay_cables(scratch.path(), &mut options)?;
        let signer = match self.signature {
            Signature::None => None,
            Signature::Good | Signature::Broken => Some(&bench.secure_boot()?.signer),
        };
        let signature = (self.signature, signer);
        let _medium =
            medium::prepare((self.medium, &self.beside), signature, &mut options, scratch.path())?;
        Ok(Prepared { options, sites, cables, scratch, _medium })
    }

    fn place_host_configuration(
        &self,
        sites: &[Site],
        directory: &Path,
        options: &mut BootOptions,
    ) -> Result<()> {
        let mut variable = self.efi_variable.clone();
        match self.place {
            Place::Image => {
                let file = directory.join("host_configuration.json");
                fs::write(&file, self.host_configuration(sites)?)?;
                options.host_config = Some(file);
            }
            Place::EfiVariable => variable = Some(self.host_configuration(sites)?),
            Place::CommandLine => options.append = place::settings(sites),
            Place::OemStrings => {
                options.qemu_args.extend(place::oem_strings(&self.host_configuration(sites)?));
            }
            Place::BootOrigin => {
                options.firmware = Firmware::Uefi;
                options.uefi_variables.extend(sites.iter().map(place::boot_origin));
            }
            Place::Nowhere => {}
        }
        if let Some(content) = variable {
            if options.firmware == Firmware::Bios {
                options.firmware = Firmware::Uefi;
            }
            options.uefi_variables.push(Variable::host_configuration(&content));
        }
        Ok(())
    }

    fn host_configuration(&self, sites: &[Site]) -> Result<Vec<u8>> {
        if let Some(raw) = &self.raw_host_config {
            return Ok(raw.clone());
        }
        let mut host_config = self.host_config.clone();
        let urls: Vec<String> = sites.iter().map(Site::url).collect();
        if self.old_form {
            host_config.insert("provisioning_urls".to_owned(), json!(urls));
        } else {
            host_config.entry("ospkg_pointer".to_owned()).or_insert_with(|| json!(urls.join(",")));
        }
        Ok(serde_json::to_vec_pretty(&host_config)?)
    }

    fn lay_cables(&self, directory: &Path, options: &mut BootOptions) -> Result<Vec<Cable>> {
        options.nics.clear();
        let mut cables = Vec::new();
        for (index, end) in (0..).zip(&self.nics) {
            let model = self.hardware.model_of(index);
            let unplugged = Nic { link_up: false, ..Nic::new(model) };
            options.nics.push(match end {
                End::Cable(faults) => {
                    let cable = Cable::lay(directory, index, *faults)?;
                    let nic = cable.nic(model);
                    options.qemu_args.extend(cable.qemu_args());
                    cables.push(cable);
                    nic
                }
                End::Network => Nic::new(model),
                End::PluggedAfter(after) => {
                    let change = LinkChange { after: *after, nic: index.into(), up: true };
                    options.link_changes.push(change);
                    unplugged
                }
                End::Unplugged => unplugged,
                End::Lab(cable) => {
                    let wire = self.wires.get(*cable).context("no lab VM has this cable")?;
                    Nic::new(lab_vm::MODEL).on(wire.clone())
                }
            });
        }
        for change in self.link_changes.iter().rev() {
            let nic = options.nics.get_mut(change.nic).context("a cable of no NIC")?;
            nic.link_up = !change.up;
        }
        options.link_changes.extend(&self.link_changes);
        Ok(cables)
    }
}

fn digest(file: &Path) -> Result<Sha256Digest> {
    Ok(Sha256Digest::of(&fs::read(file)?))
}

/// How many disks have other bytes than before.
fn disks_changed(disks: &[Disk], before: &[Sha256Digest]) -> Result<usize> {
    let mut changed = 0;
    for (disk, before) in disks.iter().zip(before) {
        changed += usize::from(digest(&disk.file)? != *before);
    }
    Ok(changed)
}

/// Opens a mirror that is to be opened some time after the guest has its address.
fn open_later(site: &Site, cables: &[Cable], over: &AtomicBool) -> Result<()> {
    let Some(delay) = site.delay() else { return Ok(()) };
    let mut leased = None;
    while !over.load(Ordering::Relaxed) {
        let asked = |cable: &Cable| !cable.record().sent(Message::Request).is_empty();
        if leased.is_none() && cables.iter().any(asked) {
            leased = Some(Instant::now());
        }
        if leased.is_some_and(|since| since.elapsed() >= delay) {
            return site.open_now();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Makes `/init` hang once it has asked for an archive.
fn hang_later(site: &Site, stub: &Path, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        if site.requests().own.iter().any(|request| request.path.ends_with(".zip")) {
            return hang::now(stub);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("it never asked for an archive")
}

fn policy_json(threshold: u64) -> Vec<u8> {
    json!({ "ospkg_signature_threshold": threshold, "ospkg_fetch_method": "network" })
        .to_string()
        .into_bytes()
}
