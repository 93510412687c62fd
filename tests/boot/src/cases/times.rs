//! How long a VPN server keeps its customers waiting: the figures of `cargo xtask bench`.

use anyhow::Result;
use anyhow::ensure;

use crate::case::Case;
use crate::story::Story;
use crate::vpn::customer;
use crate::vpn::packages::Release;
use crate::vpn::scene::Scene;

/// How often each way to the next release is gone, in turns.
const ROUNDS: u64 = 3;

pub(super) fn cases() -> Vec<Case> {
    vec![Case::story("vpn_times", times).slow()]
}

fn times(story: &mut Story<'_>) -> Result<()> {
    let built = story.bench.vpn()?;
    let first = Release::of(story.bench, built, 1, "")?;
    let mut scene = Scene::set(story, &first, "")?;
    let mut said = story.step("it serves", || {
        let said = scene.server.wait()?;
        scene.provision(&said)?;
        customer::meet(&mut scene.lab, &scene.secrets)?;
        Ok(said)
    })?;
    let met = story.step("a customer makes a handshake", || customer::handshake(&mut scene.lab))?;
    let on = scene.guest().started();
    story.figure("power-on to waiting", said.at.duration_since(on));
    story.figure("power-on to first handshake", met.duration_since(on));
    for round in 1..=ROUNDS {
        let next = Release::of(story.bench, built, round + 1, "")?;
        let (after, down) = story.step("an upgrade", || {
            scene.again(|scene| scene.upgrade(&said, &next), |_, _| Ok(()))
        })?;
        ensure!(after.release == next.number.to_string(), "it runs {}", after.release);
        story.figure("no answer during an upgrade", down);
        let (after, down) = story.step("a restart", || {
            scene
                .again(|scene| scene.server.host("reboot", &after)?.done().map(drop), |_, _| Ok(()))
        })?;
        story.figure("no answer during a restart", down);
        said = after;
    }
    Ok(())
}
