//! The readers of what strangers send, for fuzzing: each takes any bytes and says whether they were
//! believed. Not part of the interface.

use core::time::Duration;

use crate::message::Envelope;
use crate::message::ServerMessage;
use crate::wire;

/// A stream from the other side, of which the first message is read.
#[must_use]
pub fn stream(mut bytes: &[u8]) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.is_ok_and(|it| it.block_on(wire::read(&mut bytes, Duration::from_secs(5))).is_ok())
}

/// What somebody who is not proved to be staff yet asks of a machine, and the configuration in it.
#[must_use]
pub fn request(bytes: &[u8]) -> bool {
    Envelope::parse(bytes).and_then(Envelope::open).is_ok()
}

/// What a machine says to staff.
#[must_use]
pub fn answer(bytes: &[u8]) -> bool {
    serde_json::from_slice::<ServerMessage>(bytes).is_ok()
}
