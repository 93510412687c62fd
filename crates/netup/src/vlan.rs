//! The VLAN of a plan: one link with the tag above each NIC that is tried, or above the bond.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::network::Network;
use crate::network::Nic;
use crate::nic::set_mtu;
use crate::plan::Plan;

/// The links that were made for a plan.
#[derive(Debug)]
pub(crate) struct Vlans {
    id: u16,
    /// By the index of the link below.
    made: BTreeMap<u32, u32>,
    /// Refusals that have been told, so that each is told once.
    told: BTreeSet<String>,
}

impl Vlans {
    pub(crate) const fn new(id: u16) -> Self {
        Self { id, made: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// Sees to it that each of these has such a link, and returns those. What fails is tried again
    /// with the next call.
    pub(crate) async fn above(
        &mut self,
        network: &dyn Network,
        plan: &Plan,
        links: &[Nic],
        below: &[&Nic],
    ) -> Vec<u32> {
        // The kernel removes them with their NIC.
        self.made.retain(|below, _| links.iter().any(|nic| nic.index == *below));
        let mut all = Vec::new();
        for nic in below {
            let above = match self.made.get(&nic.index) {
                Some(above) => Ok(*above),
                None => self.make(network, plan, nic).await,
            };
            match above {
                Ok(above) => all.push(above),
                Err(line) => {
                    if self.told.insert(line.clone()) {
                        tracing::warn!("{line}");
                    }
                }
            }
        }
        all
    }

    async fn make(&mut self, network: &dyn Network, plan: &Plan, nic: &Nic) -> Result<u32, String> {
        let line = |error| format!("{}: {error}", nic.name);
        if !nic.up {
            network.prepare(nic, true);
            set_mtu(network, plan, nic).await;
            // The link above can be switched on only if the one below is.
            network.up(nic.index).await.map_err(line)?;
        }
        let above = network.make_vlan(nic.index, self.id).await.map_err(line)?;
        self.made.insert(nic.index, above);
        tracing::info!("{}: VLAN {}", nic.name, self.id);
        Ok(above)
    }

    /// Removes the link, if it is one of these, and returns the one below.
    pub(crate) async fn remove(&mut self, network: &dyn Network, above: u32) -> Option<u32> {
        let below = self.made.iter().find(|(_, made)| **made == above).map(|(below, _)| *below)?;
        self.made.remove(&below);
        if let Err(error) = network.remove(above).await {
            tracing::warn!("VLAN {}: {error}", self.id);
        }
        Some(below)
    }

    /// Why there is none, or `None` if nothing was refused.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.told.iter().next().map(String::as_str)
    }
}
