//! Which mirror is asked for what, and who is blamed when it goes wrong.

use std::rc::Rc;
use std::time::Duration;

use fetch::ErrorKind;
use report::Code;
use report::Failure;

use crate::package::Package;
use crate::package::inputs;
use crate::world::Asked;
use crate::world::Journal;
use crate::world::Reply;
use crate::world::SimWorld;
use crate::world::Site;
use crate::world::cut;
use crate::world::file;
use crate::world::ready;
use crate::world::status;

const MIB: usize = 1 << 20;

/// Serves well, without delay.
fn good(package: &Package) -> impl Fn(Asked, usize) -> Reply + 'static + use<> {
    let package = package.clone();
    move |asked, _| ready(file(&package, &asked, Duration::ZERO))
}

/// Serves each archive up to a byte, and then breaks the connection.
fn broken(package: &Package, after: usize) -> impl Fn(Asked, usize) -> Reply + 'static + use<> {
    let package = package.clone();
    move |asked, _| {
        let response = file(&package, &asked, Duration::ZERO);
        if asked.path == "/os.json" {
            return ready(response);
        }
        let from = usize::try_from(asked.from).unwrap();
        ready(cut(response, after.saturating_sub(from)))
    }
}

fn never(_: Asked, _: usize) -> Reply {
    Box::pin(core::future::pending())
}

async fn boot(
    site: &Site,
    hosts: &[&str],
    patience: Duration,
) -> (Result<String, Failure>, Journal) {
    let journal = Journal::new();
    let world = SimWorld::new(site, 7);
    let inputs = inputs(hosts);
    let package = netboot::package_in(&world, &inputs, &journal, patience).await;
    (package.map(|(_, package)| package.manifest().label.clone().unwrap()), journal)
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn another_mirror_goes_on_where_one_broke() {
    let package = Package::new("one", 4 * MIB);
    let site = Site::default()
        .with("a.example", broken(&package, 3 * MIB))
        .with("b.example", good(&package));
    let (label, journal) = boot(&site, &["a.example", "b.example"], LONG).await;
    assert_eq!(label.unwrap(), "one");
    let asked = site.asked("b.example");
    assert_eq!(asked, [("/os.json".to_owned(), 0), ("/os.zip".to_owned(), 3 * MIB as u64)]);
    let tries = journal.tries();
    assert_eq!(
        tries,
        [("a.example".to_owned(), Some("E0313")), ("b.example".to_owned(), None)],
        "{tries:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mirror_with_another_package_begins_with_its_own() {
    let (one, other) = (Package::new("one", 4 * MIB), Package::new("other", 4 * MIB));
    let site =
        Site::default().with("a.example", broken(&one, 3 * MIB)).with("b.example", good(&other));
    let (label, _) = boot(&site, &["a.example", "b.example"], LONG).await;
    assert_eq!(label.unwrap(), "other");
    assert_eq!(site.asked("b.example")[1], ("/os.zip".to_owned(), 0));
}

/// A mirror that has the right descriptor and the wrong archive, and breaks: nobody can tell that
/// it was not the one that finished.
#[tokio::test(start_paused = true)]
async fn pieces_that_do_not_fit_are_nobodys_fault() {
    let package = Package::new("one", 4 * MIB);
    let mut wrong = package.clone();
    wrong.archive[MIB] ^= 1;
    let site = Site::default()
        .with("bad.example", broken(&wrong, 3 * MIB))
        .with("good.example", good(&package));
    let (label, journal) = boot(&site, &["bad.example", "good.example"], LONG).await;
    assert_eq!(label.unwrap(), "one");
    let codes: Vec<Option<&str>> = journal.tries().into_iter().map(|(_, code)| code).collect();
    assert!(codes.contains(&Some(Code::PiecesDiffer.id())), "{codes:?}");
    let asked = site.asked("good.example");
    assert_eq!(asked.last(), Some(&("/os.zip".to_owned(), 0)), "alone, from its beginning");

    // The wrong archive alone is the fault of the mirror that has it.
    let site = Site::default().with("bad.example", good(&wrong));
    let (label, _) = boot(&site, &["bad.example"], LONG).await;
    assert_eq!(label.unwrap_err().code, Code::SignatureWrong);
    assert_eq!(site.asked("bad.example").len(), 3, "once, and whether its descriptor is a new one");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_alone_is_continued_for_as_long_as_it_takes() {
    let package = Package::new("one", 4 * MIB);
    let archive = package.clone();
    // Each connection brings 64 KiB, and every third request is refused.
    let site = Site::default().with("a.example", move |asked, number| {
        if number % 3 == 1 {
            return ready(status(503, None));
        }
        let response = file(&archive, &asked, Duration::ZERO);
        ready(if asked.path == "/os.zip" { cut(response, 64 << 10) } else { response })
    });
    let (label, _) = boot(&site, &["a.example"], LONG).await;
    assert_eq!(label.unwrap(), "one");
    let from: Vec<u64> = site.asked("a.example").into_iter().map(|(_, from)| from).collect();
    let begun = from.iter().filter(|from| **from == 0).count();
    assert!(from.contains(&(4 * MIB as u64)), "{from:?}");
    assert!(begun < 10, "never from its beginning: {from:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dripping_mirror_does_not_hold_a_boot() {
    let package = Package::new("one", 4 * MIB);
    let drip = package.clone();
    let dripping = move |asked: Asked, _| {
        let mut response = file(&drip, &asked, Duration::from_secs(1));
        if asked.path == "/os.zip" {
            // Just enough for a mirror that is alone.
            response.body.piece = 512;
        }
        ready(response)
    };
    let site =
        Site::default().with("slow.example", dripping.clone()).with("good.example", good(&package));
    let start = tokio::time::Instant::now();
    let (label, journal) = boot(&site, &["slow.example", "good.example"], LONG).await;
    assert_eq!(label.unwrap(), "one");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(journal.tries()[0], ("slow.example".to_owned(), Some("E0312")));
    assert!(site.asked("good.example")[1].1 > 0, "what came slowly was not for nothing");

    // Alone it is borne with: at 512 bytes per second it takes its time.
    let site = Site::default().with("slow.example", dripping);
    let (label, _) = boot(&site, &["slow.example"], 4 * LONG).await;
    assert_eq!(label.unwrap(), "one");
}

#[tokio::test(start_paused = true)]
async fn dead_mirrors_cost_their_time_only() {
    let package = Package::new("one", MIB);
    let site = Site::default()
        .with("silent.example", never)
        .with("busy.example", |_, _| ready(status(503, Some(100))))
        .with("gone.example", |_, _| ready(status(404, None)))
        .with("good.example", good(&package));
    let hosts =
        ["silent.example", "nowhere.example", "busy.example", "gone.example", "good.example"];
    let start = tokio::time::Instant::now();
    let (label, _) = boot(&site, &hosts, LONG).await;
    assert_eq!(label.unwrap(), "one");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// The next mirror is asked beside one that is silent, in the configured order.
#[tokio::test(start_paused = true)]
async fn a_silent_mirror_costs_its_head_start_only() {
    let package = Package::new("one", MIB);
    let late = package.clone();
    let site = Site::default()
        .with("silent.example", never)
        .with("late.example", move |asked, _| {
            let late = late.clone();
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(file(&late, &asked, Duration::ZERO))
            })
        })
        .with("good.example", good(&package));
    let hosts = ["silent.example", "late.example", "good.example"];
    let start = tokio::time::Instant::now();
    let (label, journal) = boot(&site, &hosts, LONG).await;
    assert_eq!(label.unwrap(), "one");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(site.asked("good.example").is_empty(), "the second one was not late enough");
    // Who was slower than a later one is charged with it.
    let tries = journal.tries();
    assert_eq!(
        tries,
        [("silent.example".to_owned(), Some("E0312")), ("late.example".to_owned(), None)]
    );

    // A mirror that answers in time is the only one that is asked.
    let site = Site::default()
        .with("good.example", good(&package))
        .with("other.example", |_, _| ready(status(404, None)));
    boot(&site, &["good.example", "other.example"], LONG).await.0.unwrap();
    assert!(site.asked("other.example").is_empty());
}

/// The archive is another one by the time that it is asked for, and so is the descriptor.
#[tokio::test(start_paused = true)]
async fn a_package_that_is_replaced_in_between_is_taken_as_it_is_now() {
    let (old, new) = (Package::new("old", MIB), Package::new("new", MIB));
    let served = new.clone();
    let site = Site::default().with("a.example", move |asked, number| {
        let package = if number == 0 { &old } else { &served };
        ready(file(package, &asked, Duration::ZERO))
    });
    let (label, journal) = boot(&site, &["a.example"], LONG).await;
    assert_eq!(label.unwrap(), "new");
    let paths: Vec<String> = site.asked("a.example").into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/os.json", "/os.zip", "/os.json"], "nothing comes twice");
    assert_eq!(journal.tries(), [("a.example".to_owned(), None)]);
}

/// The same with an archive that came too early: neither descriptor names it.
#[tokio::test(start_paused = true)]
async fn a_package_that_is_being_replaced_is_asked_for_once_more() {
    let all: Vec<Package> =
        ["one", "two", "three"].into_iter().map(|label| Package::new(label, MIB)).collect();
    let site = Site::default().with("a.example", move |asked, number| {
        ready(file(&all[number.min(2)], &asked, Duration::ZERO))
    });
    let (label, journal) = boot(&site, &["a.example"], LONG).await;
    assert_eq!(label.unwrap(), "three");
    let tries = journal.tries();
    assert_eq!(tries[0].1, Some(Code::PackageReplaced.id()), "{tries:?}");

    // Who has another one each time is at fault after all.
    let site = Site::default().with("a.example", |asked, number| {
        ready(file(&Package::new(&format!("{number}"), MIB), &asked, Duration::ZERO))
    });
    let (label, _) = boot(&site, &["a.example"], LONG).await;
    assert_eq!(label.unwrap_err().code, Code::SignatureWrong);
    assert_eq!(site.asked("a.example").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_not_asked_again_and_what_may_heal_is_until_the_end() {
    let site = Site::default()
        .with("gone.example", |_, _| ready(status(404, None)))
        .with("busy.example", |_, _| ready(status(503, Some(100))));
    let start = tokio::time::Instant::now();
    let (label, _) = boot(&site, &["gone.example", "busy.example"], LONG).await;
    assert_eq!(label.unwrap_err().code, Code::ServerError);
    assert_eq!(start.elapsed().as_secs(), LONG.as_secs());
    assert_eq!(site.asked("gone.example").len(), 1);
    let asked = site.asked("busy.example").len();
    assert!((20..=36).contains(&asked), "100 s are asked for, up to 60 s more by chance: {asked}");

    // With nothing that may heal there is nothing to wait for.
    let site = Site::default().with("gone.example", |_, _| ready(status(404, None)));
    let start = tokio::time::Instant::now();
    let (label, _) = boot(&site, &["gone.example"], LONG).await;
    assert_eq!(label.unwrap_err().code, Code::NotFound);
    assert_eq!(start.elapsed().as_secs(), 0);
}

/// The same seed, the same story.
#[tokio::test(start_paused = true)]
async fn a_run_can_be_repeated() {
    let package = Rc::new(Package::new("one", 2 * MIB));
    let mut stories = Vec::new();
    for _ in 0..2 {
        let package = Rc::clone(&package);
        let site = Site::default().with("a.example", move |asked, number| {
            let response = file(&package, &asked, Duration::from_millis(3));
            ready(if number % 3 == 0 { response } else { cut(response, 100_000) })
        });
        let start = tokio::time::Instant::now();
        boot(&site, &["a.example"], LONG).await.0.unwrap();
        let log = site.log.borrow();
        let story: Vec<_> = log.iter().map(|(at, _, asked)| (*at - start, asked.clone())).collect();
        stories.push(story);
    }
    assert_eq!(stories[0], stories[1]);
    assert!(stories[0].len() >= 4, "{:?}", stories[0]);
}

/// At whatever moment the deadline comes: while a mirror is asked, in its pause, or while all links
/// are looked at once more.
#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_mirrors_failure_is_told() {
    let package = Package::new("one", MIB);
    for seconds in 5..40 {
        let site = Site::default().with("a.example", broken(&package, 1000));
        let (result, _) = boot(&site, &["a.example"], Duration::from_secs(seconds)).await;
        assert_eq!(result.unwrap_err().code, Code::BodyTruncated, "after {seconds} s");
    }
}

/// What a search for a link knows that the deadline cut off at its beginning, is nothing; that there
/// was no lease for minutes is what an operator has to know.
#[tokio::test(start_paused = true)]
async fn a_search_that_was_cut_off_at_its_beginning_is_not_blamed() {
    let package = Package::new("one", MIB);
    let inputs = inputs(&["a.example"]);
    let begun_before_the_end = async |patience: Duration| {
        let site = Site::default().with("a.example", broken(&package, 1000));
        let mut world = SimWorld::new(&site, 7);
        world.one_lease_only = true;
        let start = tokio::time::Instant::now();
        let result = netboot::package_in(&world, &inputs, &Journal::new(), patience).await;
        let code = result.map(|_| ()).unwrap_err().code;
        let second = world.searches.borrow().get(1).copied();
        (code, second.expect("the link was given up") - start)
    };
    let (_, begun) = begun_before_the_end(LONG).await;
    for (left, expected) in [(1, Code::BodyTruncated), (300, Code::NoLease)] {
        let (code, _) = begun_before_the_end(begun + Duration::from_secs(left)).await;
        assert_eq!(code, expected, "{left} s were left");
    }
}

/// No answer to the first message of TLS, as from a path that swallows long packets.
fn no_handshake() -> Reply {
    Box::pin(async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Err(ErrorKind::Handshake("no answer to the TLS handshake".to_owned()))
    })
}

/// Which failure is told to the link decides whether it asks for shorter packets.
#[tokio::test(start_paused = true)]
async fn a_handshake_without_answer_is_told_to_the_link_beside_a_mirror_that_is_not_there() {
    for hosts in [["a.example", "b.example"], ["b.example", "a.example"]] {
        let package = Package::new("one", MIB);
        let site = Site::default()
            .with("a.example", move |asked, number| match number {
                0 => no_handshake(),
                _ => ready(file(&package, &asked, Duration::ZERO)),
            })
            .with("b.example", |_, _| {
                Box::pin(async {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    Err(ErrorKind::Connect("no connection within 10 s".to_owned()))
                })
            });
        let world = SimWorld::new(&site, 7);
        let inputs = inputs(&hosts);
        netboot::package_in(&world, &inputs, &Journal::new(), LONG).await.unwrap();
        assert_eq!(*world.probes.borrow(), [Code::Stalled], "{hosts:?}");
        assert_eq!(*world.narrowed.borrow(), 0, "that is for the search for a link to do");
    }
}

/// The archive may be on another server than the descriptor.
#[tokio::test(start_paused = true)]
async fn a_handshake_without_answer_asks_for_shorter_packets_after_the_probe_too() {
    let package = Package::new("one", MIB);
    let site = Site::default().with("a.example", move |asked, number| match number {
        1 => no_handshake(),
        _ => ready(file(&package, &asked, Duration::ZERO)),
    });
    let world = SimWorld::new(&site, 7);
    let inputs = inputs(&["a.example"]);
    netboot::package_in(&world, &inputs, &Journal::new(), LONG).await.unwrap();
    assert_eq!((world.probes.borrow().len(), *world.narrowed.borrow()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_does_not_come_to_its_end_does_not_keep_the_machine() {
    for patience in [1, 29, 30, 31, 600].map(Duration::from_secs) {
        let mut world = SimWorld::new(&Site::default(), 7);
        world.never_connects = true;
        let start = tokio::time::Instant::now();
        let inputs = inputs(&["a.example"]);
        let ended = netboot::package_in(&world, &inputs, &Journal::new(), patience).await;
        assert_eq!(ended.map(|_| ()).unwrap_err().code, Code::DeadlineReached);
        assert_eq!(start.elapsed(), patience + Duration::from_secs(1));
    }
}
