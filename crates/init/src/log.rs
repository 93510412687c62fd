//! Renders `tracing` events of our own crates as lines on the consoles.

use core::fmt;
use core::fmt::Write;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::level_filters::LevelFilter;
use tracing::span;

use crate::system;

/// Only these may speak: libraries below them log URLs and headers, which may hold secrets.
const OURS: [&str; 7] = ["init", "fetch", "hostcfg", "netboot", "netup", "ospkg", "trust"];

/// Sends events of at most this level to the consoles.
#[derive(Debug)]
struct ConsoleSubscriber {
    level: Level,
    spans: AtomicU64,
}

/// Starts logging.
pub(crate) fn start(level: Level) {
    let subscriber = ConsoleSubscriber { level, spans: AtomicU64::new(1) };
    // Fails only if it was done before.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

impl Subscriber for ConsoleSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let krate = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= self.level && OURS.contains(&krate)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = String::with_capacity(120);
        let now = system::since_start();
        let level = match *event.metadata().level() {
            Level::ERROR => " error:",
            Level::WARN => " warning:",
            Level::DEBUG => " debug:",
            _ => "",
        };
        // Writing to a String cannot fail.
        let _ = write!(line, "[{:8.3}]{level} ", now.as_secs_f64());
        event.record(&mut LineVisitor { line: &mut line });
        console::line(&line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Message first, then `key=value`.
struct LineVisitor<'a> {
    line: &'a mut String,
}

impl Visit for LineVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.line, "{value:?}"),
            name => write!(self.line, " {name}={value:?}"),
        };
    }
}
