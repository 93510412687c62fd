//! Rulesets brought to the kernel, each in one transaction.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::process;
use crate::process::Program;
use crate::process::Rights;

const NFT: &str = "/usr/sbin/nft";

/// The ruleset of a machine that waits or is being left.
pub(crate) const WAITING: &str = "/etc/ramstrap/firewall-waiting.nft";

/// Switches that let packets through the machine.
const FORWARDING: [&str; 2] =
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// How often a firewall that did not stand is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// Puts up the ruleset of a machine that waits, and adds the ports that upgrades come from.
///
/// # Errors
/// What nft says.
pub(crate) async fn close(fetch_ports: &BTreeSet<u16>) -> Result<(), String> {
    let nft = Program::new(NFT, &["-f", WAITING], Rights::All);
    process::run(&nft, None).await?;
    if fetch_ports.is_empty() {
        return Ok(());
    }
    let ports: Vec<String> = fetch_ports.iter().map(ToString::to_string).collect();
    apply(&format!("add element inet ramstrap fetch_ports {{ {} }}\n", ports.join(", "))).await
}

/// As [`close()`], until it stands: without it no link goes up.
pub(crate) async fn stand(fetch_ports: &BTreeSet<u16>) {
    while let Err(error) = close(fetch_ports).await {
        console::line(&format!(
            "the firewall does not stand, so the network stays off: {error}; trying again in {} s",
            PAUSE.as_secs()
        ));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Applies a ruleset.
///
/// # Errors
/// What nft says; nothing has changed then.
pub(crate) async fn apply(ruleset: &str) -> Result<(), String> {
    feed(&["-f", "-"], ruleset).await
}

/// Whether the kernel would take a ruleset.
///
/// # Errors
/// What nft says.
pub(crate) async fn check(ruleset: &str) -> Result<(), String> {
    feed(&["-c", "-f", "-"], ruleset).await
}

async fn feed(arguments: &[&str], ruleset: &str) -> Result<(), String> {
    let input = process::input(ruleset).map_err(|error| format!("nft: {error}"))?;
    process::run(&Program::new(NFT, arguments, Rights::All), Some(input)).await
}

/// Lets packets through, or not. Only ever after a ruleset that says which.
///
/// # Errors
/// The kernel's answer.
pub(crate) fn forward(yes: bool) -> Result<(), String> {
    for switch in FORWARDING {
        fs::write(switch, if yes { "1" } else { "0" })
            .map_err(|error| format!("{switch}: {error}"))?;
    }
    Ok(())
}

/// Makes the kernel forget all connections that it knows. Best effort.
pub(crate) fn forget_connections() {
    // struct nlmsghdr: length, type (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE), flags
    // (NLM_F_REQUEST | NLM_F_ACK), sequence, port; struct nfgenmsg: family (all), version, resource.
    let mut message = Vec::with_capacity(20);
    message.extend_from_slice(&20_u32.to_ne_bytes());
    message.extend_from_slice(&0x0102_u16.to_ne_bytes());
    message.extend_from_slice(&0x0005_u16.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_NETFILTER)),
    );
    if let Ok(socket) = socket {
        // The kernel works while this is being sent.
        let _ = socket.send(&message);
    }
}
