//! Which NICs are meant.

use hostcfg::InterfaceSelector;

use crate::network::Kind;
use crate::network::Nic;

/// Most NICs that are tried.
pub(crate) const MAX_NICS: usize = 64;

/// What was found of what is wanted.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    /// NICs to use, each once.
    pub(crate) nics: Vec<&'a Nic>,
    /// Entries of the configuration that no NIC matches.
    pub(crate) missing: Vec<&'a InterfaceSelector>,
}

/// Picks the NICs that the configuration lists, or else all that are Ethernet.
///
/// The MAC address of an entry decides. What else it says is used if it has none, and, with
/// `by_name_too`, if no NIC has that MAC address: name, place on the PCI bus and driver, as far as
/// they are given, must all be the NIC's; an entry with neither MAC address nor name is about all
/// NICs that match. Parts of a bond or bridge are left out, other than those of the bond with index
/// `bond`.
pub(crate) fn select<'a>(
    links: &'a [Nic],
    wanted: &'a [InterfaceSelector],
    by_name_too: bool,
    bond: Option<u32>,
) -> Selection<'a> {
    let free = |nic: &&Nic| nic.controller.is_none() || nic.controller == bond;
    let mut selection = Selection::default();
    if wanted.is_empty() {
        selection.nics = links.iter().filter(|nic| nic.is_usable()).filter(free).collect();
    }
    for entry in wanted {
        let candidates = || {
            links
                .iter()
                .filter(|nic| !nic.loopback && nic.mac.is_some() && !is_tagged(nic))
                .filter(free)
        };
        let mut found: Vec<&Nic> = Vec::new();
        if let Some(mac) = &entry.mac {
            found.extend(candidates().find(|nic| nic.has_mac(mac)));
        }
        if found.is_empty() && (entry.mac.is_none() || by_name_too) {
            found = candidates().filter(|nic| is_meant(entry, nic)).collect();
        }
        if found.is_empty() {
            selection.missing.push(entry);
        }
        for nic in found {
            if !selection.nics.iter().any(|known| known.index == nic.index) {
                selection.nics.push(nic);
            }
        }
    }
    selection.nics.truncate(MAX_NICS);
    selection
}

/// Whether it is a VLAN of another link, whose MAC address it has.
const fn is_tagged(nic: &Nic) -> bool {
    matches!(nic.kind, Kind::Vlan { .. })
}

/// Whether an entry is about a NIC, its MAC address aside.
fn is_meant(entry: &InterfaceSelector, nic: &Nic) -> bool {
    let matches = |wanted: &Option<String>, there: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| there == Some(wanted))
    };
    let says_something = entry.name.is_some() || entry.pci_path.is_some() || entry.driver.is_some();
    says_something
        && matches(&entry.name, Some(&nic.name))
        && matches(&entry.pci_path, nic.pci_path.as_deref())
        && matches(&entry.driver, nic.driver.as_deref())
}

/// An entry as text, such as `52:54:00:12:34:56 (eth0)`.
pub(crate) fn describe_entry(entry: &InterfaceSelector) -> String {
    let InterfaceSelector { name, mac, pci_path, driver } = entry;
    let mut others: Vec<String> = name.iter().cloned().collect();
    others.extend(pci_path.iter().map(|place| format!("PCI {place}")));
    others.extend(driver.iter().map(|driver| format!("driver {driver}")));
    let others = others.join(", ");
    match mac {
        Some(mac) if others.is_empty() => mac.to_string(),
        Some(mac) => format!("{mac} ({others})"),
        None if others.is_empty() => "an empty entry".to_owned(),
        None => others,
    }
}

/// The NICs that there are as text, such as `eth0 (52:54:00:12:34:56, PCI 0000:00:03.0, driver e1000)`.
pub(crate) fn describe_nics(links: &[Nic]) -> String {
    let nics: Vec<String> =
        links.iter().filter(|nic| nic.is_usable()).take(MAX_NICS).map(describe_nic).collect();
    if nics.is_empty() { "none".to_owned() } else { nics.join(", ") }
}

fn describe_nic(nic: &Nic) -> String {
    let mut text = format!("{} ({}", nic.name, nic.mac_text());
    if let Some(place) = &nic.pci_path {
        text += &format!(", PCI {place}");
    }
    if let Some(driver) = &nic.driver {
        text += &format!(", driver {driver}");
    }
    text + ")"
}

#[cfg(test)]
mod tests {
    use hostcfg::InterfaceSelector;

    use super::select;
    use crate::network::Kind;
    use crate::network::Nic;

    fn nic(index: u32, name: &str) -> Nic {
        Nic::ethernet(index, name, [2, 0, 0, 0, 0, u8::try_from(index).unwrap()])
    }

    fn machine() -> Vec<Nic> {
        vec![
            Nic { loopback: true, mac: None, ..nic(1, "lo") },
            nic(2, "eth0"),
            nic(3, "eth1"),
            Nic { kind: Kind::Bond { partner: None }, ..nic(4, "bond0") },
            Nic { kind: Kind::OtherVirtual, ..nic(5, "dummy0") },
            Nic { controller: Some(4), ..nic(6, "eth2") },
            Nic { mac: None, ..nic(7, "ib0") },
        ]
    }

    fn entry(name: Option<&str>, mac: Option<&str>) -> InterfaceSelector {
        InterfaceSelector {
            name: name.map(str::to_owned),
            mac: mac.map(|mac| mac.parse().unwrap()),
            ..InterfaceSelector::default()
        }
    }

    fn names(wanted: &[InterfaceSelector], by_name_too: bool, bond: Option<u32>) -> Vec<String> {
        let links = machine();
        let selection = select(&links, wanted, by_name_too, bond);
        selection.nics.iter().map(|nic| nic.name.clone()).collect()
    }

    #[test]
    fn without_a_list_all_ethernet_nics_are_taken() {
        assert_eq!(names(&[], false, None), ["eth0", "eth1"]);
        assert_eq!(names(&[], false, Some(4)), ["eth0", "eth1", "eth2"]);
    }

    #[test]
    fn all_entries_count_and_none_twice() {
        let wanted = [
            entry(None, Some("02:00:00:00:00:03")),
            entry(Some("eth0"), None),
            entry(Some("eth1"), None),
        ];
        assert_eq!(names(&wanted, false, None), ["eth1", "eth0"]);
    }

    #[test]
    fn the_mac_address_decides() {
        let both = [entry(Some("eth0"), Some("02:00:00:00:00:03"))];
        assert_eq!(names(&both, true, None), ["eth1"]);
        let foreign = [entry(Some("eth0"), Some("02:00:00:00:00:99"))];
        assert!(names(&foreign, false, None).is_empty());
        assert_eq!(names(&foreign, true, None), ["eth0"]);
    }

    #[test]
    fn the_permanent_address_is_known_too() {
        let links = [Nic { permanent_mac: Some([9; 6]), ..nic(2, "eth0") }];
        let wanted = [entry(None, Some("09:09:09:09:09:09"))];
        assert_eq!(select(&links, &wanted, false, None).nics.len(), 1);
    }

    #[test]
    fn place_and_driver_pick_nics() {
        let at = |index: u32, place: &str, driver: &str| Nic {
            pci_path: Some(place.to_owned()),
            driver: Some(driver.to_owned()),
            ..nic(index, &format!("eth{index}"))
        };
        let links = [at(2, "0000:00:03.0", "e1000"), at(3, "0000:00:04.0", "e1000"), nic(4, "v0")];
        let names = |entry: InterfaceSelector| {
            let wanted = [entry];
            let selection = select(&links, &wanted, false, None);
            selection.nics.iter().map(|nic| nic.name.clone()).collect::<Vec<_>>()
        };
        let driver = |driver: &str| InterfaceSelector {
            driver: Some(driver.to_owned()),
            ..InterfaceSelector::default()
        };
        assert_eq!(names(driver("e1000")), ["eth2", "eth3"]);
        assert!(names(driver("igb")).is_empty());
        let place = Some("0000:00:04.0".to_owned());
        assert_eq!(
            names(InterfaceSelector { pci_path: place.clone(), ..driver("e1000") }),
            ["eth3"]
        );
        assert!(names(InterfaceSelector { pci_path: place, ..driver("igb") }).is_empty());
        assert!(names(InterfaceSelector::default()).is_empty(), "an empty entry is about nothing");
        let text = super::describe_nics(&links);
        assert!(
            text.contains("eth2 (02:00:00:00:00:02, PCI 0000:00:03.0, driver e1000)"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let links = machine();
        let wanted =
            [entry(Some("eth7"), None), entry(Some("lo"), None), entry(Some("eth2"), None)];
        let selection = select(&links, &wanted, true, None);
        assert!(selection.nics.is_empty());
        assert_eq!(selection.missing.len(), 3);
    }
}
