//! What is signed wrongly, and what must boot all the same. Each refusal is one boot for one code;
//! the finer points of each rule are unit tests of the crates `trust` and `ospkg`, which judge here
//! as there.

use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;
use trust::Timestamp;

use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::case::Case;
use crate::case::Run;
use crate::keys::Signer;
use crate::package::Archive;
use crate::package::manifest;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// More than a descriptor may have, in bytes.
const HUGE: usize = 10_000_000;

const DEEP: usize = 10_000;

/// 2024-01-01T00:00:00Z, before any boot image of today was built.
const START_OF_2024: i64 = 1_704_067_200;

/// 2099-12-31T23:59:59Z.
const LAST_DAY_OF_2099: i64 = 4_102_444_799;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("good_package", |bench| signed_by(bench, &bench.keys.two()))
            .checked(handed_over),
        Case::refused("archive_bit_flipped", Code::SignatureWrong, |bench| {
            let middle = bench.minimal.bytes.len() / 2;
            let flipped = bench.minimal.changed(|bytes| bytes[middle] ^= 1);
            good_descriptor_with(bench, &flipped)
        }),
        Case::refused("archive_truncated", Code::SignatureWrong, |bench| {
            let cut = bench.minimal.changed(|bytes| bytes.truncate(bytes.len() - 1));
            good_descriptor_with(bench, &cut)
        }),
        Case::refused("archive_with_bytes_appended", Code::SignatureWrong, |bench| {
            good_descriptor_with(bench, &bench.minimal.changed(|bytes| bytes.push(0)))
        })
        .slow(),
        Case::refused("descriptor_of_another_package", Code::SignatureWrong, |bench| {
            let other = Archive::zip(&manifest("kernel", "initramfs"), &[("kernel", b"other")])?;
            let descriptor = other.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
        }),
        Case::refused("one_signature_of_two", Code::BelowThreshold, |bench| {
            signed_by(bench, &[&bench.keys.signers[0]])
        }),
        Case::refused("no_signature", Code::BelowThreshold, |bench| signed_by(bench, &[])).slow(),
        Case::refused("one_key_under_two_certificates", Code::SignerRepeated, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.again])
        }),
        Case::refused("signer_under_unknown_root", Code::SignerUntrusted, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.foreign])
        }),
        Case::refused("signer_expired", Code::SignerExpired, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.expired])
        }),
        Case::refused("signer_not_yet_valid", Code::SignerNotYetValid, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.not_yet])
        }),
        Case::refused("signer_rsa", Code::SignerAlgorithm, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.rsa])
        }),
        Case::refused("signer_ecdsa", Code::SignerAlgorithm, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.ecdsa])
        }),
        Case::refused("signer_for_tls_only", Code::SignerUsage, |bench| {
            signed_by(bench, &[&bench.keys.signers[0], &bench.keys.tls_only])
        }),
        Case::refused("signer_denied", Code::SignerDenied, |bench| {
            let policy = json!({
                "ospkg_signature_threshold": 2,
                "ospkg_fetch_method": "network",
                "denied_keys": [bench.keys.signers[1].key_sha256()],
            });
            let scenario = signed_by(bench, &bench.keys.two())?;
            Ok(scenario.policy_file("trust_policy.json", Some(policy.to_string().as_bytes())))
        }),
        Case::refused("release_below_min_release", Code::ReleaseTooOld, |bench| {
            released(bench, Some(6), 7)
        }),
        Case::refused("no_release_but_min_release", Code::ReleaseTooOld, |bench| {
            released(bench, None, 0)
        })
        .slow(),
        Case::boots("release_of_min_release", |bench| released(bench, Some(7), 7)).checked(|run| {
            let release = run.report()?.package.as_ref().and_then(|package| package.release);
            ensure!(release == Some(7), "the release is reported as {release:?}");
            Ok(())
        }),
        Case::refused("package_expired", Code::PackageExpired, |bench| {
            let end = Some(Timestamp::from_unix(START_OF_2024));
            signed(bench, &bench.os(&OsPackage { not_after: end, ..OsPackage::default() })?)
        })
        .slow(),
        Case::refused("package_of_another_channel", Code::ChannelWrong, |bench| {
            in_channel(bench, Some("beta"))
        })
        .slow(),
        Case::refused("package_of_no_channel", Code::ChannelWrong, |bench| in_channel(bench, None))
            .slow(),
        Case::boots("package_of_the_channel_before_its_end", |bench| {
            in_channel(bench, Some("stable"))
        })
        .checked(|run| {
            let package = run.report()?.package.as_ref();
            let found = package.map(|it| (it.channel.as_deref(), it.not_after.as_deref()));
            ensure!(
                found == Some((Some("stable"), Some("2099-12-31T23:59:59Z"))),
                "channel and end are reported as {found:?}"
            );
            Ok(())
        })
        .slow(),
        Case::boots("unusable_signers_beside_two_good_ones", |bench| {
            let keys = &bench.keys;
            let [first, second] = keys.two();
            signed_by(
                bench,
                &[&keys.rsa, first, &keys.ecdsa, &keys.expired, &keys.again, &keys.foreign, second],
            )
        })
        .checked(|run| {
            let skipped = [
                (1, Code::SignerAlgorithm),
                (3, Code::SignerAlgorithm),
                (4, Code::SignerExpired),
                (5, Code::SignerRepeated),
                (6, Code::SignerUntrusted),
            ];
            let was = run.skipped()?;
            ensure!(was == skipped, "skipped were {was:?}");
            two_signers(run)
        }),
        Case::refused("more_signatures_than_certificates", Code::DescriptorMismatch, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let descriptor = descriptor.changed(|it| it.signatures.push(vec![0; 64]));
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
        }),
        Case::refused("more_certificates_than_signatures", Code::DescriptorMismatch, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let third = bench.keys.signers[2].pem.clone();
            let descriptor = descriptor.changed(|it| it.certificates.push(third));
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
        }),
        Case::refused("certificate_not_decodable", Code::DescriptorEntryInvalid, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let descriptor = descriptor.changed(|it| it.certificates[1] = "no PEM".to_owned());
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
        }),
        Case::refused("signature_of_63_bytes", Code::SignatureLength, |bench| {
            second_signature(bench, |signature| signature.truncate(63))
        }),
        Case::refused("signature_of_65_bytes", Code::SignatureLength, |bench| {
            second_signature(bench, |signature| signature.push(0))
        }),
        Case::refused("descriptor_not_json", Code::DescriptorMalformed, |bench| {
            descriptor(bench, b"It works!")
        }),
        Case::refused("descriptor_is_a_page", Code::HttpInvalid, |bench| {
            descriptor(bench, b"<html>It works!</html>")
        })
        .slow(),
        Case::refused("descriptor_of_10_mb", Code::DescriptorTooLarge, |bench| {
            let good = bench.minimal.descriptor(&bench.keys.two())?.to_json();
            // Blanks keep it well-formed: only its length is wrong.
            let mut huge = good.to_vec();
            huge.resize(HUGE, b' ');
            descriptor(bench, &huge)
        }),
        Case::refused("descriptor_nested_10000_deep", Code::DescriptorMalformed, |bench| {
            let (open, close) = ("[".repeat(DEEP), "]".repeat(DEEP));
            descriptor(bench, format!("{{\"version\":1,\"x\":{open}{close}}}").as_bytes())
        }),
        Case::refused("manifest_names_missing_kernel", Code::KernelMissing, |bench| {
            signed_zip(bench, &manifest("boot/absent", "initramfs"))
        }),
        Case::refused("manifest_names_missing_initramfs", Code::InitramfsMissing, |bench| {
            signed_zip(bench, &manifest("boot/kernel", "absent"))
        })
        .slow(),
        Case::refused("manifest_not_json", Code::ManifestInvalid, |bench| {
            signed_zip(bench, b"{\"version\": 1,")
        }),
        Case::refused("manifest_missing", Code::ManifestMissing, |bench| {
            let archive = Archive::zip_without_manifest(&[("boot/kernel", b"x")])?;
            signed(bench, &archive)
        })
        .slow(),
        Case::refused("archive_not_a_zip", Code::ArchiveInvalid, |bench| {
            signed(bench, &Archive::of(vec![b'x'; 70_000]))
        }),
        Case::refused("kernel_not_a_bzimage", Code::KernelInvalid, |bench| {
            signed_zip(bench, &manifest("boot/kernel", "boot/initramfs"))
        }),
    ]
}

/// The minimal OS, signed by these.
fn signed_by(bench: &Bench, signers: &[&Signer]) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(signers)?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}

/// The minimal OS with this release, for a policy that lets none run below `least`.
fn released(bench: &Bench, release: Option<u64>, least: u64) -> Result<Scenario> {
    let policy = json!({
        "ospkg_signature_threshold": 2,
        "ospkg_fetch_method": "network",
        "min_release": least,
    });
    let scenario = signed(bench, &bench.os(&OsPackage { release, ..OsPackage::default() })?)?;
    Ok(scenario.policy_file("trust_policy.json", Some(policy.to_string().as_bytes())))
}

/// The minimal OS of this channel with an end far ahead, for a policy that demands channel `stable`.
fn in_channel(bench: &Bench, channel: Option<&str>) -> Result<Scenario> {
    let policy = json!({
        "ospkg_signature_threshold": 2,
        "ospkg_fetch_method": "network",
        "channel": "stable",
    });
    let end = Some(Timestamp::from_unix(LAST_DAY_OF_2099));
    let package = OsPackage { channel, not_after: end, ..OsPackage::default() };
    let scenario = signed(bench, &bench.os(&package)?)?;
    Ok(scenario.policy_file("trust_policy.json", Some(policy.to_string().as_bytes())))
}

/// The good descriptor beside another archive.
fn good_descriptor_with(bench: &Bench, archive: &Archive) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, archive)]))
}

/// Any archive, well signed.
fn signed(bench: &Bench, archive: &Archive) -> Result<Scenario> {
    let descriptor = archive.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, archive)]))
}

/// A well signed archive with this manifest and two files that are no kernel and no initramfs.
fn signed_zip(bench: &Bench, manifest: &[u8]) -> Result<Scenario> {
    let noise = vec![0x90; 70_000];
    signed(bench, &Archive::zip(manifest, &[("boot/kernel", &noise), ("boot/initramfs", &noise)])?)
}

/// The minimal OS with a change in the second of two signatures.
fn second_signature(bench: &Bench, change: fn(&mut Vec<u8>)) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    let descriptor = descriptor.changed(|it| change(&mut it.signatures[1]));
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}

/// Any bytes as descriptor, beside a good archive.
fn descriptor(bench: &Bench, bytes: &[u8]) -> Result<Scenario> {
    Ok(Scenario::new(bench, [Mirror::new(bytes, &bench.minimal.bytes)]))
}

/// What the OS was handed says what was verified.
fn handed_over(run: &Run) -> Result<()> {
    two_signers(run)?;
    let report = run.report()?;
    ensure!(report.clock.state == "trusted", "the clock is {}", report.clock.state);
    let Some(package) = &report.package else { anyhow::bail!("no package is reported") };
    for signer in ["signer 1", "signer 2"] {
        ensure!(
            package.signers.iter().any(|it| it.subject.contains(signer)),
            "{signer} is not among {:?}",
            package.signers
        );
    }
    let said = run.os_says()?;
    // The OS itself looks at owners and modes of what it was handed, and says when all is well.
    let told = ["checks         ok", "boot-report.json", "trust_policy/trust_policy.json"];
    for part in told.into_iter().chain([&package.sha256[..], &package.signers[0].key]) {
        ensure!(said.contains(part), "the OS does not tell of {part}");
    }
    Ok(())
}

fn two_signers(run: &Run) -> Result<()> {
    let package = run.report()?.package.as_ref();
    let count = package.map_or(0, |package| package.signers.len());
    ensure!(count == 2, "{count} signers counted");
    Ok(())
}
