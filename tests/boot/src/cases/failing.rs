//! A VPN server whose PID 1 fails, by a bug or by hanging. Its `/init` is the real one, that can be told
//! to do so.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use xtask::build;

use crate::case::Case;
use crate::story::Story;
use crate::vpn::machine::Said;
use crate::vpn::packages::Release;
use crate::vpn::remains;
use crate::vpn::scene::Scene;
use crate::vpn::traces;

/// Time-out of the watchdog in seconds. The machine is emulated, and has to start within it.
const WATCHDOG: u32 = 60;

/// How long a step towards the end of the machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::story("vpn_server_with_a_bug", bug).slow(),
        Case::story("vpn_server_that_hangs", hang).slow().needs("i6300esb"),
    ]
}

fn release(story: &Story<'_>, number: u64) -> Result<Release> {
    let init = fs::read(build::guest_binary("failing-os", "failing-os")?)?;
    Release::with_init(story.bench, story.bench.vpn()?, number, (&init, WATCHDOG))
}

/// Waits for staff, is provisioned, and can be logged in to.
fn into_service(scene: &mut Scene) -> Result<Said> {
    let said = scene.server.wait()?;
    scene.provision(&said)?;
    Ok(said)
}

fn bug(story: &mut Story<'_>) -> Result<()> {
    let release = release(story, 1)?;
    let directory = story.directory.clone();
    let mut scene = Scene::set(story, &release, "")?;
    let said = story.step("it is in service", || into_service(&mut scene))?;
    let needles = story.step("its memory holds the secrets while it serves", || {
        let mut needles = remains::identity(scene.guest(), &directory, said.identity)?;
        needles.extend(scene.secrets.needles()?);
        scene.remembers(&directory, &needles)?;
        Ok(needles)
    })?;
    story.step("a bug of PID 1 is told, and ends in a wiped machine that restarts", || {
        traces::ssh(&mut scene.lab, "kill -ALRM 1")?;
        let guest = scene.guest();
        let bug = guest.wait_for("E0701 a bug of ours", PATIENCE)?;
        ensure!(bug.text.contains("on purpose"), "it says {:?}", bug.text);
        guest.wait_for("wiped: ", PATIENCE)?;
        guest.wait_for("restarting", PATIENCE)?;
        // Before any other kernel has cleared anything: it was wiped by what failed.
        scene.has_forgotten(&directory, &needles)
    })?;
    story.step("it waits for staff again, and serves nobody", || {
        let again = scene.server.wait()?;
        ensure!(again.identity != said.identity, "it has the same identity");
        scene.cuts_off()
    })
}

fn hang(story: &mut Story<'_>) -> Result<()> {
    let (first, second) = (release(story, 1)?, release(story, 2)?);
    let mut scene = Scene::set_with(story, &first, |scenario| scenario.watchdog())?;
    let said = story.step("the OS takes the watchdog over from the bootloader", || {
        let said = into_service(&mut scene)?;
        has_watchdog(&mut scene)?;
        Ok(said)
    })?;
    story.step("the next release takes it over from this one", || {
        scene.upgrade(&said, &second)?;
        let said = into_service(&mut scene)?;
        ensure!(said.release == "2", "another release runs: {}", said.release);
        has_watchdog(&mut scene)
    })?;
    story.step("longer than its time-out nothing happens: it is petted", || {
        let (resets, ran_out) = ends(&mut scene);
        thread::sleep(Duration::from_secs(u64::from(WATCHDOG) * 3 / 2));
        ensure!(ends(&mut scene) == (resets, ran_out), "the machine was reset");
        ensure!(ran_out == 0, "the watchdog ran out before");
        has_watchdog(&mut scene)
    })?;
    story.step("when PID 1 hangs, the watchdog restarts the machine", || {
        traces::ssh(&mut scene.lab, "kill -USR1 1")?;
        scene.server.wait()?;
        let (_, ran_out) = ends(&mut scene);
        ensure!(ran_out == 1, "the watchdog ran out {ran_out} times");
        scene.cuts_off()
    })
}

/// Asserts that the watchdog runs.
fn has_watchdog(scene: &mut Scene) -> Result<()> {
    let said = traces::ssh(&mut scene.lab, "cd /sys/class/watchdog/watchdog0; cat state timeout")?;
    let expected = format!("active\n{WATCHDOG}");
    ensure!(said.trim() == expected, "the watchdog is {said:?}");
    Ok(())
}

/// How often the machine was reset, and how often by the watchdog.
fn ends(scene: &mut Scene) -> (usize, usize) {
    let guest = scene.guest();
    (guest.events("RESET").len(), guest.events("WATCHDOG").len())
}
