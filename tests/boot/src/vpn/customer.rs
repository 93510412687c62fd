//! A customer: a namespace of the lab VM with nothing but a tunnel.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use lab::Client;
use lab::Output;

use super::CUSTOMER;
use super::HOST;
use super::INSIDE;
use super::INSIDE6;
use super::NAME;
use super::PORT;
use super::RESOLVER;
use super::SERVER;
use super::STAFF;
use super::STRANGER;
use super::WEB;
use super::secrets::Secrets;

/// How long a handshake may take. WireGuard tries again after five seconds.
const HANDSHAKE: Duration = Duration::from_secs(40);

/// A page that says who asks for it.
const WHO: &str = "#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo \"asked by $REMOTE_ADDR\"
";

/// Sets the lab VM up: its addresses, the name server and the web server behind the VPN server, and an
/// SSH key, whose public part is returned.
///
/// # Errors
/// If a tool fails.
pub fn set_up(lab: &mut Client) -> Result<String> {
    lab.put(
        "/etc/passwd",
        0o644,
        b"root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    lab.put("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    // Something for a namespace's own one to lie over.
    lab.put("/etc/resolv.conf", 0o644, b"")?;
    lab.script(&format!(
        "ip link set eth0 up
         ip address add {CUSTOMER}/24 dev eth0
         ip address add {STRANGER}/24 dev eth0
         ip address add {RESOLVER}/24 dev eth0
         ip address add {STAFF}/24 dev eth0"
    ))?;
    lab.must(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/run/staff"])?;
    lab.put("/srv/cgi-bin/who", 0o755, WHO.as_bytes())?;
    lab.start(&["busybox", "httpd", "-f", "-p", &format!("[::]:{WEB}"), "-h", "/srv"])?;
    let (name, address) = NAME;
    lab.start(&[
        "dnsmasq",
        "--keep-in-foreground",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        &format!("--listen-address={RESOLVER}"),
        &format!("--address=/{name}/{address}"),
    ])?;
    Ok(lab.must(&["cat", "/run/staff.pub"])?.trim().to_owned())
}

/// Makes the customer's namespace and its tunnel.
///
/// # Errors
/// If a tool fails.
pub fn join(lab: &mut Client, secrets: &Secrets) -> Result<()> {
    let (private, preshared) = secrets.of_customer();
    lab.put("/run/customer.key", 0o600, private.as_bytes())?;
    lab.put("/run/customer.psk", 0o600, preshared.as_bytes())?;
    lab.put(
        "/etc/netns/customer/resolv.conf",
        0o644,
        format!("nameserver {}\n", INSIDE.0).as_bytes(),
    )?;
    let (_, own) = INSIDE;
    let (_, own6) = INSIDE6;
    // The tunnel's own packets leave by the lab VM's first namespace, where the interface is made.
    lab.script(&format!(
        "ip netns add customer
         ip -n customer link set lo up
         ip link add wg0 type wireguard
         ip link set wg0 netns customer
         ip -n customer address add {own}/32 dev wg0
         ip -n customer address add {own6}/128 dev wg0 nodad
         ip netns exec customer wg set wg0 private-key /run/customer.key
         ip -n customer link set wg0 up
         ip -n customer route add default dev wg0
         ip -n customer -6 route add default dev wg0"
    ))?;
    meet(lab, secrets)
}

/// Makes the customer forget what it knows of the server, and begin anew: after a restart of the
/// server WireGuard would take a quarter of a minute to do so by itself.
///
/// # Errors
/// If a tool fails.
pub fn meet(lab: &mut Client, secrets: &Secrets) -> Result<()> {
    meet_at(lab, secrets, SERVER)
}

/// The same, with a server that has this address.
///
/// # Errors
/// If a tool fails.
pub fn meet_at(lab: &mut Client, secrets: &Secrets, address: &str) -> Result<()> {
    let server = secrets.server_public()?;
    lab.script(&format!(
        "ip netns exec customer wg set wg0 peer {server} remove
         ip netns exec customer wg set wg0 peer {server} preshared-key /run/customer.psk \
            allowed-ips 0.0.0.0/0,::/0 endpoint {address}:{PORT}"
    ))
}

/// Runs a program as the customer.
///
/// # Errors
/// If it cannot be started.
pub fn run(lab: &mut Client, argv: &[&str]) -> Result<Output> {
    lab.run(&[&["ip", "netns", "exec", "customer"], argv].concat())
}

/// Waits until the tunnel carries packets, and returns when it did.
///
/// # Errors
/// If it does not.
pub fn handshake(lab: &mut Client) -> Result<Instant> {
    let limit = Instant::now() + HANDSHAKE;
    loop {
        // Nobody need answer this: it is what makes WireGuard begin.
        run(lab, &["ping", "-c1", "-W1", HOST])?;
        if has_handshake(lab)? {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < limit, "no handshake within {HANDSHAKE:?}");
    }
}

/// Whether the customer has heard of the server.
///
/// # Errors
/// If the tool fails.
pub fn has_handshake(lab: &mut Client) -> Result<bool> {
    let said = run(lab, &["wg", "show", "wg0", "latest-handshakes"])?;
    ensure!(said.is_success(), "wg: {}", said.complaints());
    let text = said.text();
    let time = text.split_whitespace().nth(1).with_context(|| format!("no peer: {text:?}"))?;
    Ok(time != "0")
}

/// Asserts that there is no way to the server any more: neither a handshake nor a packet.
///
/// # Errors
/// If there is.
pub fn is_cut_off(lab: &mut Client) -> Result<()> {
    let answered = run(lab, &["ping", "-c4", "-i1", "-W2", HOST])?.is_success();
    ensure!(!answered && !has_handshake(lab)?, "the customer still reaches the server");
    Ok(())
}

/// Fetches the host's page through the tunnel.
///
/// # Errors
/// If it cannot.
pub fn fetch(lab: &mut Client, port: u16) -> Result<String> {
    let url = format!("http://{HOST}:{port}/page");
    let output = run(lab, &["curl", "-sS", "--max-time", "30", &url])?;
    ensure!(output.is_success(), "curl: {}", output.complaints());
    Ok(output.text())
}

/// Fetches the page that says who asks, from the web server at this address of the lab VM, and returns
/// what it says.
///
/// # Errors
/// If it cannot.
pub fn who_asks(lab: &mut Client, address: &str) -> Result<String> {
    let url = format!("http://{address}:{WEB}/cgi-bin/who");
    let output = run(lab, &["curl", "-sS", "-g", "--max-time", "30", &url])?;
    ensure!(output.is_success(), "curl: {}", output.complaints());
    let said = output.text();
    let who = said.strip_prefix("asked by ").with_context(|| format!("the page is {said:?}"))?;
    Ok(who.trim().to_owned())
}

/// Asks the server's name server for an address.
///
/// # Errors
/// If it does not know.
pub fn resolve(lab: &mut Client) -> Result<()> {
    resolve_by(lab, INSIDE.0)
}

/// The same, by the server's address inside the tunnel that is named.
///
/// # Errors
/// If it does not know.
pub fn resolve_by(lab: &mut Client, server: &str) -> Result<()> {
    let output = run(lab, &["drill", NAME.0, &format!("@{server}")])?;
    ensure!(output.text().contains(NAME.1), "drill: {} {}", output.text(), output.complaints());
    Ok(())
}

/// A customer who pings the host through the tunnel all the time.
#[derive(Debug)]
pub struct Pings(u32);

impl Pings {
    /// Begins.
    ///
    /// # Errors
    /// If the tool does not run, or nobody answers.
    pub fn start(lab: &mut Client) -> Result<Self> {
        let ping = ["ip", "netns", "exec", "customer", "ping", "-D", "-n", "-i0.2"];
        let pings = Self(lab.start(&[&ping[..], &[HOST]].concat())?);
        // A few answers, so that there is a last one.
        std::thread::sleep(Duration::from_secs(2));
        Ok(pings)
    }

    /// Ends, and returns the longest time between two answers.
    ///
    /// # Errors
    /// If there were none before or after.
    pub fn longest_silence(self, lab: &mut Client) -> Result<Duration> {
        std::thread::sleep(Duration::from_secs(2));
        let said = lab.stop(self.0)?.text();
        let answers: Vec<f64> = said.lines().filter_map(time_of_answer).collect();
        let silences = answers.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = silences.reduce(f64::max).with_context(|| format!("no answers: {said}"))?;
        Ok(Duration::try_from_secs_f64(longest)?)
    }
}

/// The time in front of an answer: `[1700000000.123456] 64 bytes from …`.
fn time_of_answer(line: &str) -> Option<f64> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    rest.contains("bytes from").then(|| time.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::time_of_answer;

    #[test]
    fn answers_have_times_and_nothing_else_has() {
        let answer = "[1795329285.250000] 64 bytes from 10.0.2.2: icmp_seq=1 ttl=254 time=3.1 ms";
        assert_eq!(time_of_answer(answer), Some(1_795_329_285.25));
        assert_eq!(
            time_of_answer("[1795329285.2] From 10.64.0.2 icmp_seq=2 Host Unreachable"),
            None
        );
        assert_eq!(time_of_answer("PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data."), None);
    }
}
