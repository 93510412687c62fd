//! Networks of real servers around a machine under test, one after the other in one lab VM.
//!
//! ```text
//!   host 10.0.2.2 ── eth0  lab VM  eth1 ── first NIC  ┐
//!                                  eth2 ── second NIC │ machine under test
//!                                  eth3 ── third NIC  ┘
//! ```
//!
//! A case says in a few lines of shell what is at the far ends of the cables ([`lab.sh`] has the
//! words); before each case all that the one before has left is swept away. The lab VM starts with
//! the first case and stays for the next, unless something went wrong in it.
//!
//! [`lab.sh`]: LIBRARY

mod vm;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use xtask::harness::Link;
use xtask::harness::Netdev;

use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::lab_vm::LabVm;
use crate::package::Archive;
use crate::package::Descriptor;
use crate::site::HOST;
use vm::Kept;

/// Words for networks.
pub const LIBRARY: &str = include_str!("lab.sh");

/// Cables between the lab VM and the machine under test.
pub const CABLES: usize = 3;

/// Names and addresses that the lab's web server can prove to be.
pub const NAMES: [&str; 7] = [
    "192.0.2.1",
    "192.0.2.2",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "mirror.lab.example",
    "mirror",
];

/// How long a network may take to be set up.
const SET_UP: Duration = Duration::from_secs(60);

/// Where logs of servers are.
const LOGS: &str = "/run/log";

/// A lab VM with the package, and cables that lead out of it.
#[derive(Debug)]
pub struct Lab {
    vm: Kept,
    cables: Vec<Link>,
}

impl Lab {
    /// Starts it.
    ///
    /// # Errors
    /// If it does not start, or cannot fetch the package.
    pub fn start(bench: &Bench) -> Result<Self> {
        let cables = (0..CABLES).map(|_| Link::new()).collect::<Result<Vec<_>>>()?;
        let ends = cables.iter().map(|cable| cable.ends().0);
        let nics: Vec<Netdev> = std::iter::once(Netdev::User).chain(ends).collect();
        let mut lab = Self { vm: Kept::start(bench, nics)?, cables };
        // The OS would wait for a lease; these cases are about `/init`.
        let os = bench.os(&OsPackage { cmdline: "minimal.network=0", ..OsPackage::default() })?;
        furnish(&mut lab.vm, bench, &os.descriptor(&bench.keys.two())?, &os)?;
        Ok(lab)
    }

    /// Sweeps away the network that was, and sets this one up.
    ///
    /// # Errors
    /// If a line fails: with what was done until then.
    pub fn set(&mut self, network: &str) -> Result<()> {
        set_up(&mut self.vm, &format!("sweep\n{network}"))
    }

    /// The machine's ends of the cables.
    #[must_use]
    pub fn wires(&self) -> Vec<Netdev> {
        self.cables.iter().map(|cable| cable.ends().1).collect()
    }

    /// What the servers have said, by the names of their logs.
    ///
    /// # Errors
    /// If the lab VM does not answer.
    pub fn logs(&mut self) -> Result<BTreeMap<String, String>> {
        let names = self.vm.must(&["ls", LOGS])?;
        let mut logs = BTreeMap::new();
        for name in names.split_whitespace() {
            let said = self.vm.must(&["cat", &format!("{LOGS}/{name}")]);
            logs.insert(name.to_owned(), said.with_context(|| format!("the log {name}"))?);
        }
        Ok(logs)
    }

    /// The lab VM itself.
    pub fn vm(&mut self) -> &mut LabVm {
        &mut self.vm
    }
}

/// Sets a network up in a lab VM that is [furnished](furnish).
///
/// # Errors
/// If a line fails: with what was done until then.
pub fn set_up(vm: &mut LabVm, network: &str) -> Result<()> {
    let script = format!(". /run/lab.sh\nmkdir -p {LOGS}\nset -x\n{network}\n");
    vm.put("/tmp/case.sh", 0o644, script.as_bytes())?;
    let output = vm.run_with(&["sh", "-e", "/tmp/case.sh"], b"", SET_UP)?;
    let done = output.complaints();
    ensure!(output.is_success(), "the network cannot be set up:\n{}{done}", output.text());
    Ok(())
}

/// Brings a package, the web server's certificate and the words for networks into a lab VM, whose first
/// cable leads to the host.
///
/// # Errors
/// If it does not take them.
pub fn furnish(
    vm: &mut LabVm,
    bench: &Bench,
    descriptor: &Descriptor,
    archive: &Archive,
) -> Result<()> {
    vm.put("/etc/passwd", 0o644, b"root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534::/:/\n")?;
    vm.put("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    vm.put("/run/lab.sh", 0o644, LIBRARY.as_bytes())?;
    let identity = bench.identities.of_lab();
    vm.put("/etc/lab/tls.pem", 0o644, identity.chain_pem().as_bytes())?;
    vm.put("/etc/lab/tls.key", 0o600, identity.key_pem().as_bytes())?;
    vm.script("mkdir -p /var/lib/nginx /var/log/nginx /srv")?;
    vm.put("/srv/os.json", 0o644, &descriptor.to_json())?;
    let server = FaultServer::start(Config::http().file("/os.zip", File::new(&archive.bytes[..])))?;
    vm.script(&format!(
        "ip link set eth0 up
         ip address add 10.0.2.15/24 dev eth0
         curl -sS --max-time 50 -o /srv/os.zip {}",
        server.url_for(HOST, "/os.zip"),
    ))
}
