//! A network cable in user space, with faults: it joins a guest's NIC to QEMU's own user network
//! (DHCP server, gateway, the host's loopback at 10.0.2.2) and needs no privileges.
//!
//! ```text
//!   guest NIC ─ netdev dgram ─(unix datagrams)─ Cable ─(unix datagrams)─ netdev dgram ─ hub ─ netdev user
//! ```
//!
//! QEMU's network can neither delay nor refuse DHCP, drop frames or play a dead VLAN; a cable can,
//! and it keeps a record from which a test sees how often the guest asked, and when.

mod faults;
mod frame;

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use xtask::harness::Netdev;
use xtask::harness::Nic;

pub use faults::DhcpFault;
pub use faults::Faults;
use faults::Verdicts;
pub use frame::Kind;
pub use frame::Message;

/// How long a thread of a cable sleeps at most before it looks whether the cable was removed.
const TICK: Duration = Duration::from_millis(50);

/// Longer than any frame that virtio hands over without segmentation offload on the wire.
const MAX_FRAME: usize = 128 * 1024;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the guest into the network.
    Out,
    /// From the network to the guest.
    In,
}

/// A DHCP message that came to the cable.
#[derive(Clone, Copy, Debug)]
pub struct DhcpRecord {
    /// Since the cable was laid.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// What kind.
    pub message: Message,
    /// Whether it was let through.
    pub passed: bool,
}

/// What went over a cable so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Frames that came from the guest.
    pub frames_out: u64,
    /// Frames that came for the guest.
    pub frames_in: u64,
    /// Frames of both that were not let through.
    pub dropped: u64,
    /// Every DHCP message, in the order in which they came.
    pub dhcp: Vec<DhcpRecord>,
}

impl Record {
    /// When the guest sent DHCP messages of this kind.
    #[must_use]
    pub fn sent(&self, message: Message) -> Vec<Duration> {
        let ours =
            |record: &&DhcpRecord| record.direction == Direction::Out && record.message == message;
        self.dhcp.iter().filter(ours).map(|record| record.at).collect()
    }
}

/// A cable between one NIC of a guest and a user network of its own. Removed when dropped.
#[derive(Debug)]
pub struct Cable {
    index: u8,
    directory: PathBuf,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    laid: Instant,
    removed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: Record,
    verdicts: Verdicts,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a frame; `None` to drop it, or how long it takes to the other end.
    fn pass(&self, direction: Direction, frame: &[u8]) -> Option<Duration> {
        let at = self.laid.elapsed();
        let kind = frame::classify(frame);
        let mut state = self.state();
        let delay = state.verdicts.judge(at, kind);
        match direction {
            Direction::Out => state.record.frames_out += 1,
            Direction::In => state.record.frames_in += 1,
        }
        if delay.is_none() {
            state.record.dropped += 1;
        }
        if let Kind::Dhcp(message) = kind {
            let passed = delay.is_some();
            state.record.dhcp.push(DhcpRecord { at, direction, message, passed });
        }
        delay
    }
}

impl Cable {
    /// Lays a cable. `index` is unique among the cables of a guest; the sockets are made in
    /// `directory`, whose path must be short (socket paths have room for 107 bytes).
    ///
    /// # Errors
    /// If the sockets cannot be made.
    pub fn lay(directory: &Path, index: u8, faults: Faults) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            laid: Instant::now(),
            removed: AtomicBool::new(false),
            state: Mutex::new(State { record: Record::default(), verdicts: Verdicts::new(faults) }),
        });
        let mut cable =
            Self { index, directory: directory.to_owned(), shared, threads: Vec::new() };
        let guest = UnixDatagram::bind(cable.socket("guest", "cable"))?;
        let network = UnixDatagram::bind(cable.socket("network", "cable"))?;
        for socket in [&guest, &network] {
            // A guest that has gone must not block a thread for ever in a full socket buffer.
            socket.set_write_timeout(Some(TICK))?;
        }
        let to_guest = cable.socket("guest", "qemu");
        let to_network = cable.socket("network", "qemu");
        cable.spawn(Direction::Out, guest.try_clone()?, network.try_clone()?, to_network)?;
        cable.spawn(Direction::In, network, guest, to_guest)?;
        Ok(cable)
    }

    /// The NIC at this cable.
    #[must_use]
    pub fn nic(&self, model: &str) -> Nic {
        Nic::new(model).on(Netdev::Custom(self.dgram("guest")))
    }

    /// Further arguments for QEMU: the user network at the far end.
    #[must_use]
    pub fn qemu_args(&self) -> Vec<String> {
        let Self { index, .. } = self;
        // Hub 0 is QEMU's own default.
        let hub = u32::from(*index) + 1;
        let port = |id: &str, peer: &str| {
            format!("hubport,id=cable{index}-{id},hubid={hub},netdev=cable{index}-{peer}")
        };
        [
            format!("{},id=cable{index}-far", self.dgram("network")),
            format!("user,id=cable{index}-user"),
            port("port0", "far"),
            port("port1", "user"),
        ]
        .into_iter()
        .flat_map(|netdev| ["-netdev".to_owned(), netdev])
        .collect()
    }

    /// QEMU's end of a pair of sockets.
    fn dgram(&self, end: &str) -> String {
        format!(
            "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            self.socket(end, "qemu").display(),
            self.socket(end, "cable").display(),
        )
    }

    /// What went over the cable so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.shared.state().record.clone()
    }

    fn socket(&self, end: &str, owner: &str) -> PathBuf {
        self.directory.join(format!("{}-{end}.{owner}", self.index))
    }

    fn spawn(
        &mut self,
        direction: Direction,
        from: UnixDatagram,
        to: UnixDatagram,
        address: PathBuf,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = format!("cable{}-{direction:?}", self.index);
        let forward = move || {
            // Nobody waits for the thread's result: a cable that fails is a cable that drops all.
            let _ = forward(&shared, direction, &from, &to, &address);
        };
        self.threads.push(std::thread::Builder::new().name(name).spawn(forward)?);
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.removed.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Carries frames one way until the cable is removed.
fn forward(
    shared: &Shared,
    direction: Direction,
    from: &UnixDatagram,
    to: &UnixDatagram,
    address: &Path,
) -> io::Result<()> {
    let mut buffer = vec![0; MAX_FRAME];
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    while !shared.removed.load(Ordering::Relaxed) {
        let next = under_way.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        // A time-out of zero would mean none at all.
        let wait = next.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK);
        from.set_read_timeout(Some(wait))?;
        if let Ok(len) = from.recv(&mut buffer) {
            let frame = &buffer[..len];
            if let Some(delay) = shared.pass(direction, frame) {
                under_way.push_back((Instant::now() + delay, frame.to_vec()));
            }
        }
        while under_way.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, frame)) = under_way.pop_front() {
                // Before QEMU has bound its end, and after it has gone, frames are lost.
                let _ = to.send_to(&frame, address);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_both_ways_and_are_counted() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let cable = Cable::lay(directory.path(), 0, Faults::default())?;
        let bind = |end| UnixDatagram::bind(cable.socket(end, "qemu"));
        let (guest, network) = (bind("guest")?, bind("network")?);
        let mut buffer = [0; 64];

        guest.send_to(b"ping", cable.socket("guest", "cable"))?;
        assert_eq!(network.recv(&mut buffer)?, 4);
        network.send_to(b"pong!", cable.socket("network", "cable"))?;
        assert_eq!(guest.recv(&mut buffer)?, 5);

        let record = cable.record();
        assert_eq!((record.frames_out, record.frames_in, record.dropped), (1, 1, 0));
        Ok(())
    }

    #[test]
    fn each_cable_of_a_guest_has_its_own_hub() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let hub = |index| -> io::Result<String> {
            let cable = Cable::lay(directory.path(), index, Faults::default())?;
            let args = cable.qemu_args().join(" ");
            let (_, rest) = args.split_once("hubid=").expect("a hub port");
            Ok(rest.chars().take_while(char::is_ascii_digit).collect())
        };
        assert_ne!(hub(0)?, hub(1)?);
        Ok(())
    }
}
