//! From a host configuration to a verified package: connect, fetch, verify; the next mirror where
//! one fails; all of them again while there is hope and time.

use core::cell::RefCell;
use core::pin::pin;
use std::time::Duration;

use fetch::Client;
use fetch::ClientOptions;
use fetch::FetchError;
use fetch::Limits;
use hostcfg::ProvisioningUrl;
use netup::Connected;
use netup::Link;
use netup::Plan;
use netup::ProbeError;
use ospkg::Descriptor;
use report::Class;
use report::Code;
use report::Failure;
use report::Stage;
use tokio::time::Instant;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::events::Event;
use crate::events::Events;
use crate::events::Running;
use crate::inputs::Inputs;
use crate::ledger::Ledger;
use crate::memory;
use crate::mirror;
use crate::mirror::Try;
use crate::mirror::Verified;

/// Rounds over all mirrors on one link before all links are looked at again.
const ROUNDS_PER_LINK: u32 = 4;

/// Pause after a round in which no mirror served: doubling from the first to the second, ± half.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// How often a machine that waits says so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What the probe of a link found out.
#[derive(Debug)]
pub struct Answer {
    client: Client,
    /// The mirror that answered, and its descriptor if it gave one.
    descriptor: Option<(usize, Vec<u8>)>,
}

/// Connects, fetches and verifies until a package is authorised.
///
/// # Errors
/// The gravest failure, once nothing can heal any more or the deadline has passed.
pub async fn package(
    inputs: &Inputs,
    events: &dyn Events,
    patience: Duration,
) -> Result<(Connected<Answer>, Verified), Failure> {
    let deadline = Instant::now() + patience;
    let plan = Plan::from(&inputs.host.config);
    let ledger = RefCell::new(Ledger::default());
    loop {
        let mut connected = connect(inputs, events, &plan, &ledger, deadline).await?;
        let interface = connected.link.interface.clone();
        let tried = over_link(inputs, events, &mut connected, &ledger);
        match tokio::time::timeout_at(deadline, tried).await {
            Ok(Ok(package)) => return Ok((connected, package)),
            // A rogue or stale network must not keep the machine from those beside it.
            Ok(Err(failure)) if failure.class != Class::Transient && connected.nics.len() < 2 => {
                return Err(failure);
            }
            Ok(Err(failure)) => {
                warn!("looking at all interfaces again: {}", failure.headline());
            }
            Err(_) => {
                let ledger = ledger.borrow();
                return Err(ledger.last_transient(&interface).cloned().unwrap_or_else(|| {
                    let detail = format!("{} s have passed", patience.as_secs());
                    Failure::new(Code::DeadlineReached, detail)
                }));
            }
        }
    }
}

async fn connect(
    inputs: &Inputs,
    events: &dyn Events,
    plan: &Plan,
    ledger: &RefCell<Ledger>,
    deadline: Instant,
) -> Result<Connected<Answer>, Failure> {
    let connecting = Running::begin(events, Stage::Connect);
    let mut connect =
        pin!(netup::connect(plan, deadline, |link| { probe(inputs, events, ledger, link) }));
    let result = loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut connect).await {
            Ok(Ok(connected)) => {
                events.on(Event::Nics(connected.nics.clone()));
                break Ok(connected);
            }
            Ok(Err(error)) => {
                events.on(Event::Nics(error.nics));
                break Err(error.failure);
            }
            Err(_) if Instant::now() > deadline + SIGN_OF_LIFE => {
                let detail = "setting up the network did not come to its end";
                break Err(Failure::new(Code::DeadlineReached, detail));
            }
            Err(_) => still_trying(ledger, deadline),
        }
    };
    connecting.close(result, |connected| describe(&connected.link))
}

/// Tells somebody who watches that the machine is not hung, and what it waits for.
fn still_trying(ledger: &RefCell<Ledger>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
    match ledger.borrow().latest() {
        Some(failure) => {
            info!("still trying, for {left} s more; last: {}", failure.headline());
        }
        None => info!("still trying, for {left} s more; no interface leads to a server yet"),
    }
}

fn describe(link: &Link) -> String {
    let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
    let gateway = link.gateway().map_or_else(String::new, |gateway| format!(", gateway {gateway}"));
    format!("{} {} by {}{gateway}", link.interface, addresses.join(" "), link.method)
}

/// Whether a link leads to a provisioning server: one that answers with verified TLS, or over
/// plain http with something that is a descriptor.
async fn probe(
    inputs: &Inputs,
    events: &dyn Events,
    ledger: &RefCell<Ledger>,
    link: Link,
) -> Result<Answer, ProbeError> {
    let client = client(inputs, &link).map_err(|error| ProbeError::Final(error.failure()))?;
    let mut answered = false;
    let mut transient = None;
    for (index, url) in inputs.host.config.urls().enumerate() {
        if ledger.borrow().is_dropped(&link.interface, index) {
            continue;
        }
        let failure = match client.descriptor(url).await {
            Ok(bytes) if is_https(url) => {
                return Ok(Answer { client, descriptor: Some((index, bytes)) });
            }
            Ok(bytes) => match Descriptor::parse(&bytes) {
                Ok(_) => return Ok(Answer { client, descriptor: Some((index, bytes)) }),
                Err(error) => Failure::from_error(&error),
            },
            Err(error) => {
                answered |= error.answered() && is_https(url);
                error.failure()
            }
        };
        if ledger.borrow().is_news(&link.interface, index, &failure) {
            warn!("{url} over {}: {failure}", link.interface);
        } else {
            debug!("{url} over {}: {failure}", link.interface);
        }
        note_mirror(events, ledger, &link.interface, index, url, Try::new(events), &failure);
        if failure.class == Class::Transient {
            transient = Some(failure);
        }
    }
    if answered {
        return Ok(Answer { client, descriptor: None });
    }
    Err(match transient {
        Some(failure) => ProbeError::Transient(failure),
        None => ProbeError::Final(gravest(ledger, &link.interface)),
    })
}

fn client(inputs: &Inputs, link: &Link) -> Result<Client, FetchError> {
    Client::new(ClientOptions {
        interface: Some(link.interface.clone()),
        dns: link.dns.clone(),
        tls_roots: inputs.policy.policy.tls_roots().to_vec(),
        clock: inputs.clock,
        limits: Limits { max_archive_len: memory::max_archive_len(), ..Limits::default() },
    })
}

/// Tries the mirrors over one link, round after round.
///
/// Fails with a transient failure when it is time to look at the other links again.
async fn over_link(
    inputs: &Inputs,
    events: &dyn Events,
    connected: &mut Connected<Answer>,
    ledger: &RefCell<Ledger>,
) -> Result<Verified, Failure> {
    let interface = connected.link.interface.clone();
    let mut known = connected.answer.descriptor.take();
    for round in 0..ROUNDS_PER_LINK {
        for (index, url) in inputs.host.config.urls().enumerate() {
            if ledger.borrow().is_dropped(&interface, index) {
                continue;
            }
            // The probe has the answer of one mirror already; those before it did not answer.
            let descriptor = match known.take_if(|(mirror, _)| *mirror == index) {
                Some((_, bytes)) => Some(bytes),
                None if known.as_ref().is_some_and(|(mirror, _)| *mirror > index) => continue,
                None => None,
            };
            let mut attempt = Try::new(events);
            let tried = mirror::serve(
                inputs,
                events,
                &connected.answer.client,
                url,
                descriptor,
                None,
                &mut attempt,
            );
            match tried.await {
                Ok(package) => {
                    events.on(Event::Mirror(attempt.report(&interface, url, None)));
                    return Ok(package);
                }
                Err(failure) => {
                    // The line of the stage has its title.
                    let Failure { code, detail, .. } = &failure;
                    match failure.class {
                        Class::Security => {
                            warn!("{url} is dropped for this boot: {code} {detail}");
                        }
                        Class::Permanent => warn!("{url} cannot serve: {code} {detail}"),
                        Class::Transient => warn!("{url}: {code} {detail}"),
                    }
                    note_mirror(events, ledger, &interface, index, url, attempt, &failure);
                }
            }
        }
        let hope = (0..inputs.host.config.mirrors.len())
            .any(|index| !ledger.borrow().is_dropped(&interface, index));
        if !hope {
            return Err(gravest(ledger, &interface));
        }
        let pause = (PAUSE.0 * 2_u32.pow(round)).min(PAUSE.1);
        // Many machines that lost the same server must not come back as one.
        let spread = f32::from(connected.answer.client.jitter()) / f32::from(u16::MAX);
        let pause = pause / 2 + pause.mul_f32(spread);
        debug!("no mirror served; trying again in {:.1} s", pause.as_secs_f32());
        tokio::time::sleep(pause).await;
    }
    let ledger = ledger.borrow();
    Err(ledger
        .last_transient(&interface)
        .cloned()
        .unwrap_or_else(|| Failure::new(Code::ConnectFailed, "no mirror served")))
}

fn note_mirror(
    events: &dyn Events,
    ledger: &RefCell<Ledger>,
    interface: &str,
    index: usize,
    url: &ProvisioningUrl,
    attempt: Try,
    failure: &Failure,
) {
    ledger.borrow_mut().note(interface, index, failure);
    events.on(Event::Mirror(attempt.report(interface, url, Some(failure))));
}

fn gravest(ledger: &RefCell<Ledger>, interface: &str) -> Failure {
    ledger
        .borrow()
        .gravest(interface)
        .cloned()
        .unwrap_or_else(|| Failure::new(Code::HostConfigNoUrl, "there is no mirror to ask"))
}

fn is_https(url: &ProvisioningUrl) -> bool {
    url.url_without_userinfo().scheme() == "https"
}
