//! Silence before the machine is handed on.

use core::time::Duration;
use std::sync::mpsc;
use std::thread;

use crate::kernel::Netlink;
use crate::network::Kind;
use crate::network::Nic;

/// What came of [`quiesce()`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Quiesced {
    /// Interfaces that were switched off, in this order.
    pub down: Vec<String>,
    /// What did not go down, and why.
    pub failures: Vec<String>,
}

/// Switches off every link that is up but the loopback, whoever switched it on: bonds first, then
/// their members and all others. Nothing that arrives is written into memory any more. Best effort.
///
/// The kernel does the work while a request is being sent: a driver that hangs hangs the caller's
/// thread, so that a time limit must be kept by another one.
pub async fn quiesce() -> Quiesced {
    let mut quiesced = Quiesced::default();
    if let Err(error) = switch_off(&mut quiesced).await {
        quiesced.failures.push(error.to_string());
    }
    quiesced
}

/// As [`quiesce()`], for callers outside of any runtime. `None` if it did not come to its end in time,
/// or could not begin.
///
/// In a thread of its own: a driver may hang, and the caller must go on.
#[must_use]
pub fn quiesce_within(patience: Duration) -> Option<Quiesced> {
    let (done, wait) = mpsc::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = done.send(runtime.block_on(quiesce()));
        }
    };
    thread::Builder::new().spawn(work).ok()?;
    wait.recv_timeout(patience).ok()
}

async fn switch_off(
    quiesced: &mut Quiesced,
) -> Result<(), Box<dyn core::error::Error + Send + Sync>> {
    let (netlink, _connection) = Netlink::open()?;
    for nic in order(netlink.links().await?) {
        match netlink.down(nic.index).await {
            Ok(()) => quiesced.down.push(nic.name),
            Err(error) => quiesced.failures.push(format!("{}: {error}", nic.name)),
        }
    }
    Ok(())
}

/// What is to be switched off. A bond first, so that it does not notice its members failing.
fn order(links: Vec<Nic>) -> Vec<Nic> {
    let mut links: Vec<Nic> = links.into_iter().filter(|nic| nic.up && !nic.loopback).collect();
    links.sort_by_key(|nic| (nic.kind == Kind::Device, nic.index));
    links
}

#[cfg(test)]
mod tests {
    use super::order;
    use crate::network::Kind;
    use crate::network::Nic;

    #[test]
    fn bonds_go_first_and_what_is_down_stays_so() {
        let nic = |index: u32, kind: Kind, up: bool, loopback: bool| Nic {
            index,
            name: format!("if{index}"),
            loopback,
            kind,
            up,
            ..Nic::default()
        };
        let links = vec![
            nic(1, Kind::Device, true, true),
            nic(3, Kind::Device, true, false),
            nic(2, Kind::Device, true, false),
            nic(4, Kind::Device, false, false),
            nic(9, Kind::Bond { partner: None }, true, false),
        ];
        let names: Vec<String> = order(links).into_iter().map(|nic| nic.name).collect();
        assert_eq!(names, ["if9", "if2", "if3"]);
    }
}
