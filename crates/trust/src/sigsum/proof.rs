//! The text of a proof.

use core::str::Split;

use super::policy::decimal;
use crate::Sha256Digest;
use crate::Timestamp;

/// Longest proof that is read, in bytes: room for more than two hundred cosignatures.
pub const MAX_PROOF_LEN: usize = 64 * 1024;

/// Most hashes on a path to a root: trees have fewer than 2^63 leaves.
const MAX_PATH: usize = 63;

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// Longer than [`MAX_PROOF_LEN`].
    #[error("longer than {MAX_PROOF_LEN} bytes")]
    TooLong,
    /// A line that is not what it must be.
    #[error("line {line}: {problem}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What it must be.
        problem: &'static str,
    },
}

/// A Sigsum proof of version 1 or 2, read strictly. That says nothing about whether it is true.
///
/// ```text
/// version=2
/// log=KEYHASH
/// leaf=KEYHASH SIGNATURE
///
/// size=NUMBER
/// root_hash=HASH
/// signature=SIGNATURE
/// cosignature=KEYHASH TIME SIGNATURE      (any number of them)
///
/// leaf_index=NUMBER                       (this block only where the size is above 1)
/// node_hash=HASH                          (any number of them)
/// ```
///
/// In version 1, the leaf begins with two bytes of the checksum of what was signed. Every line ends
/// with a line feed, also the last. Hexadecimal digits may be of either case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    pub(super) log: Sha256Digest,
    pub(super) short_checksum: Option<[u8; 2]>,
    pub(super) leaf_key_hash: Sha256Digest,
    pub(super) leaf_signature: [u8; 64],
    pub(super) size: u64,
    pub(super) root_hash: Sha256Digest,
    pub(super) log_signature: [u8; 64],
    pub(super) cosignatures: Vec<Cosignature>,
    pub(super) leaf_index: u64,
    pub(super) path: Vec<Sha256Digest>,
}

/// One line of a witness.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cosignature {
    pub(super) key_hash: Sha256Digest,
    /// Seconds since 1970.
    pub(super) time: i64,
    pub(super) signature: [u8; 64],
}

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// [`ProofError`], with the number of the first line that is not what it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_PROOF_LEN {
            return Err(ProofError::TooLong);
        }
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ProofError::Line { line, problem: "it is not text" }
        })?;
        let mut lines = Lines::new(text)?;
        let proof = Self::read(&mut lines);
        proof.map_err(|problem| ProofError::Line { line: lines.number, problem })
    }

    fn read(lines: &mut Lines<'_>) -> Result<Self, &'static str> {
        let must = "it must be `version=1` or `version=2`";
        let version_1 = match lines.value("version=", must)? {
            "1" => true,
            "2" => false,
            _ => return Err("proofs of this version are not known; it must be 1 or 2"),
        };
        let must = "it must be `log=` and the log's key hash";
        let log = lines.value("log=", must)?.parse().map_err(|_| must)?;
        let (short_checksum, leaf_key_hash, leaf_signature) = leaf(lines, version_1)?;
        lines.blank("an empty line must follow the leaf")?;

        let must = "it must be `size=` and a number from 1 on";
        let size = decimal(lines.value("size=", must)?).filter(|size| *size > 0).ok_or(must)?;
        let must = "it must be `root_hash=` and 64 hexadecimal digits";
        let root_hash = lines.value("root_hash=", must)?.parse().map_err(|_| must)?;
        let must = "it must be `signature=` and 128 hexadecimal digits";
        let log_signature = hex(lines.value("signature=", must)?).ok_or(must)?;
        let mut cosignatures: Vec<Cosignature> = Vec::new();
        let mut line = lines.next();
        while let Some(value) = line.and_then(|line| line.strip_prefix("cosignature=")) {
            let must = "it must be `cosignature=`, a witness's key hash, a time and a signature";
            let cosignature = cosignature(value).ok_or(must)?;
            if cosignatures.iter().any(|before| before.key_hash == cosignature.key_hash) {
                return Err("a line before is by the same witness");
            }
            cosignatures.push(cosignature);
            line = lines.next();
        }

        let (leaf_index, path) = match (line, size) {
            (None, 1) => (0, Vec::new()),
            (Some(_), 1) => return Err("nothing may follow the head of a tree of size 1"),
            (Some(""), _) => inclusion(lines, size)?,
            (None, _) => return Err("the place of the leaf is missing"),
            (Some(_), _) => return Err("it must be a cosignature or empty"),
        };
        Ok(Self {
            log,
            short_checksum,
            leaf_key_hash,
            leaf_signature,
            size,
            root_hash,
            log_signature,
            cosignatures,
            leaf_index,
            path,
        })
    }

    /// Hash of the key of the log that it is from.
    #[must_use]
    pub const fn log(&self) -> Sha256Digest {
        self.log
    }

    /// Hash of the signer's key.
    #[must_use]
    pub const fn leaf_key_hash(&self) -> Sha256Digest {
        self.leaf_key_hash
    }

    /// Leaves in the log's tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Place of the leaf in the tree, from 0.
    #[must_use]
    pub const fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// Hashes of the witnesses' keys with the times that they claim, in the order of the proof.
    pub fn cosignatures(&self) -> impl Iterator<Item = (Sha256Digest, Timestamp)> {
        self.cosignatures.iter().map(|it| (it.key_hash, Timestamp::from_unix(it.time)))
    }
}

type Leaf = (Option<[u8; 2]>, Sha256Digest, [u8; 64]);

fn leaf(lines: &mut Lines<'_>, version_1: bool) -> Result<Leaf, &'static str> {
    let must = if version_1 {
        "it must be `leaf=`, 4 hexadecimal digits, the signer's key hash and a signature"
    } else {
        "it must be `leaf=`, the signer's key hash and a signature"
    };
    let mut items = lines.value("leaf=", must)?.split(' ');
    let checksum = match version_1 {
        true => Some(items.next().and_then(hex).ok_or(must)?),
        false => None,
    };
    let key_hash = items.next().and_then(|item| item.parse().ok()).ok_or(must)?;
    let signature = items.next().and_then(hex).ok_or(must)?;
    items.next().map_or(Ok((checksum, key_hash, signature)), |_| Err(must))
}

fn cosignature(value: &str) -> Option<Cosignature> {
    let mut items = value.split(' ');
    let key_hash = items.next()?.parse().ok()?;
    let time = items.next().and_then(decimal).and_then(|time| i64::try_from(time).ok())?;
    let signature = items.next().and_then(hex)?;
    items.next().is_none().then_some(Cosignature { key_hash, time, signature })
}

fn inclusion(lines: &mut Lines<'_>, size: u64) -> Result<(u64, Vec<Sha256Digest>), &'static str> {
    let must = "it must be `leaf_index=` and a number below the size of the tree";
    let index = decimal(lines.value("leaf_index=", must)?).filter(|it| *it < size).ok_or(must)?;
    let mut path = Vec::new();
    while let Some(line) = lines.next() {
        let must = "it must be `node_hash=` and 64 hexadecimal digits";
        if path.len() == MAX_PATH {
            return Err("no tree has a path of so many hashes");
        }
        let hash = line.strip_prefix("node_hash=").ok_or(must)?;
        path.push(hash.parse().map_err(|_| must)?);
    }
    Ok((index, path))
}

/// Bytes in hexadecimal digits, exactly as many as there is room for.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    }
    Some(bytes)
}

/// The lines of a text in which every line ends with a line feed.
struct Lines<'a> {
    lines: Split<'a, char>,
    /// Of the line that was read last, from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Result<Self, ProofError> {
        match text.strip_suffix('\n') {
            Some(text) => Ok(Self { lines: text.split('\n'), number: 0 }),
            None => {
                let line = 1 + text.matches('\n').count();
                Err(ProofError::Line { line, problem: "the line does not end with a line feed" })
            }
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.lines.next()
    }

    fn value(&mut self, key: &str, must: &'static str) -> Result<&'a str, &'static str> {
        self.next().and_then(|line| line.strip_prefix(key)).ok_or(must)
    }

    fn blank(&mut self, must: &'static str) -> Result<(), &'static str> {
        self.next().filter(|line| line.is_empty()).map(|_| ()).ok_or(must)
    }
}
