//! The VPN server, from power-on to a second life, with real traffic.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::ensure;
use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use provision::Fingerprint;
use provision::Identity;
use provision::client::Ask;
use report::Code;
use xtask::harness::Guest;
use xtask::harness::Lan;
use xtask::harness::Needle;

use crate::case::Case;
use crate::lab_vm::LabVm;
use crate::story::Story;
use crate::vpn::STAFF;
use crate::vpn::customer;
use crate::vpn::leaky;
use crate::vpn::machine::Said;
use crate::vpn::machine::Server;
use crate::vpn::machine::refused;
use crate::vpn::outside;
use crate::vpn::packages::Release;
use crate::vpn::remains;
use crate::vpn::secrets::Secrets;
use crate::vpn::traces;

/// What the web server behind the VPN server says.
const PAGE: &str = "a page behind the tunnel";

/// Turns off what both kernels do against remains in memory.
const NO_WIPING: &str = "init_on_free=0 init_on_alloc=0";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::story("vpn_server", whole_life),
        Case::story("vpn_leaky_server_is_caught", leaky).slow(),
        Case::story("vpn_server_without_wiping", without_wiping).slow(),
    ]
}

/// Everything around the server, and the server itself, provisioned or not.
#[derive(Debug)]
struct Scene {
    server: Server,
    lab: LabVm,
    secrets: Secrets,
    staff: Identity,
    page: FaultServer,
    // Last: the machines go before their network.
    _lan: Lan,
}

impl Scene {
    /// Switches server and lab VM on. `parameters` are for the bootloader's kernel.
    fn set(story: &Story<'_>, release: &Release, parameters: &str) -> Result<Self> {
        let (server, lan) = Server::start(story, Lan::new()?, release, parameters)?;
        let mut lab = LabVm::start(story, "lab", [lan.second()], Vec::new())?;
        let secrets = Secrets::generate(customer::set_up(&mut lab)?)?;
        customer::join(&mut lab, &secrets)?;
        let staff = story.bench.staff();
        let page = FaultServer::start(Config::http().file("/page", File::new(PAGE.as_bytes())))?;
        Ok(Self { server, lab, secrets, staff, page, _lan: lan })
    }

    fn guest(&mut self) -> &mut Guest {
        &mut self.server.running.machine.guest
    }

    fn reset(&mut self) -> Result<()> {
        self.guest().reset()
    }

    fn provision(&mut self, said: &Said) -> Result<()> {
        self.server.provision(&self.staff, said, &self.secrets.document()?)
    }

    /// Asserts that the tunnel carries pages and names.
    fn carries(&mut self) -> Result<()> {
        customer::resolve(&mut self.lab)?;
        let page = customer::fetch(&mut self.lab, self.page.addr().port())?;
        ensure!(page == PAGE, "the page is {page:?}");
        Ok(())
    }

    /// Asserts that the machine, which waits, serves nobody: the customer cannot connect any more, even
    /// one who does not live on what was.
    fn cuts_off(&mut self) -> Result<()> {
        let open = outside::open_ports(&mut self.lab, STAFF)?;
        ensure!(open == [provision::PORT], "open while it waits: {open:?}");
        customer::meet(&mut self.lab, &self.secrets)?;
        customer::is_cut_off(&mut self.lab)
    }

    /// What must not be left of the server's present life, all of which is in its memory now.
    fn needles(&mut self, directory: &Path, identity: Fingerprint) -> Result<Vec<Needle>> {
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
    fn has_forgotten(&mut self, directory: &Path, needles: &[Needle]) -> Result<()> {
        let finds = self.guest().search_memory(directory, needles)?;
        ensure!(finds.is_empty(), "the server's memory still has {finds:?}");
        Ok(())
    }

    /// Restarts the server, and brings it back into service at once. `between` looks at it while it
    /// waits for staff. Returns what it said, and for how long the customer had no answer but for
    /// the time that `between` took.
    fn again(
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

fn whole_life(story: &mut Story<'_>) -> Result<()> {
    let built = story.bench.vpn()?;
    let [first, second] = [1, 2].map(|number| Release::of(story.bench, built, number, ""));
    let (first, second) = (first?, second?);
    let directory = story.directory.clone();
    let mut scene = Scene::set(story, &first, "")?;

    let said = story.step("the whole chain leads to a machine that waits for staff", || {
        let said = scene.server.wait()?;
        ensure!(said.package == first.digest(), "another package runs: {}", said.package);
        ensure!(said.release == "1", "another release runs: {}", said.release);
        Ok(said)
    })?;
    story.figure("power-on to waiting", said.at.duration_since(scene.guest().started()));
    story.step("strangers, wrong machines and wrong packages are refused", || {
        let scene = &mut scene;
        let stranger = Identity::generate()?;
        refused(scene.server.connect(&stranger, said.identity), Code::StaffKeyUnknown)?;
        let another = stranger.fingerprint();
        refused(scene.server.connect(&scene.staff, another), Code::IdentityMismatch)?;
        let session = scene.server.connect(&scene.staff, said.identity)?;
        let document = scene.secrets.document()?;
        let ask = Ask::Provision(&document);
        refused(scene.server.ask(session, second.digest(), ask), Code::PackageMismatch)
    })?;
    story.step("staff takes it into service, once", || {
        let early = scene.server.connect(&scene.staff, said.identity)?;
        scene.provision(&said)?;
        let document = scene.secrets.document()?;
        let ask = Ask::Provision(&document);
        // This session began when the machine still waited: the machine itself refuses.
        refused(scene.server.ask(early, said.package, ask), Code::AlreadyProvisioned)?;
        let late = scene.server.connect(&scene.staff, said.identity)?;
        refused(scene.server.ask(late, said.package, ask), Code::AlreadyProvisioned)
    })?;
    let met = story.step("a customer makes a handshake", || {
        customer::meet(&mut scene.lab, &scene.secrets)?;
        customer::handshake(&mut scene.lab)
    })?;
    story.figure("power-on to first handshake", met.duration_since(scene.guest().started()));
    story.step("pages and names come through the tunnel", || scene.carries())?;
    story.step("without the tunnel there is nothing", || {
        outside::finds_nothing(&mut scene.lab)?;
        outside::gets_no_names(&mut scene.lab)?;
        let port = scene.page.addr().port();
        outside::is_not_routed(&mut scene.lab, port)
    })?;
    story.step("nothing of the customer is kept, and a planted trace is found", || {
        traces::are_none(&mut scene.lab)
    })?;
    let needles = story.step("its memory holds the secrets while it serves", || {
        scene.needles(&directory, said.identity)
    })?;

    let (said, down) = story.step("an upgrade starts the next release, without secrets", || {
        let restart = |scene: &mut Scene| {
            scene.server.running.serve(&second.descriptor, &second.archive);
            scene.server.staff(&scene.staff, &said, Ask::Upgrade).map(drop)
        };
        scene.again(restart, |scene, said| {
            ensure!(said.package == second.digest(), "another package runs: {}", said.package);
            ensure!(said.release == "2", "another release runs: {}", said.release);
            scene.cuts_off()?;
            scene.has_forgotten(&directory, &needles)
        })
    })?;
    story.figure("no answer during an upgrade", down);
    story.step("it serves again after the upgrade", || scene.carries())?;
    let needles = story
        .step("its memory holds the secrets again", || scene.needles(&directory, said.identity))?;
    let (_, down) = story.step("a reset leaves no secrets", || {
        let former = said.identity;
        scene.again(Scene::reset, |scene, said| {
            let connected = scene.server.connect(&scene.staff, former);
            refused(connected, Code::IdentityMismatch)?;
            ensure!(said.package == second.digest(), "another package runs: {}", said.package);
            scene.cuts_off()?;
            scene.has_forgotten(&directory, &needles)
        })
    })?;
    story.figure("no answer during a reset", down);
    story.step("it serves again after the reset", || scene.carries())
}

/// The control: without the kernel's wiping, memory keeps something over a reset, and the same
/// search finds it.
fn without_wiping(story: &mut Story<'_>) -> Result<()> {
    let release = Release::of(story.bench, story.bench.vpn()?, 1, NO_WIPING)?;
    let directory = story.directory.clone();
    let mut scene = Scene::set(story, &release, NO_WIPING)?;
    let said = story.step("it waits for staff", || scene.server.wait())?;
    story.step("staff takes it into service", || scene.provision(&said))?;
    let needles = story.step("its memory holds the secrets while it serves", || {
        scene.needles(&directory, said.identity)
    })?;
    story.step("a reset by itself clears nothing", || {
        scene.reset()?;
        let finds = scene.guest().search_memory(&directory, &needles)?;
        ensure!(!finds.is_empty(), "nothing is found right after the reset");
        Ok(())
    })?;
    story.step("without wiping, something is left when the OS is up again", || {
        scene.server.wait()?;
        let finds = scene.guest().search_memory(&directory, &needles)?;
        println!("{:>12}  {finds:?}", "");
        ensure!(!finds.is_empty(), "nothing is found although nothing was wiped");
        Ok(())
    })
}

/// The control of what is asserted of strangers: a server that does its work and no more is caught
/// in everything.
fn leaky(story: &mut Story<'_>) -> Result<()> {
    let lan = Lan::new()?;
    let mut server = LabVm::start(story, "leaky", [lan.first()], lan.qemu_args())?;
    let mut lab = LabVm::start(story, "lab", [lan.second()], Vec::new())?;
    let secrets = Secrets::generate(customer::set_up(&mut lab)?)?;
    customer::join(&mut lab, &secrets)?;
    let page = FaultServer::start(Config::http().file("/page", File::new(PAGE.as_bytes())))?;
    let port = page.addr().port();
    story.step("a customer without a server is cut off", || customer::is_cut_off(&mut lab))?;
    story.step("a server without any caution serves", || {
        leaky::serve(&mut server, &secrets)?;
        customer::handshake(&mut lab)?;
        customer::resolve(&mut lab)?;
        ensure!(customer::fetch(&mut lab, port)? == PAGE, "another page");
        ensure!(customer::is_cut_off(&mut lab).is_err(), "a customer who is served is cut off");
        Ok(())
    })?;
    story.step("it is caught in everything", || {
        caught(outside::finds_nothing(&mut lab), "open to a stranger")?;
        caught(outside::gets_no_names(&mut lab), "the resolver answers a stranger")?;
        caught(outside::is_not_routed(&mut lab, port), "routes for a stranger")
    })
}

/// Asserts that a check has failed, and for this reason.
fn caught(check: Result<()>, reason: &str) -> Result<()> {
    let said = check.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains(reason), "in place of {reason:?} it says {said:?}");
    Ok(())
}
