//! The cases, by what goes wrong.

mod config;
mod download;
mod machine;
mod network;
mod signatures;

use crate::case::Case;

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    [signatures::cases(), download::cases(), network::cases(), config::cases(), machine::cases()]
        .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let mut names = HashSet::new();
        for case in super::all() {
            assert!(names.insert(case.name), "{} is there twice", case.name);
        }
    }
}
