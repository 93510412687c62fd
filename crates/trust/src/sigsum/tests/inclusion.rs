use proptest::proptest;
use sigsum_log::tree;

use crate::Sha256Digest;
use crate::sigsum::merkle::leaf_hash;
use crate::sigsum::merkle::root;

const LARGEST: usize = 70;

fn leaves(size: usize) -> Vec<[u8; 32]> {
    (0..size).map(|index| tree::leaf_hash(&index.to_be_bytes())).collect()
}

fn digests(hashes: &[[u8; 32]]) -> Vec<Sha256Digest> {
    hashes.iter().copied().map(Sha256Digest::from_bytes).collect()
}

#[test]
fn leaves_are_hashed_as_defined() {
    assert_eq!(leaf_hash(b"leaf").as_bytes(), &tree::leaf_hash(b"leaf"));
}

/// Every leaf of every tree, and for each of them the path that is one hash too short or too long,
/// has two hashes in the other order, or belongs to a neighbour.
#[test]
fn every_path_in_every_small_tree_leads_to_its_root_and_no_other_does() {
    for size in 1..=LARGEST {
        let leaves = leaves(size);
        let expected = Some(Sha256Digest::from_bytes(tree::root(&leaves)));
        for index in 0..size {
            let leaf = Sha256Digest::from_bytes(leaves[index]);
            let path = digests(&tree::path(index, &leaves));
            let at =
                |index: usize, path: &[Sha256Digest]| root(leaf, index as u64, size as u64, path);
            assert_eq!(at(index, &path), expected, "{index} of {size}");
            for other in (0..size).filter(|other| *other != index) {
                assert_ne!(at(other, &path), expected, "{index} as {other} of {size}");
            }
            assert_eq!(at(size, &path), None);
            assert_eq!(at(index, &[&path[..], &[leaf]].concat()), None);
            for cut in 0..path.len() {
                assert_eq!(at(index, &path[..cut]), None);
            }
            for first in 1..path.len() {
                let mut swapped = path.clone();
                swapped.swap(first - 1, first);
                assert_ne!(at(index, &swapped), expected);
            }
        }
    }
}

#[test]
fn a_tree_without_leaves_has_no_root() {
    assert_eq!(root(Sha256Digest::of(b""), 0, 0, &[]), None);
}

proptest! {
    #[test]
    fn one_changed_bit_leads_elsewhere(
        size in 2..=LARGEST, index: proptest::sample::Index, hash: proptest::sample::Index, bit in 0..256_usize
    ) {
        let leaves = leaves(size);
        let index = index.index(size);
        let mut path = tree::path(index, &leaves);
        let length = path.len();
        path[hash.index(length)][bit / 8] ^= 1 << (bit % 8);
        let leaf = Sha256Digest::from_bytes(leaves[index]);
        let root = root(leaf, index as u64, size as u64, &digests(&path));
        proptest::prop_assert_ne!(root, Some(Sha256Digest::from_bytes(tree::root(&leaves))));
    }

    #[test]
    fn any_numbers_are_harmless(index: u64, size: u64, length in 0..80_usize) {
        let hash = Sha256Digest::of(b"");
        let _ = root(hash, index, size, &vec![hash; length]);
    }
}
