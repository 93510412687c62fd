//! The life of the machine: up, waiting, serving, and out.

mod host;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::panic;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use netup::Link;
use netup::LinkNews;
use pid1::Leave;
use provision::Identity;
use provision::Staff;
use provision::server::Gate;
use provision::server::HostFacts;
use provision::server::Server;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use trust::Sha256Digest;

use crate::control;
use crate::firewall;
use crate::handover;
use crate::handover::HandOver;
use crate::log;
use crate::machine;
use crate::network;
use crate::process;
use crate::services;
use crate::supervise::Supervisor;
use crate::upgrade::Candidate;
use crate::uplink;
use crate::watchdog;
use crate::wipe;

const OS: &str = "/etc/ramstrap/os.json";
const SYSCTLS: &str = "/etc/ramstrap/sysctl.conf";
const STAFF: &str = "/etc/ramstrap/staff";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How long to wait before what only a bug can stop is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// What the machine is and has.
#[derive(Debug)]
pub(crate) struct App {
    handover: HandOver,
    fetch_ports: BTreeSet<u16>,
    link: RefCell<Option<Link>>,
    uplink_address: Cell<Option<Ipv4Addr>>,
    clients_behind: Cell<Option<Option<Ipv4Addr>>>,
    pub(crate) supervisor: Supervisor,
    /// The next release, once it is verified.
    candidate: RefCell<Option<Candidate>>,
    /// Whether somebody fetches it now.
    fetching: Cell<bool>,
    gate: RefCell<Option<Gate>>,
    leave: mpsc::UnboundedSender<Leave>,
}

impl App {
    /// The interface to the Internet, once there is one.
    pub(crate) fn uplink(&self) -> Option<String> {
        self.link.borrow().as_ref().map(|link| link.interface.clone())
    }

    /// Its IPv4 address, if it has one. [`uplink::follow`] keeps it true.
    pub(crate) fn uplink_address(&self) -> Option<Ipv4Addr> {
        self.uplink_address.get()
    }

    pub(crate) fn set_uplink_address(&self, address: Option<Ipv4Addr>) {
        self.uplink_address.set(address);
    }

    /// The address that the firewall has clients appear behind; `None` where it has no clients.
    pub(crate) fn clients_behind(&self) -> Option<Option<Ipv4Addr>> {
        self.clients_behind.get()
    }

    pub(crate) fn set_clients_behind(&self, address: Option<Ipv4Addr>) {
        self.clients_behind.set(Some(address));
    }

    /// The TCP ports that upgrades come from.
    pub(crate) fn fetch_ports(&self) -> &BTreeSet<u16> {
        &self.fetch_ports
    }
}

/// `/etc/ramstrap/os.json`.
#[derive(Debug, Deserialize)]
struct Os {
    version: u32,
    service: String,
}

/// Everything, until the machine is left.
pub(crate) fn boot() -> ! {
    let problems = machine::mount_all();
    console::open_listed();
    panic::set_hook(Box::new(on_panic));
    log::start();
    console::line("RAMSTRAP-OS-UP");
    problems.iter().for_each(|problem| console::line(problem));
    pid1::restart_after_kernel_panic();
    machine::take_ctrl_alt_del();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let how = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, live()),
        Err(error) => {
            console::line(&format!("tokio: {error}; restarting"));
            std::thread::sleep(PAUSE);
            Leave::Reboot
        }
    };
    wipe::replace(how)
}

/// PID 1 must not die: a panic ends like every other life of the machine.
fn on_panic(info: &PanicHookInfo<'_>) {
    let bug = pid1::panic_text(info);
    console::line(&format!("E0701 a bug of ours: {bug}; wiping and restarting"));
    wipe::emergency()
}

/// From the first line to the wiping.
async fn live() -> Leave {
    let (leave, mut leaving) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async {
        if let Err(error) = process::reap().await {
            console::line(&format!("children are not reaped: {error}"));
        }
    });
    let handover = HandOver::read(Path::new(handover::DIRECTORY));
    if let Some(timeout) = watchdog::take_over(handover.watchdog_seconds()) {
        tokio::task::spawn_local(watchdog::keep_petting(timeout));
    }
    settings();
    handover.problems.iter().for_each(|problem| console::line(problem));
    let mut fetch_ports = handover.fetch_ports();
    // Where a mirror may lead on to.
    fetch_ports.extend([80, 443]);
    let app = Rc::new(App {
        handover,
        fetch_ports,
        link: RefCell::default(),
        uplink_address: Cell::default(),
        clients_behind: Cell::default(),
        supervisor: Supervisor::default(),
        candidate: RefCell::default(),
        fetching: Cell::new(false),
        gate: RefCell::default(),
        leave,
    });
    let how = tokio::select! {
        never = serve(Rc::clone(&app)) => match never {},
        Some(how) = leaving.recv() => how,
        how = asked_by_signal() => how,
    };
    go(&app, how).await
}

/// Settings of the kernel, and the directory for what is generated.
fn settings() {
    let problems = match fs::read_to_string(SYSCTLS) {
        Ok(text) => machine::apply_sysctls(&text, Path::new("/proc/sys")),
        Err(error) => vec![format!("{SYSCTLS}: {error}")],
    };
    problems.iter().for_each(|problem| console::line(problem));
    let made = fs::create_dir_all(services::DIRECTORY);
    if let Err(error) = made {
        console::line(&format!("{}: {error}", services::DIRECTORY));
    }
    let _ = nix::unistd::sethostname("unprovisioned");
}

/// Ctrl-Alt-Del, `reboot`, `poweroff`: as busybox and everybody else send them to PID 1.
async fn asked_by_signal() -> Leave {
    let listen = |kind| signal(kind);
    let signals = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
        listen(SignalKind::user_defined2()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut off)) = signals else {
        return core::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Leave::Reboot,
        _ = terminate.recv() => Leave::Reboot,
        _ = off.recv() => Leave::PowerOff,
    }
}

/// Network, identity, and then whatever staff asks for.
async fn serve(app: Rc<App>) -> Infallible {
    let os = read_os();
    let staff = read_staff();
    let identity = loop {
        match Identity::generate() {
            Ok(identity) => break identity,
            Err(error) => console::line(&format!("no identity: {error}")),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let package = app.handover.package.clone();
    console::line(&format!("identity {}", identity.fingerprint()));
    console::line(&format!(
        "package {} release {}",
        package.sha256.map_or_else(|| "-".to_owned(), |digest| digest.to_string()),
        package.release.map_or_else(|| "-".to_owned(), |release| release.to_string()),
    ));
    if staff.is_empty() {
        console::line(
            "this package holds no staff key: nobody can provision this machine. Build it with --staff-keys",
        );
    }
    tokio::task::spawn_local(control::serve(Rc::clone(&app)));
    firewall::stand(&app.fetch_ports).await;
    let connected = network::connect(&app.handover).await;
    network::note_servers(Path::new(RESOLV_CONF), &connected.link);
    for address in &connected.link.addresses {
        console::line(&format!("address {} port {}", address.address(), provision::PORT));
    }
    app.set_uplink_address(uplink::first_address(&connected.link));
    *app.link.borrow_mut() = Some(connected.link.clone());
    tokio::task::spawn_local(uplink::follow(Rc::clone(&app), connected.link.clone()));
    tokio::task::spawn_local(follow_link(Rc::clone(&app), connected.news()));
    let facts = HostFacts {
        package_sha256: package.sha256.unwrap_or_else(|| Sha256Digest::from_bytes([0; 32])),
        release: package.release,
        label: package.label,
        service: os.service,
        started: Instant::now().checked_sub(pid1::since_start()).unwrap_or_else(Instant::now),
    };
    let server = Server::new(identity, staff, facts);
    *app.gate.borrow_mut() = Some(server.gate());
    let listener = loop {
        match listen() {
            Ok(listener) => break listener,
            Err(error) => console::line(&format!("port {}: {error}", provision::PORT)),
        }
        tokio::time::sleep(PAUSE).await;
    };
    console::line("waiting for staff");
    let Err(error) = server.run(listener, host::Provisioning(Rc::clone(&app))).await;
    console::line(&format!("provisioning is impossible: {error}"));
    // The network is held as long as this future lives.
    core::future::pending().await
}

/// Takes what a renewed lease or a router says anew: programs ask the DNS servers that there are now,
/// and so does the next upgrade.
async fn follow_link(app: Rc<App>, mut news: LinkNews) -> Infallible {
    loop {
        let link = news.changed().await;
        network::note_servers(Path::new(RESOLV_CONF), &link);
        *app.link.borrow_mut() = Some(link);
    }
}

/// For both families on one socket; for IPv4 alone where the kernel has no IPv6.
fn listen() -> io::Result<TcpListener> {
    let bind = |address: IpAddr| {
        let address = SocketAddr::new(address, provision::PORT);
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| bind(Ipv4Addr::UNSPECIFIED.into()))
}

fn read_os() -> Os {
    let read = fs::read(OS).map_err(|error| error.to_string());
    let os = read
        .and_then(|bytes| serde_json::from_slice::<Os>(&bytes).map_err(|error| error.to_string()));
    match os {
        Ok(os) if os.version == 1 => os,
        Ok(os) => {
            console::line(&format!("{OS}: version {} is not known here", os.version));
            os
        }
        Err(error) => {
            console::line(&format!("{OS}: {error}: no configuration will fit this machine"));
            Os { version: 1, service: String::new() }
        }
    }
}

fn read_staff() -> Staff {
    match Staff::load(Path::new(STAFF)) {
        Ok(staff) => staff,
        Err(error) => {
            console::line(&format!("staff keys: {error}"));
            Staff::default()
        }
    }
}

/// Wipes, and says what PID 1 is to do when nothing is left.
async fn go(app: &App, how: Leave) -> Leave {
    console::line(&format!("leaving ({}): wiping first", how.name()));
    app.supervisor.let_go();
    // What was fetched is needed a moment longer; the hand-over as well.
    wipe::secrets().await;
    let candidate = app.candidate.borrow_mut().take();
    match (how, candidate) {
        (Leave::Jump, Some(candidate)) => match candidate.load() {
            Ok(()) => Leave::Jump,
            Err(failure) => {
                console::line(&format!("upgrade: {failure}; restarting from the firmware"));
                Leave::Reboot
            }
        },
        (Leave::Jump, None) => Leave::Reboot,
        (how, _) => how,
    }
}
