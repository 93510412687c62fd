//! Random numbers: TLS, DNS and DHCP need them, and a machine that has just started may have none.
//!
//! The kernel fills its pool from the CPU and from hardware generators, at once where there is one.
//! Without, it has to measure how unsteady its own timing is, which it begins only when somebody
//! waits; so somebody does from the start of `/init`, beside everything else, and nothing stalls later
//! without a word.

use std::fs;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use report::Code;
use report::EntropyReport;
use report::Failure;
use report::micros;
use tracing::info;
use tracing::warn;

use crate::journal;
use crate::watchdog;

/// How often a machine that waits says so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How long to wait in all. Timing alone takes a second or two even on slow machines.
const PATIENCE: Duration = Duration::from_secs(120);

/// Name of the hardware generator that the kernel uses; `none` if there is none.
const CURRENT_GENERATOR: &str = "/sys/class/misc/hw_random/rng_current";

/// Small: the thread does nothing but one system call.
const STACK: usize = 64 << 10;

/// A pool that is being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    started: Instant,
    /// Hears when the pool is ready; absent if it was from the start.
    ready: Option<Receiver<()>>,
}

/// Sees to it that the kernel begins to fill its pool. Returns at once.
pub(crate) fn begin() -> Filling {
    let started = Instant::now();
    let ready = (!fill(&mut [0; 1], libc::GRND_NONBLOCK)).then(|| {
        let (sender, ready) = mpsc::channel();
        let waiting = thread::Builder::new().stack_size(STACK).spawn(move || {
            if fill(&mut [0; 1], 0) {
                let _ = sender.send(());
            }
        });
        if let Err(error) = waiting {
            warn!("entropy: nobody can wait for it: {error}");
        }
        ready
    });
    Filling { started, ready }
}

impl Filling {
    /// Waits until there are random numbers, with a line every few seconds, and notes where they are
    /// from.
    ///
    /// # Errors
    /// [`Code::EntropyLate`] after two minutes: nothing that follows could do without.
    pub(crate) fn wait(self) -> Result<(), Failure> {
        let at_once = self.ready.is_none();
        let ready = self.ready.is_none_or(|ready| is_ready(self.started, &ready));
        let waited = if at_once { Duration::ZERO } else { self.started.elapsed() };
        let sources = sources();
        let from = sources.join(" + ");
        journal::update(|report| {
            report.entropy = Some(EntropyReport { ready, waited_us: micros(waited), sources });
        });
        if !ready {
            let detail = format!("none after {} s; there is {from}", PATIENCE.as_secs());
            return Err(Failure::new(Code::EntropyLate, detail));
        }
        match at_once {
            true => info!("entropy: ready, {from}"),
            false => info!("entropy: ready after {:.1} s, {from}", waited.as_secs_f32()),
        }
        Ok(())
    }
}

/// Waits for the word of the thread that waits for the kernel.
fn is_ready(started: Instant, ready: &Receiver<()>) -> bool {
    loop {
        let left = PATIENCE.saturating_sub(started.elapsed());
        match ready.recv_timeout(left.min(SIGN_OF_LIFE)) {
            Ok(()) => return true,
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {
                watchdog::pet();
                let (code, seconds) = (Code::EntropyLate, started.elapsed().as_secs());
                warn!("{code} {}, after {seconds} s; {}", code.title(), code.remedy());
            }
            // Time is over, or nobody waits.
            Err(_) => return false,
        }
    }
}

/// What the kernel has to fill its pool from, the best first.
fn sources() -> Vec<String> {
    let generator = fs::read_to_string(CURRENT_GENERATOR).unwrap_or_default();
    let cpu = (is_x86_feature_detected!("rdrand"), is_x86_feature_detected!("rdseed"));
    describe(cpu, &generator)
}

fn describe((rdrand, rdseed): (bool, bool), generator: &str) -> Vec<String> {
    let mut sources = Vec::new();
    match (rdrand, rdseed) {
        (true, true) => sources.push("CPU (RDRAND, RDSEED)".to_owned()),
        (true, false) => sources.push("CPU (RDRAND)".to_owned()),
        (false, true) => sources.push("CPU (RDSEED)".to_owned()),
        (false, false) => {}
    }
    // The kernel numbers them: virtio_rng.0, tpm-rng-0.
    match generator.trim() {
        "" | "none" => {}
        name if name.starts_with("virtio_rng") => sources.push("virtio-rng".to_owned()),
        name if name.starts_with("tpm-rng") => sources.push("TPM".to_owned()),
        name => sources.push(name.chars().take(32).collect()),
    }
    if sources.is_empty() {
        sources.push("timing of the CPU alone".to_owned());
    }
    sources
}

/// Fills `bytes` with random numbers; false if there are none. `flags` are those of getrandom(2).
pub(crate) fn fill(bytes: &mut [u8], flags: libc::c_uint) -> bool {
    // SAFETY: the pointer and length describe `bytes`.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), flags) };
    usize::try_from(filled) == Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::describe;
    use super::fill;

    #[test]
    fn sources_are_named_as_people_know_them() {
        assert_eq!(describe((true, true), "none\n"), ["CPU (RDRAND, RDSEED)"]);
        assert_eq!(describe((true, false), "virtio_rng.0\n"), ["CPU (RDRAND)", "virtio-rng"]);
        assert_eq!(describe((false, false), "tpm-rng-0\n"), ["TPM"]);
        assert_eq!(describe((false, false), "intel\n"), ["intel"]);
        assert_eq!(describe((false, false), ""), ["timing of the CPU alone"]);
    }

    #[test]
    fn random_numbers_come() {
        let mut bytes = [0; 32];
        assert!(fill(&mut bytes, 0));
        assert_ne!(bytes, [0; 32]);
    }
}
