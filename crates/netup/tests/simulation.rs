//! Bring-up over a made-up network with its own clock: NICs with cables that are plugged in late or
//! wobble, and DHCP servers that are good, slow, silent, or lead nowhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "support of tests, too, fail by panicking")]

mod world;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use hostcfg::Addressing;
use netup::ConnectError;
use netup::Connected;
use netup::Plan;
use netup::ProbeError;
use netup::connect_over;
use report::Code;
use report::Failure;
use tokio::time::Instant;

use world::Server;
use world::World;

const DEADLINE: Duration = Duration::from_secs(300);

/// What came of a run, and everything that happened in it.
struct Run {
    world: Arc<World>,
    result: Result<Connected<()>, ConnectError>,
    took: Duration,
    probes: usize,
}

fn run(seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new(seed);
        let started = Instant::now();
        let probes = RefCell::new(0);
        // There is nothing but DHCP in these worlds; looking for more must not hurt.
        let both = [Addressing::Dhcp, Addressing::Auto];
        let plan = Plan::new(both[(seed % 2) as usize].clone());
        let network = Arc::clone(&world);
        let result = connect_over(network, &plan, started + DEADLINE, async |link| {
            *probes.borrow_mut() += 1;
            let server = world.server_of(&link);
            world.note(format!("probe over {} by {server:?}", link.interface));
            tokio::time::sleep(Duration::from_millis(world.draw(3000))).await;
            match server {
                Some(Server::Good | Server::Slow) => Ok(()),
                Some(Server::Rogue) if world.draw(2) == 0 => {
                    Err(ProbeError::Final(Failure::new(Code::TlsUntrusted, "somebody else's")))
                }
                _ => Err(ProbeError::Transient(Failure::new(Code::ConnectFailed, "nobody"))),
            }
        })
        .await;
        let probes = *probes.borrow();
        Run { world, result, took: started.elapsed(), probes }
    })
}

#[test]
fn whatever_happens_a_good_nic_is_found_in_time_and_without_haste() {
    let mut connected = 0;
    for seed in 0..500 {
        let run = run(seed);
        let world = &run.world;
        assert!(run.took <= DEADLINE + Duration::from_secs(1), "seed {seed}: {:?}", run.took);
        // Never in a hurry: no NIC says more than a few things in any second.
        let most = world.most_messages_per_second();
        assert!(most <= 6, "seed {seed}: {most} messages in one second\n{}", world.trace());
        assert!(run.probes <= 400, "seed {seed}: {} probes", run.probes);
        match &run.result {
            Ok(done) => {
                connected += 1;
                let server = world.server_of(&done.link);
                assert!(matches!(server, Some(Server::Good | Server::Slow)), "seed {seed}");
                for nic in world.nics() {
                    let used = nic.index == done.link.index;
                    assert_eq!(nic.up, used, "seed {seed}: {}", nic.name);
                    assert_eq!(!nic.addresses.is_empty(), used, "seed {seed}: {}", nic.name);
                }
            }
            Err(error) => {
                assert!(!world.has_hope(), "seed {seed}: {error}\n{}", world.trace());
                assert!(world.nics().iter().all(|nic| nic.addresses.is_empty()), "seed {seed}");
            }
        }
    }
    assert!((200..450).contains(&connected), "{connected}: the worlds are too easy or too hard");
}

#[test]
fn a_run_is_the_same_every_time() {
    for seed in 0..40 {
        let (one, other) = (run(seed), run(seed));
        assert_eq!(one.world.trace(), other.world.trace(), "seed {seed}");
        assert_eq!(one.took, other.took, "seed {seed}");
    }
    assert_ne!(run(1).world.trace(), run(2).world.trace());
}
