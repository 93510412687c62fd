//! The VPN server, from power-on to a second life, with real traffic.

use anyhow::Result;
use anyhow::ensure;
use fault_server::Config;
use fault_server::FaultServer;
use fault_server::File;
use provision::Identity;
use provision::client::Ask;
use report::Code;
use xtask::harness::Lan;

use crate::case::Case;
use crate::lab_vm::LabVm;
use crate::story::Story;
use crate::vpn::ANOTHER;
use crate::vpn::RESOLVER;
use crate::vpn::SERVER;
use crate::vpn::customer;
use crate::vpn::ipv6;
use crate::vpn::leaky;
use crate::vpn::machine::Said;
use crate::vpn::machine::refused;
use crate::vpn::outside;
use crate::vpn::packages::Release;
use crate::vpn::scene::PAGE;
use crate::vpn::scene::Scene;
use crate::vpn::secrets::Secrets;
use crate::vpn::tool::Who;
use crate::vpn::traces;

/// Turns off what both kernels do against remains in memory.
const NO_WIPING: &str = "init_on_free=0 init_on_alloc=0";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::story("vpn_server", whole_life),
        Case::story("vpn_server_moves", moves).slow(),
        Case::story("vpn_leaky_server_is_caught", leaky).slow(),
        Case::story("vpn_server_without_wiping", without_wiping).slow(),
    ]
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
        turns_away(&scene, &said, &second)
    })?;
    story.step("staff takes it into service, once", || into_service(&mut scene, &said))?;
    let met = story.step("a customer makes a handshake", || {
        customer::meet(&mut scene.lab, &scene.secrets)?;
        customer::handshake(&mut scene.lab)
    })?;
    story.figure("power-on to first handshake", met.duration_since(scene.guest().started()));
    story.step("pages and names come through the tunnel", || {
        let who = customer::who_asks(&mut scene.lab, RESOLVER)?;
        ensure!(who.contains(SERVER), "the web server sees the customer as {who}");
        scene.carries()
    })?;
    story.step("they come by IPv6 as well", || {
        ipv6::set_up(&mut scene.lab)?;
        ipv6::carries(&mut scene.lab)
    })?;
    story.step("without the tunnel there is nothing", || {
        outside::finds_nothing(&mut scene.lab)?;
        outside::gets_no_names(&mut scene.lab)?;
        let port = scene.page.addr().port();
        outside::is_not_routed(&mut scene.lab, port)?;
        ipv6::is_closed(&mut scene.lab)
    })?;
    story.step("nothing of the customer is kept, and a planted trace is found", || {
        traces::are_none(&mut scene.lab)
    })?;
    let needles = story.step("its memory holds the secrets while it serves", || {
        scene.needles(&directory, said.identity)
    })?;

    let (said, down) = story.step("an upgrade starts the next release, without secrets", || {
        let restart = |scene: &mut Scene| scene.upgrade(&said, &second);
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
    let (said, down) = story.step("a restart that staff asks for leaves no secrets", || {
        let former = said.clone();
        let restart = |scene: &mut Scene| {
            let text = scene.server.host("reboot", &former)?.done()?;
            ensure!(text.contains("restarting"), "the tool says {text:?}");
            Ok(())
        };
        scene.again(restart, |scene, said| {
            let stale = scene.server.host("status", &former)?;
            stale.refused(Code::IdentityMismatch)?;
            ensure!(said.package == second.digest(), "another package runs: {}", said.package);
            is_waiting(scene, said)?;
            scene.cuts_off()?;
            scene.has_forgotten(&directory, &needles)
        })
    })?;
    story.figure("no answer during a restart", down);
    let needles = story
        .step("its memory holds the secrets anew", || scene.needles(&directory, said.identity))?;
    let (_, down) = story.step("a reset leaves no secrets", || {
        scene.again(Scene::reset, |scene, said| {
            ensure!(said.package == second.digest(), "another package runs: {}", said.package);
            scene.cuts_off()?;
            scene.has_forgotten(&directory, &needles)
        })
    })?;
    story.figure("no answer during a reset", down);
    story.step("it serves again after the reset", || scene.carries())
}

/// The address outside changes while the server serves, as by another lease.
fn moves(story: &mut Story<'_>) -> Result<()> {
    let release = Release::of(story.bench, story.bench.vpn()?, 1, "")?;
    let mut scene = Scene::set(story, &release, "")?;
    story.step("customers appear behind the server's address", || {
        let said = scene.server.wait()?;
        scene.provision(&said)?;
        appears_behind(&mut scene, SERVER)
    })?;
    story.step("they appear behind another one when the server has that", || {
        scene.moves()?;
        appears_behind(&mut scene, ANOTHER)
    })
}

fn appears_behind(scene: &mut Scene, address: &str) -> Result<()> {
    customer::meet_at(&mut scene.lab, &scene.secrets, address)?;
    customer::handshake(&mut scene.lab)?;
    let who = customer::who_asks(&mut scene.lab, RESOLVER)?;
    ensure!(who.contains(address), "the web server sees the customer as {who}");
    scene.carries()
}

/// Asserts that the machine and the tool refuse whoever is not staff, and that staff hands nothing to
/// another machine, to another package, or to one that it does not know.
fn turns_away(scene: &Scene, said: &Said, other: &Release) -> Result<()> {
    let tool = &scene.server.tool;
    let document = scene.secrets.document()?;
    let provision =
        |who, identity, package| tool.provision(who, identity, package, document.expose());
    provision(Who::Stranger, Some(said.identity), said.package)?.refused(Code::StaffKeyUnknown)?;
    let another = Identity::generate()?.fingerprint();
    provision(Who::Staff, Some(another), said.package)?.refused(Code::IdentityMismatch)?;
    provision(Who::Staff, Some(said.identity), other.digest())?.refused(Code::PackageMismatch)?;
    provision(Who::Staff, None, said.package)?.misused("--fingerprint is missing")?;
    tool.host("reboot", Who::Stranger, said.identity)?.refused(Code::StaffKeyUnknown)?;
    is_waiting(scene, said)
}

/// Asserts that the machine has taken nothing.
fn is_waiting(scene: &Scene, said: &Said) -> Result<()> {
    let status = scene.server.host("status", said)?.done()?;
    ensure!(status.contains("waiting"), "its status is {status}");
    Ok(())
}

/// Takes the server into service, and asserts that it takes nothing further.
fn into_service(scene: &mut Scene, said: &Said) -> Result<()> {
    let staff = scene.server.staff();
    let early = scene.server.connect(&staff, said.identity)?;
    scene.provision(said)?;
    let document = scene.secrets.document()?;
    let ask = Ask::Provision(&document);
    // This session began when the machine still waited: the machine itself refuses.
    refused(scene.server.ask(early, said.package, ask), Code::AlreadyProvisioned)?;
    let tool = &scene.server.tool;
    let again = tool.provision(Who::Staff, Some(said.identity), said.package, document.expose())?;
    again.refused(Code::AlreadyProvisioned)?;
    let status = scene.server.host("status", said)?.done()?;
    for words in ["provisioned", "service unbound", "running", "release"] {
        ensure!(status.contains(words), "no {words:?} in its status: {status}");
    }
    Ok(())
}

/// The control: without the kernel's wiping, memory keeps something over an upgrade and over a reset,
/// and the same search finds it.
fn without_wiping(story: &mut Story<'_>) -> Result<()> {
    let built = story.bench.vpn()?;
    let [first, second] = [1, 2].map(|number| Release::of(story.bench, built, number, NO_WIPING));
    let (first, second) = (first?, second?);
    let directory = story.directory.clone();
    let mut scene = Scene::set(story, &first, NO_WIPING)?;
    let said = story.step("it waits for staff", || scene.server.wait())?;
    story.step("staff takes it into service", || scene.provision(&said))?;
    let needles = story.step("its memory holds the secrets while it serves", || {
        scene.needles(&directory, said.identity)
    })?;
    let said = story.step("without wiping, something is left after an upgrade", || {
        scene.upgrade(&said, &second)?;
        let said = scene.server.wait()?;
        ensure!(said.release == "2", "another release runs: {}", said.release);
        scene.remembers(&directory, &needles)?;
        Ok(said)
    })?;
    story.step("staff takes it into service again", || scene.provision(&said))?;
    let needles = story
        .step("its memory holds the secrets again", || scene.needles(&directory, said.identity))?;
    story.step("a reset by itself clears nothing", || {
        scene.reset()?;
        scene.remembers(&directory, &needles)
    })?;
    story.step("without wiping, something is left when the OS is up again", || {
        scene.server.wait()?;
        scene.remembers(&directory, &needles)
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
        caught(outside::is_not_routed(&mut lab, port), "routes for a stranger")?;
        ipv6::join(&mut lab)?;
        caught(ipv6::is_closed(&mut lab), "the customer inside the tunnel by IPv6")
    })
}

/// Asserts that a check has failed, and for this reason.
fn caught(check: Result<()>, reason: &str) -> Result<()> {
    let said = check.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains(reason), "in place of {reason:?} it says {said:?}");
    Ok(())
}
