//! The log: lines come in from anywhere, one task sends them.

use core::sync::atomic::AtomicU8;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
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
    /// Where lines go, once that is known.
    destination: OnceLock<Destination>,
    /// How often sending has failed: whose turn it is among a server's addresses.
    turn: AtomicUsize,
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
            destination: OnceLock::new(),
            turn: AtomicUsize::new(0),
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
        let destination = Destination { target, boot: format!("{boot:016x}"), start };
        // Started once.
        let _ = self.shared.destination.set(destination.clone());
        tokio::spawn(Task { log: self.clone(), destination }.run());
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

    /// Sends what is left over a connection of its own, without the task of [`RemoteLog::start`]: for
    /// when nothing in that runtime runs any more. Takes `patience` at most, and says whether everything
    /// was sent. Must be called inside another tokio runtime with I/O and time. What the task was
    /// sending just then may come twice.
    pub async fn send_rest(&self, patience: Duration) -> bool {
        let Some(destination) = self.shared.destination.get().cloned() else { return false };
        let Some(link) = self.shared.link.borrow().clone() else { return false };
        let task = Task { log: self.clone(), destination };
        let sending = async {
            let mut open = None;
            let sent = task.send_all(&mut open, &link.options, &task.sender(&link)).await;
            if let Some(delivery) = open {
                delivery.close().await;
            }
            sent.is_ok()
        };
        tokio::time::timeout(patience, sending).await.unwrap_or(false)
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

/// Where lines go, and what they say of this boot.
#[derive(Clone, Debug)]
struct Destination {
    target: RemoteLogTarget,
    boot: String,
    start: Option<Timestamp>,
}

/// What sends.
struct Task {
    log: RemoteLog,
    destination: Destination,
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
        let options = &link.options;
        let interface = options.interface.as_deref().unwrap_or("any interface");
        let target = &self.destination.target;
        let sender = self.sender(link);
        let mut open: Option<Delivery> = None;
        let mut pause = PAUSE.0;
        let mut failing = false;
        loop {
            let hurried = *hurry.borrow();
            match self.send_all(&mut open, options, &sender).await {
                Ok(()) => {
                    if failing {
                        info!("remote log: {target} takes it again");
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
                    self.log.shared.turn.fetch_add(1, Ordering::Relaxed);
                    let detail = format!("{target} over {interface}: {reason}");
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

    /// Whose lines they are, over this link.
    fn sender(&self, link: &Link) -> Sender {
        let Destination { boot, start, .. } = &self.destination;
        let (address, mac) = (link.address.clone(), link.mac.clone());
        Sender { address, mac, boot: boot.clone(), start: *start }
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
                None => {
                    let turn = self.log.shared.turn.load(Ordering::Relaxed);
                    open.insert(Delivery::open(&self.destination.target, options, turn).await?)
                }
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
        let number = u64::from_str_radix(&self.destination.boot, 16).unwrap_or_default();
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
