//! Taking machines into service with the tool, against the machine's side of the protocol.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use provision::Accepted;
use provision::Fingerprint;
use provision::Identity;
use provision::Refused;
use provision::Request;
use provision::Staff;
use provision::Why;
use provision::server::Host;
use provision::server::HostFacts;
use provision::server::Server;
use serde_json::Value;
use serde_json::json;
use support::Lab;
use support::Ran;
use tokio::net::TcpListener;
use trust::Sha256Digest;

const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

/// A machine as it waits for staff; it ends with the test.
struct Machine {
    address: SocketAddr,
    fingerprint: Fingerprint,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

struct Works(Arc<Mutex<Vec<String>>>);

impl Host for Works {
    async fn handle(
        &self,
        staff: &str,
        request: Request,
        progress: &mut (dyn FnMut(String) + Send),
    ) -> Result<Accepted, Refused> {
        self.0.lock().unwrap().push(format!("{staff} {}", request.kind()));
        progress("a step".to_owned());
        match request {
            Request::Upgrade => Err(Refused::new(Why::NoNewerRelease, "release 7 is the newest")),
            _ => Ok(Accepted::new().with("peers", 2).with("note", "all is well")),
        }
    }
}

impl Machine {
    fn start(staff: &Path, package: Sha256Digest) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let identity = Identity::generate().unwrap();
        let fingerprint = identity.fingerprint();
        let facts = HostFacts {
            package_sha256: package,
            release: Some(7),
            label: Some("vpn 7".to_owned()),
            service: "vpn".to_owned(),
            started: Instant::now(),
        };
        let server = Server::new(identity, Staff::load(staff).unwrap(), facts);
        let asked = Arc::default();
        let host = Works(Arc::clone(&asked));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { server.run(listener, host).await.map(|never| match never {}) });
        Self { address, fingerprint, asked, _runtime: runtime }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.package();
    lab.ok("keygen staff --out staff/alice");
    lab.ok("keygen staff --out elsewhere/mallory");
    let config = json!({
        "version": 1, "service": "vpn", "hostname": "se-sto-1",
        "wireguard": {
            "private_key": PRIVATE, "listen_port": 51820, "addresses": ["10.64.0.1/24"], "peers": []
        }
    });
    lab.write("vpn1.json", config.to_string());
    lab
}

fn machine(lab: &Lab) -> Machine {
    Machine::start(&lab.path("staff"), Sha256Digest::of(&lab.read("os.zip")))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}\n{}", ran.stdout, ran.stderr))
}

#[test]
fn staff_keys_are_two_files() {
    let lab = lab();
    let mode = |name: &str| lab.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("staff/alice.key"), mode("staff/alice.pem")), (0o600, 0o644));
    let staff = Staff::load(&lab.path("staff")).unwrap();
    let (name, fingerprint) = staff.iter().next().unwrap();
    assert_eq!(name, "alice");
    let ran = lab.ok("keygen staff --force --json --out staff/alice");
    let told = json(&ran)["fingerprint"].as_str().unwrap().to_owned();
    assert_ne!(told, fingerprint.to_string(), "it is a new key");
    let staff = Staff::load(&lab.path("staff")).unwrap();
    assert_eq!(staff.iter().next().unwrap().1.to_string(), told);
    lab.refused("keygen staff --out staff/alice", "staff/alice.key exists already");
    let ran = lab.run_args(&["keygen", "staff", "--out", "staff/a b"]);
    assert!(ran.status == 2 && ran.stderr.contains("a name has 1 to 64"), "{}", ran.stderr);
}

#[test]
fn wireguard_keys_are_those_of_wg() {
    let lab = Lab::new();
    let told = json(&lab.ok("keygen wireguard --json --out wg.key"));
    let key = String::from_utf8(lab.read("wg.key")).unwrap();
    assert_eq!((key.len(), key.ends_with("=\n")), (45, true));
    assert_eq!(lab.path("wg.key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let private = provision::config::Secret::new(key.trim());
    assert_eq!(told["public_key"], json!(provision::wireguard::public_key(&private)));
    assert!(!told.to_string().contains(key.trim()));
    lab.refused("keygen wireguard --out wg.key", "exists already");
}

#[test]
fn a_machine_is_taken_into_service() {
    let lab = lab();
    let machine = machine(&lab);
    let (host, fingerprint) = (machine.address, machine.fingerprint);
    let access = format!("{host} --key staff/alice.key --fingerprint {fingerprint}");
    let ran = lab.ok(&format!("host status --json {access}"));
    assert_eq!(json(&ran)["state"], "waiting");

    let ran = lab.ok(&format!("provision {access} --package os.json vpn1.json"));
    assert!(ran.stdout.starts_with(&format!("provisioned: {host}\n")), "{}", ran.stdout);
    assert!(ran.stdout.contains("note           all is well"), "{}", ran.stdout);
    assert!(ran.stderr.contains("a step"), "{}", ran.stderr);

    let ran = lab.ok(&format!("host status {access} --package os.zip"));
    for part in ["answered: ", "state          provisioned", "release        7", "peers          2"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    let again = format!("provision {access} --package os.json vpn1.json");
    let ran = lab.refused(&again, "it says that it has its configuration");
    assert!(ran.stderr.contains("error[E0805]"), "{}", ran.stderr);
    let ran = lab.refused(&format!("host upgrade {access}"), "release 7 is the newest");
    assert!(ran.stderr.contains("error[E0809]"), "{}", ran.stderr);
    let ran = lab.ok(&format!("host reboot --json {access}"));
    assert_eq!((&json(&ran)["ok"], &json(&ran)["request"]), (&json!(true), &json!("reboot")));
    lab.ok(&format!("host poweroff {access}"));
    let asked = machine.asked();
    assert_eq!(
        asked,
        [
            "alice status",
            "alice provision",
            "alice status",
            "alice upgrade",
            "alice reboot",
            "alice poweroff"
        ]
    );
}

#[test]
fn what_is_refused_is_explained() {
    let lab = lab();
    let (machine, other) = (machine(&lab), machine(&lab));
    let host = machine.address;
    let with = |key: &str, fingerprint: &str, more: &str| {
        format!("provision {host} --key {key} --fingerprint {fingerprint} {more} vpn1.json")
    };
    let (right, wrong) = (machine.fingerprint.to_string(), other.fingerprint.to_string());
    let alice = "staff/alice.key";

    let ran = lab.refused(
        &with("elsewhere/mallory.key", &right, "--package os.json"),
        "is not on the list of staff",
    );
    assert!(
        ran.stderr.contains("error[E0801]: the machine does not know this staff key"),
        "{}",
        ran.stderr
    );
    let ran =
        lab.refused(&with(alice, &wrong, "--package os.json"), &format!("its identity is {right}"));
    assert!(
        ran.stderr.contains("error[E0803]") && ran.stderr.contains("own console"),
        "{}",
        ran.stderr
    );
    let digest = "00".repeat(32);
    let ran = lab
        .refused(&with(alice, &right, &format!("--package-sha256 {digest}")), "expected was 0000");
    assert!(
        ran.stderr.contains("error[E0804]") && ran.stderr.contains("nothing was sent"),
        "{}",
        ran.stderr
    );
    let ran = lab.refused(
        &format!(
            "host reboot {host} --key {alice} --fingerprint {right} --package-sha256 {digest}"
        ),
        "expected was 0000",
    );
    assert!(ran.stderr.contains("E0804"), "{}", ran.stderr);

    for command in ["provision", "host status", "host reboot"] {
        let config = if command == "provision" { "--package os.json vpn1.json" } else { "" };
        let ran = lab.run(&format!("{command} {host} --key {alice} {config}"));
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        for part in
            ["--fingerprint is missing", "prove nothing", "the machine's own console", "TPM quote"]
        {
            assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
        }
    }
    let ran = lab.run(&with(alice, &right, ""));
    assert!(ran.status == 2 && ran.stderr.contains("--package is missing"), "{}", ran.stderr);
    let ran = lab.run(&with(alice, "SHA256:abc", "--package os.json"));
    assert!(
        ran.status == 2 && ran.stderr.contains("as the machine's console shows it"),
        "{}",
        ran.stderr
    );
    lab.refused(
        &with("staff/alice.pem", &right, "--package os.json"),
        "it holds a PUBLIC KEY, not a private key",
    );
    let missing = with(alice, &right, "--package none.json");
    let ran = lab.refused(&missing, "cannot read none.zip");
    assert!(ran.stderr.contains("--package-sha256"), "{}", ran.stderr);
    assert!(machine.asked().is_empty() && other.asked().is_empty());

    drop(machine);
    let ran = lab.refused(&with(alice, &right, "--package os.json"), &host.to_string());
    assert!(ran.stderr.contains("error[E0811]"), "{}", ran.stderr);
    let told = json(&lab.run(&with(alice, &right, "--json --package os.json")));
    assert_eq!(
        (&told["code"], &told["class"], &told["ok"]),
        (&json!("E0811"), &json!("transient"), &json!(false))
    );
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let lab = lab();
    let machine = machine(&lab);
    let access =
        format!("{} --key staff/alice.key --fingerprint {}", machine.address, machine.fingerprint);
    let ran = lab.ok(&format!("host status {access}"));
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let public = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(lab.path("staff/alice.key"), public).unwrap();
    let ran = lab.ok(&format!("host status {access}"));
    assert!(ran.stderr.contains("others can read staff/alice.key"), "{}", ran.stderr);
}

#[test]
fn a_configuration_is_checked_and_explained_without_a_machine() {
    let lab = lab();
    let ran = lab.ok("provision check vpn1.json");
    for part in [
        "usable: vpn1.json (vpn)\n",
        "The machine will be called se-sto-1.",
        &format!("on UDP port 51820, with the public key {PUBLIC}."),
        "Nobody can connect: the list of peers is empty.",
        "from the root servers down",
        "Nobody can log in.",
        "a restart forgets it",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    let told = lab.ok("--json provision check vpn1.json");
    assert_eq!(json(&told)["configuration"]["wireguard"]["private_key"], "***");
    assert!(!format!("{}{}", ran.stdout, told.stdout).contains(PRIVATE));

    let text = String::from_utf8(lab.read("vpn1.json")).unwrap();
    lab.write("bad.json", text.replace("51820", "0").replace("10.64.0.1/24", "10.64.0.1"));
    let ran = lab.refused("provision check bad.json", "bad.json: 2 problems");
    for part in [
        "error[E0806]",
        "wireguard.listen_port: 0",
        "wireguard.addresses[1]",
        "correct what is named",
    ] {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains(PRIVATE));
    // A machine never hears of such a one.
    let fingerprint = format!("SHA256:{}", "A".repeat(43));
    let ran = lab.refused(
        &format!("provision 127.0.0.1:1 --key staff/alice.key --fingerprint {fingerprint} --package os.json bad.json"),
        "bad.json: 2 problems",
    );
    assert!(ran.stderr.contains("provision check FILE"), "{}", ran.stderr);
}

#[test]
fn a_file_of_wg_quick_takes_the_place_of_the_object() {
    let lab = lab();
    lab.write("rest.json", r#"{"version": 1, "service": "vpn", "hostname": "se-sto-1"}"#);
    let file = format!(
        "[Interface]\nPrivateKey = {PRIVATE}\nListenPort = 51820\nAddress = 10.64.0.1/24\n"
    );
    lab.write("wg0.conf", &file);
    let ran = lab.ok("provision check --wireguard wg0.conf rest.json");
    assert!(ran.stdout.contains(PUBLIC) && !ran.stdout.contains(PRIVATE), "{}", ran.stdout);
    let machine = machine(&lab);
    lab.ok(&format!(
        "provision {} --key staff/alice.key --fingerprint {} --package os.json --wireguard wg0.conf rest.json",
        machine.address, machine.fingerprint
    ));
    lab.write("wg0.conf", format!("{file}PostUp = iptables\n"));
    lab.refused("provision check --wireguard wg0.conf rest.json", "line 5 of the WireGuard file");
    let ran = lab
        .command()
        .env("RAMSTRAP_STAFF_KEY", "staff/alice.key")
        .args(["provision", "check", "vpn1.json"])
        .output()
        .unwrap();
    assert!(ran.status.success(), "the key's variable is no argument");
}
