//! JSON as the other implementation of these formats reads and writes it.

use report::strict_json::Object;
use report::strict_json::StrictJsonError;
use report::strict_json::parse_object;
use serde::Serialize;

/// Reads one object and refuses NUL bytes behind it. What other files may have there (they are read
/// from firmware variables) has no place in a signed archive or in a descriptor.
pub(crate) fn read_object(document: &[u8]) -> Result<Object, StrictJsonError> {
    let text_end = document.iter().rposition(|byte| !byte.is_ascii_whitespace());
    if text_end.and_then(|last| document.get(last)) == Some(&0) {
        return Err(StrictJsonError::TrailingData);
    }
    parse_object(document)
}

/// Indents by two spaces, escapes what could be taken for HTML, and ends without a new line: the
/// form in which Go programs write JSON, so that a file goes through both unchanged.
pub(crate) fn write_pretty<T: Serialize>(value: &T) -> String {
    // Only maps whose keys are no strings can fail, and there are none.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    // These characters occur inside strings only: JSON's own syntax has none of them.
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::read_object;
    use super::write_pretty;

    #[test]
    fn html_is_escaped_in_strings() {
        assert_eq!(
            write_pretty(&serde_json::json!({"a": "<&>\u{2028}\u{2029}\"é"})),
            "{\n  \"a\": \"\\u003c\\u0026\\u003e\\u2028\\u2029\\\"é\"\n}"
        );
    }

    #[test]
    fn nul_behind_the_object_is_refused() {
        assert!(read_object(b"{}\n").is_ok());
        assert!(read_object(b"{}\0").is_err());
        assert!(read_object(b"{}\0\n").is_err());
        assert!(read_object(b"").is_err());
    }
}
