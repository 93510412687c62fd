//! What the signed manifest says of a package: told to people and to scripts in one way, by every
//! command that shows it.

use ospkg::Manifest;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::output::Output;

/// For people.
pub(super) fn show(manifest: &Manifest, output: &Output) {
    let Manifest { label, release, channel, not_after, cmdline, watchdog_seconds, .. } = manifest;
    if let Some(label) = label {
        output.field("label", label);
    }
    if let Some(release) = release {
        output.field("release", release);
    }
    if let Some(channel) = channel {
        output.field("channel", channel);
    }
    if let Some(end) = not_after {
        output.field("not after", end);
    }
    if let Some(cmdline) = cmdline {
        output.field("cmdline", cmdline);
    }
    if let Some(seconds) = watchdog_seconds {
        output.field("watchdog", format!("left running with {seconds} s for the OS to take over"));
    }
}

/// For scripts: an object with every one of these keys, and those of `more`.
pub(super) fn data(manifest: &Manifest, more: Value) -> Value {
    let Manifest { label, release, channel, not_after, cmdline, watchdog_seconds, .. } = manifest;
    let facts = json!({
        "label": label,
        "release": release,
        "channel": channel,
        "not_after": not_after.map(|end| end.to_string()),
        "cmdline": cmdline,
        "watchdog_seconds": watchdog_seconds,
    });
    let objects = [facts, more].into_iter().filter_map(|it| match it {
        Value::Object(object) => Some(object),
        _ => None,
    });
    Value::Object(objects.flatten().collect::<Map<String, Value>>())
}
