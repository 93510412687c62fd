//! Trees of hashes: RFC 6962, section 2.1.

use sha2::Digest;
use sha2::Sha256;

use crate::Sha256Digest;

/// Hash of a leaf.
pub(super) fn leaf_hash(leaf: &[u8]) -> Sha256Digest {
    hash(&[&[0], leaf])
}

fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Sha256Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Sha256Digest::from_bytes(hash.finalize().into())
}

/// The root of the only tree of this size in which the leaf has this index and this path, counted
/// from the leaf upwards. `None` if a path of this length belongs to no such leaf.
///
/// On its way up, a node is joined with its sibling; the last node of a level has none if there is an
/// odd number of nodes, and then goes up alone.
pub(super) fn root(
    leaf: Sha256Digest,
    index: u64,
    size: u64,
    path: &[Sha256Digest],
) -> Option<Sha256Digest> {
    let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
    let mut index = index;
    let mut node = leaf;
    let mut siblings = path.iter();
    while last > 0 {
        if index % 2 == 1 {
            node = node_hash(siblings.next()?, &node);
        } else if index < last {
            node = node_hash(&node, siblings.next()?);
        }
        index /= 2;
        last /= 2;
    }
    siblings.next().is_none().then_some(node)
}
