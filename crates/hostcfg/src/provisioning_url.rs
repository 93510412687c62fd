//! Provisioning URLs, which may hold a user name and a password.

use core::fmt;
use core::str::FromStr;

use serde::Serialize;
use serde::Serializer;
use url::Url;

use crate::secret::HIDDEN;
use crate::secret::Secret;

/// User name and password for HTTP basic authentication, percent-decoded.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// User name; as confidential as the password where a token takes its place.
    pub user: String,
    /// Password; empty if the URL has none.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// An `http://` or `https://` URL with a host.
///
/// `Display`, `Debug` and `Serialize` hide user name, password, query and whatever came from the
/// `authentication` value: `https://***@host/path`. For messages and reports print the value
/// itself, never the [`Url`] inside it.
#[derive(Clone, Eq, PartialEq)]
pub struct ProvisioningUrl {
    /// Without user name and password.
    url: Url,
    credentials: Option<Credentials>,
    /// Text that is hidden wherever it appears in the URL.
    hidden: Option<Secret>,
}

/// Why a text is not a provisioning URL. Repeats nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Does not start with `http://` or `https://`.
    #[error("not an http:// or https:// URL")]
    Scheme,
    /// The number behind the host is no port.
    #[error("what stands behind the host's colon is no port, 1 to 65535")]
    Port,
    /// The host is an IPv6 address that nothing sets apart from a port.
    #[error("an IPv6 address stands in brackets, as in https://[2001:db8::1]/")]
    Brackets,
    /// A path, query or fragment where nothing but a host is wanted.
    #[error("it has more than a host and a port: a path, a query or a fragment")]
    MoreThanHost,
    /// Starts like one, but is not well-formed.
    #[error("not a well-formed URL")]
    Syntax,
    /// User name or password are not UTF-8 when percent-decoded.
    #[error("user name or password is not UTF-8")]
    Credentials,
}

impl ProvisioningUrl {
    /// Reads an absolute URL. Forms that browsers repair silently (missing slashes, backslashes,
    /// blanks or control characters inside) are refused.
    ///
    /// # Errors
    ///
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(UrlError::Scheme);
        }
        let repaired_by_browsers =
            |character: char| character == '\\' || character <= ' ' || character == '\u{7f}';
        if rest.starts_with('/') || rest.contains(repaired_by_browsers) {
            return Err(UrlError::Syntax);
        }
        Self::from_url(Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort if has_bare_ipv6(rest) => UrlError::Brackets,
            url::ParseError::InvalidPort => UrlError::Port,
            _ => UrlError::Syntax,
        })?)
    }

    /// Takes a parsed URL; user name and password are taken out of it.
    ///
    /// # Errors
    ///
    /// [`UrlError`].
    pub(crate) fn from_url(mut url: Url) -> Result<Self, UrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::Syntax);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials {
                user: percent_decode(user).ok_or(UrlError::Credentials)?,
                password: Secret::new(
                    percent_decode(password.unwrap_or_default()).ok_or(UrlError::Credentials)?,
                ),
            }),
        };
        url.set_username("").map_err(|()| UrlError::Syntax)?;
        url.set_password(None).map_err(|()| UrlError::Syntax)?;
        Ok(Self { url, credentials, hidden: None })
    }

    /// Hides `text` wherever it appears in this URL and in URLs derived from it.
    pub(crate) fn hide(mut self, text: Secret) -> Self {
        self.hidden = Some(text);
        self
    }

    /// A URL that was found by way of this one, such as the archive's in a descriptor. Credentials
    /// go along to the same origin (scheme, host and port) only; those in `url` itself win.
    ///
    /// # Errors
    ///
    /// [`UrlError`].
    pub fn derive(&self, url: Url) -> Result<Self, UrlError> {
        let mut derived = Self::from_url(url)?;
        if derived.credentials.is_none() && derived.url.origin() == self.url.origin() {
            derived.credentials.clone_from(&self.credentials);
        }
        derived.hidden.clone_from(&self.hidden);
        Ok(derived)
    }

    /// The URL to send, without user name and password. It may hold other secrets in its path and
    /// query: print [`ProvisioningUrl`] instead.
    #[must_use]
    pub fn url_without_userinfo(&self) -> &Url {
        &self.url
    }

    /// User name and password, if the URL has any.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Whether anything of it is hidden when it is printed.
    #[must_use]
    pub(crate) fn holds_secrets(&self) -> bool {
        let path = self.url.path();
        self.credentials.is_some()
            || self.hidden.is_some()
            || self.url.query().is_some()
            || (path.contains("://") && path.contains('@'))
    }

    /// Whether what is sent and received is protected by TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl FromStr for ProvisioningUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for ProvisioningUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.url.scheme())?;
        if self.credentials.is_some() {
            write!(f, "{HIDDEN}@")?;
        }
        let mut rest = self.url.host_str().unwrap_or_default().to_owned();
        if let Some(port) = self.url.port() {
            rest.push_str(&format!(":{port}"));
        }
        // A second URL that was written behind a comma, which belongs to the path: its password is one.
        match self.url.path().split_once("://") {
            Some((before, behind)) if behind.contains('@') => {
                rest.push_str(&format!("{before}://{HIDDEN}"));
            }
            _ => rest.push_str(self.url.path()),
        }
        if let Some(hidden) = &self.hidden {
            rest = replace_ignoring_case(&rest, hidden.expose());
        }
        f.write_str(&rest)?;
        if self.url.query().is_some() {
            write!(f, "?{HIDDEN}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ProvisioningUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ProvisioningUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether the host of what stands behind `://` is an IPv6 address without brackets: it has several
/// colons.
fn has_bare_ipv6(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.starts_with('[') && host.matches(':').count() > 1
}

/// Host names are folded to lower case by the URL parser, so a secret in one has to be found in
/// either case.
fn replace_ignoring_case(text: &str, secret: &str) -> String {
    let (folded, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    if secret.is_empty() {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut end_of_last = 0;
    // Folding ASCII keeps every offset.
    for (start, found) in folded.match_indices(&secret) {
        shown.push_str(text.get(end_of_last..start).unwrap_or_default());
        shown.push_str(HIDDEN);
        end_of_last = start + found.len();
    }
    shown.push_str(text.get(end_of_last..).unwrap_or_default());
    shown
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [char::from(*high).to_digit(16), char::from(*low).to_digit(16)];
                match digits {
                    [Some(high), Some(low)] => {
                        u8::try_from(high * 16 + low).ok().map(|byte| (byte, after))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((byte, tail));
        decoded.push(byte);
        rest = tail;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::ProvisioningUrl;
    use super::UrlError;
    use crate::secret::Secret;

    fn parse(text: &str) -> ProvisioningUrl {
        ProvisioningUrl::parse(text).unwrap()
    }

    #[test]
    fn credentials_are_decoded_and_never_printed() {
        let url = parse("https://us%65r:p%40ss:w%2Ford@host.example:8443/a/os.json?token=canary");
        let credentials = url.credentials().unwrap();
        assert_eq!(credentials.user, "user");
        assert_eq!(credentials.password.expose(), "p@ss:w/ord");
        assert_eq!(url.to_string(), "https://***@host.example:8443/a/os.json?***");
        assert_eq!(serde_json::to_string(&url).unwrap(), format!("\"{url}\""));
        for printed in [format!("{url:?}"), format!("{credentials:?}"), format!("{:#?}", [&url])] {
            for part in ["user", "p@ss", "word", "canary"] {
                assert!(!printed.contains(part), "{printed}");
            }
        }
        assert_eq!(
            url.url_without_userinfo().as_str(),
            "https://host.example:8443/a/os.json?token=canary"
        );
    }

    #[test]
    fn a_password_in_a_url_behind_a_comma_is_hidden() {
        let url = parse("https://a.example/x.json,https://u:canary@b.example/x.json");
        assert_eq!(url.to_string(), "https://a.example/x.json,https://***");
        assert!(url.holds_secrets());
        assert!(!parse("https://a.example/@x,https://b.example/x").to_string().contains("***"));
    }

    #[test]
    fn a_user_without_password_is_a_credential() {
        let url = parse("http://token@host/x.json");
        assert_eq!(url.credentials().unwrap().password.expose(), "");
        assert!(!url.is_https());
        assert_eq!(parse("https://@host/").credentials(), None);
    }

    #[test]
    fn what_only_browsers_would_repair_is_refused() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("host/os.json", UrlError::Scheme),
            ("ftp://host/os.json", UrlError::Scheme),
            ("file:///os.json", UrlError::Scheme),
            ("https:host/os.json", UrlError::Scheme),
            ("https:/host/os.json", UrlError::Scheme),
            ("https:///host/os.json", UrlError::Syntax),
            ("https://host\\os.json", UrlError::Syntax),
            ("https://ho\tst/os.json", UrlError::Syntax),
            ("https://host/os .json", UrlError::Syntax),
            ("https://[::1/os.json", UrlError::Syntax),
            ("https://host:99999/os.json", UrlError::Port),
            ("https://u:p@host:x/os.json", UrlError::Port),
            ("https://[2001:db8::1]:x/os.json", UrlError::Port),
            ("https://2001:db8::1/os.json", UrlError::Brackets),
            ("https://u:p@2001:db8::1", UrlError::Brackets),
            ("https://", UrlError::Syntax),
            ("https://%ff@host/", UrlError::Credentials),
        ] {
            assert_eq!(ProvisioningUrl::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(parse("HTTPS://[2001:db8::1]/x").to_string(), "https://[2001:db8::1]/x");
    }

    #[test]
    fn credentials_follow_to_the_same_origin_only() {
        let base = parse("https://u:p@host/os.json");
        let derive = |text: &str| base.derive(Url::parse(text).unwrap()).unwrap();
        assert!(derive("https://host/os.zip").credentials().is_some());
        assert!(derive("https://host:443/os.zip").credentials().is_some());
        for other in ["https://host:444/os.zip", "http://host/os.zip", "https://host2/os.zip"] {
            assert!(derive(other).credentials().is_none(), "{other}");
        }
        assert_eq!(derive("https://x:y@host/os.zip").credentials().unwrap().user, "x");
        assert!(base.derive(Url::parse("ftp://host/os.zip").unwrap()).is_err());
    }

    #[test]
    fn hidden_text_stays_hidden_in_derived_urls() {
        let base = parse("https://Canary.example/canary/os.json").hide(Secret::new("Canary"));
        assert_eq!(base.to_string(), "https://***.example/***/os.json");
        let joined = base.url_without_userinfo().join("x-CANARY-y.zip").unwrap();
        assert_eq!(base.derive(joined).unwrap().to_string(), "https://***.example/***/x-***-y.zip");
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "(https?://)?\\PC*") {
            if let Ok(url) = ProvisioningUrl::parse(&text) {
                let _ = url.to_string();
            }
        }

        #[test]
        fn a_password_is_never_printed(password in "[a-zA-Z0-9!$&'()*+;=:%_~.-]{4,20}") {
            let text = format!("https://{password}:{password}@host/os.json");
            if let Ok(url) = ProvisioningUrl::parse(&text) {
                prop_assert_eq!(format!("{url} {url:?}"), "https://***@host/os.json https://***@host/os.json");
            }
        }
    }
}
