//! What goes into a boot image, and what keeps one from being built.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

use support::Lab;
use support::Member;
use support::init;
use support::json;
use support::mode;
use support::module;
use support::unpack;

const HOST: &str = r#"{"network_mode": "dhcp", "ospkg_pointer": "http://10.0.2.2/os.json"}"#;
const BUILD: &str =
    "boot-image build --init init --trust-policy policy --build-time 2026-11-21 --out image";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.ok("keygen root");
    lab.policy("policy", 2);
    lab.write("init", init());
    lab.write("host.json", HOST);
    lab
}

/// A tree of modules as a distribution ships it: compressed, without modules.dep.
fn modules(lab: &Lab) {
    let root = "6.1.0-test";
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let xz = |bytes: &[u8]| {
        let mut child = Command::new("xz")
            .args(["--check=crc32", "-c"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    lab.write(&format!("{root}/modules.builtin"), "kernel/drivers/char/tpm/tpm_tis.ko\n");
    let put = |path: &str, notes: &[&str]| {
        let plain = module(notes);
        let bytes = match path.rsplit('.').next().unwrap() {
            "xz" => xz(&plain),
            "gz" => gzip(&plain),
            "zst" => zstd::bulk::compress(&plain, 3).unwrap(),
            _ => plain,
        };
        lab.write(&format!("{root}/kernel/{path}"), bytes);
    };
    put("drivers/virtio/virtio.ko", &["depends="]);
    put("drivers/virtio/virtio_pci.ko.xz", &["alias=pci:v00001AF4d*", "depends=virtio"]);
    put(
        "drivers/net/virtio_net.ko.zst",
        &["alias=virtio:d00000001v*", "depends=net_failover,virtio"],
    );
    put("drivers/net/net_failover.ko", &["depends=failover"]);
    put("net/core/failover.ko.gz", &["depends="]);
    put("drivers/net/ethernet/acme/acme-nic.ko", &["softdep=pre: acme-phy crc32c", "depends="]);
    put("drivers/net/phy/acme-phy.ko", &["depends="]);
    put("crypto/crc32c_generic.ko", &["alias=crc32c", "depends="]);
    put("drivers/other/crc32c_unrelated.ko", &["depends="]);
    put("drivers/net/bonding/bonding.ko", &["depends="]);
    put("drivers/net/ethernet/old/relic.ko", &["depends=mmc_core"]);
    put("drivers/mmc/core/mmc_core.ko", &["depends="]);
    put("drivers/net/wireless/wifi.ko", &["depends="]);
    put("drivers/nvme/host/nvme.ko", &["depends="]);
    put("fs/efivarfs/efivarfs.ko", &["depends="]);
    put("fs/ext4/ext4.ko", &["depends="]);
}

fn files(image: &[u8]) -> BTreeMap<String, Member> {
    unpack(image).into_iter().map(|member| (member.path.clone(), member)).collect()
}

#[test]
fn the_image_holds_what_the_manifest_says() {
    let lab = lab();
    modules(&lab);
    lab.ok(&format!("{BUILD} --host-config host.json --modules 6.1.0-test"));
    let mut built: Vec<String> = unpack(&lab.read("image"))
        .iter()
        .filter(|it| !it.path.ends_with(".ko") && !it.path.contains("/kernel"))
        .map(|it| format!("{:06o} /{}", it.mode, it.path.replace("6.1.0-test", "RELEASE")))
        .collect();
    built.sort();
    built.dedup();
    let manifest = include_str!("../../../initramfs/manifest.txt");
    let mut said: Vec<String> = manifest
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .filter(|line| !line.ends_with('*') && !line.ends_with("tls_roots.pem"))
        .collect();
    said.sort();
    assert_eq!(built, said);
}

#[test]
fn the_example_policy_is_one() {
    let lab = lab();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../initramfs/trust_policy.example");
    lab.ok(&format!("trust-policy check {example}/trust_policy.json"));
}

#[test]
fn configuration_is_in_the_second_archive() {
    let lab = lab();
    lab.ok(&format!("{BUILD} --host-config host.json"));
    let found = files(&lab.read("image"));
    assert_eq!(found["init"].content, init());
    assert_eq!(found["etc/host_configuration.json"].content, HOST.as_bytes());
    assert_eq!(found["etc/host_configuration.json"].mode, 0o100_600);
    assert_eq!(found["dev/console"].mode, 0o020_600);
    assert_eq!(found["dev/null"].mode, 0o020_666);
    let image: serde_json::Value =
        serde_json::from_slice(&found["etc/ramstrap/image.json"].content).unwrap();
    assert_eq!(image["version"], 1);
    assert_eq!(image["build_time"], 1_795_219_200);
    assert!(found.values().all(|member| member.mtime == 0));
    assert!(!found.contains_key("etc/trust_policy/tls_roots.pem"));
}

#[test]
fn modules_are_chosen_with_what_they_need() {
    let lab = lab();
    modules(&lab);
    let result = json(&lab.ok(&format!("{BUILD} --modules 6.1.0-test --json")));
    assert_eq!(result["modules"]["release"], "6.1.0-test");
    let found = files(&lab.read("image"));
    let root = "lib/modules/6.1.0-test";
    let text =
        |name: &str| String::from_utf8(found[&format!("{root}/{name}")].content.clone()).unwrap();
    assert_eq!(
        found[&format!("{root}/kernel/drivers/virtio/virtio_pci.ko")].content,
        module(&["alias=pci:v00001AF4d*", "depends=virtio"]),
        "modules are unpacked"
    );
    let dep = text("modules.dep");
    // Loaded from right to left.
    assert!(
        dep.contains(
            "kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio.ko \
         kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko\n"
        ),
        "{dep}"
    );
    assert!(
        dep.contains(
            "acme-nic.ko: kernel/crypto/crc32c_generic.ko kernel/drivers/net/phy/acme-phy.ko\n"
        ),
        "{dep}"
    );
    assert!(text("modules.alias").contains("alias virtio:d00000001v* virtio_net\n"));
    for absent in ["wifi", "nvme", "ext4", "mmc_core", "relic"] {
        assert!(!found.keys().any(|path| path.contains(absent)), "{absent}");
    }
    assert_eq!(found["etc/ramstrap/modules"].content, b"efivarfs\n");

    lab.ok(&format!("{BUILD} --modules 6.1.0-test --nics virtual --module ext4"));
    let found = files(&lab.read("image"));
    assert!(!found.keys().any(|path| path.contains("acme")));
    assert_eq!(found["etc/ramstrap/modules"].content, b"efivarfs\next4\n");
    lab.ok(&format!("{BUILD} --modules 6.1.0-test --nics-only acme-nic"));
    assert!(!files(&lab.read("image")).keys().any(|path| path.contains("virtio_net")));
    let ran = lab.ok(&format!("{BUILD} --modules 6.1.0-test --module tpm_tis"));
    assert!(ran.stderr.contains("tpm_tis is built into kernel"), "{}", ran.stderr);
    lab.refused(&format!("{BUILD} --modules 6.1.0-test --module none"), "no module none");
    lab.refused(&format!("{BUILD} --modules 6.1.0-test --module nvme"), "drives a disk");
    lab.refused(
        &format!("{BUILD} --modules 6.1.0-test --nics-only relic"),
        "mmc_core, which relic needs, drives a disk",
    );
    lab.refused(&format!("{BUILD} --modules policy"), "no directory of kernel modules");
}

#[test]
fn packages_are_embedded_if_they_would_boot() {
    const INITRAMFS: &str =
        r#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "initramfs"}"#;
    let lab = Lab::with_signers();
    lab.write("init", init());
    lab.package();
    lab.sign("a");
    lab.write("local/trust_policy.json", INITRAMFS);
    lab.write("local/ospkg_signing_root.pem", lab.read("rootcert.pem"));
    lab.write("here.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "os.zip"}"#);
    let build = "boot-image build --init init --trust-policy local --out image";
    let with_host = format!("{build} --host-config here.json");

    let ran = lab.refused(&format!("{with_host} --ospkg os.json"), "error[E0404]");
    assert!(ran.stderr.contains("/ospkg/os.json"), "{}", ran.stderr);
    lab.sign("b");
    lab.ok(&format!("{with_host} --ospkg os.json"));
    let found = files(&lab.read("image"));
    assert_eq!(found["ospkg/os.json"].content, lab.read("os.json"));
    assert_eq!(found["ospkg/os.zip"].content, lab.read("os.zip"));
    assert!(found.contains_key("etc/trust_policy/trust_policy.json"));
    let inspected = lab.ok("boot-image inspect image").stdout;
    assert!(inspected.contains("(not compressed), 3 members"), "{inspected}");

    // What the machine would look for must be there.
    lab.refused(&with_host, "error[E0124]");
    lab.write("there.json", HOST);
    let elsewhere = format!("{build} --host-config there.json --ospkg os.json");
    lab.refused(&elsewhere, "error[E0125]");
    assert!(lab.ok(build).stderr.contains("holds none"));
    // What expired before the image was built never boots.
    let late = format!("{with_host} --ospkg os.json --build-time 2050-01-01");
    lab.refused(&late, "error[E0407]");

    // Another package's archive, another name, twice.
    let names = |from: &str, to: &str| {
        for suffix in ["json", "zip"] {
            lab.write(&format!("{to}.{suffix}"), lab.read(&format!("{from}.{suffix}")));
        }
    };
    names("os", "provision");
    // By the network's policy: for machines without a host configuration.
    lab.ok("boot-image build --init init --trust-policy policy --out image --ospkg provision.json");
    lab.write("provision.zip", "tampered");
    lab.refused(&format!("{build} --ospkg provision.json"), "error[E0405]");
    names("os", "strange name");
    let args = ["boot-image", "build", "--init", "init", "--trust-policy", "local", "--out", "i"];
    let ran = lab.run_args(&[args.as_slice(), &["--ospkg", "strange name.json"]].concat());
    assert!(ran.status == 1 && ran.stderr.contains("cannot be named"), "{}", ran.stderr);
    assert_eq!(lab.run(&format!("{build} --ospkg os.json --ospkg os.json")).status, 2);
    assert_eq!(lab.run(&format!("{build} --extra os.zip=/ospkg/os.zip")).status, 2);
}

#[test]
fn a_bond_in_the_configuration_brings_its_module() {
    let lab = lab();
    modules(&lab);
    lab.write(
        "host.json",
        r#"{"network_mode": "static", "host_ip": "192.0.2.2/24", "gateway": "192.0.2.1",
            "bonding_mode": "802.3ad", "bond_name": "bond0",
            "network_interfaces": [{"interface_name": "eth0", "mac_address": "52:54:00:00:00:01"}],
            "ospkg_pointer": "http://10.0.2.2/os.json"}"#,
    );
    lab.ok(&format!("{BUILD} --host-config host.json --modules 6.1.0-test"));
    let found = files(&lab.read("image"));
    assert_eq!(found["etc/ramstrap/modules"].content, b"efivarfs\nbonding\n");
}

#[test]
fn the_same_inputs_give_the_same_image_anywhere() {
    let make = |umask: &str| {
        let lab = Lab::new();
        lab.write("policy/trust_policy.json", POLICY);
        lab.write("policy/ospkg_signing_root.pem", root());
        lab.write("init", init());
        lab.write("host.json", HOST);
        lab.write("motd", "hello");
        modules(&lab);
        let script = format!(
            "umask {umask}; exec {} {BUILD} --host-config host.json --modules 6.1.0-test \
             --extra motd=/etc/motd",
            env!("CARGO_BIN_EXE_ramstrap")
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(lab.path("")).output().unwrap();
        assert!(output.status.success());
        assert_eq!(mode(&lab.path("image")), 0o644);
        lab.read("image")
    };
    assert_eq!(make("022"), make("077"));
}

const POLICY: &str = r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;

fn root() -> Vec<u8> {
    use ramstrap_cli::certificate;
    use ramstrap_cli::certificate::Validity;
    use ramstrap_cli::keys::PrivateKey;
    // Serial numbers are random, so both images need one and the same certificate.
    static ROOT: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| {
        let validity = Validity::days(1_700_000_000, 3653);
        let root = certificate::issue_root(&PrivateKey::from_seed(&[1; 32]).into(), None, validity);
        root.unwrap().to_pem().unwrap().into_bytes()
    })
    .clone()
}

#[test]
fn what_a_machine_would_refuse_is_not_built() {
    let lab = lab();
    let build = |policy: &str, host: &str| {
        format!(
            "boot-image build --init init --trust-policy {policy} --host-config {host} --out image"
        )
    };
    lab.write("zero/trust_policy.json", POLICY.replace('1', "0"));
    lab.write("zero/ospkg_signing_root.pem", lab.read("rootcert.pem"));
    lab.refused(&build("zero", "host.json"), "error[E0103]");
    lab.write("rootless/trust_policy.json", POLICY);
    lab.refused(&build("rootless", "host.json"), "error[E0104]");
    lab.write("nothing/readme", "");
    lab.refused(&build("nothing", "host.json"), "error[E0101]");
    lab.write("bad.json", "{");
    lab.refused(&build("policy", "bad.json"), "error[E0112]");
    lab.write("nowhere.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "os.json"}"#);
    lab.refused(&build("policy", "nowhere.json"), "error[E0114]");
    lab.write("text", "#!/bin/sh");
    lab.refused(
        &build("policy", "host.json").replace("--init init", "--init text"),
        "text: the file for /init",
    );
    lab.refused(&build("policy", "host.json").replace("--init init", ""), "--init");
    lab.refused(&build("policy", "none.json"), "cannot read none.json");
    assert!(!lab.path("image").exists());

    let ran = lab.ok(&format!("{} --allow-invalid", build("zero", "bad.json")));
    assert!(ran.stderr.contains("nothing was checked"));
    let found = files(&lab.read("image"));
    assert_eq!(found["etc/host_configuration.json"].content, b"{");
    assert!(found["etc/trust_policy/trust_policy.json"].content.starts_with(b"{"));
}

#[test]
fn init_is_found_beside_the_tool_or_the_way_to_it_is_said() {
    const WITHOUT: &str = "boot-image build --trust-policy policy --out image";
    let lab = lab();
    let ran = lab.refused(WITHOUT, "no ramstrap-init beside this tool");
    assert!(ran.stderr.contains("cargo xtask init FILE"), "{}", ran.stderr);
    assert!(!lab.path("image").exists());

    // By another process: a child that another test starts at this moment would inherit our open
    // file, and a file that is open for writing cannot be run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_ramstrap"))
        .arg(lab.path("ramstrap"))
        .status()
        .unwrap();
    assert!(copied.success());
    std::fs::copy(lab.path("init"), lab.path("ramstrap-init")).unwrap();
    let output = Command::new(lab.path("ramstrap"))
        .args(WITHOUT.split(' '))
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("ramstrap-init (4.0 kB)"), "{stdout}");
}

#[test]
fn missing_firmware_is_warned_of() {
    let lab = lab();
    modules(&lab);
    let note = ["firmware=acme/one.bin", "firmware=acme/two.bin", "depends="];
    lab.write("6.1.0-test/kernel/drivers/net/ethernet/acme/wanting.ko", module(&note));
    let build = format!("{BUILD} --modules 6.1.0-test");
    let ran = lab.ok(&build);
    assert!(ran.stderr.contains("no firmware is taken along for wanting:"), "{}", ran.stderr);
    let result = json(&lab.ok(&format!("{build} --json")));
    assert_eq!(result["modules"]["firmware"]["wanting"][1], "acme/two.bin");
    lab.write("two.bin", "firmware");
    let ran = lab.ok(&format!("{build} --extra two.bin=/lib/firmware/acme/two.bin"));
    assert!(!ran.stderr.contains("firmware"), "{}", ran.stderr);
}

#[test]
fn odd_but_working_configurations_are_warned_of() {
    let lab = lab();
    lab.write("https.json", HOST.replace("http:", "https:"));
    lab.write("policy/notes.txt", "ours");
    let ran = lab.ok(&format!("{BUILD} --host-config https.json"));
    assert!(ran.stderr.contains("no tls_roots.pem (E0306)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("notes.txt"), "{}", ran.stderr);
    assert!(!files(&lab.read("image")).contains_key("etc/trust_policy/notes.txt"));
    assert_eq!(lab.run(&format!("{BUILD} --build-time soon")).status, 2);
    assert_eq!(lab.run(&format!("{BUILD} --extra motd")).status, 2);
    for path in ["/init/../x", "/init", "/etc/trust_policy/decryption_identities", "x", "/a//b"] {
        assert_eq!(lab.run(&format!("{BUILD} --extra host.json={path}")).status, 2, "{path}");
    }
}

#[test]
fn credentials_come_out_nowhere() {
    const CANARY: &str = "canary-7c1f";
    let lab = lab();
    let url = format!("https://user-{CANARY}:pass-{CANARY}@10.0.2.2/os.json");
    lab.write(
        "secret.json",
        format!(
            r#"{{"network_mode": "dhcp", "identity": "id", "authentication": "{CANARY}", "ospkg_pointer": "{url}"}}"#
        ),
    );
    lab.write("broken.json", format!(r#"{{"network_mode": "none", "ospkg_pointer": "{url}"}}"#));
    lab.write("cut.json", format!(r#"{{"network_mode": "dhcp", "ospkg_pointer": "{url}""#));
    for words in [
        "host-config check secret.json",
        "host-config check secret.json --json",
        "host-config check broken.json",
        "host-config check cut.json --json",
        &format!("{BUILD} --host-config secret.json"),
        &format!("{BUILD} --host-config secret.json --json"),
        &format!("{BUILD} --host-config broken.json --json"),
    ] {
        let ran = lab.run(words);
        assert!(!ran.stdout.contains(CANARY), "{words}: {}", ran.stdout);
        assert!(!ran.stderr.contains(CANARY), "{words}: {}", ran.stderr);
    }
    // The search can fail: the image itself has to hold them.
    let found = files(&lab.read("image"));
    let embedded = String::from_utf8(found["etc/host_configuration.json"].content.clone()).unwrap();
    assert!(embedded.contains(CANARY));
}
