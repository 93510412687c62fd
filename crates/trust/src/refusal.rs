//! Why an OS package is not authorised, signature by signature.

use core::fmt;

use report::Code;
use report::Coded;
use report::SkippedReport;

use crate::authorize::MAX_ENDORSEMENTS;

/// A signature that did not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// Position in the descriptor, from 1.
    pub entry: usize,
    /// Code of the reason.
    pub code: Code,
    /// Subject of the certificate, where it has one.
    pub subject: Option<String>,
    /// The reason in words, on one line.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature {}", self.entry)?;
        if let Some(subject) = &self.subject {
            write!(f, " by {subject}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl From<&Skipped> for SkippedReport {
    fn from(skipped: &Skipped) -> Self {
        let reason = match &skipped.subject {
            Some(subject) => format!("{subject}: {}", skipped.reason),
            None => skipped.reason.clone(),
        };
        Self { entry: skipped.entry, code: skipped.code, reason }
    }
}

/// Too few distinct keys have signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    found: usize,
    valid: usize,
    required: u64,
    skipped: Vec<Skipped>,
}

impl Refusal {
    pub(crate) const fn new(
        found: usize,
        valid: usize,
        required: u64,
        skipped: Vec<Skipped>,
    ) -> Self {
        Self { found, valid, required, skipped }
    }

    /// Signatures in the descriptor.
    #[must_use]
    pub const fn found(&self) -> usize {
        self.found
    }

    /// Distinct keys whose signatures count.
    #[must_use]
    pub const fn valid(&self) -> usize {
        self.valid
    }

    /// Distinct keys that must have signed.
    #[must_use]
    pub const fn required(&self) -> u64 {
        self.required
    }

    /// The signatures that do not count, in the descriptor's order.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many signatures count, how many must and how many there are, on one line: what
    /// `Display` says without the reasons, for those who list [`Refusal::skipped`] themselves.
    #[must_use]
    pub fn counts(&self) -> String {
        if self.too_many() {
            return format!(
                "{} signatures, more than the {MAX_ENDORSEMENTS} that are read",
                self.found
            );
        }
        format!(
            "{} of {} required signatures are valid ({} found)",
            self.valid, self.required, self.found
        )
    }

    const fn too_many(&self) -> bool {
        self.found > MAX_ENDORSEMENTS
    }
}

impl Coded for Refusal {
    /// The one reason that all skipped signatures share, if the threshold would be reached but for
    /// it; else [`Code::BelowThreshold`]. [`Code::DescriptorMalformed`] for more signatures than are
    /// looked at.
    fn code(&self) -> Code {
        if self.too_many() {
            return Code::DescriptorMalformed;
        }
        let enough = u64::try_from(self.found).is_ok_and(|found| found >= self.required);
        match self.skipped.split_first() {
            Some((first, rest)) if enough && rest.iter().all(|other| other.code == first.code) => {
                first.code
            }
            _ => Code::BelowThreshold,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.counts())?;
        let mut separator = ": ";
        for skipped in &self.skipped {
            write!(f, "{separator}{skipped}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl core::error::Error for Refusal {}
