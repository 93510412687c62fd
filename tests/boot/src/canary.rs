//! Secrets that must not come out of a machine, and the search for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// User name in the URLs of a test.
pub const USER: &str = "canaryuser";

/// Password in the URLs of a test.
pub const PASSWORD: &str = "canarypass";

/// How much around a find is shown, in bytes.
const AROUND: usize = 60;

/// Looks for the secrets as they are, and as HTTP sends them. Returns what is around the first.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let mut secrets = [USER, PASSWORD, &encoded].into_iter();
    // Upper case or lower: a log may have changed it.
    let at = secrets.find_map(|it| text.find(it).or_else(|| text.to_lowercase().find(it)))?;
    let end = (at + AROUND).min(text.len());
    let around = text.as_bytes().get(at.saturating_sub(AROUND)..end)?;
    Some(String::from_utf8_lossy(around).into_owned())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn secrets_are_found_in_each_form() {
        assert!(find("GET https://canaryuser:x@host/").is_some());
        assert!(find("… CanaryPass …").is_some());
        assert!(find("Authorization: Basic Y2FuYXJ5dXNlcjpjYW5hcnlwYXNz").is_some());
        assert_eq!(find("https://***@10.0.2.2/os.json"), None);
    }
}
