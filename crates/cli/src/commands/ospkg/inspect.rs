//! `ramstrap ospkg inspect`.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use ospkg::Descriptor;
use ospkg::Manifest;
use report::Code;
use serde::Serialize;
use serde_json::json;
use trust::Certificate;
use trust::Endorsement;
use trust::Sha256Digest;
use zip::ZipArchive;

use super::facts;
use super::judge;
use super::reading;
use super::reading::Reader;
use super::sigsum::Facts;
use crate::Error;
use crate::Result;
use crate::commands::size;
use crate::output::Output;
use crate::package;
use crate::package::Names;

const MAX_MANIFEST: u64 = 1 << 20;
const MAX_SHOWN_MEMBERS: usize = 1000;

/// Show what is in an OS package, without deciding whether it may boot.
///
/// Exit status: 0 readable, 1 not. A missing archive is said, and is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A trust policy directory, whose age identities decrypt files that are encrypted.
    #[arg(long, value_name = "DIR", conflicts_with = "identity")]
    trust_policy: Option<PathBuf>,
    /// Age identities for files that are encrypted.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The descriptor; the archive is NAME.zip beside it.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg inspect os.json
  ramstrap ospkg inspect --trust-policy policy/ public/os.json  # encrypted
  ramstrap ospkg inspect --json os.json | jq .signatures";

#[derive(Serialize)]
struct Entry {
    subject: Option<String>,
    issuer: Option<String>,
    /// SHA-256 of the key, as reports and `denied_keys` name it.
    key: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    /// Whether the signature is the certificate's key's over this archive; absent without one.
    over_this_archive: Option<bool>,
    /// Where the signature was published, by its own words; absent for a plain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    sigsum: Option<Facts>,
    problem: Option<String>,
}

struct Contents {
    sha256: String,
    size: u64,
    manifest: Manifest,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    name: String,
    /// `kernel` or `initramfs`, by the manifest.
    role: Option<&'static str>,
    size: u64,
    compressed: u64,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let names = Names::of_descriptor(&args.descriptor)?;
    let given = reading::identities(args.identity.as_deref())?;
    let policy = match &args.trust_policy {
        Some(directory) => Some(judge::policy(directory, output)?),
        None => None,
    };
    let reader = Reader::new(&names, given.as_ref(), policy.as_ref());
    let descriptor = reader.descriptor()?.plain;
    let archive = match names.archive.try_exists() {
        Ok(false) => {
            output.warning(format!("there is no {}", names.archive.display()));
            None
        }
        _ => {
            let mut file = reader.archive()?.plain;
            let (digest, length) = names.digest_archive(&mut file)?;
            Some((file, digest, length))
        }
    };
    let digest = archive.as_ref().map(|(_, digest, _)| *digest);
    let entries: Vec<Entry> =
        descriptor.endorsements().iter().map(|it| entry(it, digest)).collect();
    show_descriptor(&names, &descriptor, &entries, output);
    let contents = match archive {
        Some((file, digest, length)) => {
            let contents = contents(file, digest, length)
                .map_err(|error| error.on(names.archive.display()))?;
            show_contents(&names, &contents, output);
            let Contents { sha256, size, manifest, members } = &contents;
            let more = json!({ "sha256": sha256, "size": size, "members": members });
            Some(facts::data(manifest, more))
        }
        None => None,
    };
    output.result(json!({
        "descriptor": names.descriptor,
        "os_pkg_url": descriptor.os_pkg_url(),
        "signatures": entries,
        "archive": contents,
    }));
    Ok(())
}

fn entry(endorsement: &Endorsement, digest: Option<Sha256Digest>) -> Entry {
    let mut entry = Entry {
        subject: None,
        issuer: None,
        key: None,
        not_before: None,
        not_after: None,
        over_this_archive: None,
        sigsum: Facts::of(endorsement, None),
        problem: None,
    };
    let certificate = match Certificate::parse(&endorsement.certificate_der) {
        Ok(certificate) => certificate,
        Err(error) => {
            entry.problem = Some(error.to_string());
            return entry;
        }
    };
    entry.subject = Some(certificate.label());
    entry.issuer = Some(certificate.issuer().to_owned());
    entry.key = Some(certificate.spki_sha256().to_string());
    entry.not_before = Some(certificate.not_before().to_string());
    entry.not_after = Some(certificate.not_after().to_string());
    if certificate.ed25519_public_key().is_none() {
        entry.problem = Some("the key is not Ed25519".to_owned());
    }
    entry.over_this_archive = digest.and_then(|digest| package::is_over(endorsement, digest));
    entry
}

fn contents(file: File, digest: Sha256Digest, size: u64) -> Result<Contents> {
    let bad =
        |error: &dyn core::fmt::Display| Error::with_code(Code::ArchiveInvalid, error.to_string());
    let mut zip = ZipArchive::new(file).map_err(|error| bad(&error))?;
    let mut document = Vec::new();
    zip.by_name("manifest.json")
        .map_err(|_| Error::with_code(Code::ManifestMissing, "no such entry"))?
        .take(MAX_MANIFEST)
        .read_to_end(&mut document)
        .map_err(|error| bad(&error))?;
    let manifest = Manifest::parse(&document)
        .map_err(|error| Error::with_code(Code::ManifestInvalid, error.to_string()))?;
    let mut members = Vec::new();
    for index in 0..zip.len().min(MAX_SHOWN_MEMBERS) {
        let member = zip.by_index_raw(index).map_err(|error| bad(&error))?;
        if !member.is_dir() {
            let name = String::from_utf8_lossy(member.name_raw()).into_owned();
            let role = match &name {
                name if *name == manifest.kernel => Some("kernel"),
                name if *name == manifest.initramfs => Some("initramfs"),
                _ => None,
            };
            members.push(Member {
                name,
                role,
                size: member.size(),
                compressed: member.compressed_size(),
            });
        }
    }
    Ok(Contents { sha256: digest.to_string(), size, manifest, members })
}

fn show_descriptor(names: &Names, descriptor: &Descriptor, entries: &[Entry], output: &Output) {
    output.field("descriptor", names.descriptor.display());
    let url = descriptor.os_pkg_url();
    output.field("os_pkg_url", if url.is_empty() { "(none)" } else { url });
    if entries.is_empty() {
        output.field("signatures", "none");
    }
    for (number, entry) in (1..).zip(entries) {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        output.field(&format!("signature {number}"), text(&entry.subject));
        output.field("  key SHA-256", text(&entry.key));
        output
            .field("  valid", format!("{} to {}", text(&entry.not_before), text(&entry.not_after)));
        if let Some(facts) = &entry.sigsum {
            facts.show(output);
        }
        output.field(
            "  archive",
            match (entry.over_this_archive, &entry.problem) {
                (Some(true), _) => "the signature is over this archive",
                (Some(false), _) => "the signature is NOT over this archive",
                (None, Some(problem)) => problem,
                (None, None) => "not compared",
            },
        );
    }
}

fn show_contents(names: &Names, contents: &Contents, output: &Output) {
    output.field("archive", names.archive.display());
    output.field("SHA-256", &contents.sha256);
    output.field("size", size(contents.size));
    facts::show(&contents.manifest, output);
    for member in &contents.members {
        output.field(
            member.role.unwrap_or("member"),
            format!("{} ({})", member.name, size(member.size)),
        );
    }
    output.note("nothing was decided: `ramstrap ospkg verify` says whether it boots");
}
