//! Several NICs as one.

use core::time::Duration;
use std::collections::BTreeSet;

use hostcfg::BondMode;
use hostcfg::Bonding;
use tokio::time::Instant;

use crate::network::Kind;
use crate::network::Links;
use crate::network::Network;
use crate::network::NetworkError;
use crate::network::Nic;

/// How long a partner is waited for, once there is a carrier: as long as one that is slow may take
/// until it says something by itself.
const PARTNER_PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for the missing members of a bond, once one of them can be used: their cables
/// are in the same switch, and what they carry is lost if they join while it is on its way.
const MEMBERS_PATIENCE: Duration = Duration::from_secs(3);

/// A bond that was made for a plan.
#[derive(Debug)]
pub(crate) struct Bond {
    pub(crate) index: u32,
    name: String,
    mode: BondMode,
    min_links: u32,
    primary: Option<String>,
    members: BTreeSet<u32>,
    /// Refusals that have been told, so that each is told once.
    told: BTreeSet<String>,
}

impl Bond {
    /// Makes the bond, switched on.
    pub(crate) async fn create(
        network: &dyn Network,
        bonding: &Bonding,
        mtu: Option<u16>,
    ) -> Result<Self, NetworkError> {
        let name = bonding.name.clone();
        let index = network.make_bond(bonding, mtu.map(u32::from)).await?;
        tracing::info!("{name}: bond, {}", bonding.mode);
        Ok(Self {
            index,
            name,
            mode: bonding.mode,
            min_links: bonding.options.min_links.unwrap_or(1).max(1),
            primary: bonding.options.primary.clone(),
            members: BTreeSet::new(),
            told: BTreeSet::new(),
        })
    }

    /// Makes these NICs members of the bond, as far as they are not.
    pub(crate) async fn join(&mut self, network: &dyn Network, nics: &[&Nic]) {
        for nic in nics {
            // What is known of a NIC may be older than its joining.
            if nic.index == self.index || self.members.contains(&nic.index) {
                continue;
            }
            if nic.controller == Some(self.index) {
                // From an earlier attempt: joining anew would take its link down.
                self.members.insert(nic.index);
                continue;
            }
            let primary = self.primary.as_deref() == Some(&*nic.name);
            match network.join_bond(self.index, nic.index, primary).await {
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

    /// Whether any NIC is in it.
    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Why there is no member, or `None` if nothing was refused.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.told.iter().next().map(String::as_str)
    }

    /// What is to be waited for before the first packet, if anything is.
    pub(crate) fn aggregation(&self) -> Option<Aggregation> {
        (self.mode == BondMode::Ieee8023ad)
            .then_some(Aggregation { bond: self.index, min_links: self.min_links })
    }
}

/// That both ends of an 802.3ad bond agree on its members. The kernel reports a carrier before
/// that, and the switch drops what is sent over a member that it has not taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregation {
    bond: u32,
    min_links: u32,
}

impl Aggregation {
    /// Waits until they agree on enough members, and a little for the others; goes on without that
    /// after a while, as a switch without LACP may still work with one member.
    pub(crate) async fn wait(&self, mut links: Links, name: &str) {
        let begun = Instant::now();
        let mut enough_since = None;
        loop {
            let (ready, usable) = self.count(&links.borrow_and_update());
            let now = Instant::now();
            let enough = ready >= self.min_links;
            let until = if enough {
                let since = *enough_since.get_or_insert(now);
                if ready >= usable { now } else { since + MEMBERS_PATIENCE }
            } else {
                enough_since = None;
                begun + PARTNER_PATIENCE
            };
            if now >= until {
                let waited = (now - begun).as_secs_f64();
                if enough {
                    tracing::info!("{name}: LACP is up on {ready} links after {waited:.1} s");
                } else {
                    let wanted = self.min_links;
                    tracing::warn!(
                        "{name}: after {waited:.0} s LACP is up on {ready} of at least {wanted} \
                         links: going on. Do these ports of the switch form an LACP group?"
                    );
                }
                return;
            }
            tokio::select! {
                biased;
                Ok(()) = links.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// How many members are agreed on, and how many have a carrier.
    fn count(&self, links: &[Nic]) -> (u32, u32) {
        let has_partner = links.iter().any(|nic| {
            nic.index == self.bond && matches!(nic.kind, Kind::Bond { partner: Some(_) })
        });
        let members = links.iter().filter(|nic| nic.controller == Some(self.bond));
        let (mut ready, mut usable) = (0, 0);
        for member in members.filter(|nic| nic.carrier) {
            usable += 1;
            ready += u32::from(has_partner && member.lacp.is_some_and(|lacp| lacp.ready));
        }
        (ready, usable)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;

    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::Aggregation;
    use super::MEMBERS_PATIENCE;
    use super::PARTNER_PATIENCE;
    use crate::network::Kind;
    use crate::network::Lacp;
    use crate::network::Nic;

    fn machine(partner: bool, members: &[bool]) -> Arc<Vec<Nic>> {
        let kind = Kind::Bond { partner: partner.then_some([9; 6]) };
        let mut links = vec![Nic { kind, carrier: true, ..Nic::ethernet(9, "bond0", [2; 6]) }];
        for (ready, index) in members.iter().zip(2..) {
            links.push(Nic {
                controller: Some(9),
                carrier: true,
                lacp: Some(Lacp { ready: *ready }),
                ..Nic::ethernet(index, "eth", [2; 6])
            });
        }
        Arc::new(links)
    }

    async fn waited(steps: &[(u64, Arc<Vec<Nic>>)], min_links: u32) -> Duration {
        let (sender, links) = watch::channel(Arc::default());
        let started = Instant::now();
        let changes = async {
            for (at, links) in steps {
                tokio::time::sleep_until(started + Duration::from_secs(*at)).await;
                sender.send_replace(Arc::clone(links));
            }
            core::future::pending::<()>().await;
        };
        let aggregation = Aggregation { bond: 9, min_links };
        tokio::select! {
            () = aggregation.wait(links, "bond0") => started.elapsed(),
            () = changes => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_partner_is_waited_for_and_not_for_ever() {
        let silent = (0, machine(false, &[true, true]));
        assert_eq!(waited(core::slice::from_ref(&silent), 1).await, PARTNER_PATIENCE);
        let seven = Duration::from_secs(7);
        assert_eq!(waited(&[silent, (7, machine(true, &[true, true]))], 1).await, seven);
    }

    #[tokio::test(start_paused = true)]
    async fn enough_members_are_waited_for_and_others_a_little() {
        let one = (2, machine(true, &[true, false]));
        let late = Duration::from_secs(2) + MEMBERS_PATIENCE;
        assert_eq!(waited(core::slice::from_ref(&one), 1).await, late);
        assert_eq!(waited(core::slice::from_ref(&one), 2).await, PARTNER_PATIENCE);
        let both = [one, (3, machine(true, &[true, true]))];
        assert_eq!(waited(&both, 2).await, Duration::from_secs(3));
    }
}
