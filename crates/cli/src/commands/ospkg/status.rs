//! `ramstrap ospkg status`.

mod judge;
mod known;

use core::cell::OnceCell;
use std::path::PathBuf;

use report::Code;
use serde_json::Value;
use serde_json::json;
use trust::Sha256Digest;

use self::judge::Judge;
use self::judge::Verdict;
use self::known::Candidate;
use super::reading::Reader;
use super::reading::refused_from_mirrors;
use super::sigsum::warn_of_future;
use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::dates;
use crate::output::Output;
use crate::package::Names;

/// Days that are looked ahead when none are given.
const DAYS: [u32; 2] = [30, 90];

/// Say how far a package is with its signatures, what ends when, and until when it boots.
///
/// It is judged as machines with this trust policy judge it: now, in some days, and at the end of
/// everything that ends. That is all that `ospkg verify` looks at: also whether kernel and initramfs
/// can be unpacked and the kernel started, and, where machines fetch packages, whether they can find
/// the archive and take the files as they are, encrypted with age or not. Without the archive
/// (--digest) it is only known whether the signatures are enough: everything is shown then, too, but
/// the exit status is never 0.
///
/// Exit status: 0 it boots now, and still in each number of days that --days asks for; 1 it does not,
/// that is not known, or an input cannot be used; 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A trust policy directory.
    #[arg(long, value_name = "DIR")]
    trust_policy: PathBuf,
    /// Who might sign: a certificate, a directory of certificates (*.pem), or the descriptor of an
    /// earlier release (*.json), whose signers are meant. A policy knows roots, not signers: without
    /// this it is only said how many are missing.
    #[arg(long, value_name = "PATH")]
    expected: Vec<PathBuf>,
    /// SHA-256 of the archive, in hex, where NAME.zip is not beside the descriptor.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Sha256Digest>,
    /// Judge as of this moment, such as 2026-11-21 or 2026-11-21T22:07:17Z. Without it: now.
    #[arg(long, value_name = "DATE", value_parser = dates::parse, allow_hyphen_values = true)]
    at: Option<i64>,
    /// In how many days it must still boot; several with commas. Without it: 30 and 90, as a warning.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Vec<u32>,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

/// What to do about proofs that are too old, or will be.
const NEW_PROOFS: &str = "submit the archive to the log again, and put the new proofs in with \
                          `ramstrap ospkg sigsum attach --replace`";

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg status --trust-policy trust-policy/ os.json
  ramstrap ospkg status --trust-policy trust-policy/ --expected certs/ os.json
  # for a timer
  ramstrap ospkg status --trust-policy trust-policy/ --days 30 site/os.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let policy = super::judge::policy(&args.trust_policy, output)?;
    let names = Names::of_descriptor(&args.descriptor)?;
    let reader = Reader::new(&names, None, Some(&policy));
    let descriptor = reader.descriptor()?;
    let mut encrypted = None;
    let (digest, archive) = names.digest_or_of(args.digest, || {
        let found = reader.archive()?;
        encrypted = Some(found.encrypted);
        Ok(found.plain)
    })?;
    if archive.is_none() {
        output.warning(format!("{} is not here: it is not judged", names.archive.display()));
    }
    let from_mirrors = refused_from_mirrors(&policy, &descriptor, encrypted);
    let descriptor = descriptor.plain;
    if args.at.is_none() {
        warn_of_future(policy.sigsum(), descriptor.endorsements(), digest, output);
    }
    let judge = Judge {
        policy: &policy,
        descriptor: &descriptor,
        digest,
        archive: archive.as_ref(),
        from_mirrors,
        contents: OnceCell::new(),
        given: args.at.is_some(),
    };
    let at = args.at.unwrap_or_else(dates::now);
    let now = judge.at(at);
    let asked = if args.days.is_empty() { &DAYS[..] } else { args.days.as_slice() };
    let later: Vec<(u32, Verdict)> = asked
        .iter()
        .map(|days| (*days, judge.at(at.saturating_add(i64::from(*days) * dates::DAY))))
        .collect();
    let candidates = known::read(&args.expected, output)?;
    let candidates = known::missing(candidates, &judge, &now);

    output.field("descriptor", names.descriptor.display());
    output.field("SHA-256", digest);
    output.field("judged as of", dates::format(at));
    show_signatures(&now, &candidates, args, output);
    let calendar = judge.calendar(&now);
    let mut events = Vec::new();
    // When it boots no more. What ends later, or of a package that does not boot, changes nothing.
    let mut last = (!now.boots()).then_some(at);
    for (end, what) in calendar {
        let after = judge.at(end.saturating_add(1));
        let matters = last.is_none_or(|last| last == end);
        let then = if matters { format!(": {}", after.brief()) } else { String::new() };
        output.field("ends", format!("{} {what}{then}", dates::format(end)));
        if !after.boots() {
            last = last.or(Some(end));
        }
        events.push(json!({
            "at": dates::format(end), "what": what, "valid_after": after.valid, "boots_after": after.known_to_boot(),
        }));
    }
    output.field("boots now", now.brief());
    for (days, verdict) in &later {
        output.field(&format!("in {}", count(*days as usize, "day")), verdict.brief());
    }
    let until = judge.boots_until(&now);
    match &until {
        Some((last, first)) => {
            let name = if archive.is_some() { "boots until" } else { "enough until" };
            output.field(name, format!("{} ({})", dates::format(*last), first.reason()));
        }
        None if now.known_to_boot() == Some(true) => {
            output.field("boots until", "no end in the next hundred years")
        }
        None => {}
    }
    let result = json!({
        "descriptor": names.descriptor,
        "archive_sha256": digest.to_string(),
        "at": dates::format(at),
        "required": now.required,
        "valid": now.valid,
        "missing": now.missing(),
        "signers": now.signers,
        "skipped": now.skipped,
        "expected": candidates,
        "ends": events,
        "boots": now.known_to_boot(),
        "manifest_judged": archive.is_some(),
        "later": later.iter().map(|(days, it)| json!({
            "days": days, "at": dates::format(it.at), "boots": it.known_to_boot(), "valid": it.valid,
            "code": it.code().map(|code| code.id()),
        })).collect::<Vec<Value>>(),
        "boots_until": until.as_ref().map(|(last, _)| dates::format(*last)),
    });
    decide(args, &now, &later, result.clone(), output)?;
    if archive.is_some() {
        output.result(result);
        return Ok(());
    }
    let document = policy.document();
    let asks = [
        ("min_release", document.min_release().is_some()),
        ("channel", document.channel().is_some()),
    ];
    let asks: Vec<&str> = asks.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
    let error = Error::new(format!("{}: {}", names.descriptor.display(), judge::UNKNOWN));
    let error = match asks.is_empty() {
        true => error,
        false => error.detail(format!("the policy asks for {}", asks.join(" and "))),
    };
    Err(error
        .remedy(format!("ask again with the archive there, as {}", names.archive.display()))
        .data(result))
}

fn show_signatures(now: &Verdict, candidates: &[Candidate], args: &Args, output: &Output) {
    output.field("signatures", format!("{} valid, {} required", now.valid, now.required));
    for signer in &now.signers {
        output.field("signed by", format!("{} (until {})", signer.subject, signer.not_after));
    }
    for skipped in &now.skipped {
        let line = format!("signature {}: {} [{}]", skipped.entry, skipped.reason, skipped.code);
        output.field("not counted", line);
    }
    if now.missing() > 0 {
        let who: Vec<&str> = candidates
            .iter()
            .filter(|it| it.hindrance.is_none())
            .map(|it| it.subject.as_str())
            .collect();
        let key = if now.missing() == 1 { "key" } else { "distinct keys" };
        let who = match (who.is_empty(), args.expected.is_empty()) {
            (false, _) => format!(", of: {}", who.join(", ")),
            (true, false) => ", and none of those expected can sign".to_owned(),
            (true, true) => " (--expected with their certificates says whose)".to_owned(),
        };
        output.field("missing", format!("{} more {key}{who}", now.missing()));
    }
    for candidate in candidates {
        let (subject, from) = (&candidate.subject, &candidate.from);
        output.field(
            if candidate.hindrance.is_none() { "can sign" } else { "cannot sign" },
            match &candidate.hindrance {
                None => format!("{subject} (until {}; {from})", candidate.not_after),
                Some(reason) => format!("{subject}: {reason} ({from})"),
            },
        );
    }
}

fn decide(
    args: &Args,
    now: &Verdict,
    later: &[(u32, Verdict)],
    result: Value,
    output: &mut Output,
) -> Result<()> {
    let name = args.descriptor.display();
    if let Some(error) = &now.refused {
        let error = error.clone().on(name).data(result);
        let other = now.skipped.iter().any(|it| it.code == Code::SignatureWrong);
        return Err(match args.digest {
            _ if error.code() == Some(Code::SigsumTooOld) => error.remedy(NEW_PROOFS),
            Some(_) if other => error.remedy(
                "ask whoever told you the digest whether it is that of this package; those who have \
                 signed another archive must sign again",
            ),
            _ => error,
        });
    }
    let ended = later.iter().find(|(_, verdict)| !verdict.boots());
    if let Some((days, verdict)) = ended {
        let days = count(*days as usize, "day");
        let known = now.known_to_boot().is_some();
        let has = if known { "boots now" } else { "has enough signatures now" };
        let message = format!(
            "{name} {has}, but not any more in {days} ({}): {}",
            dates::format(verdict.at),
            verdict.reason()
        );
        if args.days.is_empty() {
            output.warning(message);
        } else {
            let error = verdict.code().map_or_else(
                || Error::new(message.clone()),
                |code| Error::with_code(code, message.clone()),
            );
            return Err(error.remedy(before_that_day(now, verdict)).data(result));
        }
    }
    Ok(())
}

/// What keeps it booting, for each thing that has ended by then and counts now.
fn before_that_day(now: &Verdict, then: &Verdict) -> String {
    let ended = |code: Code| {
        let counts_now = |entry: usize| now.skipped.iter().all(|it| it.entry != entry);
        let skipped = then.skipped.iter().any(|it| it.code == code && counts_now(it.entry));
        skipped || then.code() == Some(code)
    };
    let all = [
        (Code::SigsumTooOld, NEW_PROOFS),
        (Code::SignerExpired, "issue new certificates, and sign again"),
        (Code::PackageExpired, "publish a new release"),
    ];
    let advice: Vec<&str> =
        all.into_iter().filter(|(code, _)| ended(*code)).map(|(_, advice)| advice).collect();
    match advice.is_empty() {
        true => "publish a new release before that day".to_owned(),
        false => format!("before that day: {}", advice.join("; ")),
    }
}
