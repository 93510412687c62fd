//! What a network offers besides: the time, and a server that asks for patience.

use anyhow::Result;
use anyhow::ensure;
use serde_json::json;

use super::MIRROR;
use super::machine;
use super::plain;
use crate::case::Case;
use crate::case::Run;

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
                let ntp = json!(["192.0.2.1"]);
                Ok(machine(bench, MIRROR).rtc("2001-01-01").host_config("ntp", ntp))
            },
        )
        .checked(time_is_the_lab_s),
        Case::reaches_in(
            "net_time_from_the_server_of_the_lease",
            "good --dhcp-option=42,192.0.2.1
             ntp",
            |bench| Ok(machine(bench, MIRROR).rtc("2001-01-01")),
        )
        .checked(time_is_the_lab_s),
        Case::reaches_in(
            "net_time_server_not_believed",
            "good
             ntp",
            |bench| {
                // It is right: what it tells is later than any time that this policy allows.
                let policy = json!({
                    "ospkg_signature_threshold": 2,
                    "ospkg_fetch_method": "network",
                    "max_clock_skew": 1,
                });
                Ok(machine(bench, MIRROR)
                    .policy_file("trust_policy.json", Some(policy.to_string().as_bytes()))
                    .host_config("ntp", json!(["192.0.2.1"])))
            },
        )
        .checked(|run| {
            run.says("E0121")?;
            let clock = &run.report()?.clock;
            ensure!(clock.source != "sntp" && clock.state == "untrusted", "{clock:?}");
            Ok(())
        }),
    ]
}

/// The lab's time was taken in the place of that of the machine's clock, which is decades behind.
fn time_is_the_lab_s(run: &Run) -> Result<()> {
    let clock = &run.report()?.clock;
    ensure!(clock.source == "sntp" && clock.state == "trusted", "{clock:?}");
    let asked = clock.sntp.as_ref().map(|answer| answer.server.as_str());
    ensure!(asked.is_some_and(|it| it.starts_with("192.0.2.1")), "{clock:?}");
    Ok(())
}
