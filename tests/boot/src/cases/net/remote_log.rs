//! Logs that a boot sends to a server while it runs: they arrive, whole and readable, and no secret of the
//! host configuration is in them.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;
use serde_json::json;

use super::machine;
use crate::bench::Bench;
use crate::canary;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;

/// A mirror that wants a password, and a server of the older protocol.
const BY_UDP: &str = "
    up eth1 192.0.2.1/24
    dhcp eth1 192.0.2.100 192.0.2.150
    locked_web
    syslog
";

/// The same behind a proxy that wants one, too, and the distribution's own server for TLS.
const BY_TLS: &str = "
    up eth1 192.0.2.1/24
    dhcp eth1 192.0.2.100 192.0.2.150
    locked_web
    proxy 192.0.2.1 'BasicAuth canaryuser canarypass'
    syslog_tls
";

/// A web server that wants a password of whoever posts.
const BY_HTTPS: &str = "
    up eth1 192.0.2.1/24
    dhcp eth1 192.0.2.100 192.0.2.150
    collector
";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::reaches_in("net_remote_log", BY_UDP, |bench| {
            Ok(telling(bench, "syslog+udp://192.0.2.1:514"))
        })
        .checked(|run| {
            let log = run.lab.get("syslog").context("nothing came")?;
            // UDP has no lines: each message begins with its priority and version.
            let messages: Vec<&str> =
                log.split(">1 ").filter(|it| it.contains(" ramstrap ")).collect();
            tells_all_but_secrets(run, &messages)
        }),
        Case::reaches_in("net_remote_log_by_tls", BY_TLS, |bench| {
            let proxy = format!("http://{}:{}@192.0.2.1:3128", canary::USER, canary::PASSWORD);
            Ok(telling(bench, "syslog+tls://192.0.2.1:6514").host_config("proxy", json!(proxy)))
        })
        .checked(|run| {
            ensure!(!run.logged("proxy", "CONNECT 192.0.2.1:443").is_empty(), "no tunnel");
            // As the server has read them: facility, severity, sender, program.
            let log = run.lab.get("syslog-tls").context("nothing came")?;
            let messages: Vec<&str> = log.lines().collect();
            let strange = messages.iter().find(|it| !it.contains(" 192.0.2.1"));
            ensure!(strange.is_none(), "not by the machine's address: {strange:?}");
            let strange = messages.iter().find(|it| !it.starts_with("daemon."));
            ensure!(strange.is_none(), "the server reads something else: {strange:?}");
            tells_all_but_secrets(run, &messages)
        }),
        Case::reaches_in("net_remote_log_by_https", BY_HTTPS, |bench| {
            let url = format!("https://{}:{}@192.0.2.1/log", canary::USER, canary::PASSWORD);
            Ok(telling(bench, &url))
        })
        .checked(|run| {
            let log = run.lab.get("posted").context("nothing came")?;
            let messages: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
            for line in &messages {
                let entry: Value = serde_json::from_str(line)
                    .with_context(|| format!("a line that is no JSON: {line}"))?;
                ensure!(entry["message"].is_string(), "a line without a message: {line}");
                ensure!(entry["mac"] == "52:54:00:12:34:56", "not by the machine's NIC: {line}");
            }
            ensure!(!run.logged("secrets", "/log Basic ").is_empty(), "posted without a password");
            tells_all_but_secrets(run, &messages)
        }),
    ]
}

/// A machine that has every kind of secret in its host configuration, uses each and tells everything to
/// this server. Its first mirror has no such file, so that its URL is in messages.
fn telling(bench: &Bench, log: &str) -> Scenario {
    let (user, password) = (canary::USER, canary::PASSWORD);
    let url = |file: &str| format!("https://{user}:{password}@192.0.2.1/{file}?token={password}");
    let identity = bench.identities.of_lab();
    machine(bench, "")
        .without("ospkg_pointer")
        .host_config(
            "mirrors",
            json!([
                { "url": url("nothing.json"), "headers": { "X-Lab-Token": password } },
                {
                    "url": url("os.json"),
                    "priority": 10,
                    "client_certificate": identity.chain_pem(),
                    "client_key": identity.key_pem(),
                },
            ]),
        )
        .host_config("remote_log", json!({ "url": log, "level": "debug" }))
        .argument("--loglevel=debug")
}

/// Asserts that these are messages of a whole boot, and that neither they nor anything else that came out
/// of the machine has a secret in it.
fn tells_all_but_secrets(run: &Run, messages: &[&str]) -> Result<()> {
    ensure!(messages.len() > 10, "{} messages came to the lab: {messages:?}", messages.len());
    for words in ["https://***@192.0.2.1/nothing.json", "E0307", "https://***@192.0.2.1/os.zip"] {
        let told = messages.iter().any(|it| it.contains(words));
        ensure!(told, "no message has {words:?}: {messages:?}");
    }
    // The search finds what it is to find, in a place where it must be.
    let sent = run.lab.get("secrets").context("the mirror was told no secrets")?;
    ensure!(sent.contains(" Basic ") && canary::find(sent).is_some(), "no password: {sent}");
    ensure!(sent.contains(&format!(" {}", canary::PASSWORD)), "no header: {sent}");
    let messages = messages.join("\n");
    for (output, text) in [run.outputs(), vec![("remote log", messages)]].concat() {
        if let Some(found) = canary::find(&text) {
            anyhow::bail!("{output} holds a secret: …{found}…");
        }
        ensure!(!text.contains("PRIVATE KEY"), "{output} holds a key");
    }
    Ok(())
}
