//! Which `os_pkg_url` leads machines to an archive.

use ::url::Url;
use report::Code;

use crate::Error;
use crate::Result;

/// Longest `os_pkg_url` that machines follow, in bytes.
const MAX_URL_LEN: usize = 4096;

/// Whether an archive may be published under this `os_pkg_url`: what [`check_fetchable`] says, and
/// without a user or a password. Empty is for packages that are not fetched.
///
/// # Errors
/// [`Code::ArchiveUrlInvalid`] with the reason.
pub fn check_url(os_pkg_url: &str) -> Result<()> {
    if os_pkg_url.is_empty() {
        return Ok(());
    }
    let url = resolve(os_pkg_url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_url(
            "it holds a user name or password, and everybody can read a descriptor",
        ));
    }
    Ok(())
}

/// Whether machines fetch an archive from this `os_pkg_url`: an http(s) URL or a reference relative to
/// the descriptor's, whose path ends in `.zip`.
///
/// # Errors
/// [`Code::ArchiveUrlInvalid`] with the reason.
pub fn check_fetchable(os_pkg_url: &str) -> Result<()> {
    if os_pkg_url.is_empty() {
        return Err(bad_url("it is empty"));
    }
    resolve(os_pkg_url).map(drop)
}

fn resolve(os_pkg_url: &str) -> Result<Url> {
    if os_pkg_url.len() > MAX_URL_LEN {
        return Err(bad_url("it is longer than 4096 bytes"));
    }
    // The parser would drop tabs and line breaks in silence.
    if os_pkg_url.chars().any(|it| it.is_control() || it == ' ') {
        return Err(bad_url("it has blanks or control characters"));
    }
    let somewhere = Url::parse("https://host.invalid/directory/name.json");
    let Ok(url) = somewhere.and_then(|base| base.join(os_pkg_url)) else {
        return Err(bad_url("it is not a URL"));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url("its scheme is neither http nor https"));
    }
    if !url.path().ends_with(".zip") {
        return Err(bad_url("its path does not end in .zip"));
    }
    Ok(url)
}

fn bad_url(why: &str) -> Error {
    Error::with_code(Code::ArchiveUrlInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_lead_nowhere_are_refused() {
        for good in ["", "os.zip", "../x/os.zip?v=1", "https://a.example/os.zip", "//b/os.zip"] {
            assert!(check_url(good).is_ok(), "{good}");
            assert_eq!(check_fetchable(good).is_ok(), !good.is_empty(), "{good}");
        }
        for bad in [
            "os",
            "ftp://a/os.zip",
            "https://u:p@a/os.zip",
            "https://",
            "ht!tp://[",
            "#.zip",
            "a b.zip",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
