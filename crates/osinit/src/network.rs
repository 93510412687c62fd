//! The machine's way to the Internet, as the hand-over says.

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

/// Where programs look names up.
pub(crate) fn resolv_conf(link: &netup::Link) -> String {
    link.dns.iter().map(|server| format!("nameserver {server}\n")).collect()
}
