//! A lab on this machine: throw-away keys, a signed OS package, an HTTPS server on loopback, and
//! the trust policy and host configuration that lead a guest to it.

mod site;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::serve;
use ramstrap_cli::serve::LabTls;
use ramstrap_cli::serve::Running;
use serde_json::json;

use crate::harness::BootOptions;
use crate::kernels::Kernel;

pub use site::Site;

/// Where a guest on QEMU's user network finds the loopback of this machine.
pub const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";

/// A lab whose server runs until it is dropped.
#[derive(Debug)]
pub struct Lab {
    site: Site,
    url: String,
    trust_policy: PathBuf,
    host_config: PathBuf,
    _server: Running,
}

impl Lab {
    /// Sets the lab up below `dir`, where keys and package are kept for the next time. Ballast
    /// makes the package's archive at least `length` bytes long.
    ///
    /// # Errors
    ///
    /// Something does not build, a file cannot be written, or no port is free.
    pub fn open(dir: &Path, os_kernel: &Kernel, length: u64) -> Result<Self> {
        let site = Site::prepare(dir, os_kernel, length)?;
        let tls = LabTls::open(&dir.join("tls"), &[HOST_SEEN_BY_GUEST.to_owned()])?;
        let tls_roots = fs::read(&tls.roots).context("cannot read the server's CA")?;
        let trust_policy = site.write_trust_policy(&tls_roots)?;
        let server = serve::start(serve::Config {
            directory: site.directory(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: Some(tls.server),
            on_answer: Arc::new(|_| ()),
        })?;
        let port = server.address().port();
        let url = format!("https://{HOST_SEEN_BY_GUEST}:{port}/{}", site.descriptor_name());
        let host_config = write_host_configuration(dir, &url)?;
        Ok(Self { site, url, trust_policy, host_config, _server: server })
    }

    /// What is provisioned.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Where a guest finds the descriptor.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A machine that boots this lab's package.
    #[must_use]
    pub fn boot_options(&self, kernel: Kernel) -> BootOptions {
        BootOptions {
            host_config: Some(self.host_config.clone()),
            allow_invalid: false,
            ..BootOptions::new(kernel, &self.trust_policy)
        }
    }
}

fn write_host_configuration(dir: &Path, url: &str) -> Result<PathBuf> {
    let path = dir.join("host_configuration.json");
    let configuration = json!({
        "network_mode": "dhcp",
        "ospkg_pointer": url,
        "description": "ramstrap lab",
    });
    fs::write(&path, format!("{configuration:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
