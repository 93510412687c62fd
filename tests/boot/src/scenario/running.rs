//! Switches a machine on: for one boot, or for a story.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tempfile::TempDir;
use trust::Sha256Digest;
use xtask::harness;
use xtask::harness::Disk;
use xtask::harness::Display;
use xtask::harness::Guest;
use xtask::harness::Lan;
use xtask::harness::Netdev;
use xtask::harness::Nic;

use super::Scenario;
use super::preparation::Prepared;
use super::preparation::SECOND_CONSOLE;
use crate::bench::Bench;
use crate::case::Run;
use crate::freeze::Freezer;
use crate::hang;
use crate::medium;
use crate::package::Archive;
use crate::package::Descriptor;
use crate::site::Requests;
use crate::site::Site;
use crate::story::Machine;
use crate::story::Story;
use crate::tpm::Tpm;
use crate::wire::Cable;
use crate::wire::Message;

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

impl Scenario {
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
