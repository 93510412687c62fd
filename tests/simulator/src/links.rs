//! The machine's links: NICs, and the bonds and VLANs that are made of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use netup::network::Kind;
use netup::network::Lacp;
use netup::network::Nic;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::cable::Jack;
use crate::meter::Meter;

/// Index of the first NIC: the loopback has 1.
const FIRST: u32 = 2;
/// MAC address of every switch.
const SWITCH: [u8; 6] = [0x02, 0, 0, 0, 0, 0xff];

/// All links, and how they hang together.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) sender: watch::Sender<Arc<Vec<Nic>>>,
    jacks: Vec<Arc<Jack>>,
    meter: Arc<Meter>,
    /// Whether the bond speaks LACP.
    pub(crate) lacp: AtomicBool,
}

impl Links {
    /// NICs for these jacks. Lets time pass for their cables.
    pub(crate) fn start(jacks: Vec<Arc<Jack>>, meter: Arc<Meter>) -> Arc<Self> {
        let mut all = vec![Nic { loopback: true, up: true, ..Nic::ethernet(1, "lo", [0; 6]) }];
        for (number, index) in (0_u8..).zip(FIRST..).take(jacks.len()) {
            let mac = [0x52, 0x54, 0, 0, 0, number + 1];
            all.push(Nic::ethernet(index, &format!("eth{number}"), mac));
        }
        let sender = watch::Sender::new(Arc::new(all));
        let links = Arc::new(Self { sender, jacks, meter, lacp: AtomicBool::new(false) });
        for (jack, index) in links.jacks.iter().zip(FIRST..) {
            tokio::spawn(follow_cable(Arc::clone(&links), index, Arc::clone(jack)));
        }
        links
    }

    /// Changes one link, as the kernel would; `None` if there is none.
    pub(crate) fn change(&self, index: u32, change: impl FnOnce(&mut Nic)) -> Option<()> {
        let mut all = Vec::clone(&self.sender.borrow());
        change(all.iter_mut().find(|nic| nic.index == index)?);
        self.replace(all);
        Some(())
    }

    /// Makes a link, or finds the one that has that index.
    pub(crate) fn make(&self, nic: Nic) -> u32 {
        let mut all = Vec::clone(&self.sender.borrow());
        let index = nic.index;
        if !all.iter().any(|known| known.index == index) {
            all.push(nic);
            self.replace(all);
        }
        index
    }

    pub(crate) fn remove(&self, index: u32) {
        let mut all = Vec::clone(&self.sender.borrow());
        all.retain(|nic| nic.index != index);
        self.replace(all);
    }

    fn replace(&self, mut all: Vec<Nic>) {
        self.settle(&mut all);
        self.sender.send_if_modified(|known| {
            let changed = **known != all;
            if changed {
                *known = Arc::new(all);
            }
            changed
        });
    }

    /// What follows for links that are made of others.
    fn settle(&self, all: &mut [Nic]) {
        let (now, lacp) = (self.meter.now(), self.lacp.load(Ordering::Relaxed));
        for nic in all.iter_mut().filter(|nic| nic.controller.is_some()) {
            let agreed = self.jack(nic.index).is_some_and(|jack| jack.aggregates(now));
            nic.lacp = lacp.then_some(Lacp { ready: agreed && nic.carrier });
        }
        let below = all.to_vec();
        for bond in all.iter_mut().filter(|nic| matches!(nic.kind, Kind::Bond { .. })) {
            let members = || below.iter().filter(|nic| nic.controller == Some(bond.index));
            let partner = members().any(|member| member.lacp.is_some_and(|lacp| lacp.ready));
            bond.carrier = bond.up && members().any(|member| member.carrier);
            bond.kind = Kind::Bond { partner: partner.then_some(SWITCH) };
        }
        let below = all.to_vec();
        for nic in all {
            if let Kind::Vlan { parent, .. } = nic.kind {
                let carried = below.iter().any(|nic| nic.index == parent && nic.carrier);
                nic.carrier = nic.up && carried;
            }
        }
    }

    /// Where a NIC is plugged in; `None` for a link that is made of others.
    pub(crate) fn jack(&self, index: u32) -> Option<&Arc<Jack>> {
        self.jacks.get(usize::try_from(index.checked_sub(FIRST)?).ok()?)
    }

    /// Where packets of a link go to now; `None` if a switch drops them.
    pub(crate) fn way(&self, index: u32) -> Option<&Arc<Jack>> {
        let all = Arc::clone(&self.sender.borrow());
        let (bottom, tag) = bottom(&all, index)?;
        let jack = self.any_jack(index)?;
        let bonded = matches!(bottom.kind, Kind::Bond { .. });
        let waits = self.lacp.load(Ordering::Relaxed)
            && jack.segment.lacp.is_some()
            && !jack.aggregates(self.meter.now());
        (jack.segment.tag == tag && !(bonded && waits)).then_some(jack)
    }

    /// Where a link is plugged in, be it in use or not: the first member of a bond that has a carrier,
    /// else any.
    pub(crate) fn any_jack(&self, index: u32) -> Option<&Arc<Jack>> {
        let all = Arc::clone(&self.sender.borrow());
        let (bottom, _) = bottom(&all, index)?;
        let members = || all.iter().filter(|nic| nic.controller == Some(bottom.index));
        let member = members().find(|member| member.carrier).or_else(|| members().next());
        self.jack(member.unwrap_or(bottom).index)
    }
}

/// The link that a VLAN is above, and its tag; else the link itself.
fn bottom(all: &[Nic], index: u32) -> Option<(&Nic, Option<u16>)> {
    let find = |index| all.iter().find(|nic| nic.index == index);
    let nic = find(index)?;
    match nic.kind {
        Kind::Vlan { id, parent } => Some((find(parent)?, Some(id))),
        _ => Some((nic, None)),
    }
}

async fn follow_cable(links: Arc<Links>, index: u32, jack: Arc<Jack>) {
    let start = tokio::time::Instant::now();
    for (number, toggle) in jack.cable.toggles.iter().enumerate() {
        sleep_until(start + *toggle).await;
        let plugged = number % 2 == 0;
        let _ = links.change(index, |nic| nic.carrier = nic.up && plugged);
        if let Some(takes) = jack.segment.lacp.filter(|_| plugged) {
            let (links, at) = (Arc::clone(&links), start + *toggle + takes);
            tokio::spawn(async move {
                sleep_until(at).await;
                // What follows is seen by whatever looks at all links.
                let _ = links.change(index, |_| {});
            });
        }
    }
}
