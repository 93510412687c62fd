//! One boot in a simulated world.

use core::future::Future;
use core::time::Duration;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::Mutex;

use anyhow::Result;
use fastrand::Rng;
use fetch::Client;
use netboot::Event;
use netboot::Events;
use netboot::Host;
use netboot::Inputs;
use netboot::Memory;
use netboot::Online;
use netboot::World;
use netup::ConnectError;
use netup::Connected;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use report::BootReport;
use report::Failure;
use tokio::time::Instant;
use trust::Clock;
use trust::Timestamp;

use crate::lan::Lan;
use crate::meter::Meter;
use crate::mirrors::Looks;
use crate::mirrors::Mirrors;
use crate::packages::Packages;
use crate::proxy::Proxy;
use crate::scenario::Scenario;

/// A moment at which the keys of the test vectors are valid, and one before it.
const NOW: &str = "2026-11-21T22:07:17Z";
const BUILT: &str = "2026-11-20T00:00:00Z";

/// Years in seconds that a clock may be wrong by.
const MAX_CLOCK_SKEW: u64 = 10 * 365 * 24 * 3600;

/// Virtual time after the deadline at which a boot is called endless.
const MERCY: Duration = Duration::from_secs(600);

/// What came of a boot.
#[derive(Debug)]
pub struct Outcome {
    /// The kernel that would be started, or why none is; `None` if it did not end.
    pub end: Option<Result<Vec<u8>, Failure>>,
    /// Virtual time that it took.
    pub took: Duration,
    /// Most packets, requests and changes to links in one second.
    pub busiest_second: usize,
    /// All of them.
    pub actions: u64,
    /// What was told meanwhile, for whoever looks into a failure.
    pub story: Vec<String>,
}

/// Boots in this scenario.
///
/// # Errors
/// The scenario cannot be set up, which says nothing about the product.
pub fn boot(scenario: &Scenario, packages: &Arc<Packages>) -> Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(boot_in(scenario, packages))
}

async fn boot_in(scenario: &Scenario, packages: &Arc<Packages>) -> Result<Outcome> {
    let meter = Arc::new(Meter::new());
    let lan = Arc::new(Lan::start(scenario.seed, &scenario.nics, Arc::clone(&meter)));
    let mut rng = Rng::with_seed(scenario.seed ^ 0x9e37_79b9_7f4a_7c15);
    let world = Simulated {
        lan,
        meter: Arc::clone(&meter),
        packages: Arc::clone(packages),
        phases: Arc::new(scenario.mirrors.clone()),
        proxy: scenario.proxy.clone().map(Arc::new),
        looks: Looks::default(),
        rng: Mutex::new(rng.fork()),
    };
    let host = Host::parse("test", "the scenario", scenario.host_configuration().into_bytes())
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let now: Timestamp = NOW.parse().map_err(|error| anyhow::anyhow!("{NOW}: {error}"))?;
    let built: Timestamp = BUILT.parse().map_err(|error| anyhow::anyhow!("{BUILT}: {error}"))?;
    let clock = Clock::from_rtc(now, built, MAX_CLOCK_SKEW);
    let inputs = Inputs { policy: packages.policy()?, host, clock };
    let story = Story { start: Instant::now(), told: Mutex::default() };
    let booting = netboot::package_in(&world, &inputs, &story, scenario.patience);
    let end = tokio::time::timeout(scenario.patience + MERCY, booting).await.ok();
    let took = meter.now();
    let (busiest_second, actions) = meter.read();
    let end = end.map(|end| end.map(|(_, package)| package.kernel().get_ref().clone()));
    let story = story.told.into_inner().unwrap_or_default();
    Ok(Outcome { end, took, busiest_second, actions, story })
}

/// What lies outside.
#[derive(Debug)]
struct Simulated {
    lan: Arc<Lan>,
    meter: Arc<Meter>,
    packages: Arc<Packages>,
    phases: Arc<Vec<Vec<crate::mirrors::Phase>>>,
    proxy: Option<Arc<Proxy>>,
    looks: Looks,
    rng: Mutex<Rng>,
}

impl World for Simulated {
    type Transport = Mirrors;
    type Hold = Connected<()>;
    type File = Cursor<Vec<u8>>;

    async fn connect<P, F>(
        &self,
        plan: &Plan,
        deadline: Instant,
        probe: P,
    ) -> Result<Online, ConnectError>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<(), ProbeError>>,
    {
        let network = Arc::clone(&self.lan) as _;
        Ok(netup::connect_over(network, plan, deadline, probe).await?.into())
    }

    fn client(&self, _: &Inputs, link: &Link) -> Result<Client<Mirrors>, Failure> {
        let seed = self.rng.lock().map_or(0, |mut rng| rng.u64(..));
        let mirrors = Mirrors {
            interface: link.interface.clone(),
            lan: Arc::clone(&self.lan),
            meter: Arc::clone(&self.meter),
            packages: Arc::clone(&self.packages),
            phases: Arc::clone(&self.phases),
            proxy: self.proxy.clone(),
            looks: Arc::clone(&self.looks),
            rng: Mutex::new(Rng::with_seed(seed)),
        };
        Ok(Client::over(mirrors, netboot::limits(self.memory())))
    }

    fn file(&self, _: &'static str) -> Result<Self::File, Failure> {
        Ok(Cursor::new(Vec::new()))
    }

    fn memory(&self) -> Memory {
        const GIB: u64 = 1 << 30;
        Memory { installed: GIB, total: GIB, available: GIB }
    }
}

/// Hears what happens.
#[derive(Debug)]
struct Story {
    start: Instant,
    told: Mutex<Vec<String>>,
}

impl Events for Story {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn on(&self, event: Event) {
        let line = match event {
            Event::StageEnded(timing) => format!("{timing:?}"),
            Event::Mirror(mirror) => format!(
                "{} over {}: {} bytes, {}",
                mirror.url,
                mirror.interface,
                mirror.bytes,
                mirror.failure.map_or_else(|| "served".to_owned(), |failure| failure.headline())
            ),
            Event::Nics(nics) => format!("{nics:?}"),
            _ => return,
        };
        if let Ok(mut told) = self.told.lock() {
            told.push(format!("{:8.1} s  {line}", self.elapsed().as_secs_f32()));
        }
    }

    fn hand_over(&self) -> Option<BootReport> {
        None
    }
}
