//! Several NICs as one: what the bonding driver is asked for.

use hostcfg::BondMode;
use hostcfg::Bonding;
use hostcfg::LacpRate;
use hostcfg::XmitHashPolicy;
use rtnetlink::LinkBond;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::BondLacpRate;
use rtnetlink::packet_route::link::BondMode as KernelMode;
use rtnetlink::packet_route::link::BondXmitHashPolicy;
use rtnetlink::packet_route::link::InfoBond;
use rtnetlink::packet_route::link::InfoData;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::link::LinkInfo;
use rtnetlink::packet_route::link::LinkMessage;

use super::interface;
use super::netlink::Netlink;
use crate::network::Kind;
use crate::network::NetworkError;

/// How often the members' links are looked at, in milliseconds, if nothing else is said.
const MII_INTERVAL: u32 = 100;

/// Makes the bond and switches it on. One that is there already is kept if it is as it should be,
/// or else replaced, as most settings cannot be changed later: the driver makes `bond0` when it is
/// loaded.
pub(super) async fn make(
    netlink: &Netlink,
    bonding: &Bonding,
    mtu: Option<u32>,
) -> Result<u32, NetworkError> {
    let name = &bonding.name;
    let settings = settings(bonding);
    let what = format!("making the bond {name} ({})", bonding.mode);
    if let Some(old) = by_name(netlink, name).await? {
        let nic = interface::nic(&old);
        if !matches!(nic.kind, Kind::Bond { .. }) {
            let reason = "there is an interface of this name that is not a bond: set another \
                          bond_name";
            return Err(NetworkError::new(what, reason));
        }
        if nic.up && has(&old, &settings) {
            return Ok(nic.index);
        }
        netlink.delete(nic.index, &format!("removing the old bond {name}")).await?;
    }
    let mut message = settings
        .into_iter()
        .fold(LinkBond::new(name), |message, setting| message.append_info_data(setting));
    if let Some(mtu) = mtu {
        // Members take it on when they join.
        message = message.mtu(mtu);
    }
    netlink.create(message.build(), &what).await.map_err(|error| {
        NetworkError::new(error.to_string(), "does this kernel have CONFIG_BONDING?")
    })?;
    let made = by_name(netlink, name).await?;
    let made = made.ok_or_else(|| NetworkError::new(&what, "it is gone again"))?.header.index;
    netlink.up(made).await?;
    Ok(made)
}

/// Makes a NIC a member.
pub(super) async fn join(
    netlink: &Netlink,
    bond: u32,
    nic: u32,
    primary: bool,
) -> Result<(), NetworkError> {
    let links = netlink.links().await?;
    if links.iter().any(|known| known.index == nic && known.up) {
        // The driver takes only links that are down, and switches them on itself.
        netlink.down(nic).await?;
    }
    let message = LinkUnspec::new_with_index(nic).controller(bond).build();
    netlink.change(message, "joining the bond").await?;
    if primary {
        let mut message = LinkBond::new("").primary(nic).build();
        message.header.index = bond;
        message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
        netlink.change_settings(message, "making it the bond's primary member").await?;
    }
    Ok(())
}

async fn by_name(netlink: &Netlink, name: &str) -> Result<Option<LinkMessage>, NetworkError> {
    let named = |message: &LinkMessage| {
        message
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, LinkAttribute::IfName(known) if known == name))
    };
    Ok(netlink.link_messages().await?.into_iter().find(named))
}

/// What the bond is to be, the mode first: what else can be set depends on it.
fn settings(bonding: &Bonding) -> Vec<InfoBond> {
    let options = &bonding.options;
    let interval = options.miimon.unwrap_or(MII_INTERVAL);
    let mut all = vec![InfoBond::Mode(kernel_mode(bonding.mode)), InfoBond::MiiMon(interval)];
    all.extend(options.updelay.map(InfoBond::UpDelay));
    all.extend(options.downdelay.map(InfoBond::DownDelay));
    if bonding.mode == BondMode::Ieee8023ad {
        // Fast unless something else is said: a partner that goes away is noticed in 3 s and not 90.
        let rate = match options.lacp_rate {
            Some(LacpRate::Slow) => BondLacpRate::Slow,
            Some(LacpRate::Fast) | None => BondLacpRate::Fast,
        };
        all.push(InfoBond::AdLacpRate(rate));
        all.extend(options.min_links.map(InfoBond::MinLinks));
    }
    all.extend(options.xmit_hash_policy.map(kernel_policy).map(InfoBond::XmitHashPolicy));
    all
}

/// Whether a bond that there is has all these settings.
fn has(message: &LinkMessage, settings: &[InfoBond]) -> bool {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let data = infos.into_iter().flatten().find_map(|info| match info {
        LinkInfo::Data(InfoData::Bond(data)) => Some(data),
        _ => None,
    });
    data.is_some_and(|data| settings.iter().all(|setting| data.contains(setting)))
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

const fn kernel_policy(policy: XmitHashPolicy) -> BondXmitHashPolicy {
    match policy {
        XmitHashPolicy::Layer2 => BondXmitHashPolicy::Layer2,
        XmitHashPolicy::Layer34 => BondXmitHashPolicy::Layer34,
        XmitHashPolicy::Layer23 => BondXmitHashPolicy::Layer23,
        XmitHashPolicy::Encap23 => BondXmitHashPolicy::Encap23,
        XmitHashPolicy::Encap34 => BondXmitHashPolicy::Encap34,
        XmitHashPolicy::VlanSrcMac => BondXmitHashPolicy::VlanSrcMac,
    }
}

#[cfg(test)]
mod tests {
    use hostcfg::BondMode;
    use hostcfg::BondOptions;
    use hostcfg::Bonding;
    use hostcfg::LacpRate;
    use rtnetlink::LinkBond;
    use rtnetlink::packet_route::link::BondLacpRate;
    use rtnetlink::packet_route::link::InfoBond;

    use super::has;
    use super::settings;

    fn bonding(mode: BondMode, options: BondOptions) -> Bonding {
        Bonding { mode, name: "bond0".to_owned(), options }
    }

    #[test]
    fn what_only_lacp_knows_is_only_asked_of_it() {
        let options = || BondOptions {
            min_links: Some(2),
            lacp_rate: Some(LacpRate::Slow),
            ..BondOptions::default()
        };
        let of = |mode| settings(&bonding(mode, options()));
        let lacp = of(BondMode::Ieee8023ad);
        assert!(lacp.contains(&InfoBond::MinLinks(2)));
        assert!(lacp.contains(&InfoBond::AdLacpRate(BondLacpRate::Slow)));
        for mode in BondMode::ALL.into_iter().filter(|mode| *mode != BondMode::Ieee8023ad) {
            assert_eq!(of(mode).len(), 2, "{mode}");
            assert!(matches!(of(mode)[0], InfoBond::Mode(_)), "the mode comes first");
        }
    }

    #[test]
    fn a_bond_is_kept_only_if_it_is_as_it_should_be() {
        let wanted = settings(&bonding(BondMode::ActiveBackup, BondOptions::default()));
        let there = LinkBond::new("bond0");
        let there = wanted
            .iter()
            .cloned()
            .fold(there, |message, setting| message.append_info_data(setting))
            .build();
        assert!(has(&there, &wanted));
        let slow = BondOptions { miimon: Some(500), ..BondOptions::default() };
        assert!(!has(&there, &settings(&bonding(BondMode::ActiveBackup, slow))));
        assert!(!has(&there, &settings(&bonding(BondMode::BalanceXor, BondOptions::default()))));
    }
}
