//! Which URLs may be followed: from a descriptor to its archive, and through redirects.

use url::Url;

/// Longest `os_pkg_url` and longest redirect target, in bytes.
const MAX_URL_LEN: usize = 4096;

/// Where the archive is, as `os_pkg_url` says it, seen from the descriptor's URL (RFC 3986,
/// section 5). The result may carry userinfo, if `os_pkg_url` has some of its own.
pub(crate) fn archive(descriptor: &Url, os_pkg_url: &str) -> Result<Url, String> {
    let target = resolve(descriptor, os_pkg_url)
        .map_err(|reason| format!("os_pkg_url \"{}\" {reason}", shown(os_pkg_url)))?;
    if target.path().ends_with(".zip") {
        Ok(target)
    } else {
        Err(format!("os_pkg_url \"{}\" does not end in .zip", shown(os_pkg_url)))
    }
}

/// Where a redirect from `from` leads. Never from https to http, and never with userinfo.
///
/// The reason for a refusal repeats nothing of what the server sent: it may hold parts of `from`,
/// which may be secret.
pub(crate) fn redirect(from: &Url, location: Option<&[u8]>) -> Result<Url, String> {
    let location = location.ok_or("redirect to nowhere")?;
    let location =
        core::str::from_utf8(location).map_err(|_| "redirect to something that is not text")?;
    let mut target =
        resolve(from, location).map_err(|reason| format!("redirect: its target {reason}"))?;
    if from.scheme() == "https" && target.scheme() != "https" {
        return Err(format!("redirect from https to {}", target.scheme()));
    }
    if target.set_username("").is_err() || target.set_password(None).is_err() {
        return Err("redirect to something that is not a host".to_owned());
    }
    Ok(target)
}

/// An http or https URL with a host; `reference` may be relative to `base`.
fn resolve(base: &Url, reference: &str) -> Result<Url, &'static str> {
    if reference.is_empty() {
        return Err("is empty");
    }
    if reference.len() > MAX_URL_LEN {
        return Err("is longer than 4096 bytes");
    }
    // The parser would drop tabs and line breaks in silence.
    if reference.chars().any(|c| c.is_control() || c == ' ') {
        return Err("has blanks or control characters");
    }
    let mut target = base.join(reference).map_err(|_| "is not a URL")?;
    if !matches!(target.scheme(), "http" | "https") || target.host_str().is_none() {
        return Err("is not an http or https URL");
    }
    target.set_fragment(None);
    Ok(target)
}

/// The start of a text that a stranger chose, fit for one line, without userinfo and query.
fn shown(text: &str) -> String {
    const SHOWN: usize = 120;
    let without_query = text.split(['?', '#']).next().unwrap_or_default();
    let without_userinfo = match without_query.rfind('@') {
        Some(at) => format!("***{}", &without_query[at..]),
        None => without_query.to_owned(),
    };
    let mut line: String = without_userinfo.escape_default().take(SHOWN).collect();
    if without_userinfo.len() > SHOWN || without_query.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn os_pkg_url_is_resolved_against_the_descriptor() {
        let base = url("https://boot.example:8443/os/stable/os.json?x=1");
        for (reference, expected) in [
            ("os.zip", "https://boot.example:8443/os/stable/os.zip"),
            ("../a/os.zip", "https://boot.example:8443/os/a/os.zip"),
            ("/os.zip", "https://boot.example:8443/os.zip"),
            ("//cdn.example/os.zip", "https://cdn.example/os.zip"),
            ("http://cdn.example/os.zip#part", "http://cdn.example/os.zip"),
            ("os.zip?token=1", "https://boot.example:8443/os/stable/os.zip?token=1"),
        ] {
            assert_eq!(archive(&base, reference).unwrap().as_str(), expected, "{reference}");
        }
    }

    #[test]
    fn os_pkg_url_of_another_kind_is_refused() {
        let base = url("https://boot.example/os.json");
        let long = format!("/{}.zip", "a".repeat(MAX_URL_LEN));
        for reference in [
            "",
            "os.tar",
            "os.json",
            "ftp://cdn.example/os.zip",
            "file:///os.zip",
            "data:,a.zip",
            "http:///.zip:99999/",
            "os.zip\n",
            " os.zip",
            "o s.zip",
            "os.zip\0",
            "https://[::1/os.zip",
            "x?a.zip",
            &long,
        ] {
            assert!(archive(&base, reference).is_err(), "{reference:?}");
        }
    }

    #[test]
    fn redirects_never_leave_https_nor_carry_userinfo() {
        let secure = url("https://a.example/x");
        let plain = url("http://a.example/x");
        assert!(redirect(&secure, Some(b"http://a.example/y")).is_err());
        assert!(redirect(&secure, Some(b"ftp://a.example/y")).is_err());
        assert!(redirect(&plain, Some(b"ftp://a.example/y")).is_err());
        assert!(redirect(&secure, Some(b"\xff")).is_err());
        assert_eq!(
            redirect(&plain, Some(b"https://b.example/y")).unwrap().as_str(),
            "https://b.example/y"
        );
        assert_eq!(
            redirect(&secure, Some(b"//u:p@b.example/y")).unwrap().as_str(),
            "https://b.example/y"
        );
    }

    #[test]
    fn userinfo_and_queries_are_not_shown() {
        for text in [
            "https://user:canary@a.example/x.tar",
            "//user:canary@a.example",
            "//us/canary:p@a.example/x?canary",
            r"https:\\user:canary@a.example/x.tar",
        ] {
            assert!(!shown(text).contains("canary"), "{text}: {}", shown(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in ".{0,200}") {
            let base = url("https://boot.example/os.json");
            if let Ok(target) = archive(&base, &text) {
                assert!(matches!(target.scheme(), "http" | "https"));
                assert!(target.path().ends_with(".zip"));
            }
            if let Ok(target) = redirect(&base, Some(text.as_bytes())) {
                assert_eq!(target.scheme(), "https");
                assert!(target.username().is_empty() && target.password().is_none());
            }
            let _ = shown(&text);
        }
    }
}
