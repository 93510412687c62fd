//! The interfaces of the machine, kept up to date.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::netlink::Netlink;
use super::netlink::Notices;
use super::sysfs;
use crate::network::Links;
use crate::task::Task;

/// Interfaces are listed this often even if the kernel does not say that something changed: its
/// notices are lost when there are too many at once, and there are none for some states of bonds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Follows the interfaces until the tasks are dropped.
pub(super) fn follow(netlink: Netlink) -> io::Result<(Links, [Task; 2])> {
    let (notices, connection) = Netlink::notices()?;
    let (sender, links) = watch::channel(Arc::default());
    Ok((links, [connection, Task::spawn(run(netlink, notices, sender))]))
}

async fn run(
    netlink: Netlink,
    mut notices: Notices,
    sender: watch::Sender<Arc<Vec<crate::network::Nic>>>,
) {
    let mut alive = true;
    let mut devices: BTreeMap<u32, sysfs::Device> = BTreeMap::new();
    loop {
        match netlink.links().await {
            Ok(mut links) => {
                devices.retain(|index, _| links.iter().any(|nic| nic.index == *index));
                for nic in &mut links {
                    let device = devices.entry(nic.index).or_insert_with(|| sysfs::read(&nic.name));
                    nic.pci_path.clone_from(&device.pci_path);
                    nic.driver.clone_from(&device.driver);
                }
                sender.send_if_modified(|known| {
                    let changed = **known != links;
                    if changed {
                        *known = Arc::new(links);
                    }
                    changed
                });
            }
            Err(error) => tracing::debug!("{error}"),
        }
        tokio::select! {
            notice = notices.next(), if alive => alive = notice.is_some(),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        // One listing answers for all notices that are there.
        while let Some(Some(())) = notices.next().now_or_never() {}
    }
}
