//! A look at PEM text, so that a mix-up is told when the configuration is read and not when a
//! mirror is asked. What the blocks hold is judged by who uses them.

/// Whether there are certificates and nothing but certificates.
pub(crate) fn is_certificates(text: &str) -> bool {
    labels(text).is_some_and(|labels| {
        !labels.is_empty() && labels.iter().all(|label| *label == "CERTIFICATE")
    })
}

/// Whether there is one private key; where there is not, says what there is. Repeats nothing.
pub(crate) fn check_key(text: &str) -> Result<(), &'static str> {
    match labels(text).as_deref() {
        Some(["PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY"])
            if !text.contains("\nProc-Type:") =>
        {
            Ok(())
        }
        Some(["ENCRYPTED PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY"]) => {
            Err("an encrypted key")
        }
        Some([]) | None => Err("text that is not PEM"),
        Some([_]) => Err("PEM text of something else"),
        Some(_) => Err("more than one block of PEM"),
    }
}

/// The labels of all blocks; `None` if one does not end as it begins, or is empty.
fn labels(text: &str) -> Option<Vec<&str>> {
    let mut labels = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----"))
        else {
            continue;
        };
        let mut body = 0_usize;
        loop {
            let line = lines.next()?;
            if let Some(end) = line.strip_prefix("-----END ") {
                if end.strip_suffix("-----") != Some(label) || body == 0 {
                    return None;
                }
                break;
            }
            body = body.saturating_add(line.len());
        }
        labels.push(label);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::check_key;
    use super::is_certificates;

    fn block(label: &str) -> String {
        format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
    }

    #[test]
    fn certificates_are_told_from_keys() {
        let certificate = block("CERTIFICATE");
        assert!(is_certificates(&certificate));
        assert!(is_certificates(&format!("a comment\n{certificate}\n{certificate}")));
        for text in ["", "AAAA", &block("PRIVATE KEY"), &format!("{certificate}{}", block("X"))] {
            assert!(!is_certificates(text), "{text}");
        }
        assert!(!is_certificates(&certificate.replace("END CERT", "END MERT")));
        assert!(!is_certificates(&certificate.replace("AAAA\n", "")));
        assert!(!is_certificates("-----BEGIN CERTIFICATE-----\nAAAA"));
    }

    #[test]
    fn one_plain_key_is_a_key() {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            assert_eq!(check_key(&block(label)), Ok(()));
        }
        let encrypted = block("RSA PRIVATE KEY").replace("AAAA", "Proc-Type: 4,ENCRYPTED\n\nAAAA");
        for (text, found) in [
            (block("ENCRYPTED PRIVATE KEY"), "an encrypted key"),
            (encrypted, "an encrypted key"),
            (block("CERTIFICATE"), "PEM text of something else"),
            ("***".to_owned(), "text that is not PEM"),
            (block("PRIVATE KEY").repeat(2), "more than one block of PEM"),
        ] {
            assert_eq!(check_key(&text), Err(found));
        }
    }
}
