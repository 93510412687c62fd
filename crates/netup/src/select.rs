//! Which NICs are meant.

use hostcfg::InterfaceSelector;

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
/// The MAC address of an entry decides. Its name is used if it has none, and, with `by_name_too`,
/// if no NIC has that MAC address. Parts of a bond or bridge are left out, other than those of the
/// bond with index `bond`.
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
        let candidates = || links.iter().filter(|nic| !nic.loopback && nic.mac.is_some());
        let by_mac =
            entry.mac.and_then(|mac| candidates().filter(free).find(|nic| nic.has_mac(&mac)));
        let by_name = || {
            let name = entry.name.as_ref()?;
            candidates().filter(free).find(|nic| nic.name == *name)
        };
        let found = match by_mac {
            Some(nic) => Some(nic),
            None if entry.mac.is_none() || by_name_too => by_name(),
            None => None,
        };
        match found {
            Some(nic) if selection.nics.iter().any(|known| known.index == nic.index) => {}
            Some(nic) => selection.nics.push(nic),
            None => selection.missing.push(entry),
        }
    }
    selection.nics.truncate(MAX_NICS);
    selection
}

/// An entry as text, such as `52:54:00:12:34:56 (eth0)`.
pub(crate) fn describe_entry(entry: &InterfaceSelector) -> String {
    match (&entry.mac, &entry.name) {
        (Some(mac), Some(name)) => format!("{mac} ({name})"),
        (Some(mac), None) => mac.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => "an empty entry".to_owned(),
    }
}

/// The NICs that there are as text, such as `eth0 (52:54:00:12:34:56)`.
pub(crate) fn describe_nics(links: &[Nic]) -> String {
    let nics: Vec<String> = links
        .iter()
        .filter(|nic| nic.is_usable())
        .take(MAX_NICS)
        .map(|nic| format!("{} ({})", nic.name, nic.mac_text()))
        .collect();
    if nics.is_empty() { "none".to_owned() } else { nics.join(", ") }
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
    fn what_is_not_there_is_named() {
        let links = machine();
        let wanted =
            [entry(Some("eth7"), None), entry(Some("lo"), None), entry(Some("eth2"), None)];
        let selection = select(&links, &wanted, true, None);
        assert!(selection.nics.is_empty());
        assert_eq!(selection.missing.len(), 3);
    }
}
