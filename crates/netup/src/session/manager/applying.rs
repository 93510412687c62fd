//! What the kernel makes of it.

use super::AFTER_DUPLICATE;
use super::AFTER_OWN;
use super::MAX_AVOIDED;
use super::Manager;
use super::STATIC_TRIES;
use super::conflict;
use crate::backoff::pause;
use crate::configuration::Configuration;
use crate::network::AddressState;
use crate::network::NetworkError;
use crate::session::facts::Facts;
use core::net::IpAddr;
use hostcfg::Addressing;
use report::Code;
use report::Failure;
use std::sync::Arc;
use tokio::time::Instant;

impl Manager {
    /// Finds out which addresses the kernel has found to be somebody else's.
    pub(super) fn look_for_duplicates(&mut self) {
        let now = Instant::now();
        self.duplicates.retain(|_, again_at| now < *again_at);
        let links = Arc::clone(&self.links.borrow_and_update());
        let Some(nic) = links.iter().find(|nic| nic.index == self.nic.index) else { return };
        let applied = self.applied.iter().flat_map(|applied| &applied.addresses);
        self.reported.retain(|address| nic.address_state(*address).is_some());
        for address in applied {
            if nic.address_state(*address) != Some(AddressState::Duplicate) {
                continue;
            }
            if let (Some(routers), IpAddr::V6(v6)) = (&self.routers, address.address()) {
                if self.reported.insert(*address) {
                    // Each knows its own.
                    routers.duplicates.report(v6);
                    if let Some((_, session)) = &self.v6 {
                        session.duplicates.report(v6);
                    }
                }
                continue;
            }
            let elsewhere = links.iter().filter(|other| other.index != nic.index).any(|other| {
                other.addresses.iter().any(|own| own.address.address() == address.address())
            });
            // Our own other NIC has answered: next time it is not asked.
            let pause = if elsewhere { AFTER_OWN } else { AFTER_DUPLICATE };
            if self.duplicates.insert(*address, now + pause).is_none() && !elsewhere {
                let failure = conflict(&nic.name, address, None);
                tracing::warn!("{failure}");
                self.conflict = Some(failure);
            }
        }
    }

    /// Brings it to the kernel, and leaves out what that refuses.
    pub(super) async fn apply(&mut self, facts: &mut Facts) {
        let wanted = facts.configuration.clone();
        self.refusal.take_if(|(refused, _)| *refused != wanted);
        let refused = self.refusal.as_ref().is_some_and(|(_, again_at)| Instant::now() < *again_at);
        if self.applied.as_ref() == Some(&wanted) {
            self.refusal = None;
        } else if !refused {
            match self.network.apply(self.nic.index, &wanted).await {
                Ok(()) => {
                    // That nothing at all is taken does not mean that what was refused is good.
                    if !wanted.addresses.is_empty() {
                        self.tries = 0;
                        self.refusal_failure = None;
                    }
                    self.applied = Some(wanted);
                    self.refusal = None;
                }
                Err(error) => self.apply_parts(wanted, error).await,
            }
        }
        let applied = self.applied.as_ref();
        facts.retain(|address| applied.is_some_and(|applied| applied.addresses.contains(address)));
    }

    /// What one family brings must not keep the other one from working.
    pub(super) async fn apply_parts(&mut self, wanted: Configuration, mut error: NetworkError) {
        let mut kept = Configuration::default();
        for v4 in [true, false] {
            let part = wanted.family(v4);
            if part.addresses.is_empty() {
                continue;
            }
            let mut attempt = kept.clone();
            attempt.addresses.extend(part.addresses);
            attempt.routes.extend(part.routes);
            attempt.mtu = part.mtu;
            // The error is known already if there is nothing else.
            let whole = attempt == wanted;
            let result = if whole {
                Err(error.clone())
            } else {
                self.network.apply(self.nic.index, &attempt).await
            };
            match result {
                Ok(()) => kept = attempt,
                Err(refusal) => {
                    error = refusal;
                    self.is_refused(v4, &error);
                }
            }
        }
        if kept.addresses.is_empty() {
            self.network.flush(self.nic.index).await;
            self.tries += 1;
            let fixed = matches!(self.plan.addressing, Addressing::Static(_));
            self.stuck = fixed && self.tries >= STATIC_TRIES;
        } else if let Err(error) = self.network.apply(self.nic.index, &kept).await {
            tracing::debug!("{}: {error}", self.nic.name);
        }
        self.applied = Some(kept);
        let again_at = Instant::now() + pause(self.tries.max(1), &mut self.random);
        self.refusal = Some((wanted, again_at));
    }

    pub(super) fn is_refused(&mut self, v4: bool, error: &NetworkError) {
        let name = &self.nic.name;
        let lease = self.v4.as_ref().and_then(|v4| v4.status.borrow().lease.clone());
        let detail = match lease.filter(|_| v4) {
            Some(lease) => {
                if !self.refused.contains(&lease.server) && self.refused.len() < MAX_AVOIDED {
                    self.refused.push(lease.server);
                }
                format!("{name}: the lease of {}: {error}", lease.server)
            }
            None => format!("{name}: {error}"),
        };
        tracing::warn!("{detail}");
        self.refusal_failure = Some(Failure::new(Code::AddressSetup, detail));
        if v4 && self.v4.is_some() {
            // The kernel does not take what this server gives: another one may give something else.
            let delay = pause(4, &mut self.random);
            self.start_dhcp(delay);
        }
    }
}
