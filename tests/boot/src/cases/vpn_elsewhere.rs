//! The VPN server in networks that are less kind: behind a proxy, and with IPv6 alone.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use fault_server::FaultProxy;
use fault_server::ProxyConfig;
use serde_json::json;
use xtask::harness::Lan;
use xtask::harness::Link;

use crate::canary;
use crate::case::Case;
use crate::lab_vm::LabVm;
use crate::net;
use crate::story::Story;
use crate::vpn::HOST;
use crate::vpn::customer;
use crate::vpn::machine::Server;
use crate::vpn::machine::free_port;
use crate::vpn::packages::Release;
use crate::vpn::scene::Scene;
use crate::vpn::secrets::Secrets;

/// A network that speaks nothing but IPv6, behind a router that has to be heard every few seconds: what
/// it says holds for less than half a minute. `far` is a machine behind it.
const IPV6_ALONE: &str = "
    up eth1 2001:db8::1/64
    ra eth1 'AdvDefaultLifetime 20; RDNSS 2001:db8::1 { };
        prefix 2001:db8::/64 { AdvValidLifetime 40; AdvPreferredLifetime 30; };'
    dns 2001:db8::1 /mirror.lab.example/2001:db8::1
    web
    ip netns add far
    ip link add far type veth peer name lan netns far
    up far 2001:db8:f::1/64
    on far up lo
    on far up lan 2001:db8:f::2/64
    on far ip -6 route add default via 2001:db8:f::1
";

/// What the server makes of its MAC address there.
const SERVER: &str = "2001:db8::5054:ff:fe12:3456";

/// The lab VM's address there: router, mirror, and a web server that says who asks.
const ROUTER: &str = "2001:db8::1";

/// Longer than anything that the router says holds.
const FORGOTTEN: Duration = Duration::from_secs(45);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::story("vpn_upgrade_through_a_proxy", upgrade_through_a_proxy).slow(),
        Case::story("vpn_on_ipv6_alone", ipv6_alone).slow(),
    ]
}

fn upgrade_through_a_proxy(story: &mut Story<'_>) -> Result<()> {
    let built = story.bench.vpn()?;
    let [first, second] = [1, 2].map(|number| Release::of(story.bench, built, number, ""));
    let (first, second) = (first?, second?);
    let credentials = Some((canary::USER.to_owned(), canary::PASSWORD.to_owned()));
    let proxy = FaultProxy::start(ProxyConfig { credentials, ..ProxyConfig::default() })?;
    let url =
        format!("http://{}:{}@{HOST}:{}", canary::USER, canary::PASSWORD, proxy.addr().port());
    let mut scene = Scene::set_with(story, &first, |scenario| {
        scenario.host_config("proxy", json!(url)).argument("--loglevel=debug")
    })?;
    let said = story.step("the bootloader fetches it through the proxy", || {
        let said = scene.server.wait()?;
        ensure!(said.release == "1", "another release runs: {}", said.release);
        ensure!(!proxy.requests().is_empty(), "the proxy was asked for nothing");
        Ok(said)
    })?;
    story.step("staff takes it into service", || scene.provision(&said))?;
    let before = proxy.requests().len();
    let said = story.step("the server fetches the next release through the proxy", || {
        scene.upgrade(&said, &second)?;
        let said = scene.server.wait()?;
        ensure!(said.package == second.digest(), "another package runs: {}", said.package);
        let asked = proxy.requests().split_off(before);
        let tunnels = asked.iter().filter(|it| it.starts_with(&format!("CONNECT {HOST}:"))).count();
        ensure!(tunnels > 0, "the proxy was asked for no tunnel: {asked:?}");
        // Its own bootloader is not asked again: this was the server itself.
        Ok(said)
    })?;
    story.step("it serves after the upgrade", || {
        scene.provision(&said)?;
        customer::meet(&mut scene.lab, &scene.secrets)?;
        customer::handshake(&mut scene.lab)?;
        scene.carries()
    })?;
    story.step("the proxy's password is nowhere on the console", || {
        let console = scene.guest().console();
        if let Some(found) = canary::find(&console) {
            anyhow::bail!("the console holds a secret: …{found}…");
        }
        Ok(())
    })
}

fn ipv6_alone(story: &mut Story<'_>) -> Result<()> {
    let release = Release::of(story.bench, story.bench.vpn()?, 1, "")?;
    let cable = Link::new()?;
    let (near, far) = cable.ends();
    let port = free_port()?;
    let lan = Lan::new()?.forward(port, provision::PORT);
    let mut lab = LabVm::start(story, "lab", [lan.first(), near], lan.qemu_args())?;
    net::furnish(&mut lab, story.bench, &release.descriptor, &release.archive)?;
    let secrets = Secrets::generate(customer::set_up(&mut lab)?)?;
    net::set_up(&mut lab, IPV6_ALONE)?;
    customer::join(&mut lab, &secrets)?;
    let door = provision::PORT.to_string();
    // The host has no IPv6 there: what comes to the lab VM's port goes on to the server's.
    lab.start(&["busybox", "nc", "-ll", "-p", &door, "-e", "nc.openbsd", "-6", SERVER, &door])?;
    let mut server = Server::start_on(story, (port, (far, Vec::new())), &release, |scenario| {
        let url = "https://mirror.lab.example/os.json";
        scenario.host_config("network_mode", json!("auto")).host_config("ospkg_pointer", json!(url))
    })?;

    let said =
        story.step("the whole chain leads to a machine that waits, by IPv6 alone", || {
            let said = server.wait()?;
            ensure!(said.package == release.digest(), "another package runs: {}", said.package);
            Ok(said)
        })?;
    story.step("the OS has the address that the bootloader had", || {
        let asked = lab.must(&["cat", "/run/log/web"])?;
        let all = asked.lines().filter(|line| line.contains(" /os.")).collect::<Vec<_>>();
        let strange = all.iter().find(|line| !line.starts_with(SERVER));
        ensure!(!all.is_empty() && strange.is_none(), "the mirror was asked by {strange:?}");
        let console = server.running.machine.guest.console();
        let addresses: Vec<&str> = console.lines().filter(|it| it.contains("address ")).collect();
        let has = addresses.iter().any(|it| it.contains(&format!("address {SERVER} port")));
        ensure!(has, "the OS has {addresses:?}");
        Ok(())
    })?;
    story.step("it hears its router while it waits", || hears_its_router(&mut lab))?;
    story.step("staff takes it into service", || {
        server.provision(&said, secrets.document()?.expose())
    })?;
    story.step("a customer gets pages through the tunnel", || {
        customer::meet_at(&mut lab, &secrets, &format!("[{SERVER}]"))?;
        customer::handshake(&mut lab)?;
        let who = customer::who_asks(&mut lab, &format!("[{ROUTER}]"))?;
        ensure!(who.contains(SERVER), "the web server sees the customer as {who}");
        Ok(())
    })?;
    story.step("it hears its router while it serves", || hears_its_router(&mut lab))?;
    story.step("without the router it can be reached from nowhere", || {
        // One that says farewell would be forgotten at once.
        net::set_up(&mut lab, "kill -9 $(cat /run/ra-eth1.pid)")?;
        std::thread::sleep(FORGOTTEN);
        ensure!(!reached_from_afar(&mut lab)?, "it has not forgotten: nothing above shows a thing");
        Ok(())
    })
}

/// Asserts that what the router said long ago is not all that the server knows.
fn hears_its_router(lab: &mut LabVm) -> Result<()> {
    std::thread::sleep(FORGOTTEN);
    ensure!(reached_from_afar(lab)?, "the server has lost its way to other networks");
    Ok(())
}

fn reached_from_afar(lab: &mut LabVm) -> Result<bool> {
    let argv = ["ip", "netns", "exec", "far", "ping", "-6", "-c3", "-W5", SERVER];
    Ok(lab.run(&argv)?.is_success())
}
