//! An OS and its mirrors on one machine: everything but kexec.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::fs;
use std::io::Cursor;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use fault_server::Config;
use fault_server::Fault;
use fault_server::FaultServer;
use fault_server::File;
use ospkg::CreateOptions;
use ospkg::Descriptor;
use report::BootReport;
use report::ClockReport;
use report::Code;
use report::Failure;
use report::HostConfigReport;
use report::NicReport;
use report::PackageReport;
use tempfile::TempDir;
use trust::Sha256Digest;
use trust::Timestamp;

use super::Candidate;
use super::Handover;
use super::Journal;
use super::Network;
use super::Next;
use super::fetch_next;
use crate::Events;
use crate::handover::HandOver;
use crate::handover::append;

/// A moment at which the keys of the vectors are valid.
const NOW: &str = "2026-11-21T22:07:17Z";
const BUILT: &str = "2026-11-20T00:00:00Z";
const PATIENCE: Duration = Duration::from_secs(60);

/// An archive with its descriptor, signed by both signers.
pub(crate) struct Package {
    pub(crate) archive: Vec<u8>,
    pub(crate) descriptor: String,
}

impl Package {
    pub(crate) fn new(content: &str, release: Option<u64>) -> Self {
        let options = CreateOptions {
            label: format!("os {content}"),
            kernel_name: "vmlinuz".into(),
            initramfs_name: "initramfs".into(),
            release,
            ..CreateOptions::default()
        };
        let mut archive = Cursor::new(Vec::new());
        let (kernel, initramfs) = (content.as_bytes(), b"initramfs".as_slice());
        ospkg::create(&mut archive, &options, kernel.into(), initramfs.into()).unwrap();
        let archive = archive.into_inner();
        let mut descriptor = Descriptor::new("os.zip").unwrap();
        for name in ["signer1", "signer2"] {
            let signature = ospkg::sign(&signing_key(name), Sha256Digest::of(&archive));
            descriptor.push(&key_file(&format!("{name}.cert.pem")), &signature).unwrap();
        }
        Self { archive, descriptor: descriptor.to_json() }
    }

    pub(crate) fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.archive)
    }

    fn serve(&self) -> FaultServer {
        let archive = File::new(self.archive.clone());
        let files = Config::http().file("/os.json", File::new(self.descriptor.clone()));
        FaultServer::start(files.file("/os.zip", archive)).unwrap()
    }
}

pub(crate) fn key_file(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/keys");
    fs::read_to_string(keys.join(name)).unwrap()
}

fn signing_key(name: &str) -> SigningKey {
    let text = key_file(&format!("{name}.key.pem"));
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    // PKCS#8 of an Ed25519 key ends in its seed.
    SigningKey::from_bytes(BASE64_STANDARD.decode(base64).unwrap().last_chunk().unwrap())
}

/// `/ramstrap` of an OS that runs this package, with these mirrors.
fn ramstrap(running: &Package, release: Option<u64>, mirrors: &[&FaultServer]) -> TempDir {
    let urls: Vec<String> = mirrors.iter().map(|server| server.url("/os.json")).collect();
    let directory = TempDir::new().unwrap();
    let write =
        |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
    let config = serde_json::json!({
        "network_mode": "dhcp",
        "ospkg_pointer": urls.join(","),
        "description": "a test",
    });
    write("host_configuration.json", config.to_string().as_bytes());
    let report = BootReport {
        clock: ClockReport {
            state: "trusted".into(),
            source: "rtc".into(),
            rtc: NOW.into(),
            floor: BUILT.into(),
            sntp: None,
        },
        host_configuration: Some(HostConfigReport {
            source: "initramfs".into(),
            description: Some("a test".into()),
        }),
        nics: vec![
            NicReport {
                interface: "eth0".into(),
                failure: Some(Failure::new(Code::NoCarrier, "none")),
                ..NicReport::default()
            },
            NicReport {
                interface: "eth1".into(),
                dns: vec!["192.0.2.53".into(), "2001:db8::53".into()],
                used: true,
                ..NicReport::default()
            },
        ],
        package: Some(PackageReport {
            label: Some("running".into()),
            release,
            sha256: running.digest().to_string(),
            ..PackageReport::default()
        }),
        ..BootReport::new("test")
    };
    write("boot-report.json", &serde_json::to_vec(&report).unwrap());
    fs::create_dir(directory.path().join("trust_policy")).unwrap();
    let policy = r#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#;
    write("trust_policy/trust_policy.json", policy.as_bytes());
    write("trust_policy/ospkg_signing_root.pem", key_file("root.cert.pem").as_bytes());
    directory
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// What comes of an upgrade; lines that were told; the report of the next boot.
fn upgrade(directory: &TempDir) -> (Result<Next, Failure>, Vec<String>, BootReport) {
    upgrade_in(directory.path())
}

fn upgrade_in(ramstrap: &Path) -> (Result<Next, Failure>, Vec<String>, BootReport) {
    let handover = Handover::read(ramstrap, now()).unwrap();
    let lines = Mutex::new(Vec::new());
    let journal = Journal::new(&handover, |line: &str| lines.lock().unwrap().push(line.to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let network = Network { interface: None, dns: Vec::new() };
    let next = runtime.block_on(fetch_next(&handover, &network, PATIENCE, &journal));
    let report = journal.hand_over().unwrap();
    drop(journal);
    (next, lines.into_inner().unwrap(), report)
}

fn newer(next: Result<Next, Failure>) -> Box<Candidate> {
    match next {
        Ok(Next::Newer(candidate)) => candidate,
        other => unreachable!("{other:?}"),
    }
}

fn code(next: Result<Next, Failure>) -> Code {
    next.unwrap_err().code
}

#[test]
fn a_higher_release_is_taken_and_the_next_os_is_told() {
    let (running, next) = (Package::new("7", Some(7)), Package::new("8", Some(8)));
    let server = next.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let (found, lines, report) = upgrade(&directory);
    let candidate = newer(found);
    assert_eq!(candidate.sha256(), next.digest());
    assert_eq!(candidate.release(), Some(8));
    assert_eq!(candidate.label(), Some("os 8"));

    let from = report.upgraded_from.unwrap();
    assert_eq!((from.sha256, from.release), (running.digest().to_string(), Some(7)));
    let package = report.package.unwrap();
    assert_eq!((package.sha256, package.release), (next.digest().to_string(), Some(8)));
    assert_eq!(package.signers.len(), 2);
    assert_eq!(report.clock.floor, BUILT);
    assert_eq!(report.clock.state, "trusted");
    assert_eq!(report.host_configuration.unwrap().source, "initramfs");
    assert_eq!(report.trust_policy.unwrap().threshold, 2);
    assert_eq!(report.nics.len(), 2);
    assert_eq!(report.mirrors.len(), 1);
    assert_eq!(report.mirrors[0].interface, "eth1");
    let stages: Vec<&str> = report.stages.iter().map(|stage| stage.stage.name()).collect();
    assert_eq!(stages, ["fetch", "verify"]);
    assert!(lines[0].starts_with("fetch: 0.0 MB from http://"), "{lines:?}");
    assert!(lines[1].starts_with("verify: os 8 signed by 2 of 2 needed"), "{lines:?}");
}

#[test]
fn the_next_os_reads_what_it_is_handed() {
    let (running, next) = (Package::new("7", Some(7)), Package::new("8", Some(8)));
    let server = next.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let (found, _, report) = upgrade(&directory);
    newer(found);
    let inputs = Handover::read(directory.path(), now()).unwrap().inputs;
    let mut archive = Vec::new();
    let content = HandOver {
        boot_report: &serde_json::to_vec(&report).unwrap(),
        host_configuration: &inputs.host.raw,
        trust_policy: &inputs.policy.files,
    };
    append(&mut archive, 0, &content).unwrap();
    let root = TempDir::new().unwrap();
    let child = Command::new("cpio")
        .args(["-id", "--quiet"])
        .current_dir(root.path())
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: no cpio on this machine");
        return;
    };
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(child.wait().unwrap().success());

    let handover = Handover::read(&root.path().join("ramstrap"), now()).unwrap();
    assert_eq!((handover.current.sha256, handover.current.release), (next.digest(), Some(8)));
    assert_eq!(handover.label.as_deref(), Some("os 8"));
    assert_eq!(handover.network().dns.len(), 2, "how the bootloader was connected is handed on");
    assert_eq!(handover.inputs.host.report.source, "initramfs");
    assert_eq!(handover.inputs.clock, inputs.clock);
    // And it has nothing to do, for that is what it runs.
    let (found, ..) = upgrade_in(&root.path().join("ramstrap"));
    assert!(matches!(found, Ok(Next::Already)), "{found:?}");
}

#[test]
fn what_is_no_kernel_is_refused_before_the_kernel_is_asked() {
    let server = Package::new("8", Some(8)).serve();
    let directory = ramstrap(&Package::new("7", Some(7)), Some(7), &[&server]);
    let candidate = newer(upgrade(&directory).0);
    let handover = Handover::read(directory.path(), now()).unwrap();
    let lines = Mutex::new(Vec::new());
    let journal = Journal::new(&handover, |line: &str| lines.lock().unwrap().push(line.to_owned()));
    assert_eq!(candidate.load(&handover, &journal).unwrap_err().code, Code::KernelInvalid);
    let report = journal.hand_over().unwrap();
    assert!(!report.stages[0].ok && report.stages[0].stage == report::Stage::Kexec);
}

#[test]
fn what_runs_is_not_downloaded_again() {
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let (found, ..) = upgrade(&directory);
    assert!(matches!(found, Ok(Next::Already)), "{found:?}");
    assert_eq!((server.count("/os.json"), server.count("/os.zip")), (1, 0));
}

#[test]
fn an_older_release_is_refused_however_well_it_is_signed() {
    let running = Package::new("7", Some(7));
    for release in [Some(6), Some(7), None] {
        let server = Package::new("other", release).serve();
        let directory = ramstrap(&running, Some(7), &[&server]);
        let (found, lines, report) = upgrade(&directory);
        let failure = found.unwrap_err();
        assert_eq!(failure.code, Code::ReleaseTooOld, "{release:?}: {failure}");
        assert!(failure.detail.contains("release 7 runs"), "{failure}");
        assert!(lines.iter().any(|line| line.contains("E0414")), "{lines:?}");
        assert_eq!(report.package, None, "nothing of it goes on");
        assert_eq!(server.count("/os.zip"), 1, "security failures are not retried");
    }
}

#[test]
fn from_a_package_without_a_release_any_release_is_newer() {
    let running = Package::new("unnumbered", None);
    let server = Package::new("0", Some(0)).serve();
    let (found, _, report) = upgrade(&ramstrap(&running, None, &[&server]));
    assert_eq!(newer(found).release(), Some(0));
    assert_eq!(report.upgraded_from.unwrap().release, None);
    let server = Package::new("other", None).serve();
    let (found, ..) = upgrade(&ramstrap(&running, None, &[&server]));
    assert_eq!(code(found), Code::ReleaseTooOld);
}

#[test]
fn mirrors_that_are_behind_or_broken_are_passed_over() {
    let (running, next) = (Package::new("7", Some(7)), Package::new("8", Some(8)));
    let (behind, current) = (Package::new("6", Some(6)).serve(), running.serve());
    let tampered =
        Package { archive: Package::new("9", Some(9)).archive, ..Package::new("8", Some(8)) };
    let (tampered, good) = (tampered.serve(), next.serve());
    let mirrors = [&behind, &current, &tampered, &good];
    let (found, lines, report) = upgrade(&ramstrap(&running, Some(7), &mirrors));
    assert_eq!(newer(found).sha256(), next.digest());
    let codes: Vec<Option<Code>> =
        report.mirrors.iter().map(|it| it.failure.as_ref().map(|failure| failure.code)).collect();
    assert_eq!(codes, [Some(Code::ReleaseTooOld), Some(Code::SignatureWrong), None], "{lines:?}");

    // Without the good one: a mirror has what runs, so there is nothing to do.
    let (found, ..) = upgrade(&ramstrap(&running, Some(7), &[&behind, &tampered, &current]));
    assert!(matches!(found, Ok(Next::Already)), "{found:?}");
    // Without any that has it: the gravest, of the first mirror among equals.
    let (found, ..) = upgrade(&ramstrap(&running, Some(7), &[&tampered, &behind]));
    assert_eq!(code(found), Code::SignatureWrong);
}

#[test]
fn a_mirror_that_heals_is_asked_again() {
    let (running, next) = (Package::new("7", Some(7)), Package::new("8", Some(8)));
    let descriptor = File::new(next.descriptor.clone()).first(1, Fault::Status(503));
    let files = Config::http().file("/os.json", descriptor);
    let server =
        FaultServer::start(files.file("/os.zip", File::new(next.archive.clone()))).unwrap();
    let (found, ..) = upgrade(&ramstrap(&running, Some(7), &[&server]));
    assert_eq!(newer(found).sha256(), next.digest());
}

#[test]
fn the_policy_that_was_handed_over_decides() {
    let (running, next) = (Package::new("7", Some(7)), Package::new("8", Some(8)));
    let server = next.serve();
    let with = |policy: &str| {
        let directory = ramstrap(&running, Some(7), &[&server]);
        fs::write(directory.path().join("trust_policy/trust_policy.json"), policy).unwrap();
        upgrade(&directory).0
    };
    let three = r#"{"ospkg_signature_threshold": 3, "ospkg_fetch_method": "network"}"#;
    assert_eq!(code(with(three)), Code::BelowThreshold);
    let later =
        r#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network", "min_release": 9}"#;
    assert_eq!(code(with(later)), Code::ReleaseTooOld);
}

#[test]
fn what_came_with_the_boot_image_goes_with_it() {
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let refusal = |method: &str, pointer: &str| {
        let policy =
            format!(r#"{{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "{method}"}}"#);
        fs::write(directory.path().join("trust_policy/trust_policy.json"), policy).unwrap();
        let config = format!(r#"{{"network_mode": "dhcp", "ospkg_pointer": "{pointer}"}}"#);
        fs::write(directory.path().join("host_configuration.json"), config).unwrap();
        Handover::read(directory.path(), now()).map(drop).unwrap_err()
    };
    let failure = refusal("initramfs", "os.zip");
    assert_eq!(failure.code, Code::EmbeddedOnly);
    assert!(failure.detail.contains("os.zip"), "{failure}");
    assert_eq!(refusal("network", "provision.zip").code, Code::EmbeddedOnly);
    assert_eq!(refusal("network", "os.zip").code, Code::HostConfigNoUrl);
}

const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

fn encrypt(plain: &[u8]) -> Vec<u8> {
    age::encrypt(&RECIPIENT.parse::<age::x25519::Recipient>().unwrap(), plain).unwrap()
}

/// What comes of an upgrade with these files, under a policy with this identity, if any.
fn upgrade_to(
    descriptor: Vec<u8>,
    archive: File,
    identity: Option<&str>,
) -> (Result<Next, Failure>, BootReport) {
    let files = Config::http().file("/os.json", File::new(descriptor)).file("/os.zip", archive);
    let server = FaultServer::start(files).unwrap();
    let directory = ramstrap(&Package::new("7", Some(7)), Some(7), &[&server]);
    if let Some(identity) = identity {
        fs::write(directory.path().join("trust_policy/decryption_identities"), identity).unwrap();
    }
    let (found, _, report) = upgrade(&directory);
    (found, report)
}

#[test]
fn encrypted_packages_are_decrypted_on_their_way() {
    let next = Package::new(&"8".repeat(200_000), Some(8));
    let (descriptor, archive) = (encrypt(next.descriptor.as_bytes()), encrypt(&next.archive));
    let whole = File::new(archive.clone());
    let broken = File::new(archive).first(1, Fault::CloseAfter(150_000));
    for (archive, resumed) in [(whole, 0), (broken, 1)] {
        let (found, report) = upgrade_to(descriptor.clone(), archive, Some(IDENTITY));
        assert_eq!(newer(found).sha256(), next.digest());
        let package = report.package.unwrap();
        assert_eq!(package.size, next.archive.len() as u64, "what is reported is the plaintext");
        assert_eq!(report.mirrors[0].resumed, resumed);
    }
}

#[test]
fn encryption_is_wanted_exactly_where_the_policy_says_so() {
    let next = Package::new("8", Some(8));
    let plain = || next.descriptor.clone().into_bytes();
    let sealed = || encrypt(next.descriptor.as_bytes());
    let archive = File::new(next.archive.clone());
    let sealed_archive = File::new(encrypt(&next.archive));
    let other = age::x25519::Identity::generate();
    let other = age::secrecy::ExposeSecret::expose_secret(&other.to_string()).to_owned();
    let mut changed = encrypt(&next.archive);
    *changed.last_mut().unwrap() ^= 1;
    let cut = File::new(encrypt(&next.archive).split_at(190).0);
    let ours = Some(IDENTITY);
    for (descriptor, archive, identity, expected) in [
        (plain(), archive.clone(), ours, Code::NotEncrypted),
        (sealed(), archive.clone(), ours, Code::NotEncrypted),
        (sealed(), sealed_archive.clone(), None, Code::EncryptedUnexpected),
        (plain(), sealed_archive.clone(), None, Code::EncryptedUnexpected),
        (sealed(), sealed_archive, Some(other.as_str()), Code::NoIdentityMatches),
        (sealed(), File::new(changed), ours, Code::DecryptionFailed),
        (sealed(), cut, ours, Code::EncryptedTruncated),
        (b"age-encryption.org/v1\n--- x\n".to_vec(), archive, ours, Code::EncryptionHeader),
        // Decryption vouches for nobody.
        (sealed(), File::new(encrypt(b"another archive")), ours, Code::SignatureWrong),
    ] {
        let (found, report) = upgrade_to(descriptor, archive, identity);
        assert_eq!(code(found), expected);
        assert_eq!(report.package, None);
    }
}

#[test]
fn the_clock_never_goes_back_behind_the_boot_image() {
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let at = |unix| Handover::read(directory.path(), Timestamp::from_unix(unix)).unwrap();
    let clock = at(0).inputs.clock;
    assert_eq!((clock.is_trusted(), clock.floor().to_string()), (false, BUILT.to_owned()));
    assert!(at(now().unix()).inputs.clock.is_trusted());
}

#[test]
fn dns_servers_are_the_configured_ones_or_those_of_the_lease() {
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let dns = || {
        let network = Handover::read(directory.path(), now()).unwrap().network();
        assert_eq!(network.interface, None);
        network.dns.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(dns(), ["192.0.2.53", "2001:db8::53"]);
    let config = r#"{"network_mode": "dhcp", "ospkg_pointer": "https://a.example/os.json", "dns": ["198.51.100.1"]}"#;
    fs::write(directory.path().join("host_configuration.json"), config).unwrap();
    assert_eq!(dns(), ["198.51.100.1"]);
}

#[test]
fn a_report_that_cannot_be_used_is_said() {
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let path = directory.path().join("boot-report.json");
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let read = |report: &serde_json::Value| {
        fs::write(&path, report.to_string()).unwrap();
        Handover::read(directory.path(), now()).map(|handover| handover.nics.len())
    };
    let with = |change: fn(&mut serde_json::Value)| {
        let mut report = good.clone();
        change(&mut report);
        read(&report)
    };
    let refused = |change: fn(&mut serde_json::Value), said: &str| {
        let failure = with(change).unwrap_err();
        assert_eq!(failure.code, Code::HandOverUnusable);
        assert!(failure.detail.contains(said), "{failure}");
    };
    refused(|report| report["version"] = 2.into(), "another version");
    refused(|report| report["package"] = serde_json::Value::Null, "package: ");
    refused(|report| report["package"]["sha256"] = "x".into(), "package.sha256");
    refused(|report| report["package"]["release"] = "7".into(), "package: ");
    refused(|report| report["clock"]["floor"] = "".into(), "clock.floor");
    // A newer bootloader may report failures that this version has no name for.
    assert_eq!(with(|report| report["nics"][0]["failure"]["code"] = "E0299".into()), Ok(2));
    fs::remove_file(&path).unwrap();
    let failure = Handover::read(directory.path(), now()).unwrap_err();
    assert!(failure.detail.contains("does not exist"), "{failure}");
}

#[test]
fn an_upgrade_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let running = Package::new("7", Some(7));
    let server = running.serve();
    let directory = ramstrap(&running, Some(7), &[&server]);
    let handover = Handover::read(directory.path(), now()).unwrap();
    let journal = Journal::new(&handover, |_: &str| {});
    is_send(&fetch_next(&handover, &Network::default(), PATIENCE, &journal));
}
