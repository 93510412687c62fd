//! Strangers: everybody who has no tunnel.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use lab::Client;

use super::CUSTOMER;
use super::HOST;
use super::INSIDE;
use super::NAME;
use super::RESOLVER;
use super::SERVER;
use super::STAFF;
use super::STRANGER;

/// Ports that a server might have open by mistake.
const PORTS: &str = "21 22 23 25 53 80 111 123 323 443 853 953 1080 2222 3128 5353 7443 8053 8080 \
                     8953 9001 9030 9050 9051 51820";

/// Asserts that a stranger finds nothing open but what staff needs.
///
/// # Errors
/// What else is open.
pub fn finds_nothing(lab: &mut Client) -> Result<()> {
    for source in [STRANGER, CUSTOMER] {
        let open = open_ports(lab, source)?;
        ensure!(open == [provision::PORT], "open to a stranger: {open:?}");
    }
    let open = open_ports(lab, STAFF)?;
    ensure!(open == [22, provision::PORT], "open to the address of staff: {open:?}");
    Ok(())
}

/// Asserts that the resolver does not answer outside the tunnel, neither to whoever asks nor to
/// somebody who pretends to be a customer.
///
/// # Errors
/// If it answers.
pub fn gets_no_names(lab: &mut Client) -> Result<()> {
    let asks = |lab: &mut Client, source: &str, server: &str| -> Result<bool> {
        let server = format!("@{server}");
        let argv = ["timeout", "6", "drill", "-I", source, NAME.0, &server];
        Ok(lab.run(&argv)?.text().contains("NOERROR"))
    };
    ensure!(asks(lab, STRANGER, RESOLVER)?, "the lab's own name server does not answer");
    ensure!(!asks(lab, STRANGER, SERVER)?, "the resolver answers a stranger");
    let (inside, customer) = INSIDE;
    lab.script(&format!(
        "ip address add {customer}/32 dev lo
         ip route add {inside}/32 via {SERVER} dev eth0"
    ))?;
    let answered = asks(lab, customer, inside)? || asks(lab, STRANGER, inside)?;
    lab.script(&format!(
        "ip route del {inside}/32
         ip address del {customer}/32 dev lo"
    ))?;
    ensure!(!answered, "the resolver's inner address can be reached without the tunnel");
    Ok(())
}

/// Asserts that the server is no router for those without a tunnel: not even for somebody who
/// pretends to have the address of a customer. The page is where customers fetch it.
///
/// # Errors
/// If it is.
pub fn is_not_routed(lab: &mut Client, port: u16) -> Result<()> {
    let fetched = |lab: &mut Client| -> Result<bool> {
        let url = format!("http://{HOST}:{port}/page");
        Ok(lab.run(&["curl", "-sS", "--max-time", "6", &url])?.is_success())
    };
    ensure!(fetched(lab)?, "the page cannot be fetched at all");
    let (_, customer) = INSIDE;
    lab.script(&format!("ip route add {HOST}/32 via {SERVER} dev eth0"))?;
    let routed = fetched(lab)?;
    lab.script(&format!(
        "ip address add {customer}/32 dev lo
         ip route change {HOST}/32 via {SERVER} dev eth0 src {customer}"
    ))?;
    let pretended = fetched(lab)?;
    lab.script(&format!(
        "ip route del {HOST}/32
         ip address del {customer}/32 dev lo"
    ))?;
    ensure!(!routed, "the server routes for a stranger");
    ensure!(!pretended, "the server routes for whoever takes a customer's address");
    Ok(())
}

/// Which of the ports take a TCP connection.
///
/// # Errors
/// If it cannot be tried.
pub fn open_ports(lab: &mut Client, source: &str) -> Result<Vec<u16>> {
    let script = format!(
        "for port in {PORTS}; do (nc.openbsd -z -w 5 -s {source} {SERVER} $port && echo $port) & done; wait"
    );
    let output = lab.run_with(&["sh", "-c", &script], b"", Duration::from_secs(60))?;
    let mut open: Vec<u16> =
        output.text().lines().filter_map(|it| it.trim().parse().ok()).collect();
    open.sort_unstable();
    Ok(open)
}
