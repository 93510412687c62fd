//! The interfaces of the machine, kept up to date.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::link::Netlink;
use crate::link::Nic;
use crate::link::Notices;
use crate::task::Task;

/// Interfaces are listed this often even if the kernel does not say that something changed: its
/// notices are lost when there are too many at once.
const INTERVAL: Duration = Duration::from_secs(1);

/// All interfaces, as of the last change.
pub(crate) type Links = watch::Receiver<Arc<Vec<Nic>>>;

/// Follows the interfaces until the tasks are dropped.
pub(crate) fn follow(netlink: Netlink) -> io::Result<(Links, [Task; 2])> {
    let (notices, connection) = Netlink::notices()?;
    let (sender, links) = watch::channel(Arc::default());
    Ok((links, [connection, Task::spawn(run(netlink, notices, sender))]))
}

async fn run(netlink: Netlink, mut notices: Notices, sender: watch::Sender<Arc<Vec<Nic>>>) {
    let mut alive = true;
    loop {
        match netlink.links().await {
            Ok(links) => {
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
