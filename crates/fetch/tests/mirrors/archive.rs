use core::time::Duration;
use std::io::Read;
use std::io::Seek;

use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use fault_server::Ranges;
use fetch::Download;
use fetch::FetchError;
use fetch::Limits;
use fetch::Partial;
use fetch::Patience;
use fetch::Progress;
use report::Code;
use report::Coded;
use report::Failure;

use crate::support::archive;
use crate::support::assert_complete;
use crate::support::assert_fails;
use crate::support::client;
use crate::support::content;
use crate::support::continued;
use crate::support::download;
use crate::support::limits;
use crate::support::mirror;
use crate::support::plain;
use crate::support::secure;
use crate::support::url;

const LEN: usize = 300_000;
const PATH: &str = "/os.zip";

/// A file with an entity tag, and its content.
fn file() -> (File, Vec<u8>) {
    let content = content(LEN);
    (File::new(content.clone()).etag("\"v1\""), content)
}

#[tokio::test]
async fn is_hashed_and_reported_as_it_comes() {
    let (file, expected) = file();
    let (server, client) = secure(&[(PATH, file)]);
    let mut seen = Vec::new();
    let mut admitted = Vec::new();
    let mut sink = Vec::new();
    let outcome = download(
        &client,
        &url(&server.url(PATH)),
        &mut sink,
        |len| {
            admitted.push(len);
            Ok(())
        },
        |progress| seen.push(progress),
    )
    .await;
    let total = u64::try_from(LEN).unwrap();
    assert_eq!(admitted, [Some(total)]);
    assert_eq!(seen.last(), Some(&Progress { bytes: total, total: Some(total), resumed: 0 }));
    assert!(seen.windows(2).all(|pair| pair[0].bytes < pair[1].bytes));
    assert_complete(&(sink, outcome), &expected);
}

#[tokio::test]
async fn connection_of_the_descriptor_is_used_again() {
    let (file, expected) = file();
    let (server, client) = secure(&[(PATH, file), ("/os.json", File::new("{}"))]);
    client.descriptor(&mirror(&server.url("/os.json"))).await.unwrap();
    assert_complete(&archive(&client, &server).await, &expected);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn goes_to_files_and_restarts_in_them() {
    let (file, expected) = file();
    let server = plain(PATH, file.ranges(Ranges::Ignore).first(1, Fault::CloseAfter(70_000)));
    let mut sink = tempfile::tempfile().unwrap();
    let url = url(&server.url(PATH));
    let download = download(&client(limits()), &url, &mut sink, |_| Ok(()), |_| {}).await.unwrap();
    assert_eq!(download.resumed, 1);
    let mut came = Vec::new();
    sink.rewind().unwrap();
    sink.read_to_end(&mut came).unwrap();
    assert!(came == expected);
}

#[tokio::test]
async fn a_break_is_resumed() {
    for chunked in [false, true] {
        let (mut file, expected) = file();
        if chunked {
            file = file.chunked();
        }
        let (server, client) = secure(&[(PATH, file.first(1, Fault::CloseAfter(180_000)))]);
        let outcome = archive(&client, &server).await;
        assert_complete(&outcome, &expected);
        assert_eq!(outcome.1.unwrap().resumed, 1);
        let second = &server.requests()[1];
        assert_eq!(second.range(), Some("bytes=180000-"));
        assert_eq!(second.header("if-range"), Some("\"v1\""));
    }
}

#[tokio::test]
async fn many_breaks_are_resumed_while_there_is_progress() {
    let (file, expected) = file();
    let server = plain(PATH, file.first(20, Fault::CloseAfter(10_000)));
    let outcome = archive(&client(limits()), &server).await;
    assert_complete(&outcome, &expected);
    assert_eq!(outcome.1.unwrap().resumed, 20);
}

#[tokio::test]
async fn errors_of_the_server_in_the_middle_are_waited_out() {
    let (file, expected) = file();
    let file = file
        .first(1, Fault::CloseAfter(100_000))
        .first(2, Fault::Status(503))
        .first(1, Fault::Hangup);
    let server = plain(PATH, file);
    let outcome = archive(&client(limits()), &server).await;
    assert_complete(&outcome, &expected);
    assert_eq!(outcome.1.unwrap().resumed, 1);
    assert_eq!(server.count(PATH), 5);
}

#[tokio::test]
async fn without_entity_tag_the_date_of_the_last_change_is_used() {
    let expected = content(LEN);
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let file = File::new(expected.clone())
        .etag("W/\"weak\"")
        .header("Last-Modified", date)
        .first(1, Fault::CloseAfter(5_000));
    let server = plain(PATH, file);
    assert_complete(&archive(&client(limits()), &server).await, &expected);
    assert_eq!(server.requests()[1].header("if-range"), Some(date));
}

#[tokio::test]
async fn a_server_that_cannot_continue_starts_again() {
    for ranges in [Ranges::Ignore, Ranges::Refuse] {
        let (file, expected) = file();
        let server = plain(PATH, file.ranges(ranges).first(1, Fault::CloseAfter(180_000)));
        let mut admitted = 0;
        let mut sink = Vec::new();
        let outcome = download(
            &client(limits()),
            &url(&server.url(PATH)),
            &mut sink,
            |_| {
                admitted += 1;
                Ok(())
            },
            |_| {},
        )
        .await;
        assert_complete(&(sink, outcome), &expected);
        assert_eq!(admitted, 2, "{ranges:?}");
    }
}

#[tokio::test]
async fn a_file_that_changed_starts_again() {
    let (file, _) = file();
    let server = plain(PATH, file.first(1, Fault::CloseAfter(180_000)));
    let expected = vec![7; 250_000];
    let mut sink = Vec::new();
    let mut changed = false;
    let outcome = download(
        &client(limits()),
        &url(&server.url(PATH)),
        &mut sink,
        |_| Ok(()),
        |progress| {
            if progress.bytes == 180_000 && !changed {
                server.set_file(PATH, File::new(expected.clone()).etag("\"v2\""));
                changed = true;
            }
        },
    )
    .await;
    assert_complete(&(sink, outcome), &expected);
}

#[tokio::test]
async fn a_range_of_another_version_is_not_used() {
    let (file, expected) = file();
    let server = plain(PATH, file.first(1, Fault::CloseAfter(180_000)));
    let mut sink = Vec::new();
    // To `If-Range` it is the same version still, but its entity tag says otherwise.
    let replaced = File::new(expected.clone()).header("ETag", "\"v2\"").header("X-Tag", "\"v1\"");
    let outcome = download(
        &client(limits()),
        &url(&server.url(PATH)),
        &mut sink,
        |_| Ok(()),
        |progress| {
            if progress.bytes == 180_000 {
                server.set_file(PATH, replaced.clone());
            }
        },
    )
    .await;
    assert_complete(&(sink, outcome), &expected);
    assert_eq!(server.requests()[1].range(), Some("bytes=180000-"));
    assert_eq!(server.requests()[2].range(), None);
}

#[tokio::test]
async fn wrong_ranges_are_refused() {
    for (ranges, code) in
        [(Ranges::WrongStart, Code::HttpInvalid), (Ranges::WrongTotal, Code::BodyTooLong)]
    {
        let (file, _) = file();
        let server = plain(PATH, file.ranges(ranges).first(1, Fault::CloseAfter(180_000)));
        assert_fails(archive(&client(limits()), &server).await.1, code, true);
    }
}

#[tokio::test]
async fn tries_without_progress_are_counted() {
    // Each try brings bytes, but never further than the first.
    let (file, _) = file();
    let server = plain(PATH, file.ranges(Ranges::Ignore).always(Fault::CloseAfter(180_000)));
    let outcome = archive(&client(limits()), &server).await.1;
    let error = assert_fails(outcome, Code::BodyTruncated, true);
    assert!(error.to_string().contains("180000 bytes"), "{error}");
    assert_eq!(server.count(PATH), 7);

    // Each try brings a byte only.
    let (file, _) = file_with_first_break();
    let server = plain(PATH, file.always(Fault::CloseAfter(1)));
    assert_fails(archive(&client(limits()), &server).await.1, Code::BodyTruncated, true);
    assert_eq!(server.count(PATH), 7);

    // The server is gone.
    let (file, _) = file_with_first_break();
    let server = plain(PATH, file.always(Fault::Hangup));
    assert_fails(archive(&client(limits()), &server).await.1, Code::BodyTruncated, true);
    assert_eq!(server.count(PATH), 7);
}

fn file_with_first_break() -> (File, Vec<u8>) {
    let (file, expected) = file();
    (file.first(1, Fault::CloseAfter(180_000)), expected)
}

#[tokio::test]
async fn what_fails_before_the_first_byte_is_the_callers() {
    for (fault, code, answered) in [
        (Fault::Status(500), Code::ServerError, true),
        (Fault::Status(404), Code::NotFound, true),
        (Fault::Hangup, Code::ConnectFailed, false),
    ] {
        let (file, _) = file();
        let server = plain(PATH, file.always(fault));
        assert_fails(archive(&client(limits()), &server).await.1, code, answered);
        assert_eq!(server.count(PATH), 1);
    }
}

#[tokio::test]
async fn a_file_that_vanished_is_not_waited_for() {
    let (file, _) = file_with_first_break();
    let server = plain(PATH, file.always(Fault::Status(404)));
    assert_fails(archive(&client(limits()), &server).await.1, Code::NotFound, true);
    assert_eq!(server.count(PATH), 2);
}

#[tokio::test]
async fn silence_and_dripping_are_stalls() {
    let quick = Limits { stall_window: Duration::from_millis(300), ..limits() };
    for fault in [
        Fault::StallAfter(50_000),
        Fault::StallAfter(0),
        Fault::Drip { after: 50_000, every: Duration::from_millis(5) },
    ] {
        let (file, expected) = file();
        let server = plain(PATH, file.always(fault));
        let (came, outcome) = archive(&client(quick.clone()), &server).await;
        assert_fails(outcome, Code::Stalled, true);
        assert_eq!(came, expected[..came.len()]);
        assert_eq!(server.count(PATH), 1);
    }
}

/// What came from one server is continued by another one.
async fn continued_by(
    first: File,
    second: File,
) -> (Vec<u8>, Result<Download, FetchError>, FaultServer) {
    let (first, second) = (plain(PATH, first), plain(PATH, second));
    let client = client(limits());
    let mut partial = Partial::new(Vec::new());
    continued(&client, &first, &mut partial, Patience::OTHERS).await.unwrap_err();
    assert!(partial.received() > 0);
    let outcome = continued(&client, &second, &mut partial, Patience::OTHERS).await;
    let sources = outcome.as_ref().map_or(0, |download| download.sources);
    assert_eq!(partial.is_mixed(), sources > 1);
    (partial.into_sink(), outcome, second)
}

#[tokio::test]
async fn another_mirror_goes_on_where_one_broke() {
    let (file, expected) = file();
    // Its entity tag is its own: the other server is not asked for it.
    let first = file.clone().first(1, Fault::CloseAfter(180_000)).always(Fault::Hangup);
    let (came, outcome, second) = continued_by(first, file.clone()).await;
    let download = *outcome.as_ref().unwrap();
    assert_complete(&(came, outcome), &expected);
    assert_eq!((download.sources, download.resumed), (2, 1));
    let requests = second.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].range(), Some("bytes=180000-"));
    assert_eq!(requests[0].header("if-range"), None);

    // It breaks, too, and goes on by its own tag.
    let first = file.clone().first(1, Fault::CloseAfter(100_000)).always(Fault::Hangup);
    let flaky = file.first(1, Fault::CloseAfter(50_000));
    let (came, outcome, second) = continued_by(first, flaky).await;
    assert_complete(&(came, outcome), &expected);
    let requests = second.requests();
    assert_eq!(requests[1].range(), Some("bytes=150000-"));
    assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn another_mirror_that_cannot_go_on_begins_again() {
    let (file, expected) = file();
    let broken = || file.clone().first(1, Fault::CloseAfter(180_000)).always(Fault::Hangup);
    // No ranges; 416; a file of another length.
    let mut longer = expected.clone();
    longer.push(0);
    for (second, expected) in [
        (file.clone().ranges(Ranges::Ignore), &expected),
        (file.clone().ranges(Ranges::Refuse), &expected),
        (file.clone().ranges(Ranges::WrongTotal), &expected),
        (File::new(longer.clone()), &longer),
    ] {
        let (came, outcome, _) = continued_by(broken(), second).await;
        assert_eq!(outcome.as_ref().unwrap().sources, 1);
        assert_complete(&(came, outcome), expected);
    }
    // A range that is not the one that was asked for.
    let (came, outcome, _) = continued_by(broken(), file.clone().ranges(Ranges::WrongStart)).await;
    assert_fails(outcome, Code::HttpInvalid, true);
    assert_eq!(came, expected[..180_000], "nothing was taken of it");
}

#[tokio::test]
async fn a_server_is_borne_with_for_longer_while_there_is_no_other() {
    let broken = || {
        let (file, _) = file_with_first_break();
        plain(PATH, file.always(Fault::Hangup))
    };
    for (patience, requests) in [(Patience::ALONE, 7), (Patience::OTHERS, 2)] {
        let server = broken();
        let mut partial = Partial::new(Vec::new());
        continued(&client(limits()), &server, &mut partial, patience).await.unwrap_err();
        assert_eq!(server.count(PATH), requests, "{patience:?}");
    }
    // 64 KiB in a window are asked for beside others, 4 KiB alone.
    let window = Duration::from_millis(400);
    let limits = Limits { stall_window: window, ..limits() };
    let (file, expected) = file();
    let drip = Fault::Drip { after: 0, every: Duration::from_micros(20) };
    let server = plain(PATH, file.always(drip));
    let mut partial = Partial::new(Vec::new());
    let outcome = continued(&client(limits), &server, &mut partial, Patience::OTHERS).await;
    assert_fails(outcome, Code::Stalled, true);
    assert!(partial.received() < expected.len() as u64);
}

#[tokio::test]
async fn a_server_that_wants_a_long_pause_is_left_to_the_caller() {
    let busy = Fault::StatusWith(503, vec![("Retry-After".to_owned(), "60".to_owned())]);
    let (file, _) = file_with_first_break();
    let server = plain(PATH, file.always(busy));
    let error = archive(&client(limits()), &server).await.1.unwrap_err();
    assert_eq!(error.code(), Code::ServerError);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(server.count(PATH), 2);
}

#[tokio::test]
async fn its_length_is_bounded() {
    let bounded = Limits { max_archive_len: 200_000, ..limits() };
    let (file, _) = file();
    let (mut came, outcome) = archive(&client(bounded.clone()), &plain(PATH, file.clone())).await;
    let error = assert_fails(outcome, Code::ArchiveTooLarge, true);
    assert!(came.is_empty() && error.to_string().contains("300000 bytes announced"), "{error}");

    for file in [file.clone().chunked(), file.always(Fault::Endless)] {
        let outcome;
        (came, outcome) = archive(&client(bounded.clone()), &plain(PATH, file)).await;
        assert_fails(outcome, Code::ArchiveTooLarge, true);
        assert!(came.len() <= 200_000);
    }
}

#[tokio::test]
async fn bytes_behind_the_announced_length_are_not_taken() {
    let (file, expected) = file();
    let server = plain(PATH, file.always(Fault::Announce(200_000)));
    assert_complete(&archive(&client(limits()), &server).await, &expected[..200_000]);
}

#[tokio::test]
async fn fewer_bytes_than_announced_are_a_break() {
    let (file, _) = file();
    let server = plain(PATH, file.always(Fault::Announce(400_000)));
    assert_fails(archive(&client(limits()), &server).await.1, Code::BodyTruncated, true);
}

#[tokio::test]
async fn a_flipped_bit_changes_the_digest() {
    let (file, expected) = file();
    let server = plain(PATH, file.always(Fault::FlipBit { offset: 123_456, bit: 3 }));
    let (came, outcome) = archive(&client(limits()), &server).await;
    let download = outcome.unwrap();
    assert_eq!(came.len(), expected.len());
    assert_ne!(download.sha256, trust::Sha256Digest::of(&expected));
    assert_eq!(download.sha256, trust::Sha256Digest::of(&came));
}

#[tokio::test]
async fn the_caller_may_refuse_it() {
    let (file, _) = file();
    let server = plain(PATH, file);
    let mut sink = Vec::new();
    let outcome = download(
        &client(limits()),
        &url(&server.url(PATH)),
        &mut sink,
        |len| Err(Failure::new(Code::MemoryTooSmall, format!("{len:?} bytes"))),
        |_| {},
    )
    .await;
    let error = assert_fails(outcome, Code::MemoryTooSmall, true);
    assert!(error.failure().detail.ends_with("Some(300000) bytes"), "{error}");
    assert!(sink.is_empty());
}

/// A sink without room.
struct Full;

impl fetch::Sink for Full {
    fn write_all(&mut self, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn restart(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_sink_ends_it() {
    let (file, _) = file();
    let server = plain(PATH, file);
    let url = url(&server.url(PATH));
    let error = download(&client(limits()), &url, &mut Full, |_| Ok(()), |_| {}).await.unwrap_err();
    assert_eq!(error.code(), Code::MemoryFile);
}
