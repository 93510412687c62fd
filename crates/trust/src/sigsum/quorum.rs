//! Which sets of witnesses are enough.

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
    /// Whether the witnesses of which this is true, by their index in the policy, are enough.
    ///
    /// A group only has members that were defined before it: one pass decides all, whatever groups
    /// are in whatever others.
    pub(super) fn is_met_by(&self, acting: impl Fn(usize) -> bool) -> bool {
        let Some(root) = self.root else { return true };
        let mut acts = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let does = match member {
                Member::Witness(witness) => acting(*witness),
                Member::Group { needed, members } => {
                    let count = members.iter().filter(|it| acts.get(**it) == Some(&true)).count();
                    count >= *needed
                }
            };
            acts.push(does);
        }
        acts.get(root) == Some(&true)
    }

    /// The witnesses that the quorum asks, directly or in groups, in the order of the policy.
    pub(super) fn witnesses(&self) -> Vec<usize> {
        let mut asked = vec![false; self.members.len()];
        let ask = |index: usize, asked: &mut Vec<bool>| {
            if let Some(asked) = asked.get_mut(index) {
                *asked = true;
            }
        };
        if let Some(root) = self.root {
            ask(root, &mut asked);
        }
        let mut witnesses = Vec::new();
        for (index, member) in self.members.iter().enumerate().rev() {
            if asked.get(index) != Some(&true) {
                continue;
            }
            match member {
                Member::Witness(witness) => witnesses.push(*witness),
                Member::Group { members, .. } => {
                    members.iter().for_each(|member| ask(*member, &mut asked));
                }
            }
        }
        witnesses.reverse();
        witnesses
    }

    /// The latest time of which it is true that the witnesses which cosigned then or later are
    /// enough. `None` if they never are, or if nobody is needed.
    ///
    /// One witness whose clock is ahead, or who lies, does not move it where the quorum needs two.
    pub(super) fn time(&self, cosigned: impl Fn(usize) -> Option<i64>) -> Option<i64> {
        self.root?;
        let mut times: Vec<i64> = self.witnesses().into_iter().filter_map(&cosigned).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.into_iter().find(|time| {
            self.is_met_by(|witness| cosigned(witness).is_some_and(|cosigned| cosigned >= *time))
        })
    }
}

/// Key hash of a log or witness: SHA-256 of the 32 bytes of its key. Not that of its
/// SubjectPublicKeyInfo, by which this crate tells signers apart.
pub(super) fn key_hash(key: &[u8; 32]) -> Sha256Digest {
    Sha256Digest::of(key)
}
