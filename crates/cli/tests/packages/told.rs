//! What the tool prints: of packages that lie, to files that are full, for wrong usage.

use crate::VERIFY;
use crate::support::Lab;
use crate::support::json;

#[test]
fn inspecting_decides_nothing() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    let result = json(&lab.ok("ospkg inspect --json os.json"));
    assert_eq!(result["os_pkg_url"], "os.zip");
    assert_eq!(result["signatures"][0]["over_this_archive"], true);
    assert_eq!(result["archive"]["members"].as_array().unwrap().len(), 3);
    let mut archive = lab.read("os.zip");
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    lab.write("os.zip", archive);
    let ran = lab.ok("ospkg inspect os.json");
    assert!(ran.stdout.contains("NOT over this archive"), "{}", ran.stdout);
    lab.write("os.zip", "no archive");
    lab.refused("ospkg inspect os.json", "error[E0501]");
    std::fs::remove_file(lab.path("os.zip")).unwrap();
    assert!(lab.ok("ospkg inspect os.json").stderr.contains("there is no os.zip"));
    lab.write("os.json", "[]");
    lab.refused("ospkg inspect os.json", "error[E0401]");
}

#[test]
fn what_a_package_says_of_itself_forges_no_line() {
    const FORGED: &str = "web servers\nrelease        99\ncmdline        quiet\u{1b}[2K\u{2028}x";
    let lab = Lab::with_signers();
    lab.package();
    let options = ospkg::CreateOptions {
        label: FORGED.to_owned(),
        cmdline: "a\nkernel         vmlinuz SHA-256 00\rb".to_owned(),
        kernel_name: "vmlinuz".to_owned(),
        initramfs_name: "initramfs".to_owned(),
        release: Some(3),
        ..ospkg::CreateOptions::default()
    };
    let (kernel, initramfs) = (lab.read("vmlinuz"), lab.read("initramfs"));
    lab.write("plain.zip", lab.read("os.zip"));
    lab.write("plain.json", lab.read("os.json"));
    let archive = std::fs::File::create(lab.path("os.zip")).unwrap();
    ospkg::create(archive, &options, kernel.as_slice().into(), initramfs.as_slice().into())
        .unwrap();
    let sign =
        |name: &str| lab.ok(&format!("ospkg sign --key {name}.key --cert {name}.pem os.json"));
    let shown = [sign("a"), sign("b"), lab.run(VERIFY), lab.run("ospkg inspect os.json")];
    let diff = lab.run("ospkg diff plain.json os.json");
    for ran in shown.iter().chain([&diff]) {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            text.contains(
                r"web servers\nrelease        99\ncmdline        quiet\u{1b}[2K\u{2028}x"
            ),
            "{text}"
        );
        assert!(!text.contains(['\u{1b}', '\u{2028}', '\r']), "{text}");
        for forged in
            ["\nrelease        99", "\ncmdline        quiet", "\nkernel         vmlinuz SHA-256 00"]
        {
            assert!(!text.contains(forged), "{forged:?} in\n{text}");
        }
    }
}

#[test]
fn what_would_not_be_one_line_is_not_packed() {
    let lab = Lab::with_signers();
    lab.package();
    for (flag, text, shown) in [
        ("--label", "one\ntwo", r"the label holds a control character: \n"),
        ("--cmdline", "a\u{1b}b", r"the cmdline holds a control character: \u{1b}"),
    ] {
        let ran = lab.run_args(&[
            "ospkg",
            "create",
            "--kernel",
            "vmlinuz",
            "--initramfs",
            "initramfs",
            "--url",
            "os.zip",
            "--out",
            "other",
            flag,
            text,
        ]);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(shown), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("help: give {flag} as one line")), "{}", ran.stderr);
        assert!(!lab.path("other.zip").exists());
    }
}

#[test]
fn a_result_that_could_not_be_written_is_a_failure() {
    let lab = Lab::with_signers();
    lab.package();
    let run = |words: &str, out: std::process::Stdio| {
        let words: Vec<&str> = words.split_whitespace().collect();
        let ran = lab.command().args(words).stdout(out).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    for words in [
        "ospkg inspect os.json",
        "ospkg inspect --json os.json",
        "completions bash",
        "man pages",
        "keygen public --key a.key",
        r#"stmgr trustpolicy check {"ospkg_signature_threshold":1,"ospkg_fetch_method":"network"}"#,
        "--help",
        "--version",
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (status, told) = run(words, full.into());
        assert_eq!(status, Some(1), "{words}: {told}");
        assert!(
            told.contains("cannot write the result to stdout: no space left"),
            "{words}: {told}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (status, told) = run(words, writer.into());
        assert_eq!(status, Some(0), "{words}: {told}");
        assert!(!told.contains("stdout"), "{words}: {told}");
    }
}

#[test]
fn wrong_usage_is_two() {
    let lab = Lab::with_signers();
    for words in [
        "ospkg verify --signing-root rootcert.pem --threshold 0 os.json",
        "ospkg verify --signing-root rootcert.pem os.json",
        "ospkg verify os.json",
        "ospkg verify --trust-policy policy --threshold 1 os.json",
        "ospkg verify --trust-policy policy --at yesterday os.json",
        "ospkg verify --trust-policy policy",
        "ospkg frobnicate",
        "explain E9999",
        "serve .",
        "",
    ] {
        assert_eq!(lab.run(words).status, 2, "{words}");
    }
    let error = json(&lab.run("ospkg verify os.json --json"));
    assert_eq!(error["ok"], false);
}

/// What the manifest says is shown by every command, and under one name for scripts.
#[test]
fn the_manifest_is_told_in_one_way() {
    let lab = Lab::with_signers();
    lab.package();
    let create = "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --out os";
    lab.ok(&format!(
        "{create} --label web --release 7 --channel beta --not-after 2099-01-01 --cmdline quiet \
         --watchdog-seconds 300"
    ));
    let sign = |name: &str| format!("ospkg sign --key {name}.key --cert {name}.pem os.json");
    let shown = "label          web\nrelease        7\nchannel        beta\n\
                 not after      2099-01-01T00:00:00Z\ncmdline        quiet\n\
                 watchdog       left running with 300 s for the OS to take over\n";
    let before = lab.read("os.json");
    for words in [&sign("a"), &sign("b"), "ospkg inspect os.json", VERIFY] {
        let ran = lab.ok(words);
        assert!(ran.stdout.contains(shown), "{words}: {}", ran.stdout);
    }
    lab.write("os.json", before);
    let told = |words: &str, pointer: &str| {
        let told = json(&lab.ok(&format!("{words} --json")));
        let facts = told.pointer(pointer).unwrap();
        let keys = ["label", "release", "channel", "not_after", "cmdline", "watchdog_seconds"];
        keys.map(|key| facts[key].clone())
    };
    let facts = told(&sign("a"), "/archive");
    let expected = serde_json::json!(["web", 7, "beta", "2099-01-01T00:00:00Z", "quiet", 300]);
    assert_eq!(serde_json::Value::from(facts.to_vec()), expected);
    lab.sign("b");
    assert_eq!(told("ospkg inspect os.json", "/archive"), facts);
    assert_eq!(told(VERIFY, ""), facts);
}
