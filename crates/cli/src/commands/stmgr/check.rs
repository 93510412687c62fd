//! `stmgr hostconfig check` and `stmgr trustpolicy check`: JSON on the command line, its normal form
//! on stdout.

use std::ffi::OsString;

use super::Flags;
use super::Run;
use crate::Error;
use crate::Result;
use crate::commands::host_config as ours_of_hosts;
use crate::commands::trust_policy as ours_of_policies;

pub(super) fn host_config(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    let text = text(flags)?;
    run.output.only_result();
    ours_of_hosts::judge(text.as_encoded_bytes(), "host configuration", run.output)
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
