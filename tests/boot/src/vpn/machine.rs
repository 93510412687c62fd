//! The server, as staff sees it: its console, and its door on port 7443.

use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use provision::Accepted;
use provision::Fingerprint;
use provision::Identity;
use provision::client;
use provision::client::Ask;
use provision::client::ClientError;
use provision::client::Deadlines;
use provision::client::Session;
use provision::client::Target;
use report::Code;
use report::Coded;
use tokio::runtime::Runtime;
use trust::Sha256Digest;
use xtask::harness::Firmware;
use xtask::harness::Lan;
use xtask::harness::Netdev;

use super::packages::Release;
use super::tool::Said as Answer;
use super::tool::Tool;
use super::tool::Who;
use crate::bench::STAFF;
use crate::medium::Medium;
use crate::medium::Signature;
use crate::scenario::Running;
use crate::scenario::Scenario;
use crate::site::Mirror;
use crate::story::Story;

/// How long the way from power-on to a machine that waits may take: it is emulated.
const START: Duration = Duration::from_secs(240);

/// What a machine has said of itself on its console.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its key.
    pub identity: Fingerprint,
    /// The package that it runs.
    pub package: Sha256Digest,
    /// Number of the release, or `-`.
    pub release: String,
    /// When it said that it waits.
    pub at: Instant,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    /// The machine and its mirrors.
    pub running: Running,
    /// What staff uses.
    pub tool: Tool,
    target: Target,
    runtime: Runtime,
}

impl Server {
    /// Switches it on: firmware, Secure Boot, bootloader, https, two of three signatures. `parameters`
    /// are for the bootloader's kernel.
    ///
    /// # Errors
    /// If something cannot be made.
    pub fn start(
        story: &Story<'_>,
        lan: Lan,
        release: &Release,
        parameters: &str,
    ) -> Result<(Self, Lan)> {
        Self::start_with(story, lan, release, |scenario| scenario.parameters(parameters))
    }

    /// The same with a change to the machine.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        story: &Story<'_>,
        lan: Lan,
        release: &Release,
        change: impl FnOnce(Scenario) -> Scenario,
    ) -> Result<(Self, Lan)> {
        let port = free_port()?;
        let lan = lan.forward(port, provision::PORT);
        let wire = (lan.first(), lan.qemu_args());
        Ok((Self::start_on(story, (port, wire), release, change)?, lan))
    }

    /// The same at the end of a wire, with a port of the host's loopback that leads to its door.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        story: &Story<'_>,
        (port, wire): (u16, (Netdev, Vec<String>)),
        release: &Release,
        change: impl FnOnce(Scenario) -> Scenario,
    ) -> Result<Self> {
        let bench = story.bench;
        let mirror = Mirror::serving(&release.descriptor, &release.archive);
        let scenario = Scenario::new(bench, [mirror])
            .firmware(Firmware::UefiSecureBoot)
            .uefi_variables(bench.secure_boot()?.variables()?)
            .medium(Medium::Disk)
            .signed(Signature::Good);
        let scenario = change(scenario);
        let target = format!("127.0.0.1:{port}");
        // Before the machine is on: it may have to be built.
        let tool = Tool::new(&target, &STAFF)?;
        let target = target.parse().context("no target")?;
        let running = scenario.start_on(story, "server", wire)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { running, tool, target, runtime })
    }

    /// Reads on the console what the machine says when it has come up, and waits until it waits.
    ///
    /// # Errors
    /// If it does not come so far, or a line is not as it must be.
    pub fn wait(&mut self) -> Result<Said> {
        let guest = &mut self.running.machine.guest;
        guest.wait_for("RAMSTRAP-OS-UP", START)?;
        let mut word = |start: &str| -> Result<String> {
            let line = guest.wait_for(start, START)?.text;
            let rest = line.split_once(start).map(|(_, rest)| rest.trim().to_owned());
            rest.with_context(|| format!("no {start:?} in {line:?}"))
        };
        let identity = word("identity ")?;
        let identity = identity.parse().with_context(|| format!("no fingerprint: {identity}"))?;
        let package = word("package ")?;
        let (package, release) =
            package.split_once(" release ").with_context(|| format!("no release: {package}"))?;
        let at = guest.wait_for("waiting for staff", START)?.at;
        Ok(Said { identity, package: package.parse()?, release: release.to_owned(), at })
    }

    /// Makes a connection and hears the machine's first words. Just after it has said that it waits,
    /// it may not be reachable yet.
    ///
    /// # Errors
    /// What the client says.
    pub fn connect(&self, key: &Identity, identity: Fingerprint) -> Result<Session, ClientError> {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let connecting = client::connect(&self.target, key, identity, Deadlines::default());
            match self.runtime.block_on(connecting) {
                // The forwarded port is open before the machine's own is.
                Err(error)
                    if matches!(
                        error.code(),
                        Code::HostUnreachable | Code::NotAHost | Code::AnswerCut
                    ) && Instant::now() < limit =>
                {
                    std::thread::sleep(Duration::from_millis(500));
                }
                done => return done,
            }
        }
    }

    /// Sends a session's one request.
    ///
    /// # Errors
    /// What the client says.
    pub fn ask(
        &self,
        session: Session,
        package: Sha256Digest,
        ask: Ask<'_>,
    ) -> Result<Accepted, ClientError> {
        let mut progress = |text: &str| println!("{:>12}  {text}", "");
        self.runtime.block_on(session.ask(package, ask, &mut progress))
    }

    /// The key of staff.
    #[must_use]
    pub fn staff(&self) -> Identity {
        Identity::from_seed(&STAFF)
    }

    /// Has the operator's tool hand over a configuration, and waits until the console says who has done
    /// so.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn provision(&mut self, said: &Said, configuration: &str) -> Result<()> {
        let answer =
            self.tool.provision(Who::Staff, Some(said.identity), said.package, configuration)?;
        let text = answer.done()?;
        ensure!(text.contains("provisioned"), "the tool says {text:?}");
        let line =
            self.running.machine.guest.wait_for("provisioned by ", Duration::from_secs(30))?;
        ensure!(line.text.contains(super::packages::STAFF), "not by our staff: {}", line.text);
        Ok(())
    }

    /// Has the operator's tool ask for something, as staff.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn host(&self, request: &str, said: &Said) -> Result<Answer> {
        self.tool.host(request, Who::Staff, said.identity)
    }
}

/// Asserts that a request was refused with this code.
///
/// # Errors
/// If it was not.
pub fn refused<T>(result: Result<T, ClientError>, code: Code) -> Result<()> {
    match result {
        Ok(_) => bail!("accepted, and should be refused: {code}"),
        Err(error) if error.code() == code => Ok(()),
        Err(error) => bail!("refused with {} in place of {code}: {error}", error.code()),
    }
}

/// A port that nobody listens on at the moment.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
