//! A proxy between a machine and its mirrors, with weather of its own.
//!
//! What a proxy says reaches the product as what its HTTP client makes of it: that client's own tests
//! hold fast which answers become which errors.

use core::time::Duration;

use fetch::ErrorKind;

/// What a proxy does from some time on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weather {
    /// Passes on what is asked for.
    LetsThrough,
    /// There is no connection to it.
    Refuses,
    /// It takes a request and never answers.
    IsSilent,
    /// It does not get through to the mirror.
    Fails,
    /// It grants no tunnel, and nothing that is asked for without one.
    Denies,
    /// Whatever credentials it is shown, it wants others (407).
    WantsOthers,
}

impl Weather {
    /// What a proxy may do before it is good. One that denies answers plain http with 403, which is
    /// for good.
    pub(crate) const fn heals(https: bool) -> &'static [Self] {
        let all: &'static [Self] =
            &[Self::LetsThrough, Self::Refuses, Self::IsSilent, Self::Fails, Self::Denies];
        match all.split_last() {
            Some((_, without)) if !https => without,
            _ => all,
        }
    }

    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::LetsThrough,
        Self::Refuses,
        Self::IsSilent,
        Self::Fails,
        Self::Denies,
        Self::WantsOthers,
    ];
}

/// A proxy of the host configuration.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// What it does, in order of time.
    pub phases: Vec<(Duration, Weather)>,
    /// Whether it wants a user name and a password.
    pub locked: bool,
    /// Whether the machine has them.
    pub credentials: bool,
    /// The mirror that is asked without it.
    pub exempt: Option<usize>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The mirror gets it.
    Passed,
    /// No answer ever comes.
    Lost,
    /// The proxy answers with this status in the mirror's place.
    Answered(u16),
    /// There is no answer for this reason.
    Failed(ErrorKind),
}

impl Proxy {
    /// As the host configuration has it.
    pub(crate) fn url(&self) -> String {
        let credentials = if self.credentials { "user:password@" } else { "" };
        format!("http://{credentials}proxy.example:3128")
    }

    /// What becomes of a request to a mirror at this time.
    pub(crate) fn fate(&self, now: Duration, mirror: usize, https: bool) -> Fate {
        if self.exempt == Some(mirror) {
            return Fate::Passed;
        }
        let weather = self.phases.iter().rev().find(|(from, _)| *from <= now);
        let weather = weather.map_or(Weather::LetsThrough, |(_, weather)| *weather);
        let answered = |status| {
            if https {
                let said = format!("does not let the machine through (CONNECT: {status})");
                Fate::Failed(ErrorKind::Proxy(said))
            } else {
                Fate::Answered(status)
            }
        };
        match weather {
            Weather::Refuses => Fate::Failed(ErrorKind::Connect("connection refused".to_owned())),
            Weather::IsSilent => Fate::Lost,
            Weather::WantsOthers => Fate::Failed(ErrorKind::ProxyAuth("407".to_owned())),
            Weather::LetsThrough | Weather::Fails | Weather::Denies
                if self.locked && !self.credentials =>
            {
                Fate::Failed(ErrorKind::ProxyAuth("407".to_owned()))
            }
            Weather::Fails => answered(502),
            Weather::Denies => answered(403),
            Weather::LetsThrough => Fate::Passed,
        }
    }
}
