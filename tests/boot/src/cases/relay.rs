//! The Tor relay, from power-on to a second life.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;
use xtask::harness::Lan;

use crate::case::Case;
use crate::lab_vm::LabVm;
use crate::relay;
use crate::relay::cells;
use crate::relay::keys::Keys;
use crate::story::Story;
use crate::vpn::STAFF;
use crate::vpn::customer;
use crate::vpn::machine::Said;
use crate::vpn::machine::Server;
use crate::vpn::machine::free_port;
use crate::vpn::outside;
use crate::vpn::packages::Release;
use crate::vpn::remains;
use crate::vpn::secrets::Secrets;
use crate::vpn::tool::Who;
use crate::vpn::traces;

/// How long Tor may take until it listens.
const START: Duration = Duration::from_secs(90);

/// What Tor is, and which files it holds open.
const INSPECT: &str = "
pid=$(pidof tor) || exit 1
grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status
for file in /proc/$pid/fd/*; do readlink $file; done | sed 's/^/open /'
echo end
";

/// Files that were written since the machine was started and have lines as Tor logs them.
const LOGS: &str = r"
while read -r device place kind rest; do
    case $kind in rootfs|tmpfs|ramfs|devtmpfs|overlay) ;; *) continue ;; esac
    find $place -xdev -type f -newer /etc/ramstrap/os.json \
        -exec grep -lE '\[(debug|info|notice|warn|err)\] ' {} + 2>/dev/null
done < /proc/mounts
echo end
";

/// Leaves such a line beside Tor's own files.
const PLANT: &str = "echo 'Nov 22 10:00:00.000 [notice] planted' > /run/tor/planted";

pub(super) fn cases() -> Vec<Case> {
    vec![Case::story("tor_relay", whole_life).slow()]
}

/// A relay's configuration with these further lines of torrc.
fn configuration(keys: &Keys, ssh: &str, torrc: &[&str]) -> String {
    json!({
        "version": 1,
        "service": "tor-relay",
        "hostname": "relay-1",
        "tor": {
            "nickname": "relay1",
            "contact": "tor at example.org",
            "or_port": relay::PORT,
            "exit": false,
            "keys": keys.configuration(),
            "torrc": torrc,
        },
        "ssh": { "authorized_keys": [ssh], "allow_from": [format!("{STAFF}/32")] },
    })
    .to_string()
}

fn whole_life(story: &mut Story<'_>) -> Result<()> {
    let release = Release::of(story.bench, story.bench.tor_relay()?, 1, "")?;
    let directory = story.directory.clone();
    let port = free_port()?;
    let lan = Lan::new()?.forward(port, relay::PORT);
    let (mut server, lan) = Server::start(story, lan, &release, "")?;
    let mut lab = LabVm::start(story, "lab", [lan.second()], Vec::new())?;
    let ssh = customer::set_up(&mut lab)?;
    let keys = Keys::generate()?;
    let good = configuration(&keys, &ssh, &["AssumeReachable 1"]);

    let said = story.step("the whole chain leads to a relay that waits for staff", || {
        let said = server.wait()?;
        ensure!(said.package == release.digest(), "another package runs: {}", said.package);
        let open = open_ports(&mut lab)?;
        ensure!(open == [provision::PORT], "open while it waits: {open:?}");
        Ok(said)
    })?;
    story.step("a configuration that is none of a relay's is refused, with its reason", || {
        refuses(&server, &said, &ssh, &keys)
    })?;
    story.step("staff takes it into service", || server.provision(&said, &good))?;
    story.step("it proves to be the relay of these keys", || proves(port, &keys))?;
    story.step("Tor is no more than a relay, and writes no log", || is_confined(&mut lab))?;
    let needles = story.step("its memory holds the keys while it serves", || {
        let guest = &mut server.running.machine.guest;
        let mut needles = keys.needles()?;
        needles.extend(remains::identity(guest, &directory, said.identity)?);
        let finds = guest.search_memory(&directory, &needles)?;
        println!("{:>12}  {finds:?}", "");
        for needle in &needles {
            let found = finds.iter().any(|find| find.name == needle.name);
            ensure!(found, "{} is not found while it serves", needle.name);
        }
        Ok(needles)
    })?;
    let said = story.step("a reset leaves no keys, and no relay", || {
        let guest = &mut server.running.machine.guest;
        guest.reset()?;
        let said = server.wait()?;
        let open = open_ports(&mut lab)?;
        ensure!(open == [provision::PORT], "open while it waits: {open:?}");
        let finds = server.running.machine.guest.search_memory(&directory, &needles)?;
        ensure!(finds.is_empty(), "the relay's memory still has {finds:?}");
        Ok(said)
    })?;
    story.step("with its keys it is the same relay again", || {
        server.provision(&said, &good)?;
        proves(port, &keys)
    })
}

/// Asserts that wrong configurations come to nothing, whoever finds what is wrong: the tool, the
/// machine, or Tor itself.
fn refuses(server: &Server, said: &Said, ssh: &str, keys: &Keys) -> Result<()> {
    let provision = |configuration: &str| {
        server.tool.provision(Who::Staff, Some(said.identity), said.package, configuration)
    };
    let refused = |configuration: &str, code, reason: &str| -> Result<()> {
        let text = provision(configuration)?.refused(code)?;
        ensure!(text.contains(reason), "without the reason {reason:?}: {text}");
        Ok(())
    };
    let log = configuration(keys, ssh, &["Log notice file /tmp/log"]);
    refused(&log, Code::ServiceConfigInvalid, "torrc")?;
    let vpn = Secrets::generate(ssh.to_owned())?.document()?;
    refused(vpn.expose(), Code::ServiceConfigInvalid, "tor-relay")?;
    let slow = configuration(keys, ssh, &["MaxAdvertisedBandwidth 1 KB"]);
    refused(&slow, Code::HostFailed, "MaxAdvertisedBandwidth is set to 1024 bytes/second")?;
    let status = server.host("status", said)?.done()?;
    ensure!(status.contains("waiting"), "its status is {status}");
    Ok(())
}

/// Waits until the relay listens, and asserts that it has these keys.
fn proves(port: u16, keys: &Keys) -> Result<()> {
    let limit = Instant::now() + START;
    loop {
        match cells::prove(port, keys) {
            Err(_) if Instant::now() < limit => std::thread::sleep(Duration::from_secs(1)),
            done => return done,
        }
    }
}

fn is_confined(lab: &mut LabVm) -> Result<()> {
    let said = traces::ssh(lab, INSPECT)?;
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let has = |start: &str, words: &str| {
        lines.iter().any(|line| line.starts_with(start) && line.contains(words))
    };
    ensure!(lines.last() == Some(&"end"), "Tor cannot be looked at: {said}");
    let user = relay::USER.to_string();
    let uids = lines.iter().find(|line| line.starts_with("Uid:")).copied().unwrap_or_default();
    let all_his = uids.split_whitespace().skip(1).all(|uid| uid == user);
    ensure!(!uids.is_empty() && all_his, "Tor is not the user {user}: {uids}");
    ensure!(has("CapEff:", "0000000000000000"), "Tor has rights of root: {said}");
    ensure!(has("NoNewPrivs:", "1") && has("Seccomp:", "2"), "Tor is not confined: {said}");
    ensure!(has("open socket:", ""), "what Tor has open cannot be seen: {said}");
    let files = lines.iter().filter_map(|line| line.strip_prefix("open /"));
    let strange: Vec<&str> = files
        .filter(|file| !file.starts_with("dev/null") && !file.starts_with("run/tor/"))
        .collect();
    ensure!(strange.is_empty(), "Tor has files open: {strange:?}");
    let logs = traces::ssh(lab, LOGS)?;
    ensure!(logs.trim() == "end", "there are logs: {logs}");
    traces::ssh(lab, PLANT)?;
    let logs = traces::ssh(lab, LOGS)?;
    ensure!(logs.contains("/run/tor/planted"), "the search overlooks what is planted: {logs}");
    Ok(())
}

fn open_ports(lab: &mut LabVm) -> Result<Vec<u16>> {
    outside::open_ports(lab, STAFF)
}
