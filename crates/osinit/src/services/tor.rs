//! A Tor relay: its keys go to a file system of its own in memory, which goes with the service.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use provision::config::Secret;
use provision::config::Tor;
use zeroize::Zeroizing;

use super::ask;
use super::write_config;
use crate::app::App;
use crate::machine;
use crate::process::Program;
use crate::process::Rights;
use crate::process::capability::NET_BIND_SERVICE;
use crate::process::capability::SETGID;
use crate::process::capability::SETUID;
use crate::render;
use crate::render::TorPaths;
use crate::secret_files;

const TOR: &str = "/usr/bin/tor";

/// Its data, `keys` among them.
pub(crate) const DATA: &str = "/run/tor";

/// Its user.
const USER: u32 = 103;

/// Room for what it learns of the network.
const SIZE: &str = "256m";

/// Whether Tor takes the configuration. The keys are not looked at.
pub(super) async fn check(tor: &Tor) -> Result<(), String> {
    // Tor makes the directory that it is told: not the real one, which is mounted later.
    let text = render::torrc(tor, TorPaths { data: "/tmp/tor-check" });
    let path = write_config("torrc", &text)?;
    // Its notices alone would fill what is told of the reason.
    let checked =
        ask(TOR, &["--verify-config", "--hush", "--defaults-torrc", "/dev/null", "-f", &path])
            .await;
    secret_files::wipe(Path::new("/tmp/tor-check"));
    checked
}

/// Starts the relay with its keys.
pub(super) fn start(app: &App, tor: &Tor) -> Result<(), String> {
    machine::private_tmpfs(DATA, USER, SIZE)?;
    let keys = Path::new(DATA).join("keys");
    let failed = |error: std::io::Error| format!("tor: {}: {error}", keys.display());
    secret_files::directory(&keys, USER).map_err(failed)?;
    let write = |name: &str, content: &[u8]| {
        secret_files::write(&keys.join(name), content, USER).map_err(failed)
    };
    let binary = |name: &str, text: &str| {
        let bytes = BASE64_STANDARD.decode(text).map(Zeroizing::new);
        write(name, &bytes.map_err(|_| format!("tor.keys.{name}: not base64"))?)
    };
    let secret = |name: &str, secret: &Option<Secret>| match secret {
        Some(secret) => binary(name, secret.expose()),
        None => Ok(()),
    };
    let all = &tor.keys;
    binary("ed25519_master_id_public_key", &all.ed25519_master_id_public_key)?;
    binary("ed25519_signing_secret_key", all.ed25519_signing_secret_key.expose())?;
    binary("ed25519_signing_cert", &all.ed25519_signing_cert)?;
    secret("ed25519_master_id_secret_key", &all.ed25519_master_id_secret_key)?;
    write("secret_id_key", all.secret_id_key.expose().as_bytes())?;
    if let Some(key) = &all.secret_onion_key {
        write("secret_onion_key", key.expose().as_bytes())?;
    }
    secret("secret_onion_key_ntor", &all.secret_onion_key_ntor)?;

    let path = write_config("torrc", &render::torrc(tor, TorPaths { data: DATA }))?;
    // It binds its port and becomes its user by itself.
    const RIGHTS: Rights = Rights::Only(&[SETGID, SETUID, NET_BIND_SERVICE]);
    let arguments = ["--defaults-torrc", "/dev/null", "-f", &path, "--User", "tor", "--quiet"];
    app.supervisor.keep(Program::new(TOR, &arguments, RIGHTS));
    Ok(())
}
