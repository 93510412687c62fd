//! What scripts rely on, of every command that there is: with `--json` one JSON document on stdout,
//! whatever happens.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use serde_json::Value;
use support::Lab;
use support::Ran;
use support::json;

/// Every command below these words and the words themselves, as the tool's own help has them.
fn walk(lab: &Lab, words: &str, found: &mut Vec<(String, bool)>) {
    let ran = lab.ok(&format!("{words} --help --json"));
    let help = json(&ran);
    assert_eq!(help["ok"], true, "{words}");
    assert_eq!(help["command"], format!("ramstrap {words}").trim_end(), "{words}");
    assert!(help["help"].as_str().unwrap().contains("Usage: ramstrap"), "{words}: {help}");
    assert!(!ran.stdout.contains("\\u001b"), "{words}: colours in JSON");
    let below = help["subcommands"].as_array().unwrap();
    found.push((words.to_owned(), below.is_empty()));
    for name in below {
        walk(lab, format!("{words} {}", name.as_str().unwrap()).trim_start(), found);
    }
}

fn commands(lab: &Lab) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    walk(lab, "", &mut found);
    assert!(found.len() > 50, "only {found:?}");
    for known in ["ospkg sigsum attach", "keygen age", "stmgr", "man"] {
        assert!(found.iter().any(|(words, leaf)| words == known && *leaf), "{known}");
    }
    found
}

/// One object with what every answer has.
fn document(ran: &Ran, words: &str) -> Value {
    let document = json(ran);
    assert_eq!(document["ok"], ran.status == 0, "{words}: {document}");
    if ran.status != 0 {
        for key in ["error", "remedy"] {
            let text = document[key].as_str().unwrap_or_default();
            assert!(!text.trim().is_empty(), "{words}: no {key} in {document}");
        }
        assert!(!ran.stderr.is_empty(), "{words}: people are told nothing");
    }
    document
}

#[test]
fn wrong_usage_of_every_command_is_one_document() {
    let lab = Lab::new();
    for (words, leaf) in commands(&lab) {
        if words == "stmgr" {
            continue; // Words behind it are stmgr's; see below.
        }
        let wrong = format!("{words} --json --no-such-option");
        let ran = lab.run(&wrong);
        assert_eq!(ran.status, 2, "{wrong}");
        let told = document(&ran, &wrong);
        let remedy = told["remedy"].as_str().unwrap();
        let see = format!("`{} --help`", format!("ramstrap {words}").trim_end());
        assert!(remedy.contains(&see), "{wrong}: {remedy}");
        assert_eq!(told["error"], "unexpected argument '--no-such-option' found", "{wrong}");
        if !leaf {
            let missing = format!("{words} --json");
            let ran = lab.run(&missing);
            assert_eq!(ran.status, 2, "{missing}");
            document(&ran, &missing);
        }
    }
}

#[test]
fn every_command_without_a_word_answers_in_one_document() {
    let lab = Lab::new();
    for (words, leaf) in commands(&lab) {
        if leaf {
            let words = format!("{words} --json");
            document(&lab.run(&words), &words);
        }
    }
}

#[test]
fn stmgrs_commands_answer_in_one_document_too() {
    let lab = Lab::new();
    for words in [
        "ospkg create",
        "ospkg sign",
        "ospkg sigsum",
        "ospkg verify",
        "uki create",
        "uki to-iso",
        "hostconfig check",
        "trustpolicy check",
        "keygen certificate -rootKey x",
    ] {
        for (more, status) in [("-json", 1), ("-json -nope", 2)] {
            let words = format!("stmgr {words} {more}");
            let ran = lab.run(&words);
            assert_eq!(ran.status, status, "{words}: {}", ran.stderr);
            document(&ran, &words);
        }
        let words = format!("stmgr {words} -json -help");
        assert!(document(&lab.run(&words), &words)["help"].is_string());
    }
    for (words, status) in
        [("stmgr --json", 2), ("stmgr ospkg --json", 2), ("stmgr -json nope nope", 2)]
    {
        let ran = lab.run(words);
        assert_eq!(ran.status, status, "{words}");
        let told = document(&ran, words);
        assert!(!told["error"].as_str().unwrap().contains("json"), "{words}: {told}");
    }
}

#[test]
fn version_and_help_are_documents() {
    let lab = Lab::new();
    for words in ["--version --json", "--json -V", "stmgr version --json"] {
        let version = document(&lab.run(words), words);
        assert_eq!(version["name"], "ramstrap", "{words}");
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"), "{words}");
    }
    for words in
        ["help ospkg verify --json", "--json help ospkg verify", "ospkg help verify --json"]
    {
        let help = document(&lab.run(words), words);
        assert_eq!(help["command"], "ramstrap ospkg verify", "{words}");
        assert!(help["help"].as_str().unwrap().contains("--trust-policy"), "{words}");
    }
    assert!(lab.ok("--version").stdout.starts_with("ramstrap "));
    // Of what `serve` says each document is a line, the last one, too.
    for words in ["serve --json", "serve --json --plain-http nowhere"] {
        let ran = lab.run(words);
        assert_ne!(ran.status, 0, "{words}");
        assert_eq!(ran.stdout.lines().count(), 1, "{words}: {}", ran.stdout);
        document(&ran, words);
    }
}
