//! What `wg setconf` reads. Holds keys.

use provision::config::Wireguard;

/// Every peer by its keys and addresses. `write` is given the pieces in their order, so that no copy of
/// a secret is made.
///
/// # Errors
/// The first error of `write`.
pub fn setconf<E>(
    tunnel: &Wireguard,
    mut write: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    write("[Interface]\nPrivateKey = ")?;
    write(tunnel.private_key.expose())?;
    write(&format!("\nListenPort = {}\n", tunnel.listen_port))?;
    for peer in &tunnel.peers {
        write(&format!("[Peer]\nPublicKey = {}\n", peer.public_key))?;
        if let Some(key) = &peer.preshared_key {
            write("PresharedKey = ")?;
            write(key.expose())?;
            write("\n")?;
        }
        if !peer.allowed_ips.is_empty() {
            let networks: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            write(&format!("AllowedIPs = {}\n", networks.join(", ")))?;
        }
    }
    Ok(())
}
