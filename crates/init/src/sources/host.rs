//! The places that a host configuration may be in, in their order.

use std::fs;
use std::io;
use std::path::Path;

use hostcfg::HostConfigError;
use hostcfg::PackageName;
use hostcfg::sources::CommandLine;
use hostcfg::sources::Document;
use hostcfg::sources::PROVISION;
use hostcfg::sources::Settings;
use hostcfg::sources::Source;
use hostcfg::sources::boot_option_url;
use hostcfg::sources::document_for;
use hostcfg::sources::oem_strings;
use hostcfg::sources::url_of_variable;
use hostcfg::sources::variable_content;
use netboot::Host;
use netboot::read_file;
use report::Code;
use report::Coded;
use report::Failure;
use tracing::debug;
use tracing::info;
use tracing::warn;

const FILE: &str = "/etc/host_configuration.json";
const EFI_VARIABLES: &str = "/sys/firmware/efi/efivars";
const VARIABLE: &str = "STHostConfig-f401f2c1-b005-4be0-8cee-f2e5945bcbe7";
const DMI_TABLE: &str = "/sys/firmware/dmi/tables/DMI";

/// Where a boot stub stores the URL that it was loaded from, the nearer one first.
const BOOT_URLS: [&str; 2] = [
    "StubDeviceURL-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "LoaderDeviceURL-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
];

/// Variables of the firmware itself.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Reads the host configuration from the first source that exists.
///
/// # Errors
/// E0111 to E0113; the detail names the source.
pub(crate) fn host_configuration() -> Result<Host, Failure> {
    let line = fs::read("/proc/cmdline").unwrap_or_default();
    let line = CommandLine::parse(&String::from_utf8_lossy(&line));
    for warning in line.warnings.iter().chain(line.settings.warnings()) {
        warn!("{}: {warning}", Source::CommandLine.place());
    }
    let (source, raw) = first(&line)?;
    if source != Source::CommandLine && !line.settings.is_empty() {
        warn!(
            "{}: {} ignored, because the host configuration is from {source}",
            Source::CommandLine.place(),
            line.settings.names().join(", ")
        );
    }
    let mut host = Host::parse(source.name(), source.place(), raw)?;
    if let Some(mac) = line.boot_interface {
        if host.config.interfaces.is_empty() {
            info!("BOOTIF: the interface {mac} goes first");
            host.config.boot_interface = Some(mac);
        } else {
            debug!("BOOTIF: ignored, because the host configuration names interfaces");
        }
    }
    Ok(host)
}

/// The first source that exists, and what is there.
fn first(line: &CommandLine) -> Result<(Source, Vec<u8>), Failure> {
    for source in Source::ALL {
        let found = match source {
            Source::Initramfs => file(Path::new(FILE)).map(|read| malformed(source, read)),
            Source::EfiVariable => variable(VARIABLE).map(|read| malformed(source, read)),
            Source::CommandLine => settings(source, &line.settings),
            Source::Smbios => oem_settings().and_then(|found| settings(source, &found)),
            Source::BootOrigin => boot_url().map(|url| document(source, document_for(&url))),
            Source::Provision => provision(),
        };
        if let Some(found) = found {
            return found.map(|raw| (source, raw));
        }
    }
    let places: Vec<&str> = Source::ALL.into_iter().map(Source::place).collect();
    let detail = format!("there is none in any of: {}", places.join(", "));
    Err(Failure::new(Code::HostConfigMissing, detail))
}

/// What a file holds; `None` if there is none.
fn file(path: &Path) -> Option<io::Result<Vec<u8>>> {
    path.exists().then(|| read_file(path))
}

/// What an EFI variable holds, without the four bytes of attributes in front; `None` if there is
/// none.
fn variable(name: &str) -> Option<io::Result<Vec<u8>>> {
    let read = file(&Path::new(EFI_VARIABLES).join(name))?;
    Some(read.and_then(|file| {
        let content = variable_content(&file).map(<[u8]>::to_vec);
        content.ok_or_else(|| io::Error::other("the variable is empty"))
    }))
}

fn malformed(source: Source, read: io::Result<Vec<u8>>) -> Result<Vec<u8>, Failure> {
    read.map_err(|error| {
        Failure::new(Code::HostConfigMalformed, format!("{}: {error}", source.place()))
    })
}

fn settings(source: Source, settings: &Settings) -> Option<Result<Vec<u8>, Failure>> {
    (!settings.is_empty()).then(|| document(source, settings.document()))
}

fn document(source: Source, read: Result<Document, HostConfigError>) -> Result<Vec<u8>, Failure> {
    let document =
        read.map_err(|error| Failure::new(error.code(), format!("{}: {error}", source.place())))?;
    for warning in &document.warnings {
        warn!("{}: {warning}", source.place());
    }
    Ok(document.json.to_vec())
}

/// What a machine without any host configuration does, if its boot image is made for that.
fn provision() -> Option<Result<Vec<u8>, Failure>> {
    let package = PackageName::parse("provision.zip")?;
    netboot::is_embedded(&package).then(|| {
        info!("there is no host configuration: the package provision of the boot image is started");
        Ok(PROVISION.as_bytes().to_vec())
    })
}

/// The settings among the OEM strings of the machine.
fn oem_settings() -> Option<Settings> {
    let table = file(Path::new(DMI_TABLE))?;
    let table = table.inspect_err(|error| warn!("{DMI_TABLE}: {error}")).ok()?;
    let strings = oem_strings(&table);
    let settings = Settings::read(strings.iter().map(String::as_str));
    for warning in settings.warnings() {
        warn!("{}: {warning}", Source::Smbios.place());
    }
    Some(settings)
}

/// The URL that the firmware has loaded this image from, if it was loaded by HTTP.
fn boot_url() -> Option<String> {
    let content = |name: &str| variable(name)?.ok();
    let by_stub = BOOT_URLS.into_iter().find_map(|name| url_of_variable(&content(name)?));
    let by_firmware = || {
        let [low, high] = *content(&format!("BootCurrent-{GLOBAL}"))?.first_chunk()?;
        let number = u16::from_le_bytes([low, high]);
        boot_option_url(&content(&format!("Boot{number:04X}-{GLOBAL}"))?)
    };
    let url = by_stub.or_else(by_firmware)?;
    // Firmware has other URIs, too, such as those of disks in memory.
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.filter(|scheme| matches!(scheme.as_str(), "http" | "https")).map(|_| url)
}
