//! The lab VM itself: what later tests take for granted of it.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use lab::Client;
use xtask::harness::Lan;
use xtask::harness::Link;

use crate::case::Case;
use crate::lab_vm::LabVm;
use crate::story::Story;

/// Delay that netem is told to add, in milliseconds.
const DELAY: f64 = 150.0;

/// How long two ends may take to agree on a bond.
const NEGOTIATION: Duration = Duration::from_secs(30);

pub(super) fn cases() -> Vec<Case> {
    vec![Case::story("lab_network", network)]
}

/// Two lab VMs on one network, joined by two more cables.
fn network(story: &mut Story<'_>) -> Result<()> {
    let lan = Lan::new()?;
    let cables = [Link::new()?, Link::new()?];
    let [left, right] = &cables;
    let ((left_a, left_b), (right_a, right_b)) = (left.ends(), right.ends());
    let mut a = LabVm::start(story, "a", [lan.first(), left_a, right_a], lan.qemu_args())?;
    let mut b = LabVm::start(story, "b", [lan.second(), left_b, right_b], Vec::new())?;

    story.step("two guests on one network reach each other and the host", || {
        a.script("ip link set eth0 up \n ip address add 10.0.2.15/24 dev eth0")?;
        b.script("ip link set eth0 up \n ip address add 10.0.2.200/24 dev eth0")?;
        let said = a.must(&["ping", "-c1", "-W5", "10.0.2.200"])?;
        ensure!(said.contains("ttl=64"), "somebody else has answered: {said}");
        a.must(&["ping", "-c1", "-W5", "10.0.2.2"])?;
        b.must(&["ping", "-c1", "-W5", "10.0.2.2"])?;
        let nobody = b.run(&["ping", "-c1", "-W1", "10.0.2.201"])?;
        ensure!(!nobody.is_success(), "an address that nobody has answers");
        Ok(())
    })?;
    story.step("a delay is felt", || {
        let before = round_trip(&mut b, "10.0.2.15")?;
        b.script(&format!("tc qdisc add dev eth0 root netem delay {DELAY}ms"))?;
        let delayed = round_trip(&mut b, "10.0.2.15")?;
        b.script("tc qdisc del dev eth0 root")?;
        ensure!(before < DELAY && delayed >= DELAY, "{before} ms, with delay {delayed} ms");
        Ok(())
    })?;
    story.step("a WireGuard tunnel carries packets between two namespaces", || tunnel(&mut b))?;
    story.step("two cables between two machines become one by LACP", || {
        bond(&mut a, "192.0.2.1/24")?;
        bond(&mut b, "192.0.2.2/24")?;
        lacp(&mut a, &mut b)
    })
}

/// Time to that address and back, in milliseconds.
fn round_trip(from: &mut Client, to: &str) -> Result<f64> {
    let said = from.must(&["ping", "-c1", "-W5", to])?;
    let (_, time) = said.split_once("time=").with_context(|| format!("no time in {said}"))?;
    let number = time.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("no number in {said}"))
}

fn tunnel(lab: &mut Client) -> Result<()> {
    lab.script(
        "ip netns add left
         ip netns add right
         ip link add left type veth peer name right
         ip link set left netns left
         ip link set right netns right
         ip -n left address add 198.51.100.1/24 dev left
         ip -n right address add 198.51.100.2/24 dev right
         ip -n left link set left up
         ip -n right link set right up",
    )?;
    let mut public = Vec::new();
    for end in ["left", "right"] {
        let key = lab.must(&["wg", "genkey"])?;
        lab.put(&format!("/run/{end}.key"), 0o600, key.as_bytes())?;
        let output = lab.run_with(&["wg", "pubkey"], key.as_bytes(), Duration::from_secs(10))?;
        public.push(output.text().trim().to_owned());
    }
    for (end, own, peer, key) in [("left", 1, 2, &public[1]), ("right", 2, 1, &public[0])] {
        lab.script(&format!(
            "ip -n {end} link add wg0 type wireguard
             ip -n {end} address add 10.9.0.{own}/24 dev wg0
             ip netns exec {end} wg set wg0 private-key /run/{end}.key listen-port 51820 \
                peer {key} allowed-ips 10.9.0.{peer}/32 endpoint 198.51.100.{peer}:51820
             ip -n {end} link set wg0 up"
        ))?;
    }
    lab.must(&["ip", "netns", "exec", "left", "ping", "-c1", "-W5", "10.9.0.2"])?;
    let seen =
        lab.must(&["ip", "netns", "exec", "right", "wg", "show", "wg0", "latest-handshakes"])?;
    let time = seen.split_whitespace().nth(1).unwrap_or("0");
    ensure!(time != "0", "packets came, but there was no handshake: {seen}");
    Ok(())
}

fn bond(lab: &mut Client, address: &str) -> Result<()> {
    lab.script(&format!(
        "ip link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast
         ip link set eth1 down
         ip link set eth2 down
         ip link set eth1 master bond0
         ip link set eth2 master bond0
         ip address add {address} dev bond0
         ip link set bond0 up"
    ))
}

/// Waits until both ends have found each other, and sends packets over what they have made.
fn lacp(a: &mut Client, b: &mut Client) -> Result<()> {
    let address = b.must(&["cat", "/sys/class/net/bond0/address"])?;
    let partner = format!("Partner Mac Address: {}", address.trim());
    let limit = Instant::now() + NEGOTIATION;
    loop {
        let state = a.must(&["cat", "/proc/net/bonding/bond0"])?;
        if state.contains(&partner) && state.contains("Number of ports: 2") {
            break;
        }
        ensure!(Instant::now() < limit, "no {partner:?} with two ports in {state}");
        std::thread::sleep(Duration::from_millis(200));
    }
    a.must(&["ping", "-c3", "-i0.5", "-w20", "192.0.2.2"]).map(drop)
}
