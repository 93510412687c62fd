//! The report channel: a serial port on which `/init` tells a harness what happens.

use std::sync::OnceLock;

use console::Terminal;
use report::channel::Event;

static CHANNEL: OnceLock<Terminal> = OnceLock::new();

/// Opens the terminal that the command line names for it, if it names one.
pub(crate) fn open(name: Option<&str>) {
    if let Some(terminal) = name.and_then(Terminal::open) {
        // Called once, before anything else could have set it.
        let _ = CHANNEL.set(terminal);
    }
}

/// Tells the harness; without a report channel, nobody.
pub(crate) fn event(event: &Event) {
    if let Some(terminal) = CHANNEL.get() {
        terminal.write(event.to_line().as_bytes());
    }
}

/// Waits until what was written here and on the consoles has left the machine.
pub(crate) fn drain() {
    console::drain(CHANNEL.get());
}
