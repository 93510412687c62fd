//! Servers that fail, lie or stall, and what must boot all the same. How the client meets each
//! fault is tested closely in the crate `fetch`, against the same servers.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use fault_server::Fault;
use fault_server::File;
use fault_server::Ranges;
use report::Code;

use crate::bench::Bench;
use crate::case::Case;
use crate::case::Run;
use crate::scenario::Scenario;
use crate::site::Mirror;
use crate::site::Tls;
use crate::wire::Faults;

/// More than any machine has, in bytes.
const BEYOND_MEMORY: u64 = 1 << 46;

const BYTE_BY_BYTE: Fault = Fault::Drip { after: 0, every: Duration::from_secs(1) };

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("server_up_after_20_s", |bench| {
            let delay = Duration::from_secs(20);
            let scenario = one(bench, |mirror| mirror.opens_after_lease(delay))?;
            Ok(scenario.cable(Faults::default()))
        })
        .checked(|run| {
            let failures = run.failures(0)?;
            ensure!(!failures.is_empty(), "it never failed");
            ensure!(failures.iter().all(|code| *code == Code::ConnectFailed), "{failures:?}");
            // Twenty seconds of pauses that grow: few tries, not one after the other.
            ensure!(failures.len() < 30, "{} tries in 20 s", failures.len());
            Ok(())
        }),
        Case::refused("status_404", Code::NotFound, |bench| {
            one(bench, |mirror| mirror.descriptor(|file| file.always(Fault::Status(404))))
        }),
        Case::boots("status_500_then_200", |bench| {
            one(bench, |mirror| mirror.descriptor(|file| file.first(2, Fault::Status(500))))
        })
        .checked(|run| {
            let failures = run.failures(0)?;
            ensure!(failures.contains(&Code::ServerError), "{failures:?}");
            Ok(())
        }),
        Case::boots("closes_at_60_percent", |bench| {
            let most = bench.minimal.len() / 10 * 6;
            one(bench, |mirror| mirror.archive(|file| file.first(1, Fault::CloseAfter(most))))
        })
        .checked(|run| {
            let resumed: u32 = run.tries(0)?.iter().map(|entry| entry.resumed).sum();
            ensure!(resumed == 1, "resumed {resumed} times");
            let ranges = run.requests[0].own.iter().filter(|it| it.range().is_some()).count();
            ensure!(ranges == 1, "{ranges} requests for a part");
            Ok(())
        }),
        Case::boots("one_byte_per_second_then_next_mirror", |bench| {
            let slow = good(bench)?.archive(|file| file.always(BYTE_BY_BYTE));
            Ok(Scenario::new(bench, [slow, good(bench)?]))
        })
        .checked(|run| first_failed_with(run, Code::Stalled)),
        Case::refused("one_byte_per_second_alone", Code::Stalled, |bench| {
            let scenario = one(bench, |it| it.archive(|file| file.always(BYTE_BY_BYTE)))?;
            Ok(scenario.argument("--deadline=40s"))
        })
        .slow(),
        Case::refused("deadline_within_a_download", Code::DeadlineReached, |bench| {
            // Too fast for a stall, on a busy host as well, and minutes too slow for the deadline.
            let slowly = Fault::Slowly { bytes: 2000, every: Duration::from_millis(50) };
            let scenario = one(bench, |mirror| mirror.archive(|file| file.always(slowly)))?;
            Ok(scenario.argument("--deadline=15s"))
        }),
        Case::refused("endless_body", Code::ArchiveTooLarge, |bench| {
            let scenario = one(bench, |it| it.archive(|file| file.always(Fault::Endless)))?;
            Ok(scenario.memory_mib(256))
        }),
        Case::refused("archive_announced_beyond_memory", Code::MemoryTooSmall, |bench| {
            one(bench, |it| it.archive(|file| file.always(Fault::Announce(BEYOND_MEMORY))))
        }),
        Case::refused("archive_longer_than_announced", Code::SignatureWrong, |bench| {
            // HTTP ends at what was announced: what is longer arrives cut, and that is not what
            // was signed.
            let announced = bench.minimal.len() - 1;
            one(bench, |it| it.archive(|file| file.always(Fault::Announce(announced))))
        }),
        Case::refused("archive_always_cut", Code::BodyTruncated, |bench| {
            let cut = |file: File| file.ranges(Ranges::Ignore).always(Fault::CloseAfter(1000));
            let scenario = one(bench, |mirror| mirror.archive(cut))?;
            Ok(scenario.argument("--deadline=30s"))
        }),
        Case::refused("archive_changes_its_length", Code::BodyTooLong, |bench| {
            let cut =
                |file: File| file.ranges(Ranges::WrongTotal).first(1, Fault::CloseAfter(100_000));
            one(bench, |mirror| mirror.archive(cut))
        }),
        Case::refused("archive_url_not_a_zip", Code::ArchiveUrlInvalid, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let descriptor = descriptor.changed(|it| it.os_pkg_url = "os.tar".to_owned());
            Ok(Scenario::new(bench, [Mirror::serving(&descriptor, &bench.minimal)]))
        }),
        Case::refused("answer_not_http", Code::HttpInvalid, |bench| {
            let greeting = Fault::Raw(b"220 mirror ESMTP\r\n".to_vec());
            one(bench, |mirror| mirror.descriptor(|file| file.always(greeting)))
        }),
        Case::refused("nobody_listens", Code::ConnectFailed, |bench| {
            let never = Duration::from_secs(3600);
            let scenario = one(bench, |mirror| mirror.opens_after_lease(never))?;
            Ok(scenario.argument("--deadline=20s"))
        })
        .checked(|run| {
            let failures = run.failures(0)?.len();
            ensure!((2..=20).contains(&failures), "{failures} tries in 20 s");
            Ok(())
        }),
        Case::refused("status_500_for_ever", Code::ServerError, |bench| {
            let scenario = one(bench, |it| it.descriptor(|file| file.always(Fault::Status(500))))?;
            Ok(scenario.argument("--deadline=20s"))
        })
        .checked(|run| {
            let asked = run.requests[0].own.len();
            ensure!((2..=20).contains(&asked), "asked {asked} times in 20 s");
            Ok(())
        }),
        Case::refused("tls_foreign_ca", Code::TlsUntrusted, |bench| {
            one(bench, |mirror| mirror.tls(Tls::Foreign))
        }),
        Case::refused("tls_expired", Code::TlsExpired, |bench| {
            one(bench, |mirror| mirror.tls(Tls::Expired))
        }),
        Case::refused("tls_wrong_name", Code::TlsWrongName, |bench| {
            one(bench, |mirror| mirror.tls(Tls::WrongName))
        }),
        Case::refused("tls_roots_missing", Code::TlsNoRoots, |bench| {
            Ok(one(bench, |it| it)?.policy_file("tls_roots.pem", None))
        }),
        Case::refused("redirect_to_http", Code::RedirectRefused, |bench| {
            one(bench, Mirror::redirects_to_plain)
        })
        .checked(|run| {
            ensure!(run.requests[0].plain.is_empty(), "the plain http server was asked");
            Ok(())
        }),
        Case::boots("plain_http", |bench| one(bench, |mirror| mirror.tls(Tls::None))),
        Case::boots("first_mirror_tampered_second_good", |bench| {
            let middle = bench.minimal.bytes.len() / 2;
            let flipped = bench.minimal.changed(|bytes| bytes[middle] ^= 1);
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let tampered = Mirror::serving(&descriptor, &flipped);
            Ok(Scenario::new(bench, [tampered, good(bench)?]))
        })
        .checked(|run| {
            first_failed_with(run, Code::SignatureWrong)?;
            ensure!(run.tries(0)?.len() == 1, "a mirror that served bad bytes was asked again");
            run.says("E0405")
        }),
        Case::boots("every_kind_of_bad_mirror_before_a_good_one", bad_mirrors_then_good)
            .checked(each_bad_mirror_has_its_code),
    ]
}

fn good(bench: &Bench) -> Result<Mirror> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    Ok(Mirror::serving(&descriptor, &bench.minimal))
}

fn one(bench: &Bench, change: impl FnOnce(Mirror) -> Mirror) -> Result<Scenario> {
    Ok(Scenario::new(bench, [change(good(bench)?)]))
}

fn first_failed_with(run: &Run, code: Code) -> Result<()> {
    let failures = run.failures(0)?;
    ensure!(failures == [code], "the first mirror failed with {failures:?}");
    let served = run.tries(1)?.iter().any(|entry| entry.failure.is_none());
    ensure!(served, "the second mirror did not serve");
    Ok(())
}

fn bad_mirrors_then_good(bench: &Bench) -> Result<Scenario> {
    let keys = &bench.keys;
    let signed_by = |signers: &[_]| -> Result<Mirror> {
        Ok(Mirror::serving(&bench.minimal.descriptor(signers)?, &bench.minimal))
    };
    let mirrors = [
        good(bench)?.descriptor(|file| file.always(Fault::Status(404))),
        good(bench)?.descriptor(|file| file.always(Fault::Status(503))),
        good(bench)?.tls(Tls::Foreign),
        signed_by(&[&keys.signers[0]])?,
        signed_by(&[&keys.signers[0], &keys.again])?,
        Mirror::new(b"{}", &bench.minimal.bytes),
        good(bench)?.archive(|file| file.always(Fault::Status(404))),
        good(bench)?,
    ];
    Ok(Scenario::new(bench, mirrors))
}

fn each_bad_mirror_has_its_code(run: &Run) -> Result<()> {
    let codes = [
        Code::NotFound,
        Code::ServerError,
        Code::TlsUntrusted,
        Code::BelowThreshold,
        Code::SignerRepeated,
        Code::DescriptorMalformed,
        Code::NotFound,
    ];
    for (mirror, code) in codes.into_iter().enumerate() {
        let failures = run.failures(mirror)?;
        ensure!(
            !failures.is_empty() && failures.iter().all(|failure| *failure == code),
            "mirror {mirror} failed with {failures:?}, not {code}"
        );
    }
    ensure!(run.failures(codes.len())?.is_empty(), "the good mirror failed");
    Ok(())
}
