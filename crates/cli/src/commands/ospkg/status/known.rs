//! Who might sign: certificates that the operator knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use trust::Certificate;
use trust::Sha256Digest;
use trust::Timestamp;

use super::judge::Judge;
use super::judge::Verdict;
use crate::Error;
use crate::Result;
use crate::commands::keygen;
use crate::files;
use crate::output::Output;
use crate::package::Names;
use crate::text_file;

/// Somebody whose signature does not count yet.
#[derive(Debug, Serialize)]
pub(super) struct Candidate {
    pub(super) subject: String,
    /// SHA-256 of the key, as `denied_keys` names it.
    key: String,
    pub(super) not_after: String,
    /// Where the certificate was found.
    pub(super) from: String,
    /// Why a signature under this certificate would not count.
    pub(super) hindrance: Option<String>,
}

/// A certificate that was found.
pub(super) struct Known {
    certificate: Certificate,
    from: String,
}

/// Reads what `--expected` names.
pub(super) fn read(paths: &[PathBuf], output: &mut Output) -> Result<Vec<Known>> {
    let mut known = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = known.len();
            for file in certificates_in(path)? {
                match read_one(&file) {
                    Ok(found) => known.push(found),
                    Err(_) if is_private_key(&file) => output.warning(format!(
                        "{} is a private key, among certificates that are handed around: move it \
                         to where nobody but its owner reads it (passed over)",
                        file.display()
                    )),
                    Err(error) => output.warning(format!("{error} (passed over)")),
                }
            }
            if known.len() == before {
                return Err(Error::new(format!("{} holds no certificates", path.display()))
                    .remedy("give a directory with the signers' certificates, named *.pem"));
            }
        } else if path.extension().is_some_and(|it| it == "json") {
            let descriptor = Names::of_descriptor(path)?.read_descriptor()?;
            for endorsement in descriptor.endorsements() {
                if let Ok(certificate) = Certificate::parse(&endorsement.certificate_der) {
                    known.push(Known { certificate, from: path.display().to_string() });
                }
            }
        } else {
            known.push(read_one(path)?);
        }
    }
    Ok(known)
}

fn certificates_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::io("read", directory, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|it| it == "pem") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn is_private_key(file: &Path) -> bool {
    let label = |bytes: &[u8]| text_file::pem_label(bytes).map(str::to_owned);
    files::read(file).is_ok_and(|it| label(&it).is_some_and(|it| it.ends_with("PRIVATE KEY")))
}

fn read_one(file: &Path) -> Result<Known> {
    let der = keygen::read_certificate(file)?.to_der()?;
    let certificate = Certificate::parse(&der)
        .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
    Ok(Known { certificate, from: file.display().to_string() })
}

/// Those of them whose keys have not signed, one for each key: the one that can sign for longest.
pub(super) fn missing(known: Vec<Known>, judge: &Judge<'_>, now: &Verdict) -> Vec<Candidate> {
    let mut by_key: BTreeMap<Sha256Digest, (Option<Timestamp>, Candidate)> = BTreeMap::new();
    for Known { certificate, from } in known {
        let key = certificate.spki_sha256();
        if now.signers.iter().any(|signer| signer.key == key.to_string()) {
            continue;
        }
        let validity = trust::validity(certificate.der()).ok();
        let candidate = Candidate {
            subject: certificate.label(),
            key: key.to_string(),
            not_after: validity.map_or_else(|| "?".to_owned(), |(_, end)| end.to_string()),
            from,
            hindrance: hindrance(&certificate, key, validity, judge, now),
        };
        // What can be used comes before what cannot, then what lasts longer.
        let rank = candidate.hindrance.is_none().then(|| validity.map(|(_, end)| end)).flatten();
        match by_key.get(&key) {
            Some((other, _)) if *other >= rank => {}
            _ => {
                by_key.insert(key, (rank, candidate));
            }
        }
    }
    let mut candidates: Vec<Candidate> = by_key.into_values().map(|(_, it)| it).collect();
    candidates.sort_by(|one, other| one.subject.cmp(&other.subject));
    candidates
}

/// What speaks against asking this signer. A hint for people: whether a signature counts is decided
/// once it is there, and elsewhere.
fn hindrance(
    certificate: &Certificate,
    key: Sha256Digest,
    validity: Option<(Timestamp, Timestamp)>,
    judge: &Judge<'_>,
    now: &Verdict,
) -> Option<String> {
    let policy = judge.policy;
    if certificate.ed25519_public_key().is_none() {
        return Some("the key is not Ed25519".to_owned());
    }
    if policy.document().denied_keys().contains(&key) {
        return Some("the key is on the policy's denied_keys list".to_owned());
    }
    let roots = policy.signing_roots();
    if !roots.iter().any(|root| root.subject() == certificate.issuer()) {
        return Some(format!("issued by {}, which is no signing root", certificate.issuer()));
    }
    match validity {
        Some((_, end)) if end.unix() < now.at => Some(format!("the certificate ended on {end}")),
        Some((begin, _)) if begin.unix() > now.at => Some(format!("it is valid from {begin} on")),
        _ => None,
    }
}
