//! The addresses of one interface, kept up in the background: all that servers, routers and the
//! host configuration say of it put together and brought to the kernel.
//!
//! Every source has a task of its own, which changes nothing about the interface. One task, the
//! manager's, applies what they all say: so nothing of one source is lost when another one
//! changes its mind, and what the kernel refuses is charged to the source that said it.

mod facts;
mod manager;
mod shares;
mod waiting;

use core::net::Ipv4Addr;
use std::sync::Arc;

use report::Failure;
use tokio::sync::watch;

use self::manager::Manager;
use crate::backoff::Random;
use crate::network::Network;
use crate::network::Nic;
use crate::plan::Link;
use crate::plan::Plan;
use crate::task::Task;

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// What can be used now; `None` without an address.
    pub(crate) link: Option<Link>,
    /// How many times servers or routers were asked in vain.
    pub(crate) rounds: u32,
    /// DHCP servers that have made an offer.
    pub(crate) servers: Vec<Ipv4Addr>,
    /// What went wrong last, other than silence.
    pub(crate) failure: Option<Failure>,
    /// How many routers of IPv6 say that they lead everywhere.
    pub(crate) routers: usize,
    /// How many orders to look for another way it has carried out.
    pub(crate) orders: u32,
    /// Whether nothing will come of it, as the configuration itself is refused.
    pub(crate) stuck: bool,
}

/// Other ways that are to be looked for.
#[derive(Clone, Debug, Default)]
struct Orders {
    /// DHCP servers that others are to be preferred to.
    avoid: Vec<Ipv4Addr>,
    /// How often the IPv4 lease was to be given up.
    leases: u32,
    /// How often the next router of IPv6 was to be taken.
    routers: u32,
}

impl Orders {
    const fn count(&self) -> u32 {
        self.leases.wrapping_add(self.routers)
    }
}

/// Keeps the addresses of one interface until this is dropped; leaves them where they are then.
#[derive(Debug)]
pub(crate) struct Session {
    status: watch::Receiver<Status>,
    orders: watch::Sender<Orders>,
    _task: Task,
}

impl Session {
    /// Begins, on an interface with a carrier.
    pub(crate) fn start(
        network: Arc<dyn Network>,
        plan: Arc<Plan>,
        nic: Nic,
        random: Random,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let (orders, received) = watch::channel(Orders::default());
        let manager = Manager::new(network, plan, nic, random, sender, received);
        Self { status, orders, _task: Task::spawn(manager.run()) }
    }

    /// Gives the IPv4 lease up and asks again, preferring other servers to these. Until
    /// [`Session::news`] has a status without it, the old one is hidden.
    pub(crate) fn avoid(&self, servers: Vec<Ipv4Addr>) {
        self.orders.send_modify(|orders| {
            orders.avoid = servers;
            orders.leases = orders.leases.wrapping_add(1);
        });
    }

    /// Takes the next of the routers that say that they lead everywhere, and after the last one the
    /// first again: who advertises itself as the best may lead nowhere.
    pub(crate) fn next_router(&self) {
        self.orders.send_modify(|orders| orders.routers = orders.routers.wrapping_add(1));
    }

    /// The status as of now; [`Session::changed`] says when there is another one.
    pub(crate) fn news(&mut self) -> Status {
        let status = self.status.borrow_and_update().clone();
        if status.orders == self.orders.borrow().count() {
            status
        } else {
            Status { orders: status.orders, ..Status::default() }
        }
    }

    /// The link as of now.
    pub(crate) fn link(&self) -> Option<Link> {
        self.status.borrow().link.clone()
    }

    /// All statuses that there will be, for whoever follows them beside this.
    pub(crate) fn statuses(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until there is something new to see. The task behind it never ends by itself.
    pub(crate) async fn changed(&mut self) {
        if self.status.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}
