//! Networks that do not work, work late, or work in one place only.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use report::Code;
use serde_json::json;

use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::case::Case;
use crate::case::Run;
use crate::case::spaced;
use crate::scenario::Scenario;
use crate::site::Mirror;
use crate::wire::DhcpFault;
use crate::wire::Faults;
use crate::wire::Message;

/// What DHCP retries keep apart at least: they are to start at two seconds, with jitter.
const LEAST_DHCP_GAP: Duration = Duration::from_millis(900);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::refused("dhcp_never_answers", Code::NoLease, |bench| {
            let faults = Faults { dhcp: DhcpFault::Silent, ..Faults::default() };
            Ok(good(bench)?.cable(faults).argument("--deadline=30s"))
        })
        .checked(|run| {
            dhcp_retries_are_spaced(run)?;
            let discovers = run.cables[0].sent(Message::Discover).len();
            ensure!((3..=15).contains(&discovers), "{discovers} discovers in 30 s");
            Ok(())
        }),
        Case::boots("dhcp_answers_after_40_s", |bench| {
            let dhcp = DhcpFault::SilentFor(Duration::from_secs(40));
            Ok(good(bench)?.cable(Faults { dhcp, ..Faults::default() }))
        })
        .checked(dhcp_retries_are_spaced),
        Case::boots("two_nics_first_is_a_dead_vlan", |bench| {
            let dead = Faults { drop_all: true, ..Faults::default() };
            Ok(good(bench)?.cable(dead).and_cable(Faults::default()))
        })
        .checked(only_second_used),
        Case::boots("two_nics_first_has_no_cable", |bench| {
            Ok(good(bench)?.unplugged().and_cable(Faults::default()))
        })
        .checked(only_second_used),
        Case::boots("two_nics_first_has_a_lease_but_no_server", |bench| {
            let deaf = Faults { drop_arp: true, ..Faults::default() };
            Ok(good(bench)?.cable(deaf).and_cable(Faults::default()))
        })
        .checked(only_second_used),
        Case::refused("no_cable_at_all", Code::NoCarrier, |bench| {
            Ok(good(bench)?.unplugged().argument("--deadline=30s"))
        }),
        Case::boots("cable_plugged_in_late", |bench| {
            Ok(good(bench)?.plugged_after(Duration::from_secs(20)))
        }),
        Case::refused("no_interface", Code::NoInterface, |bench| {
            Ok(good(bench)?.no_nic().argument("--deadline=20s"))
        }),
        Case::boots("packets_get_lost", |bench| {
            Ok(good(bench)?.cable(Faults { lost_per_mille: 2, ..Faults::default() }))
        })
        .slow(),
        Case::boots("packets_take_50_ms", |bench| {
            let delay = Duration::from_millis(25);
            Ok(good(bench)?.cable(Faults { delay, ..Faults::default() }))
        })
        .slow(),
        Case::boots("static_address", |bench| {
            // The OS would ask for a lease, on the same cable.
            let silent = OsPackage { cmdline: "minimal.network=0", ..OsPackage::default() };
            let os = bench.os(&silent)?;
            let descriptor = os.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &os)])
                .host_config("network_mode", json!("static"))
                .host_config("host_ip", json!("10.0.2.77/24"))
                .host_config("gateway", json!("10.0.2.2"))
                .cable(Faults { dhcp: DhcpFault::Silent, ..Faults::default() }))
        })
        .checked(|run| {
            let asked = run.cables[0].dhcp.len();
            ensure!(asked == 0, "{asked} DHCP messages with a static address");
            let used = run.used()?;
            ensure!(used.addresses.iter().any(|it| it == "10.0.2.77/24"), "{used:?}");
            Ok(())
        }),
        Case::refused("static_address_but_nobody_answers", Code::ConnectFailed, |bench| {
            Ok(good(bench)?
                .host_config("network_mode", json!("static"))
                .host_config("host_ip", json!("10.0.2.77/24"))
                .host_config("gateway", json!("10.0.2.2"))
                .cable(Faults { drop_all: true, ..Faults::default() })
                .argument("--deadline=60s"))
        })
        .slow(),
        Case::boots("bond_of_two_nics", |bench| {
            let members = json!([
                { "mac_address": "52:54:00:12:34:56" },
                { "mac_address": "52:54:00:12:34:57" },
            ]);
            Ok(good(bench)?
                .cable(Faults::default())
                .and_cable(Faults::default())
                .host_config("bonding_mode", json!("active-backup"))
                .host_config("bond_name", json!("bond0"))
                .host_config("network_interfaces", members))
        })
        .checked(|run| {
            let used = run.used()?;
            ensure!(used.interface == "bond0", "{used:?}");
            run.says("bond0: eth0 (52:54:00:12:34:56) joined")?;
            run.says("bond0: eth1 (52:54:00:12:34:57) joined")
        }),
        Case::refused("interface_not_there", Code::InterfaceNotFound, |bench| {
            let interfaces = json!([{ "mac_address": "02:00:00:00:00:99" }]);
            Ok(good(bench)?
                .host_config("network_interfaces", interfaces)
                .argument("--deadline=20s"))
        }),
        Case::refused("name_not_resolvable", Code::DnsFailed, |bench| {
            let url = "https://mirror.invalid/os.json";
            Ok(Scenario::new(bench, [])
                .host_config("ospkg_pointer", json!(url))
                .argument("--deadline=30s"))
        }),
    ]
}

fn good(bench: &Bench) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}

fn dhcp_retries_are_spaced(run: &Run) -> Result<()> {
    let cable = run.cables.first().context("no cable")?;
    spaced(&cable.sent(Message::Discover), LEAST_DHCP_GAP)
}

fn only_second_used(run: &Run) -> Result<()> {
    let used = run.used()?;
    let nics = &run.report()?.nics;
    let first = nics.iter().map(|nic| &nic.mac).min().context("no interfaces")?;
    ensure!(nics.len() == 2 && used.mac != *first, "used was {used:?} of {nics:?}");
    ensure!(used.addresses.iter().any(|it| it.starts_with("10.0.2.")), "{used:?}");
    let [.., working] = &run.cables[..] else { bail!("no cable") };
    let asked = *working.sent(Message::Discover).first().context("the second never asked")?;
    // Nothing waited for the first: it had no time to ask a third time.
    let earlier = run.cables.iter().filter(|cable| cable.frames_in == 0 || cable.dropped > 0);
    for cable in earlier {
        let before = cable.sent(Message::Discover).iter().filter(|at| **at < asked).count();
        ensure!(before <= 2, "the first asked {before} times before the second did once");
    }
    Ok(())
}
