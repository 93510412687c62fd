//! `remote_log`.

use report::strict_json::Object;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::invalid_url;
use crate::fields::nested;
use crate::fields::optional_parsed;
use crate::fields::optional_secret_string;
use crate::remote_log::LogLevel;
use crate::remote_log::RemoteLog;
use crate::remote_log::RemoteLogTarget;
use crate::secret::Secret;

const EXPECTED: &str = "null or an object {\"url\": …, \"level\": …}";

/// Where else the log goes.
pub(crate) fn remote_log(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Option<RemoteLog>, HostConfigError> {
    let Some(value) = object.take_set("remote_log") else { return Ok(None) };
    nested("remote_log", value, EXPECTED, warnings, |object, _| read(object)).map(Some)
}

fn read(object: &mut Object) -> Result<RemoteLog, HostConfigError> {
    const EXPECTED_URL: &str = "syslog+udp://host:514, syslog+tls://host:6514 or an https:// URL";
    const EXPECTED_LEVEL: &str = "\"error\", \"warn\", \"info\" or \"debug\"";

    let text = optional_secret_string(object, "url")?;
    let text = Secret::new(text.ok_or_else(|| invalid("url", None, EXPECTED_URL))?);
    let target = RemoteLogTarget::parse(text.expose())
        .ok_or_else(|| invalid_url("url", text.expose(), None, EXPECTED_URL))?;
    let level = optional_parsed(object, "level", EXPECTED_LEVEL, LogLevel::from_name)?;
    Ok(RemoteLog { target, level: level.unwrap_or_default() })
}
