//! A machine that has forgotten its configuration has no trace of its keys in memory.
//!
//! The machine is a process of its own, whose memory is searched from outside. Libraries free buffers
//! that held the configuration without wiping them, so the machine has an allocator that wipes, as
//! PID 1 of an OS package must have one: what is left then are copies on the stack and whatever is kept.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Instant;

use provision::Accepted;
use provision::Identity;
use provision::Refused;
use provision::Request;
use provision::Staff;
use provision::client::Ask;
use provision::config::Document;
use provision::config::Secret;
use provision::config::ServiceConfig;
use provision::server::Host;
use provision::server::HostFacts;
use provision::server::Server;
use provision::wireguard;
use support::ALICE;
use support::package;
use tokio::net::TcpListener;

const MACHINE: &str = "RAMSTRAP_TEST_MACHINE";

struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: everything is the system's; memory is overwritten while it still belongs to its owner.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives it up, and it is as long as its layout.
        unsafe {
            core::ptr::write_bytes(memory, 0, layout.size());
            core::hint::black_box(memory);
            System.dealloc(memory, layout);
        }
    }
}

/// Keeps its configuration until it is told to upgrade.
#[derive(Default)]
struct Forgetful(Mutex<Option<ServiceConfig>>);

impl Host for Forgetful {
    async fn handle(
        &self,
        _staff: &str,
        request: Request,
        _progress: &mut (dyn FnMut(String) + Send),
    ) -> Result<Accepted, Refused> {
        match request {
            Request::Provision(config) => *self.0.lock().unwrap() = Some(*config),
            _ => drop(self.0.lock().unwrap().take()),
        }
        Ok(Accepted::new())
    }
}

/// The machine's process: not a test, but what the test below starts.
#[tokio::test]
async fn machine() {
    if std::env::var_os(MACHINE).is_none() {
        return;
    }
    let identity = Identity::generate().unwrap();
    let fingerprint = identity.fingerprint();
    let pem = Identity::from_seed(&ALICE).public().to_pem();
    let facts = HostFacts {
        package_sha256: package(),
        release: None,
        label: None,
        service: "vpn".to_owned(),
        started: Instant::now(),
    };
    let server = Server::new(identity, Staff::from_pems([("alice", pem)]).unwrap(), facts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nMACHINE {} {fingerprint}", listener.local_addr().unwrap());
    let _ = server.run(listener, Forgetful::default()).await;
}

struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In how many places of its memory a process has these bytes.
fn places(process: u32, wanted: &[u8]) -> usize {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = 0;
    for line in fs::read_to_string(format!("/proc/{process}/maps")).unwrap().lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(address(to) - address(from)).unwrap()];
        if memory.read_exact_at(&mut bytes, address(from)).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    found
}

#[tokio::test]
async fn a_configuration_that_is_dropped_leaves_no_key_in_memory() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "machine", "--nocapture", "--test-threads", "1"])
        .env(MACHINE, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut machine = Machine(child.unwrap());
    let lines = BufReader::new(machine.0.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("MACHINE ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let target = words.next().unwrap().parse().unwrap();
    let fingerprint = words.next().unwrap().parse().unwrap();
    let ask = async |ask: Ask<'_>| {
        let session = support::connect(&target, &ALICE, fingerprint).await.unwrap();
        session.ask(package(), ask, &mut |_| {}).await.unwrap();
    };

    let (private, preshared) = (wireguard::generate().unwrap(), wireguard::generate().unwrap());
    let mut config = support::vpn();
    config["wireguard"]["private_key"] = private.expose().into();
    config["wireguard"]["peers"][0]["preshared_key"] = preshared.expose().into();
    let document = Document::parse(config.to_string().as_bytes()).unwrap();
    ask(Ask::Provision(&document)).await;

    let process = machine.0.id();
    let forms = |secret: &Secret| {
        use base64::Engine;
        let raw = base64::prelude::BASE64_STANDARD.decode(secret.expose()).unwrap();
        let hex = raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // A little less than all, because the end of a freed block is used by the allocator.
        [raw[..24].to_vec(), secret.expose().as_bytes()[..40].to_vec(), hex.into_bytes()]
    };
    for secret in [&private, &preshared] {
        let [_, text, _] = forms(secret);
        assert!(places(process, &text) > 0, "the control: the machine has its key");
    }
    ask(Ask::Upgrade).await;
    for secret in [&private, &preshared] {
        for (form, bytes) in ["raw", "base64", "hex"].iter().zip(forms(secret)) {
            assert_eq!(places(process, &bytes), 0, "a trace of a key: {form}");
        }
    }
    ask(Ask::Status).await;
}
