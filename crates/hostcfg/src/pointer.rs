//! `ospkg_pointer`: a comma-separated list of URLs, in the order in which they are tried.

use report::strict_json::Object;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::optional_secret_string;
use crate::package_name::PackageName;
use crate::provisioning_url::ProvisioningUrl;
use crate::secret::HIDDEN;
use crate::secret::Secret;

const ID: &str = "$ID";
const AUTH: &str = "$AUTH";
const MAX_SUBSTITUTE_LEN: usize = 64;
const EXPECTED_POINTER: &str = "a comma-separated list of http:// or https:// URLs";

/// One entry of the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Entry {
    /// Can be fetched from.
    Url(ProvisioningUrl),
    /// Cannot; the text as it may be shown.
    Unusable(String),
}

/// Reads `ospkg_pointer`, `identity` and `authentication`.
///
/// The two values take the places of `$ID` and `$AUTH` as stboot 0.2 had it; where the pointer has
/// no such place they are ignored. With the package of the boot image that the pointer names, if it
/// is such a name.
pub(crate) fn read(
    object: &mut Object,
    has_mirrors: bool,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Entry>, Option<PackageName>), HostConfigError> {
    let identity = optional_secret_string(object, "identity")?;
    let authentication = optional_secret_string(object, "authentication")?;
    let pointer = match object.take("ospkg_pointer") {
        Some(Value::String(text)) if !text.is_empty() => text,
        Some(Value::String(text)) => {
            return Err(invalid("ospkg_pointer", Some(&Value::String(text)), EXPECTED_POINTER));
        }
        None | Some(Value::Null) if has_mirrors => return Ok((Vec::new(), None)),
        Some(value) => return Err(invalid("ospkg_pointer", Some(&value), EXPECTED_POINTER)),
        None => return Err(invalid("ospkg_pointer", None, EXPECTED_POINTER)),
    };
    if let Some(name) = PackageName::parse(&pointer) {
        return Ok((vec![Entry::Unusable(pointer)], Some(name)));
    }

    let identity = substitute(&pointer, ID, "identity", identity)?;
    let authentication =
        substitute(&pointer, AUTH, "authentication", authentication)?.map(Secret::new);
    let holds_password = pointer.contains('@') || authentication.is_some();
    let mut entries = Vec::new();
    for (index, template) in split(&pointer).into_iter().enumerate() {
        let mut text = template.clone();
        if let Some(identity) = &identity {
            text = text.replace(ID, identity);
        }
        if let Some(authentication) = &authentication {
            text = text.replace(AUTH, authentication.expose());
        }
        let number = index + 1;
        match ProvisioningUrl::parse(&text) {
            Ok(mut url) => {
                if let Some(authentication) =
                    authentication.clone().filter(|_| template.contains(AUTH))
                {
                    url = url.hide(authentication);
                }
                if url.credentials().is_some() && !url.is_https() {
                    warnings.push(format!(
                        "ospkg_pointer: entry {number} ({url}) sends user name and password in CLEAR TEXT \
                         to whoever listens; use https"
                    ));
                }
                entries.push(Entry::Url(url));
            }
            Err(error) => {
                let hidden = holds_password || template.contains(['?', '=']);
                let shown = if hidden { HIDDEN.to_owned() } else { template };
                warnings
                    .push(format!("ospkg_pointer: entry {number} ({shown:?}) is skipped: {error}"));
                entries.push(Entry::Unusable(shown));
            }
        }
    }
    if !has_mirrors && !entries.iter().any(|entry| matches!(entry, Entry::Url(_))) {
        warnings.push(
            "ospkg_pointer: none of its entries is an http:// or https:// URL that can be used: nothing \
             can be fetched"
                .to_owned(),
        );
    }
    Ok((entries, None))
}

/// The value that takes the place of `placeholder`, if the pointer has that place.
fn substitute(
    pointer: &str,
    placeholder: &str,
    field: &str,
    value: Option<String>,
) -> Result<Option<String>, HostConfigError> {
    if !pointer.contains(placeholder) {
        return Ok(None);
    }
    let allowed = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
    match value {
        Some(text)
            if !text.is_empty()
                && text.len() <= MAX_SUBSTITUTE_LEN
                && text.bytes().all(allowed) =>
        {
            Ok(Some(text))
        }
        other => Err(invalid(
            field,
            other.map(Value::String).as_ref(),
            "1 to 64 of the characters A-Z a-z - _, because ospkg_pointer holds a place for it",
        )),
    }
}

/// Cuts the list at its commas and trims the entries. A comma inside a password does not count: a
/// piece with `@` but without scheme belongs to the piece before, if that ends before its host.
pub(crate) fn split(pointer: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for piece in pointer.split(',') {
        let continues = piece.contains('@') && !piece.contains("://");
        match entries.last_mut() {
            Some(last) if continues && ends_in_userinfo(last) => {
                last.push(',');
                last.push_str(piece);
            }
            _ => entries.push(piece.to_owned()),
        }
    }
    entries.iter().map(|entry| entry.trim().to_owned()).collect()
}

fn ends_in_userinfo(entry: &str) -> bool {
    entry
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains(':') && !rest.contains(['/', '?', '#', '@']))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn entries_are_trimmed_and_keep_their_order() {
        assert_eq!(
            split("https://a/x.json, https://b/x.json ,c"),
            ["https://a/x.json", "https://b/x.json", "c"]
        );
        assert_eq!(split("https://a/x.json,"), ["https://a/x.json", ""]);
    }

    #[test]
    fn a_comma_in_a_password_does_not_end_the_entry() {
        assert_eq!(split("https://u:1,2@a/x,https://b/y"), ["https://u:1,2@a/x", "https://b/y"]);
        assert_eq!(split("https://a/x,bob@b"), ["https://a/x", "bob@b"]);
    }
}
