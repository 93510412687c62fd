//! Carrier, DHCP and the choice among NICs.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;

use super::plain;
use super::used;
use crate::case::Case;
use crate::case::Run;

pub(super) fn cases() -> Vec<Case> {
    vec![Case::boots_in("net_good", "good", plain).checked(|run| used(run, "eth0", "192.0.2.1"))]
}
