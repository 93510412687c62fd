//! Building again what somebody else has built, and comparing every byte.
//!
//! What is rebuilt is opened although nothing vouches for it: that is the point. Every reader has
//! limits, and what comes out decides nothing but whether this user signs.

pub mod image;
pub mod package;
pub mod tell;
mod workshop;

use std::path::PathBuf;

use ramstrap_cli::Error;
use rebuild::build::Builder;
use rebuild::compare::Comparison;
use rebuild::record;
use rebuild::record::Rebuilt;

/// How to rebuild.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The publisher's kept inputs: a directory or a URL.
    pub inputs: Option<String>,
    /// The repository that has the revision; none: that of this source tree.
    pub source: Option<String>,
    /// Refuse what was not built in the locked builder root.
    pub locked: bool,
    /// Leave checkout and result where they are.
    pub keep: bool,
}

/// What came of a rebuild that went through.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was rebuilt.
    pub original: PathBuf,
    /// The comparison: the first is the original.
    pub comparison: Comparison,
    /// What was built, how and when.
    pub rebuilt: Rebuilt,
    /// Where that was remembered: only if every byte is the same.
    pub record: Option<PathBuf>,
    /// Where the result is left, if it is.
    pub kept: Option<PathBuf>,
    /// What may explain a difference.
    pub remarks: Vec<String>,
}

/// A reason why nothing was compared.
type Failure = Error;

/// Whether something was built in a locked root, if that is asked for.
fn check_locked(builder: Option<&Builder>, options: &Options) -> Result<(), Failure> {
    if builder.is_none() && options.locked {
        return Err(Error::new("it was not built in a locked root").remedy(
            "ask the publisher for a build with --locked; without --locked here, it is rebuilt with \
             the tools of this machine, which have to be equal to the recorded ones",
        ));
    }
    Ok(())
}

impl Outcome {
    /// Remembers it, if every byte is the same.
    fn of(
        original: PathBuf,
        comparison: Comparison,
        rebuilt: Rebuilt,
        remarks: Vec<String>,
    ) -> Result<Self, Failure> {
        let record =
            if comparison.identical { Some(rebuilt.write(&record::directory()?)?) } else { None };
        Ok(Self { original, comparison, rebuilt, record, kept: None, remarks })
    }
}
