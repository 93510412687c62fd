//! The remote log of this boot: everything that the consoles show goes into it as well.

use std::sync::LazyLock;
use std::sync::OnceLock;
use std::time::Duration;

use hostcfg::LogLevel;
use netboot::ClientOptions;
use netboot::Inputs;
use netup::Link;
use remotelog::RemoteLog;
use tracing::callsite;
use trust::Timestamp;

use crate::system;

/// How long the last lines may take to get out before the machine jumps or restarts.
const LAST_LINES: Duration = Duration::from_secs(2);

static LOG: LazyLock<RemoteLog> = LazyLock::new(RemoteLog::new);

/// What its connections are made of, but for the link.
static OPTIONS: OnceLock<ClientOptions> = OnceLock::new();

/// Keeps a line (or several) until it can be sent.
pub(crate) fn push(level: LogLevel, text: &str) {
    LOG.push(system::since_start(), level, text);
}

/// Whether lines of this level are wanted.
pub(crate) fn takes(level: LogLevel) -> bool {
    LOG.takes(level)
}

/// Starts to send, if the host configuration says so; else forgets everything. Inside the runtime.
pub(crate) fn start(inputs: &Inputs) {
    match &inputs.host.config.remote_log {
        Some(config) => {
            tracing::info!("remote log: {} from level {}", config.target, config.level.name());
            let _ = OPTIONS.set(netboot::client_options(inputs));
            let boot = system::random_below(u64::MAX);
            LOG.start(config, boot, time_at_start(inputs));
        }
        None => LOG.disable(),
    }
    // What is asked for may be more than the consoles show, or less.
    callsite::rebuild_interest_cache();
}

/// What time it was when `/init` began, if that is known.
fn time_at_start(inputs: &Inputs) -> Option<Timestamp> {
    let clock = &inputs.clock;
    clock.is_trusted().then(|| clock.now_for(clock.floor()))
}

/// Has the lines sent over this link. `used` says that the boot goes on over it.
pub(crate) fn link(link: &Link, used: bool) {
    let Some(options) = OPTIONS.get() else { return };
    let mut options = options.clone();
    options.interface = Some(link.interface.clone());
    options.dns.clone_from(&link.dns);
    let address =
        link.addresses.first().map_or_else(|| "-".to_owned(), |it| it.address().to_string());
    LOG.link(remotelog::Link { options, address, mac: link.mac.clone(), used });
}

/// Waits for the last lines to get out, but not for long.
pub(crate) async fn flush() {
    if OPTIONS.get().is_some() {
        LOG.flush(LAST_LINES).await;
    }
}
