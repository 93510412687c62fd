//! Trust policies and host configurations that cannot be used. Their parsers' own tests, in the
//! crates `trust` and `hostcfg`, have every field and every form.

use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;
use xtask::harness::Firmware;

use super::matrix::all_works;
use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::medium::Medium;
use crate::scenario::Scenario;
use crate::site::Mirror;

const POLICY: &str = "trust_policy.json";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::refused("trust_policy_missing", Code::TrustPolicyMissing, |bench| {
            let without = good(bench)?.policy_file(POLICY, None);
            Ok(without
                .policy_file("ospkg_signing_root.pem", None)
                .policy_file("tls_roots.pem", None))
        }),
        Case::refused("trust_policy_malformed", Code::TrustPolicyMalformed, |bench| {
            Ok(good(bench)?.policy_file(POLICY, Some(b"{\"ospkg_signature_threshold\": 1")))
        }),
        Case::refused("trust_policy_threshold_0", Code::TrustPolicyInvalid, |bench| {
            Ok(good(bench)?.threshold(0))
        }),
        Case::refused("trust_policy_key_twice", Code::TrustPolicyMalformed, |bench| {
            let twice = br#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network",
                "OSPKG_SIGNATURE_THRESHOLD": 1}"#;
            Ok(good(bench)?.policy_file(POLICY, Some(twice)))
        })
        .slow(),
        Case::refused("signing_root_missing", Code::SigningRootInvalid, |bench| {
            Ok(good(bench)?.policy_file("ospkg_signing_root.pem", None))
        }),
        Case::refused("signing_root_malformed", Code::SigningRootInvalid, |bench| {
            Ok(good(bench)?.policy_file("ospkg_signing_root.pem", Some(b"no certificate")))
        })
        .slow(),
        Case::refused("tls_roots_malformed", Code::TlsRootsInvalid, |bench| {
            Ok(good(bench)?.policy_file("tls_roots.pem", Some(b"no certificate")))
        }),
        Case::refused("sigsum_policy_malformed", Code::SigsumPolicyInvalid, |bench| {
            Ok(good(bench)?.policy_file("ospkg_trust_policy", Some(b"log 00 https://log.test\n")))
        }),
        Case::refused("host_config_malformed", Code::HostConfigMalformed, |bench| {
            Ok(good(bench)?.raw_host_config(b"network_mode: dhcp"))
        }),
        Case::refused("host_config_bad_value", Code::HostConfigInvalid, |bench| {
            Ok(good(bench)?.host_config("network_mode", json!("carrier pigeon")))
        }),
        Case::refused("host_config_no_usable_url", Code::HostConfigNoUrl, |bench| {
            Ok(good(bench)?.host_config("ospkg_pointer", json!("ftp://10.0.2.2/os.json")))
        }),
        Case::refused("host_config_missing", Code::HostConfigMissing, |bench| {
            Ok(good(bench)?.no_host_config())
        }),
        Case::boots("host_config_in_efi_variable", |bench| {
            Ok(good(bench)?.host_config_in_efi_variable())
        })
        .checked(|run| {
            run.says("efi: EFI v")?;
            taken_from(run, Firmware::Uefi, "efi-variable")
        }),
        Case::refused("efi_variable_malformed", Code::HostConfigMalformed, |bench| {
            Ok(good(bench)?.host_config_in_efi_variable().raw_host_config(b"network_mode: dhcp"))
        })
        .slow()
        .checked(|run| {
            let failure = run.report()?.failure.as_ref();
            let detail = failure.map_or("", |failure| &failure.detail);
            ensure!(detail.starts_with("EFI variable STHostConfig: "), "the source: {detail}");
            Ok(())
        }),
        Case::boots("file_wins_over_efi_variable", |bench| {
            Ok(good(bench)?.efi_variable(b"network_mode: dhcp"))
        })
        .slow()
        .checked(|run| {
            run.says("efi: EFI v")?;
            taken_from(run, Firmware::Uefi, "initramfs")
        }),
        Case::boots("host_config_on_command_line", |bench| {
            let scenario = good(bench)?.host_config_on_command_line();
            Ok(scenario.parameters("BOOTIF=01-52-54-00-12-34-56 ramstrap.vlna=7"))
        })
        .checked(|run| {
            run.says("ramstrap.vlna: unknown, ignored; is it ramstrap.vlan?")?;
            run.says("BOOTIF: the interface 52:54:00:12:34:56 goes first")?;
            taken_from(run, Firmware::Bios, "command-line")
        }),
        Case::boots("host_config_in_oem_strings", |bench| {
            Ok(good(bench)?.host_config_in_oem_strings())
        })
        .checked(|run| taken_from(run, Firmware::Bios, "smbios")),
        Case::boots("boot_origin", |bench| Ok(good(bench)?.boot_origin()))
            .checked(|run| taken_from(run, Firmware::Uefi, "boot-origin")),
        // The firmware has fetched the boot image; nobody has told anybody else where from.
        Case::boots("boot_origin_of_uefi_http_boot", |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [])
                .firmware(Firmware::Uefi)
                .medium(Medium::Http)
                .beside_the_boot_image(&descriptor, &bench.minimal))
        })
        .slow()
        .checked(|run| {
            taken_from(run, Firmware::Uefi, "boot-origin")?;
            let urls: Vec<&str> = run.report()?.mirrors.iter().map(|it| it.url.as_str()).collect();
            ensure!(urls.iter().all(|it| it.ends_with("/ramstrap.json")), "asked were {urls:?}");
            Ok(())
        }),
        Case::refused("command_line_bad_value", Code::HostConfigInvalid, |bench| {
            let scenario = good(bench)?.host_config_on_command_line();
            Ok(scenario.parameters("ramstrap.vlan=4095"))
        })
        .slow()
        .checked(|run| {
            let failure = run.report()?.failure.as_ref();
            let detail = failure.map_or("", |failure| &failure.detail);
            let expected = "kernel command line: ramstrap.vlan: 4095";
            ensure!(detail.starts_with(expected), "source and field: {detail}");
            Ok(())
        }),
    ]
}

/// `/init` took the host configuration from this source; all works after the jump, as on every row
/// of the matrix.
fn taken_from(run: &Run, firmware: Firmware, source: &str) -> Result<()> {
    all_works(run, firmware)?;
    let reported = run.report()?.host_configuration.as_ref();
    let taken = reported.map(|report| report.source.as_str());
    ensure!(taken == Some(source), "expected it from {source}, it came from {taken:?}");
    Ok(())
}

fn good(bench: &Bench) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}
