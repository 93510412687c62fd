//! From a configuration to services that run.
//!
//! What can be judged before anything has changed is judged first, by the programs themselves. Then the
//! order is: firewall, tunnel, services, and forwarding last, so that at no moment a packet passes that
//! the configuration does not allow.

mod ssh;
mod tor;

use std::fs;
use std::path::Path;

use provision::config::ServiceConfig;
use provision::config::Time;
use provision::config::Vpn;

use crate::app::App;
use crate::firewall;
use crate::process;
use crate::process::Program;
use crate::process::Rights;
use crate::process::capability::CHOWN;
use crate::process::capability::NET_BIND_SERVICE;
use crate::process::capability::SETGID;
use crate::process::capability::SETUID;
use crate::process::capability::SYS_TIME;
use crate::render;
use crate::render::Ruleset;
use crate::wireguard;

/// Generated configurations; they hold no secret.
pub(crate) const DIRECTORY: &str = "/run/ramstrap";

/// The keys of the root zone, as Debian's package has them.
const TRUST_ANCHOR: &str = "/usr/share/dns/root.key";

pub(crate) use ssh::HOME as SSH_HOME;
pub(crate) use tor::DATA as TOR_DATA;

const UNBOUND: &str = "/usr/sbin/unbound";
const UNBOUND_CHECK: &str = "/usr/sbin/unbound-checkconf";
const CHRONYD: &str = "/usr/sbin/chronyd";

/// Why a configuration is not in force.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing has changed.
    Before(String),
    /// Some of it is.
    Midway(String),
}

/// Brings a configuration into force. `tell` hears of each step.
pub(crate) async fn start(
    app: &App,
    config: &ServiceConfig,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<(), Failed> {
    let uplink = app.uplink().ok_or_else(|| Failed::Before("there is no network".to_owned()))?;
    let behind = app.uplink_address();
    let ruleset =
        Ruleset::new(config, (&uplink, behind), wireguard::NAME, app.fetch_ports().clone())
            .render();
    check(config, &ruleset).await.map_err(Failed::Before)?;
    let midway = Failed::Midway;

    nix::unistd::sethostname(config.hostname())
        .map_err(|errno| midway(format!("hostname: {errno}")))?;
    firewall::apply(&ruleset).await.map_err(midway)?;
    if matches!(config, ServiceConfig::Vpn(_)) {
        app.set_clients_behind(behind);
    }
    tell("the firewall stands".to_owned());
    if let Some(time) = config.time() {
        keep_time(app, time).map_err(midway)?;
        tell("the clock is kept".to_owned());
    }
    match config {
        ServiceConfig::Vpn(vpn) => start_vpn(app, vpn, tell).await.map_err(midway)?,
        ServiceConfig::TorRelay(relay) => {
            tor::start(app, &relay.tor).map_err(midway)?;
            tell("tor runs".to_owned());
        }
    }
    if let Some(ssh) = config.ssh() {
        let fingerprint = ssh::start(app, ssh).map_err(midway)?;
        tell(format!("SSH on port {}, host key {fingerprint}", ssh.port));
        console::line(&format!("ssh host key {fingerprint}"));
    }
    Ok(())
}

/// What can be said of a configuration without changing anything.
async fn check(config: &ServiceConfig, ruleset: &str) -> Result<(), String> {
    if let ServiceConfig::Vpn(vpn) = config
        && let Some(cidr) = wireguard::takes_everything(&vpn.wireguard)
    {
        return Err(format!(
            "wireguard.peers: allowed_ips {cidr} would lead all traffic of the server itself to this client"
        ));
    }
    firewall::check(ruleset).await?;
    match config {
        ServiceConfig::Vpn(vpn) => {
            let path = write_config("unbound.conf", &unbound(vpn))?;
            ask(UNBOUND_CHECK, &[path.as_str()]).await?;
        }
        ServiceConfig::TorRelay(relay) => tor::check(&relay.tor).await?,
    }
    if let Some(time) = config.time() {
        let path = write_config("chrony.conf", &render::chrony(time))?;
        ask(CHRONYD, &["-p", "-f", &path]).await?;
    }
    Ok(())
}

fn unbound(vpn: &Vpn) -> String {
    let anchor = Some(TRUST_ANCHOR).filter(|path| Path::new(path).exists());
    render::unbound(&vpn.dns, &vpn.wireguard, anchor)
}

/// Runs a program that judges a file. Without the program, the service itself has to.
async fn ask(path: &'static str, arguments: &[&str]) -> Result<(), String> {
    if !Path::new(path).exists() {
        return Ok(());
    }
    process::run(&Program::new(path, arguments, Rights::All), None).await
}

/// Writes a generated configuration, which every service may read.
fn write_config(name: &str, text: &str) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let path = format!("{DIRECTORY}/{name}");
    let failed = |error: std::io::Error| format!("{path}: {error}");
    fs::write(&path, text).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(failed)?;
    Ok(path)
}

async fn start_vpn(
    app: &App,
    vpn: &Vpn,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<(), String> {
    wireguard::create(&vpn.wireguard).await?;
    wireguard::switch_on(&vpn.wireguard).await?;
    tell(format!("{} is up with {} peers", wireguard::NAME, vpn.wireguard.peers.len()));
    let path = write_config("unbound.conf", &unbound(vpn))?;
    const RIGHTS: Rights = Rights::Only(&[SETGID, SETUID, NET_BIND_SERVICE]);
    app.supervisor.keep(Program::new(UNBOUND, &["-d", "-p", "-c", &path], RIGHTS));
    firewall::forward(true)?;
    tell("clients are served".to_owned());
    Ok(())
}

fn keep_time(app: &App, time: &Time) -> Result<(), String> {
    let path = write_config("chrony.conf", &render::chrony(time))?;
    const RIGHTS: Rights = Rights::Only(&[CHOWN, SETGID, SETUID, NET_BIND_SERVICE, SYS_TIME]);
    // In the foreground, without a log, under a system call filter of its own.
    let arguments = ["-n", "-F", "1", "-u", "chrony", "-f", &path];
    app.supervisor.keep(Program::new(CHRONYD, &arguments, RIGHTS));
    Ok(())
}
