//! `stmgr hostconfig check` and `stmgr trustpolicy check`: JSON on the command line, its normal form
//! on stdout.

use std::ffi::OsString;

use serde_json::Value;

use super::Flags;
use super::Run;
use crate::Error;
use crate::Result;
use crate::commands::host_config as ours_of_hosts;
use crate::commands::trust_policy as ours_of_policies;

pub(super) fn host_config(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    let text = text(flags)?;
    run.output.only_result();
    let given = serde_json::from_slice(text.as_encoded_bytes()).unwrap_or_default();
    ours_of_hosts::judge_as(text.as_encoded_bytes(), "host configuration", run.output, &|normal| {
        as_stmgr(&normal, &given)
    })
}

/// Our normal form as stmgr has it: the MAC address of an interface is always a string, and what
/// `$ID` and `$AUTH` stood for keeps its place behind the pointer, masked as in the pointer itself.
///
/// Line by line, as no other place of ours keeps the order of keys; a line is never part of a string.
fn as_stmgr(normal: &str, given: &Value) -> String {
    let mut lines = Vec::new();
    for line in normal.lines() {
        lines.push(match line.trim_start() {
            "\"mac_address\": null" | "\"mac_address\": null," => line.replace("null", "\"\""),
            _ => line.to_owned(),
        });
        if line.starts_with("  \"ospkg_pointer\": ") {
            for key in ["identity", "authentication"] {
                if given.get(key).is_some_and(Value::is_string) {
                    lines.push(format!("  \"{key}\": \"***\","));
                }
            }
        }
    }
    lines.join("\n")
}

pub(super) fn trust_policy(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    let text = text(flags)?;
    run.output.only_result();
    ours_of_policies::document(text.as_encoded_bytes(), "trust policy", run.output)
}

/// The only word: JSON, and not the name of a file.
fn text(flags: &Flags) -> Result<&OsString> {
    let remedy = "give the JSON text as one word, in quotes: check \"$(cat FILE)\"";
    match flags.rest.as_slice() {
        [text] if std::path::Path::new(text).is_file() => {
            Err(Error::new(format!("{} is a file, not JSON", text.to_string_lossy()))
                .remedy(remedy))
        }
        [text] => Ok(text),
        [] => Err(Error::new("there is no JSON to check").remedy(remedy)),
        _ => Err(Error::new("there is more than one word").remedy(remedy)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::as_stmgr;

    #[test]
    fn the_normal_form_has_the_strings_of_stmgr() {
        let normal = "{\n  \"network_interfaces\": [\n    {\n      \"mac_address\": null\n    }\n  ],\n  \
                      \"ospkg_pointer\": \"https://a/b\",\n  \"bonding_mode\": null\n}";
        let printed = as_stmgr(normal, &json!({ "identity": "canary", "authentication": null }));
        let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let interfaces = json!([{ "mac_address": "" }]);
        assert_eq!(
            value,
            json!({
                "network_interfaces": interfaces, "ospkg_pointer": "https://a/b", "identity": "***",
                "bonding_mode": null,
            })
        );
        assert_eq!(as_stmgr("{\n  \"vlan\": null\n}", &json!([])), "{\n  \"vlan\": null\n}");
    }
}
