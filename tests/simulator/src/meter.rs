//! How often the machine does something, so that one that spins is noticed.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::Instant;

/// Over which time actions are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts packets, requests and changes to links.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Instant>,
    most: usize,
    all: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }

    /// Virtual time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes one action.
    pub(crate) fn note(&self) {
        let now = Instant::now();
        let Ok(mut state) = self.state.lock() else { return };
        while state.recent.front().is_some_and(|first| now - *first >= WINDOW) {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        state.most = state.most.max(state.recent.len());
        state.all += 1;
    }

    /// Most actions in any second, and all of them.
    pub(crate) fn read(&self) -> (usize, u64) {
        self.state.lock().map_or((0, 0), |state| (state.most, state.all))
    }
}
