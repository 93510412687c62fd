//! Warnings of our own crates on the consoles; everything else is said nowhere.
//!
//! What they would say at lower levels holds addresses of the network, which are kept out of every
//! place where they could stay.

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

/// Only these may speak: libraries below them may say what must not be said.
const OURS: [&str; 4] = ["netboot", "netup", "osinit", "trust"];

#[derive(Debug)]
struct Warnings(AtomicU64);

/// Starts it.
pub(crate) fn start() {
    // Fails only if it was done before.
    let _ = tracing::subscriber::set_global_default(Warnings(AtomicU64::new(1)));
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let krate = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= Level::WARN && OURS.contains(&krate)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = "warning: ".to_owned();
        event.record(&mut LineVisitor(&mut line));
        console::line(&line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Message first, then `key=value`.
struct LineVisitor<'a>(&'a mut String);

impl Visit for LineVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
