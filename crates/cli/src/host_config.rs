//! A host configuration that somebody is about to give to machines.

use hostcfg::HostConfig;
use report::Code;

use crate::Error;
use crate::Result;

/// Reads one as a machine does, and refuses one thing more: what was printed by a command of ours, which
/// hides secrets. Of a file that is no JSON it says what it is, where that can be told.
///
/// # Errors
/// With the code of the boot, which ends here or (with `***` for a password) at the mirror.
pub(crate) fn read(bytes: &[u8]) -> Result<HostConfig> {
    let config = HostConfig::parse(bytes).map_err(|error| {
        let refused = Error::coded(&error);
        match refused.code() {
            Some(Code::HostConfigMalformed) => refused.if_odd(bytes),
            _ => refused,
        }
    })?;
    let masked = config.masked();
    let Some((first, others)) = masked.split_first() else { return Ok(config) };
    let error = Error::with_code(
        Code::HostConfigInvalid,
        format!("{first}: it is ***, which stands for a secret where configurations are printed"),
    );
    Err(others.iter().fold(error, |error, place| error.detail(format!("{place}: it, too"))).remedy(
        "put the secrets themselves in these places: they are in the file that was checked, and never \
         in what is printed of it",
    ))
}
