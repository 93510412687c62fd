//! Whether a kernel's configuration became what the option files ask for.
//!
//! `make` drops what it cannot fulfil without a word: an option that was renamed, or one whose
//! conditions are not met. A kernel that lacks a hardening option boots just as well, so nobody would
//! notice.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Result;
use anyhow::bail;

use super::kconfig::Kconfig;
use super::kconfig::names_in;
use super::options::Config;
use super::options::Request;
use super::options::Requests;
use super::options::line;

/// How many selectors of an option are named.
const SELECTORS_SHOWN: usize = 5;

/// Compares a resolved configuration with what was asked for.
///
/// # Errors
///
/// Something asked for is not in the result, or does not exist in this version: all of it is named,
/// with what is known of the reason.
pub fn verify(
    what: &str,
    version: &str,
    requests: &Requests,
    result: &Config,
    kconfig: &Kconfig,
) -> Result<()> {
    let problems: Vec<String> =
        requests.iter().filter_map(|request| problem(request, result, kconfig)).collect();
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of the {what} kernel's options did not survive in Linux {version}:\n\n{}\n\
         Correct the files in kernel-config/; `cargo xtask kernel check` tries them in seconds.",
        problems.len(),
        problems.join("\n")
    )
}

fn problem(request: &Request, result: &Config, kconfig: &Kconfig) -> Option<String> {
    let symbol = &request.symbol;
    let got = result.get(symbol);
    let mut text = format!("{}: {request}\n", request.place);
    let Some(definitions) = kconfig.definitions(symbol) else {
        // Asked to be off and gone is not the same as off: it may live on under another name.
        let _ = writeln!(text, "    there is no CONFIG_{symbol} in this version");
        if let Some(similar) = kconfig.similar(symbol) {
            let _ = writeln!(text, "    similar: CONFIG_{similar}");
        }
        return Some(text);
    };
    if got == request.value.as_deref() {
        return None;
    }
    let _ = writeln!(text, "    became: {}", line(symbol, got));
    for definition in definitions {
        let _ = writeln!(text, "    defined in {}", definition.place);
        let mut shown = BTreeSet::new();
        for condition in definition.depends.iter().filter(|it| shown.insert(it.as_str())) {
            let _ = writeln!(text, "      depends on {condition}{}", values(condition, result));
        }
        if definition.choice {
            let _ = writeln!(text, "      one of a choice: another one of it may be on");
        }
        if !definition.prompt {
            let _ = writeln!(text, "      has no prompt: only other options turn it on");
        }
    }
    let selectors = kconfig.selected_by(symbol);
    let relevant: Vec<&str> = selectors
        .iter()
        .map(String::as_str)
        // What keeps it on is on itself; what could turn it on is not.
        .filter(|by| result.get(by).is_some() == got.is_some())
        .take(SELECTORS_SHOWN)
        .collect();
    if !relevant.is_empty() {
        let verb = if got.is_some() { "selected by" } else { "would be selected by" };
        let _ = writeln!(text, "    {verb} {}", relevant.join(", "));
    }
    Some(text)
}

/// The names of a condition that are not on, in brackets.
fn values(condition: &str, result: &Config) -> String {
    let unset: BTreeSet<&str> =
        names_in(condition).filter(|name| result.get(name).is_none()).collect();
    if unset.is_empty() {
        return String::new();
    }
    let unset: Vec<&str> = unset.into_iter().collect();
    format!("  [not set: {}]", unset.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::verify;
    use crate::kernel_build::kconfig::Kconfig;
    use crate::kernel_build::options::Config;
    use crate::kernel_build::options::Requests;

    const KCONFIG: &str = "config PCI\n\tbool \"PCI\"\n\
        config WANTED\n\tbool \"w\"\n\tdepends on PCI && USB\n\
        config UNWANTED\n\tbool\n\
        config HARD\n\tbool \"h\"\n\tselect UNWANTED\n\
        config SPEED\n\tint \"s\"\n\
        config MITIGATION_THUNK\n\tbool \"t\"\n";

    fn check(requests: &str, result: &str) -> Result<(), String> {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("Kconfig"), KCONFIG).unwrap();
        let requests = Requests::parse([("boot.config", requests)]).unwrap();
        let kconfig = Kconfig::read(tree.path()).unwrap();
        verify("boot", "6.12.1", &requests, &Config::parse(result), &kconfig)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_survived_is_no_problem() {
        check(
            "CONFIG_PCI=y\n# CONFIG_HARD is not set\nCONFIG_SPEED=3\n",
            "CONFIG_PCI=y\nCONFIG_SPEED=3\n",
        )
        .unwrap();
    }

    #[test]
    fn all_losses_are_named_with_their_reasons() {
        let error = check(
            "CONFIG_WANTED=y\n# CONFIG_UNWANTED is not set\nCONFIG_SPEED=3\n",
            "CONFIG_PCI=y\nCONFIG_HARD=y\nCONFIG_UNWANTED=y\nCONFIG_SPEED=4\n",
        )
        .unwrap_err();
        for expected in [
            "3 of the boot kernel's options did not survive in Linux 6.12.1",
            "boot.config:1: CONFIG_WANTED=y\n    became: # CONFIG_WANTED is not set",
            "depends on PCI && USB  [not set: USB]",
            "boot.config:2: # CONFIG_UNWANTED is not set\n    became: CONFIG_UNWANTED=y",
            "selected by HARD",
            "boot.config:3: CONFIG_SPEED=3\n    became: CONFIG_SPEED=4",
        ] {
            assert!(error.contains(expected), "{expected}\n---\n{error}");
        }
    }

    #[test]
    fn what_does_not_exist_is_an_error_even_if_it_is_to_be_off() {
        let error = check("# CONFIG_THUNK is not set\n", "").unwrap_err();
        assert!(error.contains("there is no CONFIG_THUNK in this version"), "{error}");
        assert!(error.contains("similar: CONFIG_MITIGATION_THUNK"), "{error}");
    }
}
