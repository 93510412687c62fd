//! What takes the room in an image.

use std::collections::BTreeMap;

use crate::tree::Tree;

/// Bytes by where they come from, the largest first.
#[must_use]
pub fn by_origin(tree: &Tree) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, node) in tree.iter() {
        *sums.entry(&node.origin).or_default() += node.len();
    }
    let mut sums: Vec<(String, u64)> =
        sums.into_iter().map(|(origin, bytes)| (origin.to_owned(), bytes)).collect();
    sums.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    sums
}
