//! Headers that a mirror wants to see.

use report::strict_json::Object;
use report::strict_json::kind;
use serde_json::Value;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::provisioning_url::ProvisioningUrl;
use crate::secret::Secret;

/// Most headers of one mirror.
const MAX_HEADERS: usize = 32;

/// Longest name, in bytes.
const MAX_NAME: usize = 128;

/// Longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// Headers that the client sets itself, or that say how a message is framed: another value would
/// change what is fetched, or let one request be read as two.
const RESERVED: [&str; 22] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

const EXPECTED: &str = "null or an object of at most 32 headers such as {\"X-Token\": \"…\"}";
const EXPECTED_NAME: &str =
    "the name of a header that the client does not set itself, such as X-Token";
const EXPECTED_VALUE: &str = "a string of at most 4096 visible ASCII characters and blanks, with \
                              none of these at its ends";

/// Reads `headers`.
pub(crate) fn read_headers(
    object: &mut Object,
    url: &ProvisioningUrl,
) -> Result<Vec<(String, Secret)>, HostConfigError> {
    let map = match object.take_set("headers") {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) if map.len() <= MAX_HEADERS => map,
        Some(Value::Object(map)) => {
            let (field, found) = ("headers".to_owned(), format!("{} headers", map.len()));
            return Err(HostConfigError::Invalid { field, found, expected: EXPECTED });
        }
        Some(other) => return Err(invalid("headers", Some(&other), EXPECTED)),
    };
    let mut headers = Vec::new();
    for (name, value) in map {
        headers.push(read_header(name, value, url)?);
    }
    Ok(headers)
}

fn read_header(
    name: String,
    value: Value,
    url: &ProvisioningUrl,
) -> Result<(String, Secret), HostConfigError> {
    let folded = name.to_ascii_lowercase();
    let refuse = |found: &str, expected| {
        let field = format!("headers[{name:?}]");
        Err(HostConfigError::Invalid { field, found: found.to_owned(), expected })
    };
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_token) {
        // It may be a whole header, with its value.
        let found = format!("a name of {} characters that no header has", name.chars().count());
        let (field, expected) = ("headers".to_owned(), EXPECTED_NAME);
        return Err(HostConfigError::Invalid { field, found, expected });
    }
    if RESERVED.contains(&folded.as_str()) {
        return refuse("a header that the client sets itself", EXPECTED_NAME);
    }
    if folded == "authorization" && url.credentials().is_some() {
        return refuse(
            "a header beside user name and password in the URL",
            "one of the two, as both say who asks",
        );
    }
    match value {
        Value::String(text) if is_value(&text) => Ok((name, Secret::new(text))),
        Value::String(text) => {
            // Wiped when it is dropped.
            drop(Secret::new(text));
            refuse("\"***\"", EXPECTED_VALUE)
        }
        other => refuse(kind(&other), EXPECTED_VALUE),
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, section 5.5, without what is obsolete there.
fn is_value(text: &str) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let bytes = text.as_bytes();
    bytes.len() <= MAX_VALUE
        && bytes.iter().all(|byte| byte.is_ascii_graphic() || blank(byte))
        && !bytes.first().is_some_and(blank)
        && !bytes.last().is_some_and(blank)
}
