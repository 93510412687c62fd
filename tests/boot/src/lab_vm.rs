//! The lab VM: the network around a machine under test, with tools that the host need not have.

use std::ops::Deref;
use std::ops::DerefMut;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use lab::Client;
use xtask::accel;
use xtask::accel::Accel;
use xtask::harness::BootOptions;
use xtask::harness::Guest;
use xtask::harness::Netdev;
use xtask::harness::Nic;

use crate::bench::Bench;
use crate::story::Machine;
use crate::story::Story;

/// How long it may take to start: it is emulated, and shares the host with another.
const START: Duration = Duration::from_secs(120);

/// Enough for its root file system, packed and unpacked.
const MEMORY_MIB: u32 = 448;

/// A NIC that says how fast it is: without, no bond would take it for LACP.
pub(crate) const MODEL: &str = "virtio-net-pci,speed=1000,duplex=full";

/// The kernel clears no memory: the lab has no secrets, and is to be quick.
const APPEND: &str = "init_on_alloc=0 init_on_free=0 quiet";

/// A lab VM that runs, and does what [`Client`] tells it.
#[derive(Debug)]
pub struct LabVm {
    agent: Client,
    /// The machine.
    pub machine: Machine,
}

impl LabVm {
    /// Starts a lab VM with a NIC at each of these, which it calls `eth0`, `eth1` and so on.
    /// `qemu_args` are what the networks need besides.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(
        story: &Story<'_>,
        name: &str,
        nics: impl IntoIterator<Item = Netdev>,
        qemu_args: Vec<String>,
    ) -> Result<Self> {
        let (options, accel) = options(story.bench, name, nics, qemu_args)?;
        let guest = Guest::start_with(&options, accel, story.bench.lab()?)?;
        Self::of(guest, &story.directory, name)
    }

    /// A lab VM of this machine, which was just switched on. Its console is kept in this directory.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn of(mut guest: Guest, directory: &Path, name: &str) -> Result<Self> {
        let line = guest.port(lab::PORT)?;
        let mut machine = Machine::new(guest, directory, name);
        let connected = Client::connect(line, START);
        let mut agent =
            connected.with_context(|| format!("{name}: {}", machine.guest.console()))?;
        // It leaves tools alone that are there already, and says so.
        agent.run(&["busybox", "--install", "-s"])?;
        agent.must(&["ip", "link", "set", "lo", "up"])?;
        Ok(Self { agent, machine })
    }
}

/// A lab VM's machine, with a NIC at each of these.
///
/// # Errors
/// If it cannot be told how to run it.
pub(crate) fn options(
    bench: &Bench,
    name: &str,
    nics: impl IntoIterator<Item = Netdev>,
    qemu_args: Vec<String>,
) -> Result<(BootOptions, Accel)> {
    let kernel = bench.os_kernel.clone();
    let accel = accel::choose(&kernel)?;
    // MAC addresses are made of the name: two lab VMs on one network must differ.
    let tag = name.bytes().fold(7_u8, |tag, byte| tag.wrapping_mul(31).wrapping_add(byte));
    let nics = (0_u8..).zip(nics).map(|(index, netdev)| Nic {
        mac: Some(format!("52:54:00:1a:{tag:02x}:{index:02x}")),
        ..Nic::new(MODEL).on(netdev)
    });
    let options = BootOptions {
        memory_mib: MEMORY_MIB,
        nics: nics.collect(),
        append: APPEND.to_owned(),
        qemu_args,
        ports: vec![lab::PORT.to_owned()],
        ..BootOptions::new(kernel, "")
    };
    Ok((options, accel))
}

impl Deref for LabVm {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.agent
    }
}

impl DerefMut for LabVm {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.agent
    }
}
