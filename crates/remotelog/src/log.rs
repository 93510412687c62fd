//! The log: lines come in from anywhere, one task sends them.

use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use fetch::ClientOptions;
use hostcfg::LogLevel;
use hostcfg::RemoteLogTarget;
use report::Code;
use report::Failure;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;
use tracing::info;
use tracing::warn;
use trust::Timestamp;

use crate::deliver::Delivery;
use crate::format::Sender;
use crate::queue::Queue;

/// Lines that are sent in one go.
const BATCH: usize = 100;

/// How long to wait for the link that the boot will use, before one is used that only has an address:
/// if no server answers over it, the log is what says so.
const CANDIDATE_AFTER: Duration = Duration::from_secs(20);

/// The pause after a failure, doubling from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A link that lines may be sent over.
#[derive(Clone, Debug)]
pub struct Link {
    /// How its sockets are made: interface, DNS servers, TLS roots and clock.
    pub options: ClientOptions,
    /// Its address, which is what log servers know the machine by.
    pub address: String,
    /// Its MAC address.
    pub mac: String,
    /// Whether a provisioning server answered over it: such a link wins over all others.
    pub used: bool,
}

/// The log. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct RemoteLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// How many levels are kept, counted from the gravest; before it is known, all.
    levels: AtomicU8,
    /// There is a line, or reason to hurry.
    stirred: Notify,
    link: watch::Sender<Option<Link>>,
    /// Set while somebody waits for everything to be sent.
    hurry: watch::Sender<bool>,
    /// The number of flushes that came to their end, good or bad.
    flushed: watch::Sender<u64>,
}

impl RemoteLog {
    /// An empty one, which keeps lines until it is known where they go.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            queue: Mutex::default(),
            levels: AtomicU8::new(u8::MAX),
            stirred: Notify::new(),
            link: watch::Sender::new(None),
            hurry: watch::Sender::new(false),
            flushed: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Nothing is sent anywhere: forgets all lines, and takes no more.
    pub fn disable(&self) {
        self.shared.levels.store(0, Ordering::Relaxed);
        self.queue().keep(|_| false);
    }

    /// Whether lines of this level are kept.
    #[must_use]
    pub fn takes(&self, level: LogLevel) -> bool {
        (level as u8) < self.shared.levels.load(Ordering::Relaxed)
    }

    /// Takes what was said `at` this time since the start of the program; several lines become as
    /// many. Never waits.
    pub fn push(&self, at: Duration, level: LogLevel, text: &str) {
        if !self.takes(level) {
            return;
        }
        {
            let mut queue = self.queue();
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                queue.push(at, level, line);
            }
        }
        self.shared.stirred.notify_one();
    }

    /// Starts to send what is of this level or graver. `boot` is a number by chance, `start` the time at the start of the program if
    /// it is known. Must be called inside a tokio runtime with I/O and time, which the task lives in.
    pub fn start(&self, config: &hostcfg::RemoteLog, boot: u64, start: Option<Timestamp>) {
        let hostcfg::RemoteLog { target, level } = config.clone();
        self.shared.levels.store(level as u8 + 1, Ordering::Relaxed);
        self.queue().keep(|line| line.level <= level);
        let task = Task { log: self.clone(), target, boot: format!("{boot:016x}"), start };
        tokio::spawn(task.run());
    }

    /// There is a link that lines may be sent over.
    pub fn link(&self, link: Link) {
        self.shared.link.send_if_modified(|current| {
            let better = link.used || current.as_ref().is_none_or(|current| !current.used);
            if better {
                *current = Some(link);
            }
            better
        });
    }

    /// Waits until everything has been sent and the server has it, as far as that can be known;
    /// `patience` at most. Says whether it was. Without a link or a server that takes it, it ends after
    /// one try.
    pub async fn flush(&self, patience: Duration) -> bool {
        if self.shared.link.borrow().is_none() {
            return self.queue().is_empty();
        }
        let mut flushed = self.shared.flushed.subscribe();
        flushed.mark_unchanged();
        self.shared.hurry.send_replace(true);
        self.shared.stirred.notify_one();
        let ended = tokio::time::timeout(patience, flushed.changed()).await.is_ok();
        self.shared.hurry.send_replace(false);
        ended && self.queue().is_empty()
    }

    /// Never dead-locks: nothing that could be interrupted or panic runs while it is held.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RemoteLog {
    fn default() -> Self {
        Self::new()
    }
}

/// What sends.
struct Task {
    log: RemoteLog,
    target: RemoteLogTarget,
    boot: String,
    start: Option<Timestamp>,
}

impl Task {
    async fn run(self) {
        let mut links = self.log.shared.link.subscribe();
        let mut hurry = self.log.shared.hurry.subscribe();
        loop {
            let Some(link) = first_link(&mut links, &mut hurry).await else { return };
            tokio::select! {
                // Another link: what was under way is sent again over that one.
                Ok(()) = links.changed() => {}
                () = self.send_over(&link, hurry.clone()) => {}
            }
        }
    }

    /// Sends for ever over one link.
    async fn send_over(&self, link: &Link, mut hurry: watch::Receiver<bool>) {
        let Link { options, address, mac, .. } = link;
        let interface = options.interface.as_deref().unwrap_or("any interface");
        let sender = Sender {
            address: address.clone(),
            mac: mac.clone(),
            boot: self.boot.clone(),
            start: self.start,
        };
        let mut open: Option<Delivery> = None;
        let mut pause = PAUSE.0;
        let mut failing = false;
        loop {
            let hurried = *hurry.borrow();
            match self.send_all(&mut open, options, &sender).await {
                Ok(()) => {
                    if failing {
                        info!("remote log: {} takes it again", self.target);
                    }
                    (failing, pause) = (false, PAUSE.0);
                    self.end_of_flush(&hurry, &mut open).await;
                    tokio::select! {
                        () = self.log.shared.stirred.notified() => {}
                        _ = hurry.wait_for(|hurry| *hurry) => {}
                    }
                }
                Err(reason) => {
                    open = None;
                    let detail = format!("{} over {interface}: {reason}", self.target);
                    if failing {
                        debug!("{}", Failure::new(Code::RemoteLogFailed, detail));
                    } else {
                        warn!("{}", Failure::new(Code::RemoteLogFailed, detail));
                    }
                    failing = true;
                    // Whoever began to wait during this try gets one of their own.
                    if hurried {
                        self.end_of_flush(&hurry, &mut open).await;
                    }
                    // Half of it at least; many machines may have lost the same server.
                    let wait = pause / 2 + pause.mul_f64(self.spread()) / 2;
                    pause = (pause * 2).min(PAUSE.1);
                    let until = Instant::now() + wait;
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        _ = hurry.wait_for(|hurry| *hurry) => {}
                    }
                }
            }
        }
    }

    /// Sends until there is nothing left.
    async fn send_all(
        &self,
        open: &mut Option<Delivery>,
        options: &ClientOptions,
        sender: &Sender,
    ) -> Result<(), String> {
        loop {
            let batch = self.log.queue().batch(BATCH);
            if batch.is_empty() {
                return Ok(());
            }
            let delivery = match open {
                Some(delivery) => delivery,
                None => open.insert(Delivery::open(&self.target, options).await?),
            };
            delivery.send(&batch, sender).await?;
            self.log.queue().sent(&batch);
        }
    }

    /// Tells whoever waits for everything to be sent that this is it.
    async fn end_of_flush(&self, hurry: &watch::Receiver<bool>, open: &mut Option<Delivery>) {
        if !*hurry.borrow() {
            return;
        }
        if let Some(delivery) = open.take() {
            delivery.close().await;
        }
        self.log.shared.hurry.send_replace(false);
        self.log.shared.flushed.send_modify(|count| *count += 1);
    }

    /// From 0 to 1, different on every machine and the same on each.
    fn spread(&self) -> f64 {
        let number = u64::from_str_radix(&self.boot, 16).unwrap_or_default();
        f64::from(u16::try_from(number & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
    }
}

/// The link that is used; one that only has an address after a while, or if somebody hurries.
async fn first_link(
    links: &mut watch::Receiver<Option<Link>>,
    hurry: &mut watch::Receiver<bool>,
) -> Option<Link> {
    let known = links.wait_for(Option::is_some).await.ok()?.clone();
    if known.as_ref().is_some_and(|link| link.used) {
        return known;
    }
    let used = links.wait_for(|link| link.as_ref().is_some_and(|link| link.used));
    tokio::select! {
        used = used => return used.ok()?.clone(),
        () = tokio::time::sleep(CANDIDATE_AFTER) => {}
        _ = hurry.wait_for(|hurry| *hurry) => {}
    }
    links.borrow_and_update().clone()
}
