//! Keeps the number of guests that run at a time within what the host carries.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// A number of guests that may run at a time.
#[derive(Debug)]
pub struct Turns {
    /// Held while somebody waits: who wants two guests is not passed by those who want one.
    queue: Mutex<()>,
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to run some guests, given back when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    guests: usize,
}

impl Turns {
    /// So many guests at a time.
    #[must_use]
    pub const fn new(guests: usize) -> Self {
        Self { queue: Mutex::new(()), free: Mutex::new(guests), freed: Condvar::new() }
    }

    /// Waits until so many guests more may run.
    pub fn take(&self, guests: usize) -> Turn<'_> {
        let _queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.free();
        while *free < guests {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= guests;
        Turn { turns: self, guests }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.free() += self.guests;
        self.turns.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::Turns;

    #[test]
    fn never_more_guests_than_may_run_and_everybody_has_a_turn() {
        let turns = Turns::new(2);
        let running = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for guests in [1, 2, 1, 1, 2, 1] {
                let (turns, running, done) = (&turns, &running, &done);
                scope.spawn(move || {
                    let _turn = turns.take(guests);
                    assert!(running.fetch_add(guests, Ordering::SeqCst) + guests <= 2);
                    std::thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(guests, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 6);
    }
}
