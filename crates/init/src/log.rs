//! Renders `tracing` events of our own crates as lines on the consoles.

use core::fmt;
use core::fmt::Write;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use hostcfg::LogLevel;
use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::level_filters::LevelFilter;
use tracing::span;

use crate::remote;

/// Only these may speak: libraries below them log URLs and headers, which may hold secrets.
const OURS: [&str; 9] =
    ["init", "fetch", "hostcfg", "netboot", "netup", "ospkg", "remotelog", "sntp", "trust"];

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
        let level = *metadata.level();
        (level <= self.level || remote::takes(remote_level(level))) && OURS.contains(&krate)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let remote = if remote::takes(LogLevel::Debug) { Level::DEBUG } else { Level::INFO };
        Some(LevelFilter::from_level(self.level.max(remote)))
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = String::with_capacity(120);
        event.record(&mut LineVisitor { line: &mut text });
        let tracing_level = *event.metadata().level();
        remote::push(remote_level(tracing_level), &text);
        if tracing_level > self.level {
            return;
        }
        let mut line = String::with_capacity(text.len() + 24);
        let now = pid1::since_start();
        let level = match tracing_level {
            Level::ERROR => " error:",
            Level::WARN => " warning:",
            Level::DEBUG => " debug:",
            _ => "",
        };
        // Writing to a String cannot fail.
        let _ = write!(line, "[{:8.3}]{level} {text}", now.as_secs_f64());
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

const fn remote_level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
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
