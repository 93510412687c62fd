//! What a rebuild came to, for people and for scripts.

use std::process::ExitCode;

use ramstrap_cli::Error;
use serde_json::Value;
use serde_json::json;

use super::Outcome;

/// Differences that are shown to people.
const SHOWN: usize = 20;

/// Prints the outcome and gives the exit status: 0 identical, 1 different, 2 not rebuilt.
#[must_use]
pub fn outcome(outcome: &Result<Outcome, Error>, as_json: bool) -> ExitCode {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: not rebuilt: {}", clean(&error.to_string()));
            for line in error.details() {
                eprintln!("  {}", clean(line));
            }
            if let Some(remedy) = error.remedy_text() {
                eprintln!("help: {}", clean(remedy));
            }
            if as_json {
                let remedy = error.remedy_text();
                let (text, details) = (error.to_string(), error.details());
                println!(
                    "{:#}",
                    json!({
                        "ok": false, "verdict": "not rebuilt", "error": text, "details": details,
                        "remedy": remedy,
                    })
                );
            }
            return ExitCode::from(2);
        }
    };
    if as_json {
        println!("{:#}", document(outcome));
    } else {
        people(outcome);
    }
    if outcome.comparison.identical { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn document(outcome: &Outcome) -> Value {
    let Outcome { original, comparison, rebuilt, record, kept, remarks } = outcome;
    let differences: Vec<Value> = comparison
        .differences
        .iter()
        .map(|it| {
            let mut value = serde_json::to_value(it).unwrap_or_default();
            if let Value::Object(object) = &mut value {
                object.insert("text".to_owned(), it.to_string().into());
            }
            value
        })
        .collect();
    json!({
        "ok": comparison.identical,
        "verdict": if comparison.identical { "identical" } else { "different" },
        "original": original,
        "sha256": comparison.first.sha256,
        "rebuilt_sha256": comparison.second.sha256,
        "differences": differences,
        "more_differences": comparison.more,
        "built": rebuilt,
        "record": record,
        "kept": kept,
        "remarks": remarks,
    })
}

fn people(outcome: &Outcome) {
    let Outcome { original, comparison, rebuilt, record, kept, remarks } = outcome;
    let revision = &rebuilt.revision;
    if comparison.identical {
        println!("identical: {}", original.display());
        println!("  SHA-256   {}", comparison.first.sha256);
        println!("  revision  {revision}");
        println!("  rustc     {}", rebuilt.toolchain.rustc);
    } else {
        println!("DIFFERENT: {}", original.display());
        println!("  published SHA-256  {}", comparison.first.sha256);
        println!("  rebuilt SHA-256    {}", comparison.second.sha256);
        println!("  revision           {revision}");
        println!("where (first: published, second: rebuilt):");
        for difference in comparison.differences.iter().take(SHOWN) {
            println!("  {}", clean(&difference.to_string()));
        }
        let hidden = comparison.differences.len().saturating_sub(SHOWN) + comparison.more;
        if hidden > 0 {
            println!("  … and {hidden} more: see --json");
        }
    }
    for remark in remarks {
        println!("note: {}", clean(remark));
    }
    if let Some(kept) = kept {
        println!("left in {}", kept.display());
    }
    if let Some(record) = record {
        println!("remembered in {}", record.display());
    }
}

/// What comes out of files must not steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
