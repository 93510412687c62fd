//! Host configurations of 2021 to 2023, brought into today's form before anything is read.
//!
//! | key | form | until | today |
//! |---|---|---|---|
//! | `provisioning_urls` | list of URLs | May 2023 | `ospkg_pointer`, separated by commas |
//! | `dns` | one address | May 2023 | a list |
//! | `network_interface` | a MAC address | 2023 | `network_interfaces` with that address |
//! | `network_interfaces` | list of names, members of a bond | 2023 | a list of objects |
//! | `bonding` | whether there is a bond | 2023 | `bonding_mode` says it alone |
//!
//! Where an old key and today's for the same thing are both there, today's counts; one that is
//! `null` is not there. Each old form is warned of, with what to write in its place.

use report::strict_json::Object;
use serde_json::Value;
use serde_json::json;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::optional_entries;
use crate::fields::optional_flag;
use crate::mac::Mac;
use crate::pointer;

/// Most URLs of the old list.
const MAX_URLS: usize = 256;

const EXPECTED_URLS: &str = "ospkg_pointer with the same URLs, separated by commas, in its place";

/// Puts today's keys in the places of older ones.
pub(crate) fn modernise(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<(), HostConfigError> {
    provisioning_urls(object, warnings)?;
    dns(object, warnings);
    interfaces(object, warnings)?;
    bonding(object, warnings)
}

fn provisioning_urls(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<(), HostConfigError> {
    const FIELD: &str = "provisioning_urls";
    if let Some(newer) = ["ospkg_pointer", "mirrors"].into_iter().find(|key| object.is_set(key)) {
        if object.take_set(FIELD).is_some() {
            warnings.push(format!("{FIELD}: ignored, because there is {newer}"));
        }
        return Ok(());
    }
    let value = match object.take_set(FIELD) {
        None => return Ok(()),
        Some(value @ Value::Array(_)) => value,
        // It may hold a password.
        Some(other) => return Err(invalid(FIELD, Some(&other), EXPECTED_URLS)),
    };
    object.put(FIELD, value);
    let entries = optional_entries(object, FIELD, EXPECTED_URLS, MAX_URLS, warnings)?;
    let mut urls = Vec::new();
    for (field, value) in entries.into_iter().flatten() {
        match value.as_str() {
            // What the comma-separated list could not hold as one entry has to be refused.
            Some(url) if !url.is_empty() && pointer::split(url).len() == 1 => {
                urls.push(url.to_owned());
            }
            _ => return Err(invalid(field, Some(&value), "a URL without commas")),
        }
    }
    if urls.is_empty() {
        let found = "an empty list".to_owned();
        let (field, expected) = (FIELD.to_owned(), EXPECTED_URLS);
        return Err(HostConfigError::Invalid { field, found, expected });
    }
    warnings.push(format!(
        "{FIELD}: the old name of ospkg_pointer, which takes the same URLs as one text with commas \
         between them"
    ));
    object.put("ospkg_pointer", Value::from(urls.join(",")));
    Ok(())
}

fn dns(object: &mut Object, warnings: &mut Vec<String>) {
    match object.take("dns") {
        Some(Value::String(server)) => {
            warnings.push("dns: an address alone is an old form; write a list, [\"…\"]".to_owned());
            object.put("dns", json!([server]));
        }
        Some(other) => object.put("dns", other),
        None => {}
    }
}

/// Names were the members of a bond; without a bond the MAC address said which interface is used.
fn interfaces(object: &mut Object, warnings: &mut Vec<String>) -> Result<(), HostConfigError> {
    const OLD: &str = "network_interface";
    const NEW: &str = "network_interfaces";

    let old = object.take_set(OLD).filter(|value| value.as_str() != Some(""));
    let mut new = object.take_set(NEW);
    let mut are_names = false;
    if let Some(Value::Array(entries)) = &mut new {
        for entry in entries {
            if entry.is_string() {
                *entry = json!({ "interface_name": entry.take() });
                are_names = true;
            }
        }
    }
    if are_names {
        warnings.push(format!(
            "{NEW}: names alone are an old form; write [{{\"interface_name\": \"…\"}}]"
        ));
    }
    let has_bond = object.text("bonding_mode").is_some_and(|mode| !mode.is_empty());
    match old {
        Some(_) if new.is_some() && (has_bond || !are_names) => {
            warnings.push(format!("{OLD}: ignored, because there is {NEW}"));
        }
        Some(old) => {
            if old.as_str().is_none_or(|text| text.parse::<Mac>().is_err()) {
                let expected = "a MAC address such as \"52:54:00:12:34:56\"";
                return Err(invalid(OLD, Some(&old), expected));
            }
            if new.is_some() {
                warnings.push(format!(
                    "{NEW}: ignored, because there is {OLD} and no bonding_mode: in this form names \
                     are the members of a bond"
                ));
            }
            warnings.push(format!("{OLD}: an old form; write {NEW}: [{{\"mac_address\": \"…\"}}]"));
            new = Some(json!([{ "mac_address": old }]));
        }
        None => {}
    }
    if let Some(new) = new {
        object.put(NEW, new);
    }
    Ok(())
}

fn bonding(object: &mut Object, warnings: &mut Vec<String>) -> Result<(), HostConfigError> {
    let Some(bonding) = optional_flag(object, "bonding")? else { return Ok(()) };
    let has_mode = object.text("bonding_mode").is_some_and(|mode| !mode.is_empty());
    warnings.push(match (bonding, has_mode) {
        (true, false) => {
            "bonding: true, but there is no bond without a bonding_mode: name one".to_owned()
        }
        (false, true) => {
            "bonding: false, but bonding_mode alone says whether there is a bond: there is one; \
             remove the mode if there is to be none"
                .to_owned()
        }
        _ => "bonding: an old form that says nothing beside bonding_mode; remove it".to_owned(),
    });
    Ok(())
}
