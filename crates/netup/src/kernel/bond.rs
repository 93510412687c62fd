//! Several NICs as one.

use hostcfg::BondMode;
use hostcfg::Bonding;
use rtnetlink::LinkBond;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::BondLacpRate;
use rtnetlink::packet_route::link::BondMode as KernelMode;

use super::netlink::Netlink;
use crate::network::Kind;
use crate::network::NetworkError;
use crate::network::Nic;

/// How often the members' links are looked at, in milliseconds.
const MII_INTERVAL: u32 = 100;

/// Makes the bond and switches it on. A bond of that name that is there already (the driver
/// makes `bond0` when it is loaded) is replaced, as most settings cannot be changed later.
pub(super) async fn make(
    netlink: &Netlink,
    bonding: &Bonding,
    _mtu: Option<u32>,
) -> Result<u32, NetworkError> {
    let name = &bonding.name;
    if let Some(old) = by_name(netlink, name).await? {
        if !matches!(old.kind, Kind::Bond { .. }) {
            return Err(NetworkError::new(
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
    let made = made.ok_or_else(|| NetworkError::new(&what, "it is gone again"))?;
    netlink.up(made.index).await?;
    Ok(made.index)
}

/// Makes a NIC a member.
pub(super) async fn join(
    netlink: &Netlink,
    bond: u32,
    nic: u32,
    _primary: bool,
) -> Result<(), NetworkError> {
    // The driver takes only links that are down, and switches them on itself.
    netlink.down(nic).await?;
    let message = LinkUnspec::new_with_index(nic).controller(bond).build();
    netlink.change(message, "joining the bond").await
}

async fn by_name(netlink: &Netlink, name: &str) -> Result<Option<Nic>, NetworkError> {
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
