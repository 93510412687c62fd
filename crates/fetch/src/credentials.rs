//! HTTP basic authentication (RFC 7617).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hostcfg::Credentials;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::error::ErrorKind;

/// The value of `Authorization`, marked as secret.
pub(crate) fn basic(credentials: &Credentials) -> Result<HeaderValue, ErrorKind> {
    let pair = Zeroizing::new(format!("{}:{}", credentials.user, credentials.password.expose()));
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ErrorKind::Setup("the URL's user name cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
