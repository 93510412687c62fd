//! What a network offers besides: the time, a place for logs, and a server that asks for patience.

use anyhow::Result;
use anyhow::ensure;
use serde_json::json;

use super::MIRROR;
use super::machine;
use super::plain;
use crate::case::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::reaches_in(
            "net_mirror_asks_for_20_s_of_patience",
            "up eth1 192.0.2.1/24
             dhcp eth1 192.0.2.100 192.0.2.150
             web 'location = /os.json { add_header Retry-After 20 always; if (!-f /run/open) { return 503; } }'
             rm -f /run/open
             later eth1 10 touch /run/open",
            plain,
        )
        .checked(|run| {
            // Without patience it would have asked four times or more until then.
            let refused = run.logged("web", "/os.json 503").len();
            ensure!((1..=2).contains(&refused), "it was asked {refused} times while it refused");
            Ok(())
        }),
        Case::reaches_in(
            "net_time_from_the_configured_server",
            "good
             ntp",
            |bench| {
                Ok(machine(bench, MIRROR).rtc("2001-01-01").host_config("ntp", json!(["192.0.2.1"])))
            },
        ),
        Case::reaches_in(
            "net_time_from_the_server_of_the_lease",
            "good --dhcp-option=42,192.0.2.1
             ntp",
            |bench| Ok(machine(bench, MIRROR).rtc("2001-01-01")),
        ),
        Case::reaches_in(
            "net_remote_log",
            "good
             syslog",
            |bench| {
                let log = json!({ "url": "syslog+udp://192.0.2.1:514", "level": "info" });
                Ok(plain(bench)?.host_config("remote_log", log))
            },
        )
        .checked(|run| {
            let said = run.logged("syslog", "ramstrap").len();
            ensure!(said > 5, "{said} lines came to the lab");
            Ok(())
        }),
    ]
}
