//! After a power cut, all machines of a site ask the same server at once.

use core::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::package::Package;
use crate::package::inputs;
use crate::world::Journal;
use crate::world::Reply;
use crate::world::SimWorld;
use crate::world::Site;
use crate::world::file;
use crate::world::status;

const MACHINES: usize = 200;
/// Connections that the server takes at the same time.
const SLOTS: usize = 8;
/// What a machine waits for before it gives up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One of the server's connections.
struct Slot(Rc<Cell<usize>>);

impl Slot {
    fn take(used: &Rc<Cell<usize>>) -> Option<Self> {
        (used.get() < SLOTS).then(|| {
            used.set(used.get() + 1);
            Self(Rc::clone(used))
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// How a server sends those away whom it has no connection for.
#[derive(Clone, Copy, Debug)]
enum Full {
    Refuses,
    Busy,
    RetryAfter(u64),
}

/// All machines restart at once; when each request came, counted from then.
async fn restart(full: Full) -> (Vec<Duration>, Duration) {
    let package = Rc::new(Package::new("herd", 256 << 10));
    let used = Rc::new(Cell::new(0));
    let site = Site::default().with("mirror.example", move |asked, _| -> Reply {
        let (package, slot) = (Rc::clone(&package), Slot::take(&used));
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            let Some(slot) = slot else {
                return match full {
                    Full::Refuses => Err(fetch::ErrorKind::Connect("refused".to_owned())),
                    Full::Busy => Ok(status(503, None)),
                    Full::RetryAfter(seconds) => Ok(status(503, Some(seconds))),
                };
            };
            let mut response = file(&package, &asked, Duration::from_millis(200));
            response.body._slot = Some(Box::new(slot));
            Ok(response)
        })
    });
    let inputs = inputs(&["mirror.example"]);
    let start = Instant::now();
    let boots = (0..MACHINES).map(|machine| {
        let (site, inputs) = (&site, &inputs);
        async move {
            let journal = Journal::new();
            let world = SimWorld::new(site, machine as u64);
            netboot::package_in(&world, inputs, &journal, PATIENCE).await.map(drop)
        }
    });
    for (machine, boot) in join_all(boots).await.into_iter().enumerate() {
        assert_eq!(boot, Ok(()), "machine {machine}, {full:?}");
    }
    let end = start.elapsed();
    let log = site.log.borrow();
    let mut times: Vec<Duration> = log.iter().map(|(at, ..)| *at - start).collect();
    times.sort();
    // No machine ever asks twice within half a second, other than for the archive that it may have.
    for machine in 0..MACHINES as u64 {
        let mine: Vec<_> = log.iter().filter(|(.., asked)| asked.machine == machine).collect();
        for pair in mine.windows(2) {
            let [(before, _, first), (at, _, second)] = pair else { unreachable!() };
            let next_step = first.path == "/os.json" && second.path == "/os.zip";
            assert!(next_step || *at - *before >= Duration::from_millis(500), "{machine}");
        }
    }
    (times, end)
}

/// Most requests in any second after `from`.
fn peak(times: &[Duration], from: Duration) -> usize {
    let later: Vec<Duration> = times.iter().copied().filter(|at| *at >= from).collect();
    (0..later.len())
        .map(|first| {
            let end = later[first] + Duration::from_secs(1);
            later[first..].iter().take_while(|at| **at < end).count()
        })
        .max()
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn all_boot_and_do_not_hammer() {
    for full in [Full::Refuses, Full::Busy, Full::RetryAfter(20)] {
        let (times, end) = restart(full).await;
        // The server's own pace: 6 pieces of 200 ms and a descriptor for each of 200 machines, 8 at
        // a time, are 40 s.
        assert!(end < Duration::from_secs(300), "{full:?}: {end:?}");
        let second = Duration::from_secs;
        println!(
            "{full:?}: {MACHINES} machines in {:.0} s with {} requests; most in a second: {} at \
             first, {} after 5 s, {} after 15 s",
            end.as_secs_f32(),
            times.len(),
            peak(&times, second(0)),
            peak(&times, second(5)),
            peak(&times, second(15)),
        );
        // Once each at first. Those who were sent away come back over 2.5 s, then over 4.5 s, …
        assert!(peak(&times, second(0)) <= MACHINES + 2 * SLOTS, "{full:?}");
        assert!(peak(&times, second(5)) <= MACHINES / 2, "{full:?}");
        assert!(peak(&times, second(15)) <= MACHINES / 4, "{full:?}");
        assert!(times.len() <= 12 * MACHINES, "{full:?}: {}", times.len());
    }
}
