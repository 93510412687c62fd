//! Services that are started again whenever they end.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::process;
use crate::process::Program;
use crate::random;

/// The first pause before another start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A service that ran for so long is in order: the next pause is a short one again.
const GOOD_RUN: Duration = Duration::from_secs(120);

/// How a service does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Health {
    pub(crate) running: bool,
    pub(crate) restarts: u32,
}

/// All services of the machine.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    services: Mutex<Vec<Service>>,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts a service and keeps it running.
    pub(crate) fn keep(&self, program: Program) {
        let name = program.name();
        let health = Arc::<Mutex<Health>>::default();
        let task = tokio::spawn(keep_running(program, Arc::clone(&health)));
        self.services.lock().unwrap_or_else(PoisonError::into_inner).push(Service {
            name,
            health,
            task,
        });
    }

    /// No service is started again from now on.
    pub(crate) fn let_go(&self) {
        for service in self.services.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            service.task.abort();
        }
    }

    /// Every service by its name.
    pub(crate) fn health(&self) -> Vec<(&'static str, Health)> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services
            .iter()
            .map(|service| {
                let health = *service.health.lock().unwrap_or_else(PoisonError::into_inner);
                (service.name, health)
            })
            .collect()
    }
}

async fn keep_running(program: Program, health: Arc<Mutex<Health>>) {
    let note = |change: fn(&mut Health)| {
        change(&mut health.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let name = program.name();
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let end = match process::start_service(&program) {
            Ok(running) => {
                note(|health| health.running = true);
                running.wait().await.to_string()
            }
            Err(error) => error.to_string(),
        };
        note(|health| {
            health.running = false;
            health.restarts = health.restarts.saturating_add(1);
        });
        if started.elapsed() >= GOOD_RUN {
            pause = FIRST_PAUSE;
        }
        let wait = random::jitter(pause);
        if pause < LONGEST_PAUSE {
            console::line(&format!(
                "service {name} ended ({end}); started again in {:.0} s",
                wait.as_secs_f64().ceil()
            ));
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
