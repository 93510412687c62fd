//! IPv6 in the tunnel: what is said of customers and strangers by IPv4 is true of it as well.

use anyhow::Result;
use anyhow::ensure;
use lab::Client;

use super::INSIDE6;
use super::NAME;
use super::customer;
use super::traces;

/// The server's address on the network outside. Staff gives it by hand: the host configuration of
/// this machine has it ask for an IPv4 address.
pub const SERVER: &str = "2001:db8:2::15";

/// The lab VM's address there: the web server behind the VPN server.
const WEB: &str = "2001:db8:2::80";

/// Gives server and lab VM their addresses outside.
///
/// # Errors
/// If staff cannot log in, or a tool fails.
pub fn set_up(lab: &mut Client) -> Result<()> {
    join(lab)?;
    // busybox's `ip` knows no `nodad`: the kernel asks for a second or two whether it is taken.
    traces::ssh(lab, &format!("ip -6 address add {SERVER}/64 dev eth0; sleep 3")).map(drop)
}

/// Gives the lab VM its address outside.
///
/// # Errors
/// If a tool fails.
pub fn join(lab: &mut Client) -> Result<()> {
    lab.script(&format!("ip -6 address add {WEB}/64 dev eth0 nodad"))
}

/// Asserts that a customer gets pages and names, and appears behind the server's address.
///
/// # Errors
/// If not.
pub fn carries(lab: &mut Client) -> Result<()> {
    let who = customer::who_asks(lab, &format!("[{WEB}]"))?;
    ensure!(who.contains(SERVER), "the web server sees the customer as {who}");
    customer::resolve_by(lab, INSIDE6.0)
}

/// Asserts that there is no way into the tunnel but through the tunnel: neither to the customer nor to
/// the resolver.
///
/// # Errors
/// If there is.
pub fn is_closed(lab: &mut Client) -> Result<()> {
    let (inside, customer) = INSIDE6;
    lab.script(&format!(
        "ip -6 route add {customer}/128 via {SERVER} dev eth0
         ip -6 route add {inside}/128 via {SERVER} dev eth0"
    ))?;
    let pinged = lab.run(&["ping", "-6", "-c3", "-W2", customer])?.is_success();
    let argv = ["timeout", "6", "drill", NAME.0, &format!("@{inside}")];
    let answered = lab.run(&argv)?.text().contains("NOERROR");
    lab.script(&format!(
        "ip -6 route del {customer}/128
         ip -6 route del {inside}/128"
    ))?;
    ensure!(!pinged, "a stranger reaches the customer inside the tunnel by IPv6");
    ensure!(!answered, "the resolver answers a stranger by IPv6");
    Ok(())
}
