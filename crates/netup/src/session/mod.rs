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
use crate::dhcp6::Duid;
use crate::lessons::Again;
use crate::lessons::Lesson;
use crate::network::Network;
use crate::network::Nic;
use crate::plan::Link;
use crate::plan::Plan;
use crate::task::Task;

/// What every path takes: IPv6 demands it (RFC 8200, 5), and tunnels of IPv4 leave more.
const LEAST_MTU: u32 = 1280;

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// What can be used now; `None` without an address.
    pub(crate) link: Option<Link>,
    /// How many times servers or routers were asked in vain.
    pub(crate) rounds: u32,
    /// DHCP servers that have made an offer.
    pub(crate) servers: Vec<Ipv4Addr>,
    /// The DHCPv6 server whose lease holds.
    pub(crate) v6_server: Option<Duid>,
    /// DHCPv6 servers that have answered.
    pub(crate) v6_servers: Vec<Duid>,
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
    /// DHCPv6 servers that others are to be preferred to.
    avoid_v6: Vec<Duid>,
    /// How often what a DHCPv6 server gave was to be given up.
    leases_v6: u32,
    /// How often the next router of IPv6 was to be taken.
    routers: u32,
    /// Whether packets are to be no longer than every path must take.
    narrow: bool,
}

impl Orders {
    const fn count(&self) -> u32 {
        self.leases.wrapping_add(self.leases_v6).wrapping_add(self.routers)
    }
}

/// Keeps the addresses of one interface until this is dropped; leaves them where they are then.
#[derive(Debug)]
pub(crate) struct Session {
    status: watch::Receiver<Status>,
    orders: watch::Sender<Orders>,
    plan: Arc<Plan>,
    nic: Nic,
    _task: Task,
}

impl Session {
    /// Begins, on an interface with a carrier, with what the plan's lessons say of it.
    pub(crate) fn start(
        network: Arc<dyn Network>,
        plan: Arc<Plan>,
        nic: Nic,
        random: Random,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let lesson = plan.lessons.of(nic.index);
        let (orders, received) = watch::channel(Orders {
            avoid: lesson.v4.avoided(),
            avoid_v6: lesson.v6.avoided(),
            routers: lesson.routers,
            narrow: lesson.narrow,
            ..Orders::default()
        });
        let (owner, own) = (Arc::clone(&plan), nic.clone());
        let manager = Manager::new(network, owner, own, random, sender, received);
        Self { status, orders, plan, nic, _task: Task::spawn(manager.run()) }
    }

    /// Gives leases up and asks again, preferring other servers to those that the lesson names. Until
    /// [`Session::news`] has a status without them, the old one is hidden.
    pub(crate) fn ask_again(&self, which: Again, lesson: &Lesson) {
        self.orders.send_modify(|orders| {
            if which.v4 {
                orders.avoid = lesson.v4.avoided();
                orders.leases = orders.leases.wrapping_add(1);
            }
            if which.v6 {
                orders.avoid_v6 = lesson.v6.avoided();
                orders.leases_v6 = orders.leases_v6.wrapping_add(1);
            }
        });
    }

    /// Takes the next of the routers that say that they lead everywhere, and after the last one the
    /// first again: who advertises itself as the best may lead nowhere.
    pub(crate) fn next_router(&self) {
        self.orders.send_modify(|orders| orders.routers = orders.routers.wrapping_add(1));
    }

    /// Nothing came where something should have: from now on the routes have the least MTU that every
    /// path has, and so servers are told to send no longer packets. A path may swallow those, and the
    /// server may not find that out.
    pub(crate) fn narrow(&self) {
        let narrowed = self.orders.send_if_modified(|orders| {
            let before = core::mem::replace(&mut orders.narrow, true);
            !before
        });
        if narrowed {
            let name = &self.nic.name;
            tracing::info!(
                "{name}: nothing comes; asking for packets of {LEAST_MTU} bytes at most"
            );
            self.plan.lessons.learn(self.nic.index, |lesson| lesson.narrow = true);
        }
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
