//! NICs, and the proof that they work: an address by DHCP, and an answer from the gateway.

use core::fmt;
use std::fs;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;
use hostcfg::Addressing;
use hostcfg::InterfaceSelector;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use serde::Serialize;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::link_name;
use super::names_in;
use super::read_trimmed;

/// How long a gateway may take to say its hardware address.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_secs(2);

/// One network interface but the loopback.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NicFact {
    name: String,
    driver: Option<String>,
    mac: String,
    /// After it was switched on.
    carrier: bool,
    /// Whether packets went out and came back: it has a lease.
    works: bool,
    /// From a lease, with prefix length.
    address: Option<String>,
    dhcp_server: Option<String>,
    gateway: Option<String>,
    /// Whether the gateway's hardware address was learnt by asking for it.
    gateway_answers: Option<bool>,
    /// From switching on to the lease, in milliseconds.
    lease_ms: Option<u64>,
    /// Why it does not work.
    problem: Option<String>,
}

impl fmt::Display for NicFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = self.driver.as_deref().unwrap_or("no driver");
        let carrier = if self.carrier { "carrier" } else { "no carrier" };
        write!(f, "{} {driver} {} {carrier}", self.name, self.mac)?;
        match (&self.address, &self.problem) {
            (Some(address), _) => write!(f, ", leased {address}"),
            (None, Some(problem)) => write!(f, ", {problem}"),
            (None, None) => Ok(()),
        }
    }
}

/// All interfaces; each is brought up and asks for a lease, side by side.
pub(super) fn gather(sys: &Path, patience: Duration) -> Vec<NicFact> {
    let net = sys.join("class/net");
    let names: Vec<String> =
        names_in(&net).into_iter().filter(|name| net.join(name).join("device").exists()).collect();
    let leases = if patience.is_zero() { None } else { lease_all(&names, patience) };
    let mut leases = leases.unwrap_or_default().into_iter();
    names.iter().map(|name| fact(&net.join(name), name, leases.next())).collect()
}

fn fact(directory: &Path, name: &str, lease: Option<Result<Leased, String>>) -> NicFact {
    let mut fact = NicFact {
        name: name.to_owned(),
        driver: link_name(&directory.join("device/driver")),
        mac: read_trimmed(directory, "address"),
        carrier: read_trimmed(directory, "carrier") == "1",
        works: false,
        address: None,
        dhcp_server: None,
        gateway: None,
        gateway_answers: None,
        lease_ms: None,
        problem: None,
    };
    match lease {
        Some(Ok(leased)) => {
            fact.works = true;
            // The link is switched off again once the lease is given up.
            fact.carrier = true;
            fact.address = leased.link.addresses.first().map(ToString::to_string);
            fact.dhcp_server = leased.link.dhcp_server.map(|server| server.to_string());
            fact.gateway = leased.link.gateway().map(|gateway| gateway.to_string());
            fact.gateway_answers = leased.gateway_answers;
            fact.lease_ms = u64::try_from(leased.after.as_millis()).ok();
        }
        Some(Err(problem)) => fact.problem = Some(problem),
        None => {}
    }
    fact
}

/// What a NIC got.
struct Leased {
    link: Link,
    gateway_answers: Option<bool>,
    after: Duration,
}

fn lease_all(names: &[String], patience: Duration) -> Option<Vec<Result<Leased, String>>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().ok()?;
    Some(runtime.block_on(join_all(names.iter().map(|name| lease(name, patience)))))
}

async fn lease(name: &str, patience: Duration) -> Result<Leased, String> {
    let plan = Plan {
        interfaces: vec![InterfaceSelector {
            name: Some(name.to_owned()),
            ..InterfaceSelector::default()
        }],
        ..Plan::new(Addressing::Dhcp)
    };
    let started = Instant::now();
    let deadline = tokio::time::Instant::now() + patience;
    let connected = netup::connect(&plan, deadline, async |_| Ok::<(), ProbeError>(()))
        .await
        .map_err(|error| error.failure.to_string())?;
    let after = started.elapsed();
    let gateway_answers = match connected.link.gateway() {
        Some(gateway) => Some(answers(&connected.link, gateway).await),
        None => None,
    };
    Ok(Leased { link: connected.link.clone(), gateway_answers, after })
}

/// Whether the gateway tells its hardware address: this NIC's packets reach it, and its answers us.
async fn answers(link: &Link, gateway: IpAddr) -> bool {
    let Some(address) = link.addresses.first() else { return false };
    let Ok(socket) = bound(link, address.address()) else { return false };
    let started = Instant::now();
    while started.elapsed() < NEIGHBOUR_PATIENCE {
        // Port 9 (discard): what counts is that the kernel has to find the neighbour first.
        let _ = socket.send_to(b"", (gateway, 9));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let table = fs::read_to_string("/proc/net/arp").unwrap_or_default();
        if is_known(&table, &gateway.to_string(), &link.interface) {
            return true;
        }
    }
    false
}

/// A socket whose packets leave over this link and no other, whatever the routes say.
fn bound(link: &Link, address: IpAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, None)?;
    socket.bind_device(Some(link.interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    Ok(socket.into())
}

/// Whether the kernel's ARP table has a complete entry for an address on an interface.
fn is_known(table: &str, address: &str, interface: &str) -> bool {
    const COMPLETE: u32 = 0x2;
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, flags, _, _, device] = fields[..] else { return false };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or_default();
        ip == address && device == interface && flags & COMPLETE != 0
    })
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn only_a_complete_entry_of_that_interface_counts() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.2.2         0x1         0x2         52:55:0a:00:02:02     *        eth0\n\
                     10.0.2.3         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        assert!(is_known(table, "10.0.2.2", "eth0"));
        assert!(!is_known(table, "10.0.2.2", "eth1"));
        assert!(!is_known(table, "10.0.2.3", "eth0"));
        assert!(!is_known(table, "10.0.2.4", "eth0"));
    }
}
