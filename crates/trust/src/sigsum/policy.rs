//! `ospkg_trust_policy`: which logs and witnesses count.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;

use super::quorum::Member;
use super::quorum::Quorum;
use super::quorum::key_hash;
use crate::Sha256Digest;
use crate::certificate::printable;
use crate::key;

/// Longest `ospkg_trust_policy` that is read, in bytes.
pub const MAX_SIGSUM_POLICY_LEN: usize = 64 * 1024;

/// Name of the quorum that needs no witness. Nothing else may have it.
const NONE: &str = "none";

/// Why `ospkg_trust_policy` cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SigsumPolicyError {
    /// The file is longer than [`MAX_SIGSUM_POLICY_LEN`].
    #[error("longer than {MAX_SIGSUM_POLICY_LEN} bytes")]
    TooLong,
    /// A line cannot be used.
    #[error("line {line}: {problem}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A line that must be there is not.
    #[error("{0}")]
    Missing(&'static str),
}

/// A Sigsum policy: logs, witnesses, and the quorum of witnesses that makes a tree head count.
///
/// One line for each thing, items separated by spaces and tabs:
///
/// ```text
/// # comments have a line of their own
/// log KEY [URL]
/// witness NAME KEY [URL]
/// group NAME all|any|NUMBER MEMBER...
/// quorum NAME|none
/// ```
///
/// Keys are Ed25519 keys of 64 hexadecimal digits. Witnesses and groups share one name space, and are
/// defined before the lines that name them. There is exactly one quorum.
///
/// ```
/// let key = "4a921b7caef58ae670cdc11ef4184f1c058f7b9259a9107a969f69fa54aa496f";
/// let policy = trust::SigsumPolicy::parse(format!("log {key}\nquorum none\n").as_bytes())?;
/// assert_eq!(policy.warnings().len(), 1);
/// # Ok::<(), trust::SigsumPolicyError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SigsumPolicy {
    digest: Sha256Digest,
    /// By the hash of their keys.
    pub(super) logs: BTreeMap<Sha256Digest, VerifyingKey>,
    pub(super) witnesses: Vec<Witness>,
    pub(super) quorum: Quorum,
}

/// A witness of the policy, whether the quorum asks it or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Witness {
    /// Fit for a console.
    pub(super) name: String,
    pub(super) key: VerifyingKey,
    pub(super) key_hash: Sha256Digest,
}

impl SigsumPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// [`SigsumPolicyError`], with the number of the first line that cannot be used.
    pub fn parse(file: &[u8]) -> Result<Self, SigsumPolicyError> {
        if file.len() > MAX_SIGSUM_POLICY_LEN {
            return Err(SigsumPolicyError::TooLong);
        }
        let mut reader = Reader::default();
        for (number, line) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            reader
                .line(line)
                .map_err(|problem| SigsumPolicyError::Line { line: number, problem })?;
        }
        if reader.logs.is_empty() {
            return Err(SigsumPolicyError::Missing(
                "there is no log line, so that no proof counts",
            ));
        }
        let root = reader.quorum.ok_or(SigsumPolicyError::Missing(
            "there is no quorum line; `quorum none` asks for no witness",
        ))?;
        Ok(Self {
            digest: Sha256Digest::of(file),
            logs: reader.logs,
            witnesses: reader.witnesses,
            quorum: Quorum { members: reader.members, root },
        })
    }

    /// SHA-256 of the file.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Key hashes of the logs.
    pub fn logs(&self) -> impl Iterator<Item = Sha256Digest> {
        self.logs.keys().copied()
    }

    /// Names of the witnesses that the quorum asks, in the order of the file.
    pub fn witnesses(&self) -> impl Iterator<Item = &str> {
        let asked = self.quorum.witnesses();
        self.witnesses
            .iter()
            .enumerate()
            .filter(move |(index, _)| asked.contains(index))
            .map(|(_, witness)| witness.name.as_str())
    }

    /// The fewest witnesses that can meet the quorum; 0 if none is needed.
    #[must_use]
    pub fn fewest_witnesses(&self) -> usize {
        // A witness that stands in two groups is counted in both: then it is fewer than said.
        let mut fewest: Vec<usize> = Vec::with_capacity(self.quorum.members.len());
        for member in &self.quorum.members {
            fewest.push(match member {
                Member::Witness(_) => 1,
                Member::Group { needed, members } => {
                    let mut costs: Vec<usize> =
                        members.iter().filter_map(|it| fewest.get(*it).copied()).collect();
                    costs.sort_unstable();
                    costs.iter().take(*needed).fold(0, |sum, cost| sum.saturating_add(*cost))
                }
            });
        }
        let root = self.quorum.root.and_then(|root| fewest.get(root).copied()).unwrap_or_default();
        root.min(self.witnesses.len())
    }

    /// Whether cosignatures are needed at all; without them nothing proves when a proof was made.
    #[must_use]
    pub const fn needs_witnesses(&self) -> bool {
        self.quorum.root.is_some()
    }

    /// What an operator should look at, though it does not make the policy invalid.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.needs_witnesses() {
            warnings.push(
                "the quorum is none: the log alone can show this machine a tree that nobody else sees"
                    .to_owned(),
            );
            return warnings;
        }
        let asked = self.quorum.witnesses();
        for (index, witness) in self.witnesses.iter().enumerate() {
            if !asked.contains(&index) {
                warnings.push(format!("the quorum does not ask witness {}", witness.name));
            } else if self.logs.contains_key(&witness.key_hash) {
                warnings.push(format!(
                    "witness {} has the key of a log, which thereby watches itself",
                    witness.name
                ));
            }
        }
        warnings
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    logs: BTreeMap<Sha256Digest, VerifyingKey>,
    witnesses: Vec<Witness>,
    witness_keys: BTreeSet<Sha256Digest>,
    members: Vec<Member>,
    names: BTreeMap<String, usize>,
    /// Of the quorum line, if there was one.
    quorum: Option<Option<usize>>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = core::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        if line.ends_with('\r') {
            return Err("it ends with a carriage return; lines end with a line feed alone".into());
        }
        if line.contains(|character: char| character.is_control() && character != '\t') {
            return Err("it has a control character".into());
        }
        let items: Vec<&str> = line.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
        let Some((keyword, items)) = items.split_first() else { return Ok(()) };
        if keyword.starts_with('#') {
            return Ok(());
        }
        // Older readers end the line here, newer ones read on.
        if items.iter().any(|item| item.starts_with('#')) {
            return Err("a comment must have a line of its own".into());
        }
        match (*keyword, items) {
            ("log", [key] | [key, _]) => self.log(key),
            ("log", _) => Err("it must be `log KEY [URL]`".into()),
            ("witness", [name, key] | [name, key, _]) => self.witness(name, key),
            ("witness", _) => Err("it must be `witness NAME KEY [URL]`".into()),
            ("group", [name, needed, members @ ..]) if !members.is_empty() => {
                self.group(name, needed, members)
            }
            ("group", _) => Err("it must be `group NAME all|any|NUMBER MEMBER...`".into()),
            ("quorum", [name]) => self.quorum(name),
            ("quorum", _) => Err("it must be `quorum NAME` or `quorum none`".into()),
            (other, _) => Err(format!(
                "it begins with {:?}, not with log, witness, group or quorum",
                printable(other)
            )),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = public_key(key)?;
        match self.logs.insert(key_hash(key.as_bytes()), key) {
            None => Ok(()),
            Some(_) => Err("a log before has the same key".into()),
        }
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        let key = public_key(key)?;
        let key_hash = key_hash(key.as_bytes());
        if !self.witness_keys.insert(key_hash) {
            return Err("a witness before has the same key; it would count twice".into());
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: printable(name), key, key_hash });
        Ok(())
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), String> {
        let mut indexes = BTreeSet::new();
        for member in members {
            if !indexes.insert(self.find(member)?) {
                return Err(format!(
                    "{:?} is named twice; it would count twice",
                    printable(member)
                ));
            }
        }
        let count = indexes.len();
        let needed = match needed {
            "any" => 1,
            "all" => count,
            number => decimal(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=count).contains(number))
                .ok_or_else(|| {
                    format!(
                        "{:?} must be any, all or a number from 1 to {count}, the number of members",
                        printable(number)
                    )
                })?,
        };
        self.define(name, Member::Group { needed, members: indexes.into_iter().collect() })
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("there was a quorum line before".into());
        }
        self.quorum = Some(if name == NONE { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), String> {
        if name == NONE {
            return Err("the name none means that no witness is needed".into());
        }
        if self.names.insert(name.to_owned(), self.members.len()).is_some() {
            return Err(format!("the name {:?} is taken by a line before", printable(name)));
        }
        self.members.push(member);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.names.get(name).copied().ok_or_else(|| {
            format!("no witness or group before this line is called {:?}", printable(name))
        })
    }
}

/// A number without sign and leading zeros, below 2^63: what all readers take for the same one.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = if plain { text.parse().ok() } else { None };
    number.filter(|number| i64::try_from(*number).is_ok())
}

fn public_key(hex: &str) -> Result<VerifyingKey, String> {
    let bytes: Sha256Digest =
        hex.parse().map_err(|_| "the key must be 64 hexadecimal digits".to_owned())?;
    key::ed25519(bytes.as_bytes()).map_err(|error| error.to_string())
}
