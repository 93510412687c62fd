//! Configuration checks, help, and the small commands.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod configurations;
#[path = "../support/mod.rs"]
mod support;

use support::Lab;
use support::json;

#[test]
fn every_command_has_help_with_examples() {
    let lab = Lab::new();
    let all = commands(&lab, "");
    for known in [
        "keygen",
        "keygen root",
        "keygen certificate",
        "ospkg",
        "ospkg create",
        "ospkg sign",
        "ospkg verify",
        "ospkg inspect",
        "trust-policy",
        "trust-policy check",
        "host-config",
        "host-config check",
        "host-config encode",
        "host-config schema",
        "boot-image",
        "boot-image build",
        "boot-image inspect",
        "keygen staff",
        "keygen wireguard",
        "provision",
        "provision check",
        "host",
        "host status",
        "host upgrade",
        "host reboot",
        "host poweroff",
        "serve",
        "compare",
        "store",
        "store put",
        "store get",
        "store list",
        "store verify",
        "explain",
        "completions",
        "man",
    ] {
        assert!(all.iter().any(|it| it.0 == known), "{known} is missing");
    }
    for words in all.iter().map(|it| it.0.as_str()).chain([""]) {
        let help = lab.ok(&format!("{words} --help")).stdout;
        assert!(help.contains("Examples:\n") && help.contains("\n  ramstrap "), "{words}: {help}");
        assert!(!help.contains("allow-invalid"), "{words}");
    }
    assert!(lab.ok("--version").stdout.starts_with("ramstrap "));
}

/// Where a line of an example wraps, whoever pastes it runs half of a command.
#[test]
fn examples_fit_into_80_columns() {
    let lab = Lab::new();
    lab.ok("man pages");
    let mut wide = Vec::new();
    for (words, _) in commands(&lab, "").into_iter().chain([(String::new(), true)]) {
        let page = format!("ramstrap {words}").trim_end().replace(' ', "-");
        let text = String::from_utf8(lab.read(&format!("pages/{page}.1"))).unwrap();
        let (_, examples) =
            text.split_once(".SH EXAMPLES\n.nf\n").unwrap_or_else(|| panic!("{page}"));
        let (examples, _) = examples.split_once("\n.fi\n").unwrap();
        assert!(!text.contains("EXTRA") && text.contains("EXIT STATUS"), "{page}");
        for line in examples.lines() {
            let plain = line.replace("\\(aq", "'").replace("\\(ti", "~").replace("\\(ha", "^");
            let plain = plain.replace("\\(ga", "`").replace("\\-", "-").replace("\\e", "\\");
            if plain.chars().count() > 80 {
                wide.push(format!("{words}: {plain}"));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

/// All commands below this one, by what `--help` says, and whether they have some below themselves.
fn commands(lab: &Lab, above: &str) -> Vec<(String, bool)> {
    let help = lab.ok(&format!("{above} --help")).stdout;
    let list = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let list = list.split("\n\n").next().unwrap_or_default();
    let mut all = Vec::new();
    for line in list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            let words = format!("{above} {name}").trim_start().to_owned();
            let below = commands(lab, &words);
            all.push((words, !below.is_empty()));
            all.extend(below);
        }
    }
    all
}

/// Whatever is wrong, stdout has one JSON object, and the status says that it was wrong.
#[test]
fn every_command_tells_scripts_what_is_wrong() {
    let lab = Lab::new();
    let all = commands(&lab, "");
    assert!(all.len() > 45, "{}", all.len());
    for (words, group) in all {
        let ran = lab.run(&format!("{words} --json --no-such-option"));
        assert_eq!(ran.status, 2, "{words}: {}", ran.stderr);
        let error = json(&ran);
        assert_eq!(error["ok"], false, "{words}");
        assert!(error["error"].as_str().is_some_and(|it| !it.is_empty()), "{words}: {error}");
        if group {
            assert_eq!(json(&lab.run(&format!("{words} --json")))["ok"], false, "{words}");
            assert_eq!(lab.run(&format!("{words} nonsense")).status, 2, "{words}");
        }
    }
    // Files that are not there, for every command that reads one.
    for words in [
        "keygen certificate --root-cert none --root-key none",
        "ospkg create --kernel none --initramfs none --out x",
        "ospkg sign --key none --cert none none.json",
        "ospkg verify --trust-policy none none.json",
        "ospkg inspect none.json",
        "ospkg diff none.json none.json",
        "ospkg extract --unverified --out x none.json",
        "trust-policy check none",
        "host-config check none",
        "host-config encode none",
        "boot-image build --trust-policy none --out x",
        "boot-image inspect none",
        "secure-boot sign none --key none --cert none --out x",
        "secure-boot verify none --cert none",
        "secure-boot enroll --dir none",
        "provision check none",
        "serve --plain-http none",
        "compare none none",
        "store get none 00 --out x",
        "store list none",
        "store verify none",
        "uki create --kernel none --initramfs none --out x",
        "stmgr ospkg verify -rootCerts none -ospkg none",
        "man /dev/null/none",
    ] {
        let ran = lab.run(&format!("{words} --json"));
        assert_eq!(ran.status, 1, "{words}: {}", ran.stderr);
        let error = json(&ran);
        assert_eq!(error["ok"], false, "{words}");
        assert!(ran.stderr.to_lowercase().contains("error"), "{words}: people read it, too");
    }
}

/// Each that needs no network, no root and no machine.
#[test]
fn every_command_gives_scripts_one_object() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    lab.write("h.json", r#"{"network_mode": "dhcp", "ospkg_pointer": "http://a/x"}"#);
    lab.write("init", support::init());
    for words in [
        "keygen root --force",
        "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem",
        "keygen staff --out staff/alice",
        "keygen wireguard --out wg.key",
        "ospkg verify --trust-policy policy --at 2026-12-01 os.json",
        "ospkg inspect os.json",
        "ospkg diff os.json os.json",
        "ospkg extract --unverified --out parts os.json",
        "trust-policy check policy",
        "host-config check h.json",
        "host-config encode h.json",
        "host-config schema",
        "boot-image build --init init --trust-policy policy --host-config h.json --out image",
        "boot-image inspect image",
        "secure-boot keygen --out keys --bits 2048",
        "compare os.json os.json",
        "store put kept os.zip",
        "store list kept",
        "store verify kept",
        "explain",
        "explain E0404",
        "explain clock",
        "completions bash",
        "completions zsh",
        "man pages",
        "stmgr ospkg create -help",
        "stmgr keygen certificate -isCA -certOut r -keyOut k",
    ] {
        // Roots of before would not do for what was signed.
        let words = words.replace("keygen root --force", "keygen root --out-cert r2 --out-key k2");
        let ran = lab.ok(&format!("{words} --json"));
        assert_eq!(json(&ran)["ok"], true, "{words}");
    }
}

#[test]
fn statuses_are_what_the_help_says() {
    let lab = Lab::with_signers();
    lab.package();
    let help = lab.ok("--help").stdout;
    assert!(help.contains("Exit status: 0") && help.contains("130"), "{help}");
    assert_eq!(lab.run("ospkg inspect os.json").status, 0);
    assert_eq!(lab.run("ospkg verify --trust-policy policy os.json").status, 1);
    assert_eq!(lab.run("ospkg verify os.json").status, 2);
    assert_eq!(lab.run("--version").status, 0);
    assert_eq!(lab.run("help").status, 0);
}

#[test]
fn a_command_that_is_elsewhere_is_pointed_at() {
    let lab = Lab::new();
    for (word, command) in
        [("upgrade", "host upgrade"), ("sign", "ospkg sign"), ("root", "keygen root")]
    {
        let ran = lab.run(word);
        assert_eq!(ran.status, 2);
        assert!(
            ran.stderr.contains(&format!("did you mean `ramstrap {command}`?")),
            "{}",
            ran.stderr
        );
        let remedy = json(&lab.run(&format!("{word} --json")))["remedy"].clone();
        assert!(remedy.as_str().unwrap().contains(command), "{remedy}");
    }
}

#[test]
fn pages_and_completions_know_every_command_and_stay_the_same() {
    let lab = Lab::new();
    lab.ok("man one");
    lab.ok("man other");
    let completions = lab.ok("completions bash").stdout;
    assert_eq!(completions, lab.ok("completions bash").stdout);
    for (words, _) in commands(&lab, "") {
        let page = format!("ramstrap-{}.1", words.replace(' ', "-"));
        let text = lab.read(&format!("one/{page}"));
        assert!(text.len() > 200, "{page}");
        assert_eq!(text, lab.read(&format!("other/{page}")), "{page}");
        let name = words.rsplit(' ').next().unwrap();
        assert!(completions.contains(name), "{words}");
    }
    assert!(!lab.read("one/ramstrap.1").is_empty());
}

#[test]
fn colours_are_asked_for_or_refused() {
    let lab = Lab::new();
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = lab.command();
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied()).args(["explain", "E0404"]);
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]), "this is no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn wrong_usage_is_told_in_full_to_scripts() {
    let lab = Lab::new();
    let told = |words: &str| {
        let ran = lab.run(&format!("{words} --json"));
        assert_eq!(ran.status, 2, "{words}");
        let error = json(&ran);
        assert_eq!(error["ok"], false);
        (error["error"].as_str().unwrap().to_owned(), error["details"].clone())
    };
    let (error, details) = told("keygen certificate");
    assert_eq!(error, "the following required arguments were not provided");
    assert_eq!(details, serde_json::json!(["--root-cert <FILE>", "--root-key <KEY>"]));
    let (error, details) = told("completions tcsh");
    assert_eq!(error, "invalid value 'tcsh' for '<SHELL>'");
    assert_eq!(details[0], "possible values: bash, elvish, fish, powershell, zsh");
    let (_, details) = told("ospkg verify");
    let either = "<--trust-policy <DIR>|--signing-root <FILE>>";
    assert_eq!(details, serde_json::json!([either, "<NAME.json>"]));
    let (_, details) = told("keygen");
    assert!(details.to_string().contains("certificate"), "{details}");
    let (error, details) = told("ospkg create --nope");
    assert_eq!(error, "unexpected argument '--nope' found");
    assert!(details.is_null(), "{details}");
}

#[test]
fn codes_are_explained() {
    let lab = Lab::new();
    let ran = lab.ok("explain e0404");
    assert!(ran.stdout.contains("not enough valid signatures"), "{}", ran.stdout);
    let all = json(&lab.ok("explain --json"));
    assert!(all["codes"].as_array().unwrap().len() > 50);
    assert!(lab.ok("explain").stdout.lines().all(|line| line.starts_with('E')));
    assert_eq!(lab.ok("explain 404").stdout, ran.stdout);
    let found = json(&lab.ok("explain valid SIGNATURES --json"));
    let found = found.to_string();
    assert!(found.contains("E0404"), "{found}");
    let unknown = lab.run("explain E0498");
    assert_eq!(unknown.status, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("did you mean E04"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("E0404, "), "{}", unknown.stderr);
    lab.refused("explain zebra", "no code is about");
    let slip = lab.refused("explain signaturs", "no code is about");
    assert!(slip.stderr.contains("did you mean `ramstrap explain signature"), "{}", slip.stderr);
}

#[test]
fn completions_and_manual_pages_are_written() {
    let lab = Lab::new();
    assert!(lab.ok("completions bash").stdout.contains("ramstrap"));
    assert!(lab.ok("completions zsh").stdout.contains("boot-image"));
    lab.ok("man pages");
    let page = String::from_utf8(lab.read("pages/ramstrap-ospkg-verify.1")).unwrap();
    assert!(page.contains("signing\\-root"), "{page}");
    assert!(lab.path("pages/ramstrap.1").exists());
}

#[test]
fn no_colours_outside_terminals() {
    let lab = Lab::with_signers();
    lab.package();
    let ran = lab.run("ospkg verify --trust-policy policy os.json");
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}
