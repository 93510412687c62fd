//! Packages that the boot image itself holds, and host configurations in old forms.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;
use report::Stage;
use serde_json::json;

use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;
use crate::site::Mirror;

const POLICY: &str = "trust_policy.json";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("provision_mode_without_a_network", |bench| {
            let scenario = Scenario::new(bench, []).no_host_config().no_nic();
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            Ok(scenario.embed("provision", &descriptor, &bench.minimal))
        })
        .checked(|run| came_from(run, "provision", "initramfs:/ospkg/provision.zip")),
        Case::boots("package_in_the_boot_image", |bench| embedded(bench, "os.zip"))
            .slow()
            .checked(|run| came_from(run, "initramfs", "initramfs:/ospkg/os.zip")),
        Case::refused("package_in_the_boot_image_signed_by_one", Code::BelowThreshold, |bench| {
            let [one, _] = bench.keys.two();
            let descriptor = bench.minimal.descriptor(&[one])?;
            Ok(local(bench, "os.zip").embed("os", &descriptor, &bench.minimal))
        })
        .slow(),
        Case::refused("package_is_not_in_the_boot_image", Code::EmbeddedMissing, |bench| {
            embedded(bench, "other.zip")
        })
        .slow(),
        Case::refused("pointer_leads_out_of_the_directory", Code::EmbeddedNameInvalid, |bench| {
            embedded(bench, "../ospkg/os.zip")
        })
        .slow(),
        Case::boots("host_config_of_2022", |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let mirror = Mirror::serving(&descriptor, &bench.minimal);
            Ok(Scenario::new(bench, [mirror])
                .urls_as_in_2022()
                .host_config("version", json!(1))
                .host_config("timestamp", json!(1_665_824_126))
                .host_config("network_mode", json!("static"))
                .host_config("host_ip", json!("10.0.2.77/24"))
                .host_config("gateway", json!("10.0.2.2"))
                .host_config("dns", json!("10.0.2.3"))
                .host_config("network_interface", json!("52:54:00:12:34:56"))
                .host_config("bonding", json!(false)))
        })
        .slow()
        .checked(|run| {
            run.says("provisioning_urls: the old name of ospkg_pointer")?;
            run.says("dns: an address alone is an old form")?;
            run.says("network_interface: an old form")
        }),
    ]
}

/// A machine that takes packages from its boot image alone, and has no NIC.
fn local(bench: &Bench, pointer: &str) -> Scenario {
    let policy = json!({ "ospkg_signature_threshold": 2, "ospkg_fetch_method": "initramfs" });
    Scenario::new(bench, [])
        .no_nic()
        .policy_file(POLICY, Some(policy.to_string().as_bytes()))
        .host_config("ospkg_pointer", json!(pointer))
}

fn embedded(bench: &Bench, pointer: &str) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(local(bench, pointer).embed("os", &descriptor, &bench.minimal))
}

/// The package came from there, and nobody looked for a network.
fn came_from(run: &Run, source: &str, archive: &str) -> Result<()> {
    let report = run.report()?;
    let config = report.host_configuration.as_ref().context("no host configuration")?;
    ensure!(config.source == source, "the host configuration is from {}", config.source);
    let package = report.package.as_ref().context("no package")?;
    ensure!(package.archive_url == archive, "the archive is from {}", package.archive_url);
    ensure!(report.nics.is_empty() && report.mirrors.is_empty(), "a network was looked for");
    let connect = report.stages.iter().any(|timing| timing.stage == Stage::Connect);
    ensure!(!connect, "it went through the stage connect");
    Ok(())
}
