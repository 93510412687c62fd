//! The places that a host configuration comes from.

use hostcfg::HostConfig;
use hostcfg::sources::CommandLine;
use hostcfg::sources::Settings;
use hostcfg::sources::boot_option_url;
use hostcfg::sources::document_for;
use hostcfg::sources::oem_strings;
use hostcfg::sources::url_of_variable;
use hostcfg::sources::variable_content;

/// Whether settings are a host configuration.
///
/// # Panics
///
/// If they are put together to one that is refused afterwards.
fn usable(settings: &Settings) -> bool {
    let _ = (settings.warnings(), settings.names());
    let Ok(document) = settings.document() else { return false };
    // A configuration as a whole is passed on as it is, and judged later.
    let whole = settings.names().iter().any(|name| name.ends_with(".host_config"));
    let good = HostConfig::parse(&document.json).is_ok();
    assert!(good || whole, "the settings {:?} make a document that is none", settings.names());
    good
}

/// `/proc/cmdline`.
pub(crate) fn command_line(bytes: &[u8]) -> bool {
    let line = CommandLine::parse(&String::from_utf8_lossy(bytes));
    usable(&line.settings)
}

/// The table of SMBIOS structures.
pub(crate) fn smbios(bytes: &[u8]) -> bool {
    let strings = oem_strings(bytes);
    usable(&Settings::read(strings.iter().map(String::as_str)))
}

/// The file of the variable that holds a host configuration.
pub(crate) fn efi_variable(bytes: &[u8]) -> bool {
    variable_content(bytes).is_some_and(|content| HostConfig::parse(content).is_ok())
}

/// The file of a variable `Boot####`.
pub(crate) fn boot_option(bytes: &[u8]) -> bool {
    beside(variable_content(bytes).and_then(boot_option_url))
}

/// The file of a variable that a boot stub stores a URL in.
pub(crate) fn boot_url(bytes: &[u8]) -> bool {
    beside(variable_content(bytes).and_then(url_of_variable))
}

/// Whether a boot image from there has a host configuration.
///
/// # Panics
///
/// If there is one, and it is refused afterwards.
fn beside(url: Option<String>) -> bool {
    let Some(Ok(document)) = url.map(|url| document_for(&url)) else { return false };
    assert!(HostConfig::parse(&document.json).is_ok(), "a document that is none");
    true
}
