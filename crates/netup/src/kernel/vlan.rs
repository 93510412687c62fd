//! Links for the packets of another link that have a tag.

use rtnetlink::LinkVlan;

use super::netlink::Netlink;
use crate::network::Kind;
use crate::network::NetworkError;
use crate::network::Nic;

/// Longest name of an interface, in bytes.
const MAX_NAME: usize = 15;

/// Makes the link, unless it is there, and returns its index.
pub(super) async fn make(netlink: &Netlink, parent: u32, id: u16) -> Result<u32, NetworkError> {
    let what = format!("making a link for VLAN {id}");
    let wanted = Kind::Vlan { id, parent };
    let links = netlink.links().await?;
    if let Some(there) = links.iter().find(|nic| nic.kind == wanted) {
        return Ok(there.index);
    }
    let Some(below) = links.iter().find(|nic| nic.index == parent) else {
        return Err(NetworkError::new(what, "the NIC is gone"));
    };
    let name = name(below, id);
    if links.iter().any(|nic| nic.name == name) {
        let reason = format!("there is another interface with the name {name}: remove it");
        return Err(NetworkError::new(what, reason));
    }
    netlink.create(LinkVlan::new(&name, parent, id).build(), &what).await.map_err(|error| {
        let reason = format!("{error} (does this kernel have CONFIG_VLAN_8021Q?)");
        NetworkError::new(&below.name, reason)
    })?;
    let links = netlink.links().await?;
    let made = links.iter().find(|nic| nic.kind == wanted);
    made.map(|nic| nic.index).ok_or_else(|| NetworkError::new(what, "it is gone again"))
}

/// `eth0.100`, or `vlan100-2` where the NIC's own name leaves no room.
fn name(below: &Nic, id: u16) -> String {
    let name = format!("{}.{id}", below.name);
    if name.len() <= MAX_NAME { name } else { format!("vlan{id}-{}", below.index) }
}

#[cfg(test)]
mod tests {
    use super::MAX_NAME;
    use super::name;
    use crate::network::Nic;

    #[test]
    fn names_fit() {
        let below = |name: &str| Nic::ethernet(7, name, [2; 6]);
        assert_eq!(name(&below("eth0"), 100), "eth0.100");
        assert_eq!(name(&below("enx525400123456"), 4094), "vlan4094-7");
        let far = Nic::ethernet(99_999, "enx525400123456", [2; 6]);
        assert!(name(&far, 4094).len() <= MAX_NAME);
    }
}
