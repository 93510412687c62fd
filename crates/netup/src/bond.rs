//! Several NICs as one.

use std::collections::BTreeSet;

use hostcfg::BondMode;
use hostcfg::Bonding;
use rtnetlink::LinkBond;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::BondLacpRate;
use rtnetlink::packet_route::link::BondMode as KernelMode;

use crate::link::Kind;
use crate::link::Netlink;
use crate::link::NetlinkError;
use crate::link::Nic;

/// How often the members' links are looked at, in milliseconds.
const MII_INTERVAL: u32 = 100;

/// A bond that was made for a plan.
#[derive(Debug)]
pub(crate) struct Bond {
    pub(crate) index: u32,
    name: String,
    members: BTreeSet<u32>,
    /// Refusals that have been told, so that each is told once.
    told: BTreeSet<String>,
}

impl Bond {
    /// Makes the bond and switches it on. A bond of that name that is there already (the driver
    /// makes `bond0` when it is loaded) is replaced, as most settings cannot be changed later.
    pub(crate) async fn create(netlink: &Netlink, bonding: &Bonding) -> Result<Self, NetlinkError> {
        let name = &bonding.name;
        if let Some(old) = by_name(netlink, name).await? {
            if old.kind != Kind::Bond {
                return Err(NetlinkError::plain(
                    format!("making the bond {name}"),
                    "there is an interface of this name that is not a bond",
                ));
            }
            netlink.delete(old.index, &format!("removing the old bond {name}")).await?;
        }
        let mut message = LinkBond::new(name).mode(kernel_mode(bonding.mode)).miimon(MII_INTERVAL);
        if bonding.mode == BondMode::Ieee8023ad {
            message = message.ad_lacp_rate(BondLacpRate::Fast);
        }
        let what = format!("making the bond {name} ({})", bonding.mode);
        netlink.create(message.build(), &what).await?;
        let made = by_name(netlink, name).await?;
        let made = made.ok_or_else(|| NetlinkError::plain(&what, "it is gone again"))?;
        netlink.up(made.index).await?;
        tracing::info!("{name}: bond, {}", bonding.mode);
        Ok(Self {
            index: made.index,
            name: name.clone(),
            members: BTreeSet::new(),
            told: BTreeSet::new(),
        })
    }

    /// Makes these NICs members of the bond, as far as they are not.
    pub(crate) async fn join(&mut self, netlink: &Netlink, nics: &[&Nic]) {
        for nic in nics {
            // What is known of a NIC may be older than its joining.
            if nic.index == self.index || self.members.contains(&nic.index) {
                continue;
            }
            match self.join_one(netlink, nic).await {
                Ok(()) => {
                    self.members.insert(nic.index);
                    tracing::info!("{}: {} ({}) joined", self.name, nic.name, nic.mac_text());
                }
                Err(error) => {
                    let line = format!("{}: {} cannot join: {error}", self.name, nic.name);
                    if self.told.insert(line.clone()) {
                        tracing::warn!("{line}");
                    }
                }
            }
        }
    }

    async fn join_one(&self, netlink: &Netlink, nic: &Nic) -> Result<(), NetlinkError> {
        // The driver takes only links that are down, and switches them on itself.
        netlink.down(nic.index).await?;
        let message = LinkUnspec::new_with_index(nic.index).controller(self.index).build();
        netlink.change(message, "joining the bond").await
    }

    /// Whether any NIC is in it.
    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Why there is no member, or `None` if nothing was refused.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.told.iter().next().map(String::as_str)
    }
}

async fn by_name(netlink: &Netlink, name: &str) -> Result<Option<Nic>, NetlinkError> {
    Ok(netlink.links().await?.into_iter().find(|nic| nic.name == name))
}

const fn kernel_mode(mode: BondMode) -> KernelMode {
    match mode {
        BondMode::BalanceRr => KernelMode::BalanceRr,
        BondMode::ActiveBackup => KernelMode::ActiveBackup,
        BondMode::BalanceXor => KernelMode::BalanceXor,
        BondMode::Broadcast => KernelMode::Broadcast,
        BondMode::Ieee8023ad => KernelMode::Ieee8023Ad,
        BondMode::BalanceTlb => KernelMode::BalanceTlb,
        BondMode::BalanceAlb => KernelMode::BalanceAlb,
    }
}
