//! The machine itself: its clock, its memory, its arguments; and what must never come out of it.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use fault_server::Fault;
use report::Code;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use xtask::harness::RandomNumbers;

use crate::bench::Bench;
use crate::canary;
use crate::case::Case;
use crate::case::Run;
use crate::package::Archive;
use crate::package::CMDLINE;
use crate::package::manifest_with_cmdline;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// How QEMU takes the time.
const RTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// Initramfs that no machine of [`SMALL_MIB`] takes, in bytes.
const LARGE: u64 = 80 << 20;

/// Memory that is enough for the minimal OS, but not for [`LARGE`].
const SMALL_MIB: u32 = 256;

/// Memory in which our boot kernel starts, and no package of ours fits.
const SMALLEST_MIB: u32 = 64;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("clock_2001", |bench| Ok(good(bench)?.rtc("2001-01-01")))
            .checked(untrusted_clock),
        Case::boots("clock_2099", |bench| Ok(good(bench)?.rtc("2099-01-01")))
            .checked(untrusted_clock),
        Case::boots("clock_1970", |bench| Ok(good(bench)?.rtc("1970-01-01")))
            .slow()
            .checked(untrusted_clock),
        // Behind what 32 bits can count.
        Case::boots("clock_2040", |bench| Ok(good(bench)?.rtc("2040-01-01")))
            .slow()
            .checked(untrusted_clock),
        Case::boots("clock_in_local_time", |bench| {
            // Somewhere in the west: hours before the boot image was built.
            let time = OffsetDateTime::now_utc() - Duration::from_secs(8 * 3600);
            Ok(good(bench)?.rtc(time.format(RTC)?))
        })
        .slow()
        .checked(untrusted_clock),
        Case::boots("no_random_numbers_from_the_processor", |bench| {
            Ok(good(bench)?.random_numbers(RandomNumbers::Device))
        })
        .slow()
        .checked(|run| entropy(run, "virtio-rng")),
        Case::boots("no_random_numbers_at_all", |bench| {
            Ok(good(bench)?.random_numbers(RandomNumbers::None))
        })
        .slow()
        .checked(|run| entropy(run, "timing")),
        Case::refused("clock_2001_and_signer_expired", Code::SignerExpired, |bench| {
            let signers = [&bench.keys.signers[0], &bench.keys.expired];
            let descriptor = bench.minimal.descriptor(&signers)?;
            let mirror = Mirror::serving(&descriptor, &bench.minimal);
            Ok(Scenario::new(bench, [mirror]).rtc("2001-01-01"))
        })
        .checked(untrusted_clock),
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

/// There were random numbers from here, and the log says so.
fn entropy(run: &Run, source: &str) -> Result<()> {
    let entropy = run.report()?.entropy.as_ref().context("nothing is said of random numbers")?;
    let named = entropy.sources.iter().any(|it| it.contains(source));
    ensure!(entropy.ready && named, "not from {source}: {entropy:?}");
    ensure!(
        !entropy.sources.iter().any(|it| it.starts_with("CPU (")),
        "the processor: {entropy:?}"
    );
    run.says("entropy: ready")
}

fn untrusted_clock(run: &Run) -> Result<()> {
    let clock = &run.report()?.clock;
    ensure!(clock.state == "untrusted", "the clock is taken for {clock:?}");
    run.says("clock: untrusted")
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
