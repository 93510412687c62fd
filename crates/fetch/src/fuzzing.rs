//! The readers of what strangers send, for fuzzing: each takes any bytes and says whether they were
//! believed. Not part of the interface.

use url::Url;

use crate::dns;
use crate::location;

/// The name that DNS is asked for.
pub const HOST: &str = "mirror.example.net";

/// A DNS server's answer for [`HOST`].
#[must_use]
pub fn dns(bytes: &[u8]) -> bool {
    dns::fuzz::answer(bytes, HOST)
}

/// Where a redirect leads, and where a descriptor says that its archive is: from an https mirror.
#[must_use]
pub fn location(bytes: &[u8]) -> bool {
    let Ok(from) = Url::parse("https://mirror.example.net/a/os.json?token=1") else {
        return false;
    };
    let redirect = location::redirect(&from, Some(bytes)).is_ok();
    let archive =
        core::str::from_utf8(bytes).is_ok_and(|text| location::archive(&from, text).is_ok());
    redirect || archive
}
