//! One provisioning, once.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::Accepted;
use crate::Refused;
use crate::RequestKind;
use crate::State;
use crate::Why;

/// The state of the machine: `waiting` → `provisioning` → `provisioned`, and back to `waiting` only
/// if nothing was applied. Clones are handles to the same state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    state: State,
    upgrading: bool,
}

/// The right to carry a request out. Dropped without a verdict, as by a host that panics, it
/// leaves the machine in the state that a half-applied configuration does.
#[derive(Debug)]
#[must_use = "dropped, it counts as a request that failed half-way"]
pub struct Pass {
    gate: Gate,
    kind: RequestKind,
    decided: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner { state: State::Waiting, upgrading: false })))
    }
}

impl Gate {
    /// How far the machine is.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().state
    }

    /// Lets a request through, or says why not now or why never. For requests that do not come
    /// through the server, too, such as an upgrade that is asked for inside the OS.
    ///
    /// # Errors
    /// [`Why::Busy`], [`Why::AlreadyProvisioned`], or [`Why::Failed`] after a configuration that was
    /// applied in part.
    pub fn enter(&self, kind: RequestKind) -> Result<Pass, Refused> {
        let busy =
            |what: &str| Err(Refused::new(Why::Busy, format!("{what} is under way; wait for it")));
        let mut inner = self.lock();
        match (kind, inner.state) {
            (RequestKind::Status | RequestKind::Reboot | RequestKind::Poweroff, _) => {}
            (_, State::Provisioning) => return busy("another provisioning"),
            (_, _) if inner.upgrading => return busy("an upgrade"),
            (RequestKind::Upgrade, _) => inner.upgrading = true,
            (RequestKind::Provision, State::Waiting) => inner.state = State::Provisioning,
            (RequestKind::Provision, State::Provisioned) => {
                return Err(Refused::new(
                    Why::AlreadyProvisioned,
                    "it has its configuration and takes no second one until it is restarted",
                ));
            }
            (RequestKind::Provision, State::Failed) => {
                return Err(Refused::new(
                    Why::Failed,
                    "an earlier configuration was applied in part; restart the machine first",
                )
                .partly_applied());
            }
        }
        Ok(Pass { gate: self.clone(), kind, decided: false })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// What became of the request.
    pub fn decide(mut self, result: &Result<Accepted, Refused>) {
        self.decided = true;
        let mut inner = self.gate.lock();
        match self.kind {
            RequestKind::Provision => {
                inner.state = match result {
                    Ok(_) => State::Provisioned,
                    Err(refused) if refused.applied => State::Failed,
                    Err(_) => State::Waiting,
                }
            }
            // A machine that upgrades is about to be another one; until then it does nothing else.
            RequestKind::Upgrade => inner.upgrading = result.is_ok(),
            RequestKind::Status | RequestKind::Reboot | RequestKind::Poweroff => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        let mut inner = self.gate.lock();
        match self.kind {
            RequestKind::Provision => inner.state = State::Failed,
            RequestKind::Upgrade => inner.upgrading = false,
            RequestKind::Status | RequestKind::Reboot | RequestKind::Poweroff => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;
    use crate::Accepted;
    use crate::Refused;
    use crate::RequestKind::Provision;
    use crate::RequestKind::Reboot;
    use crate::RequestKind::Status;
    use crate::RequestKind::Upgrade;
    use crate::State;
    use crate::Why;

    fn why(gate: &Gate, kind: crate::RequestKind) -> Why {
        gate.enter(kind).unwrap_err().code
    }

    #[test]
    fn one_provisioning_at_a_time_and_one_in_all() {
        let gate = Gate::default();
        let pass = gate.enter(Provision).unwrap();
        assert_eq!(gate.state(), State::Provisioning);
        assert_eq!(why(&gate, Provision), Why::Busy);
        assert_eq!(why(&gate, Upgrade), Why::Busy);
        assert!(gate.enter(Status).is_ok() && gate.enter(Reboot).is_ok());
        pass.decide(&Ok(Accepted::new()));
        assert_eq!(gate.state(), State::Provisioned);
        assert_eq!(why(&gate, Provision), Why::AlreadyProvisioned);
    }

    #[test]
    fn a_failure_that_applied_nothing_lets_staff_try_again() {
        let gate = Gate::default();
        gate.enter(Provision).unwrap().decide(&Err(Refused::new(Why::Failed, "x")));
        assert_eq!(gate.state(), State::Waiting);
        assert!(gate.enter(Provision).is_ok());
    }

    #[test]
    fn a_failure_half_way_ends_it() {
        let gate = Gate::default();
        let half = Refused::new(Why::Failed, "x").partly_applied();
        gate.enter(Provision).unwrap().decide(&Err(half));
        assert_eq!(gate.state(), State::Failed);
        let refused = gate.enter(Provision).unwrap_err();
        assert!(refused.applied && refused.reason.contains("restart"), "{refused:?}");
        assert!(gate.enter(Reboot).is_ok());
    }

    #[test]
    fn a_host_that_never_says_what_became_of_it_counts_as_half_way() {
        let gate = Gate::default();
        drop(gate.enter(Provision).unwrap());
        assert_eq!(gate.state(), State::Failed);
    }

    #[test]
    fn one_upgrade_at_a_time_and_nothing_beside_it() {
        let gate = Gate::default();
        let pass = gate.enter(Upgrade).unwrap();
        assert_eq!(why(&gate, Upgrade), Why::Busy);
        assert_eq!(why(&gate, Provision), Why::Busy);
        pass.decide(&Err(Refused::new(Why::NoNewerRelease, "x")));
        let pass = gate.enter(Upgrade).unwrap();
        pass.decide(&Ok(Accepted::new()));
        assert_eq!(why(&gate, Provision), Why::Busy, "the next release is about to start");
    }
}
