//! The remote log of this boot: everything that the consoles show goes into it as well.

use std::sync::LazyLock;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
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

/// Whether the last lines were given their chance.
static FLUSHED: AtomicBool = AtomicBool::new(false);

/// Keeps a line (or several) until it can be sent.
pub(crate) fn push(level: LogLevel, text: &str) {
    LOG.push(pid1::since_start(), level, text);
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
    if let Some(options) = OPTIONS.get() {
        LOG.link(over(options, link, used));
    }
}

/// What the log's connections over this link are made of.
fn over(options: &ClientOptions, link: &Link, used: bool) -> remotelog::Link {
    let options = netboot::over_link(options.clone(), link);
    let address =
        link.addresses.first().map_or_else(|| "-".to_owned(), |it| it.address().to_string());
    remotelog::Link { options, address, mac: link.mac.clone(), used }
}

/// Waits for the last lines to get out, but not for long.
pub(crate) async fn flush() {
    if OPTIONS.get().is_some() {
        LOG.flush(LAST_LINES).await;
        FLUSHED.store(true, Ordering::Relaxed);
    }
}

/// As [`flush`], where the event loop stands still or is gone, as in the panic hook. Once: a second
/// time there is no more to be had.
pub(crate) fn flush_beside() {
    if OPTIONS.get().is_some() && !FLUSHED.swap(true, Ordering::Relaxed) {
        beside(LAST_LINES, async || {
            LOG.send_rest(LAST_LINES).await;
        });
    }
}

/// Does this on a thread and an event loop of its own, and waits for it no longer than `patience`,
/// whatever it does.
fn beside(patience: Duration, work: impl AsyncFnOnce() + Send + 'static) {
    let (sender, done) = mpsc::channel::<()>();
    let thread = thread::Builder::new().spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        if let Ok(runtime) = runtime.enable_io().enable_time().build() {
            runtime.block_on(work());
        }
        drop(sender);
    });
    if thread.is_ok() {
        // Nothing is ever sent: it ends when the thread does.
        let _ = done.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use netboot::ClientOptions;
    use netup::Link;
    use netup::Method;
    use trust::Clock;
    use trust::Timestamp;

    use super::beside;
    use super::over;

    #[test]
    fn the_log_uses_all_that_the_link_says_about_names() {
        let link = Link {
            interface: "eth0".to_owned(),
            index: 2,
            mac: "52:54:00:12:34:56".to_owned(),
            method: Method::Slaac,
            addresses: vec!["2001:db8::7/64".parse().unwrap(), "fe80::1/64".parse().unwrap()],
            gateways: Vec::new(),
            routes: Vec::new(),
            dns: vec!["2001:db8::53".parse().unwrap()],
            search: vec!["example.net".to_owned()],
            ntp: Vec::new(),
            dhcp_server: None,
            lease_seconds: None,
        };
        let options = ClientOptions::new(Clock::exactly(Timestamp::from_unix(0)));
        let over = over(&options, &link, true);
        assert_eq!(over.options.interface.as_deref(), Some("eth0"));
        assert_eq!(over.options.dns, link.dns);
        assert_eq!(over.options.search, link.search);
        assert_eq!((over.options.families.v4, over.options.families.v6), (false, true));
        assert_eq!((over.address.as_str(), over.mac), ("2001:db8::7", link.mac));
    }

    #[tokio::test]
    async fn work_is_done_beside_an_event_loop_that_stands_still() {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        // As the panic hook does: inside of a task.
        beside(Duration::from_secs(600), async move || {
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.store(true, Ordering::Relaxed);
        });
        assert!(done.load(Ordering::Relaxed));
    }

    #[test]
    fn work_that_never_ends_is_not_waited_for() {
        beside(Duration::from_millis(20), core::future::pending);
    }
}
