//! `mirrors`.

use report::strict_json::Object;
use serde_json::Value;

use super::headers::read_headers;
use super::pem;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::invalid_url;
use crate::fields::nested;
use crate::fields::optional_entries;
use crate::fields::optional_flag;
use crate::fields::optional_number;
use crate::fields::optional_secret_string;
use crate::mirror::ClientIdentity;
use crate::mirror::Mirror;
use crate::pointer::Entry;
use crate::provisioning_url::ProvisioningUrl;
use crate::secret::Secret;

/// Most entries.
const MAX_MIRRORS: usize = 64;

const EXPECTED: &str = "a list of at most 64 objects {\"url\": …}";

/// The mirrors that the configuration lists with what they want to see, in the file's order.
pub(crate) fn mirrors(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Vec<Mirror>, HostConfigError> {
    let entries = optional_entries(object, "mirrors", EXPECTED, MAX_MIRRORS, warnings)?;
    let mut mirrors = Vec::new();
    for (field, value) in entries.into_iter().flatten() {
        mirrors.push(nested(&field, value, EXPECTED, warnings, read_mirror)?);
    }
    Ok(mirrors)
}

fn read_mirror(object: &mut Object, warnings: &mut Vec<String>) -> Result<Mirror, HostConfigError> {
    const EXPECTED_URL: &str = "an http:// or https:// URL";
    const EXPECTED_PRIORITY: &str = "a whole number, 0 (tried first) to 65535";

    let url = match object.take("url") {
        Some(Value::String(text)) => {
            let text = Secret::new(text);
            ProvisioningUrl::parse(text.expose())
                .map_err(|why| invalid_url("url", text.expose(), Some(why), EXPECTED_URL))?
        }
        Some(value) => return Err(invalid("url", Some(&value), EXPECTED_URL)),
        None => return Err(invalid("url", None, EXPECTED_URL)),
    };
    let priority =
        optional_number(object, "priority", EXPECTED_PRIORITY, 0..=u16::MAX)?.unwrap_or_default();
    let direct = optional_flag(object, "direct")?.unwrap_or_default();
    let headers = read_headers(object, &url)?;
    let client_identity = read_identity(object, &url, warnings)?;
    if !url.is_https() && (url.credentials().is_some() || !headers.is_empty()) {
        warnings.push(format!(
            "url: {url} sends user name, password and headers in CLEAR TEXT to whoever listens; \
             use https"
        ));
    }
    Ok(Mirror { url, priority, headers, client_identity, direct })
}

fn read_identity(
    object: &mut Object,
    url: &ProvisioningUrl,
    warnings: &mut Vec<String>,
) -> Result<Option<ClientIdentity>, HostConfigError> {
    const EXPECTED_CERTIFICATE: &str =
        "PEM text of the client's certificate and of those between it and its root";
    const EXPECTED_KEY: &str = "PEM text of the certificate's private key, not encrypted";

    let certificate = optional_secret_string(object, "client_certificate")?;
    let key = optional_secret_string(object, "client_key")?.map(Secret::new);
    if let Some(text) = &certificate
        && !pem::is_certificates(text)
    {
        let (field, expected) = ("client_certificate".to_owned(), EXPECTED_CERTIFICATE);
        let found = "text that is not PEM of certificates alone".to_owned();
        return Err(HostConfigError::Invalid { field, found, expected });
    }
    if let Some(text) = &key
        && let Err(found) = pem::check_key(text.expose())
    {
        let (field, found) = ("client_key".to_owned(), found.to_owned());
        return Err(HostConfigError::Invalid { field, found, expected: EXPECTED_KEY });
    }
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate_pem), Some(key_pem)) => {
            if !url.is_https() {
                warnings.push(format!("client_certificate: {url} is never asked by TLS"));
            }
            Ok(Some(ClientIdentity { certificate_pem, key_pem }))
        }
        (Some(_), None) => {
            warnings.push("client_certificate: ignored, because there is no client_key".to_owned());
            Ok(None)
        }
        (None, Some(_)) => {
            warnings.push("client_key: ignored, because there is no client_certificate".to_owned());
            Ok(None)
        }
    }
}

/// Warns of what is strange about mirrors wherever they were written, in the order in which they are
/// tried.
pub(crate) fn warn_of_mirrors(mirrors: &[Mirror], entries: &[Entry], warnings: &mut Vec<String>) {
    for (index, mirror) in mirrors.iter().enumerate() {
        let field = written_in(entries, mirror);
        let same =
            |other: &Mirror| other.url.url_without_userinfo() == mirror.url.url_without_userinfo();
        if mirrors.iter().take(index).any(same) {
            warnings.push(format!(
                "{field}: {} is there more than once; it is asked as often in every round",
                mirror.url
            ));
        }
        if mirror.url.url_without_userinfo().path().to_ascii_lowercase().ends_with(".zip") {
            warnings.push(format!(
                "{field}: {} looks like the archive of an OS package: its descriptor (.json) is \
                 wanted, which names the archive",
                mirror.url
            ));
        }
    }
}

/// The key that a mirror was written under.
pub(crate) fn written_in(entries: &[Entry], mirror: &Mirror) -> &'static str {
    let is_it = |entry: &Entry| matches!(entry, Entry::Url(url) if *url == mirror.url);
    if entries.iter().any(is_it) { "ospkg_pointer" } else { "mirrors" }
}
