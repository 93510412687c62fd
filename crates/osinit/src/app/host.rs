//! What staff and those who are logged in ask for.

use std::rc::Rc;

use pid1::Leave;
use provision::Accepted;
use provision::Refused;
use provision::Request;
use provision::RequestKind;
use provision::State;
use provision::Why;
use provision::server::Event;
use provision::server::Host;
use report::Code;
use report::Coded;

use super::App;
use crate::services;
use crate::services::Failed;
use crate::upgrade;

impl App {
    /// How far the machine is.
    fn state(&self) -> State {
        self.gate.borrow().as_ref().map_or(State::Waiting, provision::server::Gate::state)
    }

    /// How the machine does, as names and values.
    pub(crate) fn status(&self) -> Vec<(String, String)> {
        let package = &self.handover.package;
        let mut status = vec![
            ("state".to_owned(), self.state().to_string()),
            ("uptime".to_owned(), format!("{} s", pid1::since_start().as_secs())),
        ];
        let mut field = |name: &str, value: Option<String>| {
            status.extend(value.map(|value| (name.to_owned(), value)));
        };
        field("package", package.sha256.map(|digest| digest.to_string()));
        field("release", package.release.map(|release| release.to_string()));
        field("label", package.label.clone());
        for (name, health) in self.supervisor.health() {
            let state = if health.running { "running" } else { "being started" };
            let restarts = match health.restarts {
                0 => String::new(),
                number => format!(", started again {number} times"),
            };
            status.push((format!("service {name}"), format!("{state}{restarts}")));
        }
        status
    }

    /// Fetches and verifies the next release and keeps it for the jump. `None`: there is none.
    pub(crate) async fn prepare_upgrade(
        &self,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<String, Refused> {
        if self.fetching.replace(true) {
            return Err(Refused::new(Why::Busy, "an upgrade is under way; wait for it"));
        }
        console::line("upgrade: asked for");
        let mut tell_all = |line: String| {
            console::line(&format!("upgrade: {line}"));
            tell(line);
        };
        let fetched = upgrade::fetch(self.uplink(), &mut tell_all).await;
        self.fetching.set(false);
        match fetched {
            Ok(Some(candidate)) => {
                let line = candidate.describe();
                tell_all(format!("verified: {line}"));
                *self.candidate.borrow_mut() = Some(candidate);
                Ok(line)
            }
            Ok(None) => {
                let reason = "what runs is what the mirrors have";
                console::line(&format!("upgrade: {reason}"));
                Err(Refused::new(Why::NoNewerRelease, reason))
            }
            Err(failure) => {
                console::line(&format!("upgrade: {failure}"));
                let why = match failure.code {
                    Code::ReleaseTooOld => Why::NoNewerRelease,
                    _ => Why::Failed,
                };
                Err(Refused::new(why, failure.to_string()))
            }
        }
    }

    /// Wipes and leaves as soon as the event loop gets to it.
    pub(crate) fn depart(&self, how: Leave) {
        // The other side goes only when the machine is being left already.
        let _ = self.leave.send(how);
    }
}

/// The host that the provisioning server sees.
#[derive(Debug)]
pub(super) struct Provisioning(pub(super) Rc<App>);

impl Host for Provisioning {
    async fn handle(
        &self,
        _staff: &str,
        request: Request,
        progress: &mut (dyn FnMut(String) + Send),
    ) -> Result<Accepted, Refused> {
        match request {
            Request::Provision(config) => {
                services::start(&self.0, &config, progress).await.map_err(
                    |failed| match failed {
                        Failed::Before(reason) => Refused::new(Why::Failed, reason),
                        Failed::Midway(reason) => {
                            Refused::new(Why::Failed, reason + "; restart the machine")
                                .partly_applied()
                        }
                    },
                )?;
                Ok(Accepted::new())
            }
            Request::Status => {
                let status = self.0.status().into_iter();
                Ok(status.fold(Accepted::new(), |answer, (name, value)| answer.with(&name, value)))
            }
            Request::Upgrade => {
                let next = self.0.prepare_upgrade(progress).await?;
                Ok(Accepted::new().with("next", next))
            }
            Request::Reboot | Request::Poweroff => Ok(Accepted::new()),
        }
    }

    fn answered(&self, request: RequestKind, accepted: bool) {
        if !accepted {
            return;
        }
        match request {
            RequestKind::Upgrade => self.0.depart(Leave::Jump),
            RequestKind::Reboot => self.0.depart(Leave::Reboot),
            RequestKind::Poweroff => self.0.depart(Leave::PowerOff),
            RequestKind::Provision | RequestKind::Status => {}
        }
    }

    fn event(&self, event: Event<'_>) {
        match event {
            Event::Accepted { staff, request: RequestKind::Provision } => {
                console::line(&format!("provisioned by {staff}"));
            }
            Event::Accepted { request: RequestKind::Status, .. } => {}
            Event::Accepted { staff, request } => {
                console::line(&format!("{request}: asked for by {staff}"));
            }
            Event::Refused { staff, code, reason } => {
                let staff = staff.map_or_else(String::new, |name| format!(" (asked by {name})"));
                let code = Refused::new(code, "").code();
                console::line(&format!("refused: {code} {reason}{staff}"));
            }
        }
    }
}
