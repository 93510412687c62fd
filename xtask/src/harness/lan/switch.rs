//! A switch in user space with three ports: QEMU's user network and two machines.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) const USER: &str = "user";
pub(super) const FIRST: &str = "first";
pub(super) const SECOND: &str = "second";

const PORTS: [&str; 3] = [USER, FIRST, SECOND];

/// How long a thread sleeps at most before it looks whether the switch was removed, and how long it
/// waits for a machine that takes no frames.
const TICK: Duration = Duration::from_millis(50);

/// Longer than any frame that virtio hands over.
const MAX_FRAME: usize = 128 * 1024;

/// Address of a NIC.
type Mac = [u8; 6];

/// How the addresses begin that the user network has itself.
const USERS_OWN: [u8; 2] = [0x52, 0x55];

/// Our socket of a port, and QEMU's.
pub(super) fn sockets(directory: &Path, port: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{port}.switch")), directory.join(format!("{port}.qemu")))
}

/// A switch that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Switch {
    removed: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Ports {
    /// Our socket of each port, and where QEMU listens.
    sockets: Vec<(UnixDatagram, PathBuf)>,
    /// At which port an address was seen last.
    seen: Mutex<HashMap<Mac, usize>>,
}

impl Switch {
    pub(super) fn start(directory: &Path) -> io::Result<Self> {
        let mut bound = Vec::new();
        for port in PORTS {
            let (ours, theirs) = sockets(directory, port);
            let socket = UnixDatagram::bind(ours)?;
            socket.set_read_timeout(Some(TICK))?;
            socket.set_write_timeout(Some(TICK))?;
            bound.push((socket, theirs));
        }
        let ports = Arc::new(Ports { sockets: bound, seen: Mutex::default() });
        let removed = Arc::new(AtomicBool::new(false));
        let threads = (0..PORTS.len()).map(|port| {
            let (ports, removed) = (Arc::clone(&ports), Arc::clone(&removed));
            let name = format!("switch-{port}");
            thread::Builder::new().name(name).spawn(move || ports.serve(port, &removed))
        });
        Ok(Self { threads: threads.collect::<io::Result<_>>()?, removed })
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.removed.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Ports {
    /// Forwards what comes in at this port.
    fn serve(&self, port: usize, removed: &AtomicBool) {
        let Some((socket, _)) = self.sockets.get(port) else { return };
        let mut buffer = vec![0; MAX_FRAME];
        while !removed.load(Ordering::Relaxed) {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            let frame = buffer.get(..length).unwrap_or_default();
            for out in self.ways(port, frame) {
                if let Some((socket, path)) = self.sockets.get(out) {
                    // Before QEMU has bound its end, and after it has gone, frames are lost.
                    let _ = socket.send_to(frame, path);
                }
            }
        }
    }

    /// Where a frame goes that came in here.
    fn ways(&self, from: usize, frame: &[u8]) -> Vec<usize> {
        let address = |at: usize| frame.get(at..at + 6).and_then(|it| Mac::try_from(it).ok());
        let (Some(to), Some(sender)) = (address(0), address(6)) else { return Vec::new() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(sender, from);
        match seen.get(&to) {
            Some(&port) if port != from => vec![port],
            Some(_) => Vec::new(),
            None => (0..PORTS.len()).filter(|&port| port != from && may_go(&to, port)).collect(),
        }
    }
}

/// Whether a frame to an address that was never seen may go out there. The user network gets only
/// what is meant for all or for itself.
fn may_go(to: &Mac, port: usize) -> bool {
    let for_many = to[0] & 1 == 1;
    PORTS.get(port) != Some(&USER) || for_many || to.starts_with(&USERS_OWN)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::FIRST;
    use super::Mac;
    use super::PORTS;
    use super::SECOND;
    use super::Switch;
    use super::USER;
    use super::sockets;

    const ALL: Mac = [0xff; 6];
    const A: Mac = [0x52, 0x54, 0, 0, 0, 1];
    const B: Mac = [0x52, 0x54, 0, 0, 0, 2];
    const GATEWAY: Mac = [0x52, 0x55, 10, 0, 2, 2];

    #[test]
    fn frames_go_where_they_are_addressed_to() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let _switch = Switch::start(directory.path())?;
        let qemu = |port| -> io::Result<UnixDatagram> {
            let socket = UnixDatagram::bind(sockets(directory.path(), port).1)?;
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            Ok(socket)
        };
        let ends = [(USER, qemu(USER)?), (FIRST, qemu(FIRST)?), (SECOND, qemu(SECOND)?)];
        // Sends a frame in at a port and says where it came out.
        let sent = |at: &str, from: Mac, to: Mac| -> io::Result<Vec<&str>> {
            let (_, socket) = ends.iter().find(|(port, _)| *port == at).expect("a port");
            let frame = [&to[..], &from, b"frame"].concat();
            socket.send_to(&frame, sockets(directory.path(), at).0)?;
            let came = |socket: &UnixDatagram| socket.recv(&mut [0; 64]).is_ok();
            Ok(ends.iter().filter(|(_, socket)| came(socket)).map(|(port, _)| *port).collect())
        };
        assert_eq!(sent(FIRST, A, ALL)?, [USER, SECOND]);
        assert_eq!(
            sent(FIRST, A, B)?,
            [SECOND],
            "nobody knows B, but it is not the user network's"
        );
        assert_eq!(sent(SECOND, B, A)?, [FIRST]);
        assert_eq!(sent(FIRST, A, B)?, [SECOND]);
        assert_eq!(sent(FIRST, A, GATEWAY)?, [USER, SECOND]);
        assert_eq!(sent(USER, GATEWAY, A)?, [FIRST]);
        assert_eq!(sent(SECOND, B, GATEWAY)?, [USER]);
        assert_eq!(PORTS.len(), 3);
        Ok(())
    }
}
