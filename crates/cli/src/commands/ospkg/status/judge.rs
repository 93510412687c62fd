//! A package at any moment, as machines judge it then.

use core::cell::OnceCell;
use std::fs::File;

use ospkg::Descriptor;
use ospkg::Package;
use report::Code;
use report::SkippedReport;
use serde::Serialize;
use trust::Certificate;
use trust::Endorsement;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;
use trust::sigsum::Proof;

use super::super::judge;
use super::super::reading;
use crate::Error;
use crate::Result;
use crate::dates;
use crate::package;
use crate::package::Sink;
use crate::progress::Progress;

/// What is said of a package whose manifest was not judged, and against which nothing else speaks.
pub(super) const UNKNOWN: &str = "enough signatures; whether it boots is not known without the archive \
                                  (its manifest, kernel and initramfs)";

/// How far ahead an end is looked for: a hundred years.
const HORIZON: i64 = 36_525 * dates::DAY;

/// All that a verdict depends on, but the time.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a TrustPolicy,
    pub(super) descriptor: &'a Descriptor,
    pub(super) digest: Sha256Digest,
    /// Its manifest is judged as well, where it is at hand.
    pub(super) archive: Option<&'a File>,
    /// For what it is refused whatever is in it, and at any time.
    pub(super) from_mirrors: Vec<Error>,
    /// For what kernel or initramfs are refused, once they were read.
    pub(super) contents: OnceCell<Option<Error>>,
    /// Whether an operator gave the moment, which then no witness's time changes.
    pub(super) given: bool,
}

/// Whether machines boot it at one moment.
pub(super) struct Verdict {
    pub(super) at: i64,
    pub(super) valid: usize,
    pub(super) required: u64,
    pub(super) signers: Vec<Signer>,
    pub(super) skipped: Vec<SkippedReport>,
    /// Why not.
    pub(super) refused: Option<Error>,
    /// The end that the manifest sets, where it was read.
    end: Option<i64>,
    /// Whether the archive's manifest was judged: it has a say of its own.
    whole: bool,
}

/// Somebody whose signature counts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Signer {
    pub(super) subject: String,
    /// SHA-256 of the key, as `denied_keys` names it.
    pub(super) key: String,
    pub(super) not_after: String,
    #[serde(skip)]
    end: i64,
}

impl Judge<'_> {
    /// Asks the one place that decides, and then the archive's manifest.
    pub(super) fn at(&self, at: i64) -> Verdict {
        let clock = if self.given { dates::clock(Some(at)) } else { dates::right_clock(at) };
        let judged =
            trust::authorize(self.policy, self.descriptor.endorsements(), self.digest, &clock);
        let mut end = None;
        let (valid, required, skipped, refused) = match judged {
            Ok(authorized) => {
                let (valid, required) = (authorized.signers().len(), authorized.threshold());
                let skipped = authorized.skipped_reports();
                let opened = self.archive.map(|it| Package::open(authorized, self.digest, it));
                let refused = match opened {
                    Some(Ok(package)) => {
                        end = package.manifest().not_after.map(Timestamp::unix);
                        self.contents.get_or_init(|| unpacked(package).err()).clone()
                    }
                    Some(Err(error)) => Some(package::refused(&error)),
                    None => None,
                };
                (valid, required, skipped, refused)
            }
            Err(refusal) => {
                let skipped = refusal.skipped().iter().map(Into::into).collect();
                (refusal.valid(), refusal.required(), skipped, Some(judge::refused(&refusal)))
            }
        };
        let signers = self.signers(valid, &skipped);
        // What the machine finds first is what it says; the rest is worth knowing all the same.
        let mut all = self.from_mirrors.iter().cloned().chain(refused);
        let first = all.next();
        let refused = first.map(|it| all.fold(it, |it, next| it.detail(reading::line(&next))));
        Verdict {
            at,
            valid,
            required,
            signers,
            skipped,
            refused,
            end,
            whole: self.archive.is_some(),
        }
    }

    /// Those that were counted: all that were not skipped.
    fn signers(&self, valid: usize, skipped: &[SkippedReport]) -> Vec<Signer> {
        let counted = (1..)
            .zip(self.descriptor.endorsements())
            .filter(|(entry, _)| skipped.iter().all(|skipped| skipped.entry != *entry))
            .filter_map(|(_, endorsement)| {
                let certificate = Certificate::parse(&endorsement.certificate_der).ok()?;
                Some(Signer {
                    subject: certificate.label(),
                    key: certificate.spki_sha256().to_string(),
                    not_after: certificate.not_after().to_string(),
                    end: certificate.not_after().unix(),
                })
            });
        // A descriptor with too many signatures is refused unread: none is counted, none skipped.
        counted.take(valid).collect()
    }

    /// What ends after this moment, in order: signers' certificates and Sigsum proofs, roots, and the
    /// package itself.
    pub(super) fn calendar(&self, now: &Verdict) -> Vec<(i64, String)> {
        let roots = self.policy.signing_roots().iter().filter_map(root_end);
        let signers =
            now.signers.iter().map(|it| (it.end, format!("certificate of {}", it.subject)));
        let mut ends: Vec<(i64, String)> =
            signers.chain(roots).chain(self.proof_ends(now)).collect();
        ends.extend(now.end.map(|end| (end, "the package, as its manifest says".to_owned())));
        ends.retain(|(end, _)| *end >= now.at);
        ends.sort();
        ends.dedup();
        ends
    }

    /// When the proofs of those who are counted are older than the policy allows.
    fn proof_ends(&self, now: &Verdict) -> Vec<(i64, String)> {
        let age = self.policy.document().max_cosignature_age();
        let (Some(sigsum), Some(age)) = (self.policy.sigsum(), age) else { return Vec::new() };
        let end = |endorsement: &Endorsement| {
            let certificate = Certificate::parse(&endorsement.certificate_der).ok()?;
            let proof = Proof::parse(&endorsement.signature).ok()?;
            let logged = sigsum.verify(&proof, &certificate, self.digest).ok()?;
            let subject = certificate.label();
            let counted = now.signers.iter().any(|signer| signer.subject == subject);
            let end = logged.time()?.unix().saturating_add_unsigned(age);
            counted.then(|| (end, format!("Sigsum proof of {subject}")))
        };
        self.descriptor.endorsements().iter().filter_map(end).collect()
    }

    /// The last moment at which it boots, if it boots now, and the verdict right after it. Found by
    /// asking, so it is right for ends that nothing here knows of.
    pub(super) fn boots_until(&self, now: &Verdict) -> Option<(i64, Verdict)> {
        if !now.boots() {
            return None;
        }
        let marks = self.calendar(now).into_iter().map(|(end, _)| end.saturating_add(1));
        let (mut good, mut bad) = (now.at, None);
        for mark in marks.chain([now.at.saturating_add(HORIZON)]) {
            let verdict = self.at(mark);
            if !verdict.boots() {
                bad = Some(verdict);
                break;
            }
            good = mark;
        }
        let mut bad = bad?;
        while bad.at.saturating_sub(good) > 1 {
            let middle = self.at(good + (bad.at - good) / 2);
            match middle.boots() {
                true => good = middle.at,
                false => bad = middle,
            }
        }
        Some((good, bad))
    }
}

/// Reads kernel and initramfs to their ends.
fn unpacked(package: Package<&File>) -> Result<()> {
    let _progress = Progress::spinner("unpacking");
    let kernel = package.manifest().kernel.clone();
    let package = package
        .extract(Sink::default(), Sink::default(), |_, _| {})
        .map_err(|error| package::refused(&error))?;
    package::check_kernel(&package.kernel().head)
        .map_err(|error| error.on(format!("archive: {kernel}")))
}

fn root_end(root: &Certificate) -> Option<(i64, String)> {
    let (_, end) = trust::validity(root.der()).ok()?;
    Some((end.unix(), format!("root {}", root.label())))
}

impl Verdict {
    /// Whether nothing that was judged speaks against it.
    pub(super) fn boots(&self) -> bool {
        self.refused.is_none()
    }

    /// As [`Verdict::boots`], but none where only the manifest could say so, which was not judged.
    pub(super) fn known_to_boot(&self) -> Option<bool> {
        (self.whole || !self.boots()).then(|| self.boots())
    }

    /// How many distinct keys more must sign.
    pub(super) fn missing(&self) -> u64 {
        self.required.saturating_sub(u64::try_from(self.valid).unwrap_or(u64::MAX))
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.refused.as_ref().and_then(Error::code)
    }

    /// Why not, in one line.
    pub(super) fn reason(&self) -> String {
        self.refused.as_ref().map(reading::line).unwrap_or_default()
    }

    /// Yes or no, in one line.
    pub(super) fn brief(&self) -> String {
        match self.known_to_boot() {
            Some(true) => format!("yes, {} of {}", self.valid, self.required),
            Some(false) => format!("NO: {}", self.reason()),
            None => format!("{UNKNOWN}, {} of {}", self.valid, self.required),
        }
    }
}
