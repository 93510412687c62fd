//! The machine's way to the Internet, as the hand-over says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hostcfg::Addressing;
use hostcfg::InterfaceSelector;
use netup::Connected;
use netup::Plan;
use netup::ProbeError;
use tokio::time::Instant;

use crate::handover::HandOver;
use crate::random;

/// How long the NIC that the package came over is waited for before all others are tried, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two attempts, which take [`PATIENCE`] each as long as there is any hope.
const PAUSE: Duration = Duration::from_secs(5);

/// Brings up the network; tries for ever. The lease is kept as long as the answer lives.
pub(crate) async fn connect(handover: &HandOver) -> Connected<()> {
    let whole = plan(handover);
    let mut narrow = whole.clone();
    if let Some(mac) = handover.used_mac().and_then(|mac| mac.parse().ok())
        && narrow.bonding.is_none()
    {
        narrow.interfaces =
            vec![InterfaceSelector { mac: Some(mac), ..InterfaceSelector::default() }];
    }
    let mut said = String::new();
    loop {
        for plan in [&narrow, &whole] {
            match netup::connect(plan, Instant::now() + PATIENCE, has_address).await {
                Ok(connected) => return connected,
                Err(error) => {
                    let line = format!("no network yet: {}", error.failure);
                    if said != line {
                        console::line(&line);
                        said = line;
                    }
                }
            }
            tokio::time::sleep(random::jitter(PAUSE)).await;
        }
    }
}

/// A NIC with an address will do: nobody has to answer for staff to be let in.
async fn has_address(_: netup::Link) -> Result<(), ProbeError> {
    Ok(())
}

fn plan(handover: &HandOver) -> Plan {
    match &handover.host {
        Some(host) => Plan::from(host),
        None => Plan::new(Addressing::Dhcp),
    }
}

/// Tells programs where they look names up. Nothing is written where nothing has changed.
pub(crate) fn note_servers(file: &Path, link: &netup::Link) {
    let text = resolv_conf(link);
    if fs::read_to_string(file).is_ok_and(|known| known == text) {
        return;
    }
    // In its place: it may be a link to where programs without privileges see it.
    if let Err(error) = fs::write(file, &text) {
        console::line(&format!("{}: {error}", file.display()));
        return;
    }
    let servers: Vec<String> = link.dns.iter().map(ToString::to_string).collect();
    let servers = if servers.is_empty() { "none".to_owned() } else { servers.join(" ") };
    console::line(&format!("DNS servers: {servers}"));
}

fn resolv_conf(link: &netup::Link) -> String {
    link.dns.iter().map(|server| format!("nameserver {server}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use netup::Link;
    use netup::Method;

    use super::note_servers;

    fn link(dns: &[&str]) -> Link {
        Link {
            interface: "eth0".to_owned(),
            index: 2,
            mac: "52:54:00:12:34:56".to_owned(),
            method: Method::Dhcp,
            addresses: vec!["192.0.2.9/24".parse().unwrap()],
            gateways: Vec::new(),
            routes: Vec::new(),
            dns: dns.iter().map(|server| server.parse().unwrap()).collect(),
            search: Vec::new(),
            ntp: Vec::new(),
            dhcp_server: None,
            lease_seconds: None,
        }
    }

    #[test]
    fn programs_find_the_servers_of_the_newest_lease() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resolv.conf");
        for dns in [&["192.0.2.53"][..], &["192.0.2.54", "2001:db8::53"], &[]] {
            note_servers(&file, &link(dns));
            let expected: String = dns.iter().map(|it| format!("nameserver {it}\n")).collect();
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
    }
}
