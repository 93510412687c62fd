//! Which sets of witnesses are enough.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::Sha256Digest;

/// Something that a quorum is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Member {
    /// Index of a witness in the policy.
    Witness(usize),
    Group {
        /// At least 1, at most as many as there are members.
        needed: usize,
        /// Indexes of members that stand before this group; each once.
        members: Vec<usize>,
    },
}

/// Witnesses and groups in the order of their definition, and which of them must act.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Quorum {
    pub(super) members: Vec<Member>,
    /// `None` if no witness is needed.
    pub(super) root: Option<usize>,
}

impl Quorum {
    /// Whether these witnesses, by their index in the policy, are enough.
    ///
    /// A group only has members that were defined before it: one pass decides all, whatever groups
    /// are in whatever others.
    pub(super) fn is_met_by(&self, acting: &BTreeSet<usize>) -> bool {
        let Some(root) = self.root else { return true };
        let mut acts = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let does = match member {
                Member::Witness(witness) => acting.contains(witness),
                Member::Group { needed, members } => {
                    let count = members.iter().filter(|it| acts.get(**it) == Some(&true)).count();
                    count >= *needed
                }
            };
            acts.push(does);
        }
        acts.get(root) == Some(&true)
    }

    /// The witnesses that the quorum asks, directly or in groups.
    pub(super) fn witnesses(&self) -> BTreeSet<usize> {
        let mut asked: BTreeSet<usize> = self.root.into_iter().collect();
        let mut witnesses = BTreeSet::new();
        for (index, member) in self.members.iter().enumerate().rev() {
            if !asked.contains(&index) {
                continue;
            }
            match member {
                Member::Witness(witness) => {
                    witnesses.insert(*witness);
                }
                Member::Group { members, .. } => asked.extend(members),
            }
        }
        witnesses
    }

    /// The latest time of which it is true that the witnesses which cosigned then or later are
    /// enough. `None` if they never are, or if nobody is needed.
    ///
    /// One witness whose clock is ahead, or who lies, does not move it where the quorum needs two.
    pub(super) fn time(&self, cosigned: &BTreeMap<usize, i64>) -> Option<i64> {
        self.root?;
        let mut latest_first: Vec<(i64, usize)> =
            cosigned.iter().map(|(witness, time)| (*time, *witness)).collect();
        latest_first.sort_unstable_by(|one, other| other.cmp(one));
        let mut acting = BTreeSet::new();
        latest_first.into_iter().find_map(|(time, witness)| {
            acting.insert(witness);
            self.is_met_by(&acting).then_some(time)
        })
    }
}

/// Key hash of a log or witness: SHA-256 of the 32 bytes of its key. Not that of its
/// SubjectPublicKeyInfo, by which this crate tells signers apart.
pub(super) fn key_hash(key: &[u8; 32]) -> Sha256Digest {
    Sha256Digest::of(key)
}
