//! What somebody probably meant.

/// Edits within which a word is taken for another one that was mistyped.
const CLOSE: usize = 2;

/// Length up to which a word has room for one edit only: two make another word of it.
const SHORT: usize = 4;

/// The one of these words that is most like `word`, if one is like it at all. Case does not count.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |it: &str| strsim::damerau_levenshtein(&word, &it.to_lowercase());
    let close = if word.chars().count() > SHORT { CLOSE } else { 1 };
    let near = words.into_iter().map(|it| (distance(it), it));
    near.filter(|(distance, _)| *distance <= close).min().map(|(_, it)| it)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let words = ["kernel", "initramfs", "isCA"];
        assert_eq!(nearest("kernle", words), Some("kernel"));
        assert_eq!(nearest("isca", words), Some("isCA"));
        assert_eq!(nearest("password", words), None);
        assert_eq!(nearest("lacp", ["dhcp"]), None);
        assert_eq!(nearest("dchp", ["dhcp"]), Some("dhcp"));
    }
}
