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
    /// How many orders to avoid servers it has carried out.
    pub(crate) orders: u32,
    /// Whether nothing will come of it, as the configuration itself is refused.
    pub(crate) stuck: bool,
}

/// DHCP servers that others are to be preferred to.
#[derive(Clone, Debug, Default)]
struct Avoided {
    servers: Vec<Ipv4Addr>,
    /// Counts the orders.
    orders: u32,
}

/// Keeps the addresses of one interface until this is dropped; leaves them where they are then.
#[derive(Debug)]
pub(crate) struct Session {
    status: watch::Receiver<Status>,
    avoid: watch::Sender<Avoided>,
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
        let (avoid, avoided) = watch::channel(Avoided::default());
        let manager = Manager::new(network, plan, nic, random, sender, avoided);
        Self { status, avoid, _task: Task::spawn(manager.run()) }
    }

    /// Gives the IPv4 lease up and asks again, preferring other servers to these. Until
    /// [`Session::news`] has a status without it, the old one is hidden.
    pub(crate) fn avoid(&self, servers: Vec<Ipv4Addr>) {
        self.avoid.send_modify(|avoided| {
            *avoided = Avoided { servers, orders: avoided.orders.wrapping_add(1) };
        });
    }

    /// The status as of now; [`Session::changed`] says when there is another one.
    pub(crate) fn news(&mut self) -> Status {
        let status = self.status.borrow_and_update().clone();
        if status.orders == self.avoid.borrow().orders {
            status
        } else {
            Status { orders: status.orders, ..Status::default() }
        }
    }

    /// The link as of now.
    pub(crate) fn link(&self) -> Option<Link> {
        self.status.borrow().link.clone()
    }

    /// Waits until there is something new to see. The task behind it never ends by itself.
    pub(crate) async fn changed(&mut self) {
        if self.status.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}
