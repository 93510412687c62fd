//! The machine itself: its memory, its arguments; and what must never come out of it.

use anyhow::Result;
use anyhow::ensure;
use fault_server::Fault;
use report::Code;
use serde_json::json;

use crate::bench::Bench;
use crate::canary;
use crate::case::Case;
use crate::case::Run;
use crate::package::Archive;
use crate::package::CMDLINE;
use crate::package::manifest_with_cmdline;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// Initramfs that no machine of [`SMALL_MIB`] takes, in bytes.
const LARGE: u64 = 80 << 20;

/// Memory that is enough for the minimal OS, but not for [`LARGE`].
const SMALL_MIB: u32 = 256;

/// Memory in which our boot kernel starts, and no package of ours fits.
const SMALLEST_MIB: u32 = 64;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::dry_run("dry_run", |bench| Ok(good(bench)?.argument("--dryrun"))),
        Case::refused("too_little_memory", Code::MemoryTooSmall, |bench| {
            let large = bench.os_with_ballast(LARGE)?;
            let descriptor = large.descriptor(&bench.keys.two())?;
            let mirror = Mirror::serving(&descriptor, &large);
            Ok(Scenario::new(bench, [mirror]).memory_mib(SMALL_MIB))
        })
        .checked(|run| {
            says_what_is_missing(run)?;
            let asked = run.requests[0].own.iter().filter(|it| it.path.ends_with(".zip")).count();
            ensure!(asked == 1, "the archive was asked for {asked} times");
            Ok(())
        }),
        // The smallest machine that starts: it says so, and does not run out of memory on the way.
        Case::refused("too_little_memory_in_the_smallest_machine", Code::MemoryTooSmall, |bench| {
            Ok(good(bench)?.memory_mib(SMALLEST_MIB))
        })
        .checked(says_what_is_missing),
        Case::boots("secrets_in_urls", |bench| {
            // Three mirrors that fail in three stages, so that their URLs are in messages.
            let insisting = |mirror: Mirror| mirror.userinfo(canary::USER, canary::PASSWORD);
            let bad_archive = bench.minimal.changed(|bytes| bytes[100] ^= 1);
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let mirrors = [
                good_mirror(bench)?.descriptor(|file| file.always(Fault::Status(503))),
                good_mirror(bench)?.archive(|file| file.always(Fault::Status(404))),
                Mirror::serving(&descriptor, &bad_archive),
                good_mirror(bench)?,
            ];
            let scenario = Scenario::new(bench, mirrors.map(insisting));
            Ok(scenario.argument("--loglevel=debug"))
        })
        .checked(|run| {
            ensure!(run.failures(1)? == [Code::NotFound], "{:?}", run.failures(1)?);
            ensure!(run.failures(2)? == [Code::SignatureWrong], "{:?}", run.failures(2)?);
            no_canary(run)
        }),
        Case::refused("secrets_in_a_failure_summary", Code::NotFound, |bench| {
            let mirror = good_mirror(bench)?.userinfo(canary::USER, canary::PASSWORD);
            let mirror = mirror.archive(|file| file.always(Fault::Status(404)));
            Ok(Scenario::new(bench, [mirror]).argument("--loglevel=debug"))
        })
        .checked(no_canary),
        Case::refused("failure_on_every_console", Code::NotFound, |bench| {
            let mirror = good_mirror(bench)?.archive(|file| file.always(Fault::Status(404)));
            Ok(Scenario::new(bench, [mirror]).second_console())
        })
        .checked(|run| {
            let second = run.second_console.as_deref().unwrap_or_default();
            let summary = format!("BOOT FAILED  {}", Code::NotFound);
            ensure!(second.contains(&summary), "the second console never says {summary:?}");
            // Wrapped to the width of a terminal.
            let words = second.split_whitespace().collect::<Vec<_>>().join(" ");
            ensure!(words.contains(Code::NotFound.remedy()), "the second console: no remedy");
            Ok(())
        }),
        Case::dry_run("remote_log_to_nobody", |bench| {
            let log = json!({ "url": "https://10.0.2.2:1/log" });
            Ok(good(bench)?.host_config("remote_log", log).argument("--dryrun"))
        })
        .slow()
        .checked(|run| run.says("E0123")),
        // As an administrator may do it who wants no kernel to be loaded after the first.
        Case::refused("kexec_switched_off", Code::KexecForbidden, |bench| {
            Ok(good(bench)?.parameters("sysctl.kernel.kexec_load_disabled=1"))
        })
        .slow(),
        Case::boots("package_by_another_writer", |bench| {
            let archive = bench.minimal_deflated()?;
            let descriptor = archive.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &archive)]))
        }),
        Case::boots("os_forges_a_report", |bench| {
            let cmdline = format!("{CMDLINE} minimal.forge=ttyS1");
            let manifest = manifest_with_cmdline("boot/vmlinuz", "boot/initramfs", &cmdline);
            let files = [
                ("boot/vmlinuz", &bench.kernel_image[..]),
                ("boot/initramfs", &bench.minimal_initramfs[..]),
            ];
            let archive = Archive::zip(&manifest, &files)?;
            let descriptor = archive.descriptor(&bench.keys.two())?;
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &archive)]))
        })
        .checked(|run| run.says("forged an end on ttyS1")),
    ]
}

fn says_what_is_missing(run: &Run) -> Result<()> {
    let failure = run.report()?.failure.as_ref();
    let detail = failure.map_or("", |failure| &failure.detail);
    ensure!(detail.contains("MiB are missing"), "what is missing is not said: {detail}");
    Ok(())
}

fn good_mirror(bench: &Bench) -> Result<Mirror> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Mirror::serving(&descriptor, &bench.minimal))
}

fn good(bench: &Bench) -> Result<Scenario> {
    Ok(Scenario::new(bench, [good_mirror(bench)?]))
}

/// The secrets of the host configuration went to the servers that they are for, and nowhere else.
fn no_canary(run: &Run) -> Result<()> {
    for (mirror, requests) in run.requests.iter().enumerate() {
        // The search finds what it is to find, in a place where it must be.
        let log: String = requests.own.iter().map(|it| format!("{it:?}\n")).collect();
        ensure!(canary::find(&log).is_some(), "mirror {mirror} never got the password");
    }
    for (output, text) in run.outputs() {
        if let Some(found) = canary::find(&text) {
            anyhow::bail!("{output} holds a secret: …{found}…");
        }
    }
    Ok(())
}
