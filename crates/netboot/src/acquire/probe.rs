//! Whether a link leads to a provisioning server: its mirrors asked in their order, the next one
//! beside the last one if that takes its time.

use core::future::pending;
use std::time::Duration;

use fetch::Client;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use netup::Link;
use netup::ProbeError;
use report::Class;
use report::Code;
use report::Failure;
use tokio::time::sleep;
use tracing::debug;
use tracing::warn;
use trust::Clock;

use super::Search;
use crate::ledger::Choice;
use crate::ledger::Trouble;
use crate::mirror::Try;
use crate::world::World;

/// How long a mirror is waited for before the next one is asked beside it: name, TCP and TLS over a
/// satellite take less.
const HEAD_START: Duration = Duration::from_millis(2500);

/// A client over a link, and the answer of one mirror if it gave one.
pub(super) type Found<T> = (Client<T>, Option<(usize, Vec<u8>)>);

/// What came of asking one mirror for its descriptor.
struct Heard {
    mirror: usize,
    result: Result<Vec<u8>, Trouble>,
    /// Whether it is a provisioning server, by verified TLS, whatever it answered.
    is_server: bool,
}

impl<W: World> Search<'_, W> {
    /// Whether there is a server that answers with verified TLS, or over plain http with something
    /// that is a descriptor. Asks each mirror at most once: the next one as soon as one has failed,
    /// or has not answered for [`HEAD_START`]. The first that answers is taken; those that had more
    /// time than it are charged with having been too slow.
    pub(super) async fn probe_at(
        &self,
        link: &Link,
        clock: Clock,
    ) -> Result<Found<W::Transport>, ProbeError> {
        let client = self.world.client_at(self.inputs, link, clock).map_err(ProbeError::Final)?;
        let found = self.race(&link.interface, &client).await?;
        Ok((client, found))
    }

    async fn race(
        &self,
        interface: &str,
        client: &Client<W::Transport>,
    ) -> Result<Option<(usize, Vec<u8>)>, ProbeError> {
        let mut is_server = false;
        let mut transient = None;
        let mut asked = Vec::new();
        // Those that have not answered yet, in the order in which they were asked.
        let mut open: Vec<(usize, Try)> = Vec::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            if let Some(mirror) = self.next(interface, &asked).await {
                asked.push(mirror);
                open.push((mirror, Try::new(self.events)));
                under_way.push(self.ask(client, mirror));
            }
            let more = || matches!(self.ledger.borrow().choose(interface, &asked), Choice::Ask(_));
            let head_start =
                async { if more() { sleep(HEAD_START).await } else { pending().await } };
            let heard = tokio::select! {
                biased;
                heard = under_way.next() => heard,
                () = head_start => continue,
            };
            let Some(Heard { mirror, result, is_server: by_tls }) = heard else { break };
            is_server |= by_tls;
            let Some(place) = open.iter().position(|(other, _)| *other == mirror) else { break };
            let (_, attempt) = open.remove(place);
            let trouble = match result {
                Ok(descriptor) => {
                    for (slow, attempt) in open.iter().take(place) {
                        let trouble = self.too_slow(*slow).into();
                        self.charge(interface, client, *slow, attempt, &trouble);
                    }
                    return Ok(Some((mirror, descriptor)));
                }
                Err(trouble) => trouble,
            };
            self.tell(interface, mirror, &trouble.failure);
            if trouble.failure.class == Class::Transient {
                // That one was connected to and then sent nothing says more about the link than
                // that another one is not there.
                let kept = transient.take().filter(|it: &Failure| it.code == Code::Stalled);
                transient = kept.or_else(|| Some(trouble.failure.clone()));
            }
            self.charge(interface, client, mirror, &attempt, &trouble);
        }
        if is_server {
            return Ok(None);
        }
        // Those that are left alone for a while were not asked, and may serve later.
        let hope = self.ledger.borrow().hope(interface) > 0;
        Err(match transient {
            Some(failure) => ProbeError::Transient(failure),
            None if hope => ProbeError::Transient(self.last_transient(interface)),
            None => ProbeError::Final(self.gravest(interface)),
        })
    }

    async fn ask(&self, client: &Client<W::Transport>, mirror: usize) -> Heard {
        let Some(asked) = self.mirrors.get(mirror) else {
            let failure = Failure::new(Code::Internal, "there is no such mirror");
            return Heard { mirror, result: Err(failure.into()), is_server: false };
        };
        let https = asked.url.is_https();
        let (result, is_server) = match client.descriptor(asked).await {
            Ok(bytes) if https => (Ok(bytes), true),
            Ok(bytes) => {
                let parsed = self.inputs.policy.descriptor(&bytes).map(|_| bytes);
                (parsed.map_err(Into::into), false)
            }
            Err(error) => {
                let is_server = error.answered() && https;
                (Err(Trouble::from(error)), is_server)
            }
        };
        Heard { mirror, result, is_server }
    }

    fn too_slow(&self, mirror: usize) -> Failure {
        let url = self.mirrors.get(mirror).map(|mirror| mirror.url.to_string());
        let url = url.unwrap_or_default();
        Failure::new(
            Code::Stalled,
            format!("{url}: no answer yet when another mirror had answered"),
        )
    }

    fn tell(&self, interface: &str, mirror: usize, failure: &Failure) {
        let Some(url) = self.mirrors.get(mirror).map(|mirror| &mirror.url) else { return };
        if self.ledger.borrow().is_news(interface, mirror, failure) {
            warn!("{url} over {interface}: {failure}");
        } else {
            debug!("{url} over {interface}: {failure}");
        }
    }

    /// The next mirror to ask in one probe: without waiting, unless none has been asked in it yet.
    pub(super) async fn next(&self, interface: &str, asked: &[usize]) -> Option<usize> {
        loop {
            let choice = self.ledger.borrow().choose(interface, asked);
            match choice {
                Choice::Ask(index) => {
                    self.ledger.borrow_mut().ask(interface, index);
                    return Some(index);
                }
                Choice::Wait(ready) if asked.is_empty() => tokio::time::sleep_until(ready).await,
                Choice::Wait(_) | Choice::Nobody => return None,
            }
        }
    }
}
