//! Shell patterns as the kernel's module aliases use them: `*`, `?` and `[a-z]`.

/// Whether `text` matches `pattern` as a whole.
///
/// Iterative with one point to come back to, so that time is at most pattern × text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: (pattern behind it, text).
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => match_class(pattern, p, text[t]),
            Some(&byte) if byte == text[t] => Some(p + 1),
            _ => None,
        };
        match (step, retry) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((behind, from))) => {
                p = behind;
                t = from + 1;
                retry = Some((behind, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// The index behind the class that starts at `open`, if `byte` is in it.
fn match_class(pattern: &[u8], open: usize, byte: u8) -> Option<usize> {
    let close = open + 1 + pattern[open + 1..].iter().position(|&byte| byte == b']')?;
    let class = &pattern[open + 1..close];
    let mut found = false;
    let mut i = 0;
    while i < class.len() {
        if class.get(i + 1) == Some(&b'-') && i + 2 < class.len() {
            found |= (class[i]..=class[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= class[i] == byte;
            i += 1;
        }
    }
    found.then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn module_aliases_match() {
        let virtio = "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00";
        assert!(matches("pci:v00001AF4d*sv*sd*bc*sc*i*", virtio));
        assert!(!matches("pci:v00008086d*sv*sd*bc*sc*i*", virtio));
        assert!(matches("virtio:d00000001v*", "virtio:d00000001v00001AF4"));
        assert!(matches(
            "cpu:type:x86,ven*fam*mod*:feature:*0089*",
            "cpu:type:x86,ven0000fam0006mod0055:feature:,0000,0089,008D"
        ));
        assert!(matches("acpi*:PNP0[0-9A]0?:*", "acpi:PNP0A08:PNP0A03:"));
    }

    #[test]
    fn odd_patterns_end() {
        assert!(matches("", ""));
        assert!(matches("*", ""));
        assert!(matches("***a", "bca"));
        assert!(!matches("[", "["));
        assert!(!matches("a[b", "ab"));
        assert!(!matches(&"*a".repeat(50), &"b".repeat(1000)));
    }
}
