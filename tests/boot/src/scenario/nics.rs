//! NICs, and what is at the far end of their cables.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use xtask::harness::BootOptions;
use xtask::harness::LinkChange;
use xtask::harness::Netdev;
use xtask::harness::Nic;

use super::Scenario;
use crate::lab_vm;
use crate::wire::Cable;
use crate::wire::Faults;

/// What is at the far end of a NIC's cable.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// QEMU's user network behind a cable with these faults.
    Cable(Faults),
    /// QEMU's user network.
    Network,
    /// QEMU's user network, but the cable is not plugged in before so much time has passed.
    PluggedAfter(Duration),
    /// No cable is plugged in.
    Unplugged,
    /// The lab VM's cable of this number.
    Lab(usize),
}

impl Scenario {
    /// Without any NIC, until one is added. A new scenario has one, on QEMU's user network.
    #[must_use]
    pub fn no_nic(mut self) -> Self {
        self.nics.clear();
        self
    }

    /// With one more NIC, on a cable of ours with these faults.
    #[must_use]
    pub fn and_cable(mut self, faults: Faults) -> Self {
        self.nics.push(End::Cable(faults));
        self
    }

    /// With one NIC only, on a cable of ours with these faults.
    #[must_use]
    pub fn cable(self, faults: Faults) -> Self {
        self.no_nic().and_cable(faults)
    }

    /// With one NIC only, that has no cable.
    #[must_use]
    pub fn unplugged(mut self) -> Self {
        self.nics = vec![End::Unplugged];
        self
    }

    /// With one NIC only, whose cable is plugged in so much time after power-on.
    #[must_use]
    pub fn plugged_after(mut self, time: Duration) -> Self {
        self.nics = vec![End::PluggedAfter(time)];
        self
    }

    /// With so many NICs, on the lab VM's cables.
    #[must_use]
    pub fn lab_cables(mut self, number: usize) -> Self {
        self.nics = (0..number).map(End::Lab).collect();
        self
    }

    /// With a NIC whose cable is plugged or pulled so much time after power-on. One whose first
    /// change is that it is plugged was not plugged before.
    #[must_use]
    pub fn link_change(mut self, nic: usize, after: Duration, up: bool) -> Self {
        self.link_changes.push(LinkChange { after, nic, up });
        self
    }

    /// With these as the lab VM's cables.
    pub(crate) fn wired(mut self, wires: Vec<Netdev>) -> Self {
        self.wires = wires;
        self
    }

    /// Plugs every NIC in where it belongs.
    pub(super) fn lay_cables(
        &self,
        directory: &Path,
        options: &mut BootOptions,
    ) -> Result<Vec<Cable>> {
        options.nics.clear();
        let mut cables = Vec::new();
        for (index, end) in (0..).zip(&self.nics) {
            let model = self.hardware.model_of(index);
            let unplugged = Nic { link_up: false, ..Nic::new(model) };
            options.nics.push(match end {
                End::Cable(faults) => {
                    let cable = Cable::lay(directory, index, *faults)?;
                    let nic = cable.nic(model);
                    options.qemu_args.extend(cable.qemu_args());
                    cables.push(cable);
                    nic
                }
                End::Network => Nic::new(model),
                End::PluggedAfter(after) => {
                    let change = LinkChange { after: *after, nic: index.into(), up: true };
                    options.link_changes.push(change);
                    unplugged
                }
                End::Unplugged => unplugged,
                End::Lab(cable) => {
                    let wire = self.wires.get(*cable).context("no lab VM has this cable")?;
                    Nic::new(lab_vm::MODEL).on(wire.clone())
                }
            });
        }
        for change in self.link_changes.iter().rev() {
            let nic = options.nics.get_mut(change.nic).context("a cable of no NIC")?;
            nic.link_up = !change.up;
        }
        options.link_changes.extend(&self.link_changes);
        Ok(cables)
    }
}
