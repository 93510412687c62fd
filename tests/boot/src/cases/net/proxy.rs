//! Networks whose only way out is a proxy, and mirrors that break.

use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;

use super::NAMED_MIRROR;
use super::machine;
use super::plain;
use crate::bench::Bench;
use crate::canary;
use crate::case::Case;
use crate::scenario::Scenario;

/// A proxy that knows the mirror's name. The machine has no name server and no gateway.
const OPEN: &str = "
    behind_proxy
    proxy 192.0.2.1
";

/// The same, but it wants a name and a password: those of the canary.
const LOCKED: &str = "
    behind_proxy
    proxy 192.0.2.1 'BasicAuth canaryuser canarypass'
";

/// Resets the connection to the first mirror in the middle of the archive, and every further one.
const BREAKS: &str = "
    up eth1 192.0.2.1/24 192.0.2.2/24
    dhcp eth1 192.0.2.100 192.0.2.150
    web
    sysctl -q -w net.netfilter.nf_conntrack_acct=1
    nft add table ip cut
    nft 'add set ip cut broken { type ipv4_addr; flags dynamic; }'
    nft 'add chain ip cut in { type filter hook input priority 0 ; }'
    nft add rule ip cut in ip daddr @broken tcp dport 443 reject with tcp reset
    nft 'add rule ip cut in ip daddr 192.0.2.1 tcp dport 443 ct reply bytes > 4000000 \\
        add @broken { ip daddr } reject with tcp reset'
";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots_in("net_proxy", OPEN, |bench| {
            Ok(named(bench)?.host_config("proxy", json!("http://192.0.2.1:3128")))
        })
        .quick()
        .checked(|run| {
            let tunnels = run.logged("proxy", "CONNECT mirror.lab.example:443").len();
            ensure!(tunnels > 0, "the proxy was never asked for a tunnel");
            Ok(())
        }),
        Case::reaches_in("net_proxy_wants_a_password", LOCKED, |bench| {
            let url = format!("http://{}:{}@192.0.2.1:3128", canary::USER, canary::PASSWORD);
            Ok(named(bench)?.host_config("proxy", json!(url)).argument("--loglevel=debug"))
        })
        .checked(|run| {
            ensure!(!run.logged("proxy", "CONNECT mirror.lab.example:443").is_empty(), "no tunnel");
            for (output, text) in run.outputs() {
                ensure!(canary::find(&text).is_none(), "{output} holds the proxy's password");
            }
            Ok(())
        }),
        Case::refused_in("net_proxy_password_is_missing", Code::ProxyAuth, LOCKED, |bench| {
            let proxy = "http://192.0.2.1:3128";
            Ok(named(bench)?.host_config("proxy", json!(proxy)).argument("--deadline=60s"))
        }),
        Case::refused_in("net_proxy_lets_nobody_through", Code::ProxyRefused, OPEN, |bench| {
            // It makes tunnels to port 443 only.
            let url = "https://mirror.lab.example:8443/os.json";
            Ok(machine(bench, url)
                .host_config("proxy", json!("http://192.0.2.1:3128"))
                .argument("--deadline=60s"))
        }),
        Case::reaches_in("net_plain_http_through_a_proxy", OPEN, |bench| {
            Ok(machine(bench, "http://mirror.lab.example/os.json")
                .host_config("proxy", json!("http://192.0.2.1:3128")))
        }),
        Case::boots_in("net_second_mirror_goes_on_where_the_first_broke", BREAKS, |bench| {
            Ok(plain(bench)?.without("ospkg_pointer").host_config(
                "mirrors",
                json!([
                    { "url": "https://192.0.2.2/os.json", "priority": 20 },
                    { "url": "https://192.0.2.1/os.json", "priority": 10 },
                ]),
            ))
        })
        .quick()
        .checked(|run| {
            // What the first had sent was not asked for again.
            let parts = run.logged("web", "/os.zip 206");
            let rest = parts.iter().any(|it| it.contains("bytes=") && !it.contains("bytes=0-"));
            ensure!(rest, "nobody asked for the rest: {parts:?}");
            let urls: Vec<&str> = run.report()?.mirrors.iter().map(|it| it.url.as_str()).collect();
            ensure!(urls.iter().any(|it| it.contains("192.0.2.2")), "only {urls:?} were asked");
            Ok(())
        }),
    ]
}

/// A machine whose mirror has a name that it cannot look up.
#[expect(clippy::unnecessary_wraps, reason = "what cases take may fail")]
fn named(bench: &Bench) -> Result<Scenario> {
    Ok(machine(bench, NAMED_MIRROR))
}
