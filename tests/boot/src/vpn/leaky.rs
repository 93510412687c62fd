//! A VPN server as a hasty administrator sets it up, in a lab VM: it works, it routes for everybody,
//! and its name server answers everybody. What is asserted of ours must fail here.

use anyhow::Result;
use lab::Client;

use super::INSIDE;
use super::INSIDE6;
use super::PORT;
use super::RESOLVER;
use super::SERVER;
use super::ipv6;
use super::secrets::Secrets;

/// Makes a lab VM such a server.
///
/// # Errors
/// If a tool fails.
pub fn serve(lab: &mut Client, secrets: &Secrets) -> Result<()> {
    let (private, preshared) = secrets.of_server();
    lab.put("/run/key", 0o600, private.as_bytes())?;
    lab.put("/run/psk", 0o600, preshared.as_bytes())?;
    lab.put("/etc/passwd", 0o644, b"root:x:0:0:root:/tmp:/bin/sh\n")?;
    let peer = secrets.customer_public()?;
    let (own, customer) = INSIDE;
    let (own6, customer6) = INSIDE6;
    let server6 = ipv6::SERVER;
    lab.script(&format!(
        "ip link set eth0 up
         ip address add {SERVER}/24 dev eth0
         ip route add default via 10.0.2.2
         ip link add wg0 type wireguard
         ip address add {own}/24 dev wg0
         ip address add {own6}/64 dev wg0 nodad
         ip address add {server6}/64 dev eth0 nodad
         wg set wg0 private-key /run/key listen-port {PORT} \
            peer {peer} preshared-key /run/psk allowed-ips {customer}/32,{customer6}/128
         ip link set wg0 up
         sysctl -w net.ipv4.ip_forward=1
         sysctl -w net.ipv6.conf.all.forwarding=1
         nft add table ip nat
         nft add chain ip nat post {{ type nat hook postrouting priority 100 ; }}
         nft add rule ip nat post oifname eth0 masquerade"
    ))?;
    let forward = format!("--server={RESOLVER}");
    lab.start(&["dnsmasq", "--keep-in-foreground", "--user=root", "--no-resolv", &forward])?;
    lab.start(&["nc.openbsd", "-lk", "8080"])?;
    Ok(())
}
