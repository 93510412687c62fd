//! A small network of namespaces on this machine: the test itself runs in one of its own, servers
//! in others, joined by virtual cables. Nothing of it outlives the test.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

const INSIDE: &str = "NETUP_TEST_IN_NAMESPACE";

/// Runs a test in a network namespace of its own: starts this very program again inside of one.
/// Says so and does nothing where that is not possible.
pub(crate) fn in_namespace<F: Future<Output = ()>>(
    test: &str,
    needs: &[&str],
    run: impl FnOnce() -> F,
) {
    if std::env::var_os(INSIDE).is_some_and(|name| name == test) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run());
        return;
    }
    for program in needs {
        if !found(program) {
            return skip(test, &format!("needs {program}"));
        }
    }
    let possible = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skip(test, "needs root and network namespaces");
    }
    let output = Command::new("unshare")
        .args([OsStr::new("--net"), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "inside of the namespace:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let also = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path).chain(also).any(|folder| folder.join(program).exists())
}

/// Not through the test harness, which hides what a passing test prints.
fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "{test}: skipped: {why}");
}

/// Runs a command that must succeed, such as `ip link`, and returns what it prints.
pub(crate) fn sh(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Another machine: a network namespace with servers in it.
#[derive(Debug)]
pub(crate) struct Machine {
    holder: Process,
    servers: Vec<Process>,
    folder: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", child.id());
        let machine =
            Self { holder: Process(child), servers: vec![], folder: tempfile::tempdir().unwrap() };
        until("the namespace", || fs::read_link(&theirs).is_ok_and(|theirs| theirs != own));
        machine.sh("ip link set lo up");
        machine
    }

    /// Runs a command on it.
    pub(crate) fn sh(&self, command: &str) -> String {
        sh(&format!("nsenter --net=/proc/{}/ns/net {command}", self.holder.0.id()))
    }

    /// A cable from our `near` to its `far`, which is switched on if it gets an address.
    pub(crate) fn cable(&self, near: &str, far: &str, address: Option<&str>) {
        sh(&format!("ip link add {near} type veth peer name {far}"));
        sh(&format!("ip link set {far} netns {}", self.holder.0.id()));
        if let Some(address) = address {
            self.sh(&format!("ip address add {address} dev {far} nodad"));
            self.sh(&format!("ip link set {far} up"));
        }
    }

    /// A DHCP and DNS server on one of its interfaces; port 53 answers to TCP, too.
    pub(crate) fn dnsmasq(&mut self, interface: &str, options: &[&str]) {
        let log = self.log();
        let lease_file = self.folder.path().join(format!("leases-{interface}"));
        let child = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.holder.0.id()))
            .args(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"])
            .args(["--pid-file=", "--no-resolv", "--no-hosts", "--no-ping", "--log-dhcp"])
            .args(["--bind-interfaces", "--except-interface=lo"])
            .arg(format!("--interface={interface}"))
            .arg(format!("--log-facility={}", log.display()))
            .arg(format!("--dhcp-leasefile={}", lease_file.display()))
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.servers.push(Process(child));
        until("dnsmasq", || fs::read_to_string(&log).unwrap_or_default().contains("started"));
    }

    /// A router on one of its interfaces: what stands in the braces of its configuration.
    pub(crate) fn radvd(&mut self, interface: &str, settings: &str) {
        self.sh("sysctl -q -w net.ipv6.conf.all.forwarding=1");
        let settings = format!(
            "interface {interface} {{\n AdvSendAdvert on;\n MinRtrAdvInterval 3;\n \
             MaxRtrAdvInterval 4;\n{settings}\n}};\n"
        );
        let file = self.folder.path().join(format!("radvd-{interface}"));
        let pid = self.folder.path().join(format!("radvd-{interface}.pid"));
        fs::write(&file, settings).unwrap();
        let child = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.holder.0.id()))
            .args(["radvd", "--nodaemon", "--logmethod=stderr"])
            .arg(format!("--config={}", file.display()))
            .arg(format!("--pidfile={}", pid.display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.servers.push(Process(child));
    }

    /// Lets TCP port 53 of all its addresses answer.
    pub(crate) fn listen(&self) -> Process {
        let child = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.holder.0.id()))
            .args(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"])
            .args(["--pid-file=", "--no-resolv", "--no-hosts", "--log-facility=-"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        until("dnsmasq", || self.sh("ss --tcp --listening --numeric").contains(":53 "));
        process
    }

    /// What its servers have logged.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        Path::new(self.folder.path()).join("log")
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what} does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}
