//! Child processes: started with no more rights than they need, reaped wherever they come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::memfd::MFdFlags;
use nix::sys::memfd::memfd_create;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;

/// Longest that a program which is to end by itself may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much of what a program complained is shown.
const MOST_COMPLAINT: u64 = 600;

/// The number of the last capability that a kernel may know.
const LAST_CAPABILITY: u32 = 63;

/// Capabilities by their numbers (Linux, `include/uapi/linux/capability.h`).
pub(crate) mod capability {
    pub(crate) const CHOWN: u32 = 0;
    pub(crate) const SETGID: u32 = 6;
    pub(crate) const SETUID: u32 = 7;
    pub(crate) const NET_BIND_SERVICE: u32 = 10;
    pub(crate) const SYS_TIME: u32 = 25;
}

/// What a program may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights {
    /// All that root may.
    All,
    /// Root with these capabilities only, which no program that it starts can get back.
    Only(&'static [u32]),
}

/// A program and its arguments. Never a secret among them: everybody on the machine sees them.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) rights: Rights,
}

impl Program {
    pub(crate) fn new(path: &'static str, arguments: &[&str], rights: Rights) -> Self {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self { path, arguments, rights }
    }

    /// The last part of its path.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let rights = self.rights;
        // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || confine(rights));
        }
        command
    }
}

/// In the child: a session of its own, default signals, and only the rights that it was given.
fn confine(rights: Rights) -> io::Result<()> {
    // SAFETY: system calls without pointers, but for the signal set, which lives until they return.
    unsafe {
        libc::setsid();
        libc::umask(0o077);
        let mut none: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, core::ptr::null_mut());
        let Rights::Only(kept) = rights else { return Ok(()) };
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        for capability in (0..=LAST_CAPABILITY).filter(|number| !kept.contains(number)) {
            // Fails for those that this kernel does not know.
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0
                && Errno::last() != Errno::EINVAL
            {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Who waits for which process.
static WAITING: Mutex<BTreeMap<i32, oneshot::Sender<Ended>>> = Mutex::new(BTreeMap::new());

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    Status(i32),
    Signal(Signal),
}

impl core::fmt::Display for Ended {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "{signal}"),
        }
    }
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: Pid,
    ended: oneshot::Receiver<Ended>,
}

impl Running {
    /// Waits for its end.
    pub(crate) async fn wait(self) -> Ended {
        // The sender goes only when the process has ended, unless PID 1 is on its way out.
        self.ended.await.unwrap_or(Ended::Status(-1))
    }
}

fn start(mut command: Command) -> io::Result<Running> {
    // Held over the start, so that an end that comes at once finds its entry.
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let (sender, ended) = oneshot::channel();
    waiting.insert(pid, sender);
    Ok(Running { pid: Pid::from_raw(pid), ended })
}

/// Starts a service.
pub(crate) fn start_service(program: &Program) -> io::Result<Running> {
    start(program.command())
}

/// Reaps every process that ends, ours and those whose parents have gone, for ever.
pub(crate) async fn reap() -> io::Result<()> {
    let mut children = signal(SignalKind::child())?;
    loop {
        while let Some((pid, ended)) = reap_one() {
            let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
            if let Some(sender) = waiting {
                let _ = sender.send(ended);
            }
        }
        children.recv().await;
    }
}

/// One that has ended, if there is any.
fn reap_one() -> Option<(i32, Ended)> {
    loop {
        return match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => Some((pid.as_raw(), Ended::Status(status))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => Some((pid.as_raw(), Ended::Signal(signal))),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => None,
            // Stopped, continued or interrupted: there may be more.
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => None,
        };
    }
}

/// Ends every process but this one: asks, waits for `patience`, and then does not ask. Blocks: it is
/// for the way out, on which nothing else is to happen.
pub(crate) fn end_all(patience: Duration) {
    for (signal, patience) in
        [(Signal::SIGTERM, patience), (Signal::SIGKILL, Duration::from_secs(3))]
    {
        // Fails when there is nobody.
        let _ = kill(Pid::from_raw(-1), signal);
        let started = std::time::Instant::now();
        while started.elapsed() < patience {
            while reap_one().is_some() {}
            if waitpid(None, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A file in memory, for what a program reads or writes; nothing of it has a name.
pub(crate) fn memory_file(name: &core::ffi::CStr) -> io::Result<File> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into())
}

/// Text for the standard input of a program.
pub(crate) fn input(text: &str) -> io::Result<File> {
    let mut file = memory_file(c"input")?;
    file.write_all(text.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, takes too long, or fails; with what it complained.
pub(crate) async fn run(program: &Program, input: Option<File>) -> Result<(), String> {
    let name = program.name();
    let failed = |error: io::Error| format!("{name}: {error}");
    let mut complaint = memory_file(c"complaint").map_err(failed)?;
    let mut command = program.command();
    let output: OwnedFd = complaint.try_clone().map_err(failed)?.into();
    command.stderr(output.try_clone().map_err(failed)?).stdout(output);
    if let Some(input) = input {
        command.stdin(input);
    }
    let running = start(command).map_err(failed)?;
    let pid = running.pid;
    let Ok(ended) = tokio::time::timeout(PATIENCE, running.wait()).await else {
        let _ = kill(pid, Signal::SIGKILL);
        return Err(format!("{name} did not end within {} s", PATIENCE.as_secs()));
    };
    if ended == Ended::Status(0) {
        return Ok(());
    }
    let mut said = String::new();
    let _ = complaint.seek(SeekFrom::Start(0));
    let _ = complaint.take(MOST_COMPLAINT).read_to_string(&mut said);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("{name}: {ended}: {}", said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::Program;
    use super::Rights;
    use super::input;
    use super::reap;
    use super::run;

    /// One test, so that two reapers never compete for the children of one process.
    #[test]
    fn programs_run_and_their_complaints_are_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(reap());
            let shell = |script: &str| Program::new("/bin/sh", &["-c", script], Rights::All);
            run(&shell("exit 0"), None).await.unwrap();
            let error = run(&shell("echo wrong word >&2; exit 3"), None).await.unwrap_err();
            assert_eq!(error, "sh: exit status 3: wrong word");
            let text = input("hello").unwrap();
            run(&shell("test \"$(cat)\" = hello"), Some(text)).await.unwrap();
            let error = run(&Program::new("/no/such", &[], Rights::All), None).await.unwrap_err();
            assert!(error.starts_with("such: "), "{error}");
            let error = run(&shell("kill -9 $$"), None).await.unwrap_err();
            assert!(error.contains("SIGKILL"), "{error}");
        });
    }
}
