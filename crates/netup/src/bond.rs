//! Several NICs as one.

use std::collections::BTreeSet;

use hostcfg::Bonding;

use crate::network::Network;
use crate::network::NetworkError;
use crate::network::Nic;

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
    /// Makes the bond, switched on.
    pub(crate) async fn create(
        network: &dyn Network,
        bonding: &Bonding,
    ) -> Result<Self, NetworkError> {
        let name = bonding.name.clone();
        let index = network.make_bond(bonding, None).await?;
        tracing::info!("{name}: bond, {}", bonding.mode);
        Ok(Self { index, name, members: BTreeSet::new(), told: BTreeSet::new() })
    }

    /// Makes these NICs members of the bond, as far as they are not.
    pub(crate) async fn join(&mut self, network: &dyn Network, nics: &[&Nic]) {
        for nic in nics {
            // What is known of a NIC may be older than its joining.
            if nic.index == self.index || self.members.contains(&nic.index) {
                continue;
            }
            match network.join_bond(self.index, nic.index, false).await {
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
}
