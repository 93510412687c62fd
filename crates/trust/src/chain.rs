//! Paths from a signer's certificate to a signing root: one or two certificates, never more.

use report::Code;

use crate::Certificate;
use crate::Clock;
use crate::TimeError;
use crate::TrustPolicy;

/// Why a certificate cannot be a signing root.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RootError(pub(crate) String);

/// Why a certificate does not speak for the signing roots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ChainError {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl ChainError {
    fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Whether a certificate can be a signing root at all. Dates are judged when a package is verified:
/// an expired root must not make the rest of a policy unreadable.
pub(crate) fn check_root(root: &Certificate) -> Result<(), RootError> {
    let refuse = |reason: String| Err(RootError(reason));
    if let Err(error) = root.key() {
        return refuse(error.to_string());
    }
    if !root.is_ca() {
        return refuse("it is not a CA certificate (basicConstraints CA:TRUE)".to_owned());
    }
    if !root.may_sign_certificates() {
        return refuse("its keyUsage does not include keyCertSign".to_owned());
    }
    if root.has_name_constraints() {
        return refuse("it has nameConstraints, which are not supported".to_owned());
    }
    if let Some(oid) = root.unknown_critical_extension() {
        return refuse(format!("it has the unknown critical extension {oid}"));
    }
    Ok(())
}

/// Whether a certificate is one of the policy's signing roots, or was issued directly by one, may
/// sign packages, is valid at this time, and neither key is denied.
///
/// Where more than one root could have issued it (a root that was renewed under its old name), one
/// good path is enough.
pub(crate) fn check(
    leaf: &Certificate,
    policy: &TrustPolicy,
    clock: &Clock,
) -> Result<(), ChainError> {
    let roots = policy.signing_roots();
    if let Some(root) = roots.iter().find(|root| root.der() == leaf.der()) {
        return check_path(leaf, root, policy, clock);
    }
    if let Some(oid) = leaf.unknown_critical_extension() {
        let reason = format!("certificate has the unknown critical extension {oid}");
        return Err(ChainError::new(Code::SignerUntrusted, reason));
    }
    if leaf.has_name_constraints() {
        let reason = "certificate has nameConstraints, which are not supported";
        return Err(ChainError::new(Code::SignerUntrusted, reason));
    }

    let mut failure = None;
    for root in roots.iter().filter(|root| leaf.names_as_issuer(root)) {
        match check_issued_by(leaf, root).and_then(|()| check_path(leaf, root, policy, clock)) {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(further(failure, error)),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let reason = match leaf.issuer() {
            "" => "certificate names no issuer that is a signing root".to_owned(),
            issuer => format!("certificate is issued by {issuer}, which is no signing root"),
        };
        ChainError::new(Code::SignerUntrusted, reason)
    }))
}

fn check_issued_by(leaf: &Certificate, root: &Certificate) -> Result<(), ChainError> {
    if leaf.is_twin_of(root) {
        let reason = format!("certificate has name and key of {}, but is another", root.label());
        return Err(ChainError::new(Code::SignerUntrusted, reason));
    }
    let untrusted = |why: String| {
        let reason = format!("certificate is not issued by {}: {why}", root.label());
        ChainError::new(Code::SignerUntrusted, reason)
    };
    let key = root.key().map_err(|error| untrusted(error.to_string()))?;
    leaf.verify_issued_by(key).map_err(|error| untrusted(error.to_string()))
}

/// Usage, dates and denied keys of a path whose signature is good. `leaf` may be `root` itself.
fn check_path(
    leaf: &Certificate,
    root: &Certificate,
    policy: &TrustPolicy,
    clock: &Clock,
) -> Result<(), ChainError> {
    check_usage(leaf, root)?;
    check_dates(leaf, root, clock)?;
    check_denied(leaf, root, policy)
}

fn check_usage(leaf: &Certificate, root: &Certificate) -> Result<(), ChainError> {
    if !leaf.may_sign_code() {
        let reason = "certificate has extended key usages, but not codeSigning";
        return Err(ChainError::new(Code::SignerUsage, reason));
    }
    if !root.may_sign_code() {
        let reason =
            format!("signing root {} has extended key usages, but not codeSigning", root.label());
        return Err(ChainError::new(Code::SignerUsage, reason));
    }
    Ok(())
}

fn check_dates(leaf: &Certificate, root: &Certificate, clock: &Clock) -> Result<(), ChainError> {
    let not_before = leaf.not_before().max(root.not_before());
    let not_after = leaf.not_after().min(root.not_after());
    let whose = |by_leaf: bool| {
        if by_leaf { "certificate".to_owned() } else { format!("signing root {}", root.label()) }
    };
    clock.check(not_before, not_after).map_err(|error| match error {
        TimeError::Expired(_) => {
            let reason = format!("{} {error}", whose(leaf.not_after() == not_after));
            ChainError::new(Code::SignerExpired, reason)
        }
        TimeError::NotYetValid(_) => {
            let reason = format!("{} is {error}", whose(leaf.not_before() == not_before));
            ChainError::new(Code::SignerNotYetValid, reason)
        }
    })
}

/// A denied key neither signs packages nor makes other keys signers.
fn check_denied(
    leaf: &Certificate,
    root: &Certificate,
    policy: &TrustPolicy,
) -> Result<(), ChainError> {
    let denied = policy.document().denied_keys();
    let key = leaf.spki_sha256();
    if denied.contains(&key) {
        let reason = format!("key {key} is on the policy's denied_keys list");
        return Err(ChainError::new(Code::SignerDenied, reason));
    }
    let key = root.spki_sha256();
    if denied.contains(&key) {
        let reason = format!(
            "key {key} of signing root {} is on the policy's denied_keys list",
            root.label()
        );
        return Err(ChainError::new(Code::SignerDenied, reason));
    }
    Ok(())
}

/// Of two failed paths, the one that came further: it says best what is wrong.
fn further(before: Option<ChainError>, error: ChainError) -> ChainError {
    match before {
        Some(before) if before.code != Code::SignerUntrusted => before,
        _ => error,
    }
}

#[cfg(test)]
mod oracles;
#[cfg(test)]
mod tests;
