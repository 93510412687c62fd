//! Merkle trees by the definitions of RFC 6962, section 2.1: recursive, and slow.

use crate::sha256;

/// Hash of a leaf with this content.
#[must_use]
pub fn leaf_hash(content: &[u8]) -> [u8; 32] {
    sha256(&[&[0], content].concat())
}

/// Root of the tree with these hashes of leaves.
#[must_use]
pub fn root(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = hashes.split_at(split(hashes.len()));
            sha256(&[[1].as_slice(), &root(left), &root(right)].concat())
        }
    }
}

/// The hashes that, with that of the leaf, make the root; nearest to the leaf first.
#[must_use]
pub fn path(index: usize, hashes: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if hashes.len() < 2 {
        return Vec::new();
    }
    let at = split(hashes.len());
    let (left, right) = hashes.split_at(at);
    let (mut path, sibling) = if index < at {
        (path(index, left), root(right))
    } else {
        (path(index - at, right), root(left))
    };
    path.push(sibling);
    path
}

/// The largest power of two below a size of two or more.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}
