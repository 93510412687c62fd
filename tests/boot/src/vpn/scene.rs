//! A server, its customer, and everything around both.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::ensure;
use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use provision::Fingerprint;
use xtask::harness::Guest;
use xtask::harness::Lan;
use xtask::harness::Needle;

use super::ANOTHER;
use super::HOST;
use super::STAFF;
use super::customer;
use super::machine::Said;
use super::machine::Server;
use super::outside;
use super::packages::Release;
use super::remains;
use super::secrets::Secrets;
use super::traces;
use crate::lab_vm::LabVm;
use crate::scenario::Scenario;
use crate::story::Story;

/// What the web server behind the VPN server says.
pub const PAGE: &str = "a page behind the tunnel";

/// Everything around the server, and the server itself, provisioned or not.
#[derive(Debug)]
pub struct Scene {
    /// The server.
    pub server: Server,
    /// The lab VM.
    pub lab: LabVm,
    /// What staff hands over.
    pub secrets: Secrets,
    /// The web server on the host.
    pub page: FaultServer,
    // Last: the machines go before their network.
    _lan: Lan,
}

impl Scene {
    /// Switches server and lab VM on. `parameters` are for the bootloader's kernel.
    ///
    /// # Errors
    /// If something cannot be made or started.
    pub fn set(story: &Story<'_>, release: &Release, parameters: &str) -> Result<Self> {
        Self::set_with(story, release, |scenario| scenario.parameters(parameters))
    }

    /// The same with a change to the server's machine.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_with(
        story: &Story<'_>,
        release: &Release,
        change: impl FnOnce(Scenario) -> Scenario,
    ) -> Result<Self> {
        let (server, lan) = Server::start_with(story, Lan::new()?, release, change)?;
        let mut lab = LabVm::start(story, "lab", [lan.second()], Vec::new())?;
        let secrets = Secrets::generate(customer::set_up(&mut lab)?)?;
        customer::join(&mut lab, &secrets)?;
        let page = FaultServer::start(Config::http().file("/page", File::new(PAGE.as_bytes())))?;
        Ok(Self { server, lab, secrets, page, _lan: lan })
    }

    /// The server's machine.
    pub fn guest(&mut self) -> &mut Guest {
        &mut self.server.running.machine.guest
    }

    /// Presses the server's reset button.
    ///
    /// # Errors
    /// If QEMU refuses.
    pub fn reset(&mut self) -> Result<()> {
        self.guest().reset()
    }

    /// Has staff take the server into service.
    ///
    /// # Errors
    /// If it refuses.
    pub fn provision(&mut self, said: &Said) -> Result<()> {
        self.server.provision(said, self.secrets.document()?.expose())
    }

    /// Asserts that the tunnel carries pages and names.
    ///
    /// # Errors
    /// If it does not.
    pub fn carries(&mut self) -> Result<()> {
        customer::resolve(&mut self.lab)?;
        let page = customer::fetch(&mut self.lab, self.page.addr().port())?;
        ensure!(page == PAGE, "the page is {page:?}");
        Ok(())
    }

    /// Asserts that the machine, which waits, serves nobody: the customer cannot connect any more, even
    /// one who does not live on what was.
    ///
    /// # Errors
    /// If they can.
    pub fn cuts_off(&mut self) -> Result<()> {
        let open = outside::open_ports(&mut self.lab, STAFF)?;
        ensure!(open == [provision::PORT], "open while it waits: {open:?}");
        customer::meet(&mut self.lab, &self.secrets)?;
        customer::is_cut_off(&mut self.lab)
    }

    /// What must not be left of the server's present life, all of which is in its memory now.
    ///
    /// # Errors
    /// If one of them is not found there.
    pub fn needles(&mut self, directory: &Path, identity: Fingerprint) -> Result<Vec<Needle>> {
        let mut needles = remains::identity(self.guest(), directory, identity)?;
        needles.extend(self.secrets.needles()?);
        needles.push(remains::plant(&mut self.lab)?);
        let finds = self.guest().search_memory(directory, &needles)?;
        println!("{:>12}  {finds:?}", "");
        for needle in &needles {
            let found = finds.iter().any(|find| find.name == needle.name);
            ensure!(found, "{} is not found while the server serves", needle.name);
        }
        Ok(needles)
    }

    /// Asserts that none of these is anywhere in the server's memory.
    ///
    /// # Errors
    /// What is there.
    pub fn has_forgotten(&mut self, directory: &Path, needles: &[Needle]) -> Result<()> {
        let finds = self.guest().search_memory(directory, needles)?;
        ensure!(finds.is_empty(), "the server's memory still has {finds:?}");
        Ok(())
    }

    /// The control of [`Self::has_forgotten`]: asserts that the same search finds something.
    ///
    /// # Errors
    /// If it finds nothing.
    pub fn remembers(&mut self, directory: &Path, needles: &[Needle]) -> Result<()> {
        let finds = self.guest().search_memory(directory, needles)?;
        println!("{:>12}  {finds:?}", "");
        ensure!(!finds.is_empty(), "nothing is found, although nothing was wiped");
        Ok(())
    }

    /// Has the mirrors serve another release, and staff ask for it.
    ///
    /// # Errors
    /// If the server does not take it.
    pub fn upgrade(&self, said: &Said, release: &Release) -> Result<()> {
        self.server.running.serve(&release.descriptor, &release.archive);
        self.server.host("upgrade", said)?.done().map(drop)
    }

    /// Gives the server another address on the network outside, as a new lease would, and waits until
    /// it says so.
    ///
    /// # Errors
    /// If staff cannot log in, or the server does not see it.
    pub fn moves(&mut self) -> Result<()> {
        // The connection that this comes over does not outlive it.
        let change = format!(
            "ip address flush dev eth0; ip address add {ANOTHER}/24 dev eth0; \
             ip route add default via {HOST}"
        );
        let later =
            format!("busybox setsid sh -c 'sleep 2; {change}' < /dev/null > /dev/null 2>&1 &");
        traces::ssh(&mut self.lab, &later)?;
        let line = format!("address {ANOTHER} port");
        self.guest().wait_for(&line, Duration::from_secs(60)).map(drop)
    }

    /// Restarts the server, and brings it back into service at once. `between` looks at it while it
    /// waits for staff. Returns what it said, and for how long the customer had no answer but for
    /// the time that `between` took.
    ///
    /// # Errors
    /// If it does not come back, or `between` fails.
    pub fn again(
        &mut self,
        restart: impl FnOnce(&mut Self) -> Result<()>,
        between: impl FnOnce(&mut Self, &Said) -> Result<()>,
    ) -> Result<(Said, Duration)> {
        let pings = customer::Pings::start(&mut self.lab)?;
        restart(self)?;
        let said = self.server.wait()?;
        let began = Instant::now();
        between(self, &said)?;
        let looked = began.elapsed();
        self.provision(&said)?;
        customer::meet(&mut self.lab, &self.secrets)?;
        customer::handshake(&mut self.lab)?;
        let silence = pings.longest_silence(&mut self.lab)?;
        Ok((said, silence.saturating_sub(looked)))
    }
}
