//! What staff hands over, and what must be gone afterwards.

use anyhow::Context;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provision::config::Document;
use provision::config::Secret;
use provision::wireguard;
use serde_json::json;
use xtask::harness::Needle;

use super::INSIDE;
use super::INSIDE6;
use super::PORT;
use super::RESOLVER;
use super::STAFF;

/// Keys of the server and of its one customer.
#[derive(Debug)]
pub struct Secrets {
    server: Secret,
    customer: Secret,
    preshared: Secret,
    /// Public key of the member of staff who may log in.
    pub ssh: String,
}

impl Secrets {
    /// New keys.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn generate(ssh: String) -> Result<Self> {
        Ok(Self {
            server: wireguard::generate()?,
            customer: wireguard::generate()?,
            // 32 random bytes as well.
            preshared: wireguard::generate()?,
            ssh,
        })
    }

    /// The server's public key.
    ///
    /// # Errors
    /// Never: its private key is one.
    pub fn server_public(&self) -> Result<String> {
        wireguard::public_key(&self.server).context("no key")
    }

    /// The customer's public key.
    ///
    /// # Errors
    /// Never: the private key is one.
    pub fn customer_public(&self) -> Result<String> {
        wireguard::public_key(&self.customer).context("no key")
    }

    /// The server's private key and the preshared one, as WireGuard's tools read them.
    #[must_use]
    pub fn of_server(&self) -> (&str, &str) {
        (self.server.expose(), self.preshared.expose())
    }

    /// The customer's private key and the preshared one, as WireGuard's tools read them.
    #[must_use]
    pub fn of_customer(&self) -> (&str, &str) {
        (self.customer.expose(), self.preshared.expose())
    }

    /// The server's configuration.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn document(&self) -> Result<Document> {
        let customer = self.customer_public()?;
        let (own, peer) = INSIDE;
        let (own6, peer6) = INSIDE6;
        let document = json!({
            "version": 1,
            "service": "vpn",
            "hostname": "lab-1",
            "wireguard": {
                "private_key": self.server.expose(),
                "listen_port": PORT,
                "addresses": [format!("{own}/24"), format!("{own6}/64")],
                "mtu": 1420,
                "peers": [{
                    "public_key": customer,
                    "preshared_key": self.preshared.expose(),
                    "allowed_ips": [format!("{peer}/32"), format!("{peer6}/128")],
                }],
            },
            "dns": { "forward_to": [RESOLVER] },
            "ssh": { "authorized_keys": [self.ssh], "allow_from": [format!("{STAFF}/32")] },
        });
        Document::parse(document.to_string().as_bytes()).context("the test's configuration")
    }

    /// What must not be found on a server that has forgotten.
    ///
    /// # Errors
    /// Never: the keys are base64.
    pub fn needles(&self) -> Result<Vec<Needle>> {
        let needle = |name, key: &Secret| -> Result<Needle> {
            Ok(Needle::secret(name, &STANDARD.decode(key.expose())?))
        };
        Ok(vec![
            needle("WireGuard private key", &self.server)?,
            needle("preshared key", &self.preshared)?,
        ])
    }
}
