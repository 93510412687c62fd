//! PID 1 of the lab VM. It does what it is told over its line and nothing else: no shell on the
//! console, no network of its own.

mod line;
mod process;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use lab::protocol::Call;
use lab::protocol::Reply;
use lab::protocol::Request;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;

use crate::line::Line;
use crate::process::Processes;

/// File systems, in the order in which they are mounted.
const MOUNTS: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

fn main() {
    if std::process::id() != 1 {
        eprintln!("lab-agent is PID 1 of the lab VM and cannot run by hand");
        std::process::exit(2);
    }
    let ended = set_up().and_then(|line| serve(&Arc::new(line)));
    if let Err(error) = ended {
        println!("lab-agent: {error:#}");
    }
    power_off()
}

fn set_up() -> Result<Line> {
    for (kind, target) in MOUNTS {
        fs::create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
        let mounted = mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>);
        // The kernel may have mounted /dev already.
        if mounted.is_err() && kind != "devtmpfs" {
            mounted.with_context(|| format!("cannot mount {target}"))?;
        }
    }
    // Where some tools look for it; a root file system may have the link itself.
    fs::create_dir_all("/var")?;
    let _ = symlink("/run", "/var/run");
    Line::open()
}

/// Answers calls, each on a thread of its own, until the line ends.
fn serve(line: &Arc<Line>) -> Result<()> {
    let processes = Arc::new(Processes::default());
    line.answer(0, Reply::Ready)?;
    println!("lab-agent: ready");
    loop {
        let Call { id, request } = line.next_call().context("the line has ended")?;
        if request == Request::PowerOff {
            return Ok(());
        }
        let (line, processes) = (Arc::clone(line), Arc::clone(&processes));
        thread::spawn(move || {
            let reply = handle(&processes, request);
            let reply =
                reply.unwrap_or_else(|error| Reply::Failed { reason: format!("{error:#}") });
            if let Err(error) = line.answer(id, reply) {
                println!("lab-agent: cannot answer: {error}");
            }
        });
    }
}

fn handle(processes: &Processes, request: Request) -> Result<Reply> {
    match request {
        Request::Run { argv, stdin, timeout_ms } => {
            let limit = Duration::from_millis(timeout_ms);
            process::run(&argv, stdin.0, limit).map(Reply::Ended)
        }
        Request::Start { argv } => processes.start(&argv).map(|process| Reply::Started { process }),
        Request::Stop { process } => processes.stop(process).map(Reply::Ended),
        Request::Put { path, mode, content } => {
            let path = Path::new(&path);
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(path, content.0)?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            Ok(Reply::Done)
        }
        Request::PowerOff => Ok(Reply::Done),
    }
}

fn power_off() -> ! {
    loop {
        let _ = reboot(RebootMode::RB_POWER_OFF);
        thread::sleep(Duration::from_secs(1));
    }
}
