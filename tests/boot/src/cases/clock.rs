//! The machine's clock, which may tell anything, and its random numbers.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use trust::Timestamp;
use xtask::harness::Machine;
use xtask::harness::RandomNumbers;

use crate::bench::Bench;
use crate::bench::OsPackage;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;
use crate::site::Mirror;

/// How QEMU takes the time.
const RTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// In seconds.
const DAY: i64 = 86_400;

/// Local time in the Line Islands, in seconds ahead of UTC.
const EASTERNMOST: i64 = 14 * 3600;

/// 2024-01-01T00:00:00Z: before any boot image of ours was built.
const START_OF_2024: i64 = 1_704_067_200;

pub(super) fn cases() -> Vec<Case> {
    [clocks(), random_numbers()].concat()
}

fn clocks() -> Vec<Case> {
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
            Ok(good(bench)?.rtc(in_seconds(-8 * 3600)?))
        })
        .slow()
        .checked(untrusted_clock),
        Case::refused("clock_2001_and_signer_expired", Code::SignerExpired, |bench| {
            let signers = [&bench.keys.signers[0], &bench.keys.expired];
            let descriptor = bench.minimal.descriptor(&signers)?;
            let mirror = Mirror::serving(&descriptor, &bench.minimal);
            Ok(Scenario::new(bench, [mirror]).rtc("2001-01-01"))
        })
        .checked(untrusted_clock),
        Case::boots("clock_in_local_time_of_the_east", |bench| {
            // As far ahead as local time can be: nothing that is valid now is not valid yet.
            Ok(good(bench)?.rtc(in_seconds(EASTERNMOST)?))
        })
        .slow()
        .checked(|run| {
            let clock = &run.report()?.clock;
            ensure!(clock.state == "trusted", "the clock is taken for {clock:?}");
            Ok(())
        }),
        // What ended before the boot image was built, has ended whatever a clock says.
        Case::refused("clock_1970_and_package_ended", Code::PackageExpired, |bench| {
            ending(bench, START_OF_2024, "1970-01-01")
        })
        .slow()
        .checked(untrusted_clock),
        // What ends later boots, and whoever looks into the report sees that it may have ended.
        Case::boots("clock_1970_and_package_that_will_end", |bench| {
            ending(bench, now() + DAY, "1970-01-01")
        })
        .slow()
        .checked(|run| {
            untrusted_clock(run)?;
            let package = run.report()?.package.as_ref().context("no package")?;
            ensure!(package.not_after.is_some(), "no end is reported: {package:?}");
            Ok(())
        }),
        // The same package on a clock that may be right.
        Case::refused("clock_a_month_ahead_and_package_ended", Code::PackageExpired, |bench| {
            ending(bench, now() + DAY, in_seconds(30 * DAY)?)
        })
        .slow()
        .checked(|run| {
            let clock = &run.report()?.clock;
            ensure!(clock.state == "trusted", "the clock is taken for {clock:?}");
            Ok(())
        }),
        Case::dry_run("time_server_silent", |bench| {
            // The host's loopback, where nobody tells the time.
            Ok(good(bench)?.host_config("ntp", json!(["10.0.2.2"])).argument("--dryrun"))
        })
        .slow()
        .checked(|run| {
            run.says("E0120")?;
            let clock = &run.report()?.clock;
            ensure!(clock.source == "rtc", "the time is from {clock:?}");
            Ok(())
        }),
    ]
}

fn random_numbers() -> Vec<Case> {
    vec![
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
        Case::boots("random_numbers_from_a_tpm", |bench| {
            Ok(good(bench)?.random_numbers(RandomNumbers::None).tpm())
        })
        .slow()
        .needs("tpm-tis")
        .checked(|run| entropy(run, "TPM")),
        // The kernel measures its timing in seconds in which it runs: this one runs for moments only,
        // while two minutes go by.
        Case::refused("no_random_numbers_in_time", Code::EntropyLate, |bench| {
            // A machine without a watchdog.
            Ok(good(bench)?.random_numbers(RandomNumbers::None).machine(Machine::Pc).freezes())
        })
        .slow()
        .checked(|run| {
            let entropy = run.report()?.entropy.as_ref().context("nothing is said of them")?;
            ensure!(!entropy.ready, "there were some: {entropy:?}");
            Ok(())
        }),
    ]
}

fn good(bench: &Bench) -> Result<Scenario> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
}

/// A package that may be booted until then, in Unix seconds, on a machine with this clock.
fn ending(bench: &Bench, end: i64, clock: impl Into<String>) -> Result<Scenario> {
    let not_after = Some(Timestamp::from_unix(end));
    let os = bench.os(&OsPackage { not_after, ..OsPackage::default() })?;
    let descriptor = os.descriptor(&bench.keys.two())?;
    Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &os)]).rtc(clock))
}

/// In Unix seconds.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// The time so many seconds from now, as QEMU takes it.
fn in_seconds(seconds: i64) -> Result<String> {
    Ok(OffsetDateTime::from_unix_timestamp(now() + seconds)?.format(RTC)?)
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
