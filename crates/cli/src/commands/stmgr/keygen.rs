//! `stmgr keygen certificate`.

use std::path::Path;
use std::path::PathBuf;

use super::Flag;
use super::Flags;
use super::Run;
use super::Words;
use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;

/// How long a certificate of stmgr's lives unless told otherwise, in seconds.
const LIFETIME: i64 = 3 * dates::DAY;

pub(super) const CERTIFICATE: &[Flag] = &[
    Flag::switch("isCA", "make a signing root"),
    Flag::value("rootCert", "FILE", "certificate of the root that issues"),
    Flag::value("rootKey", "FILE", "key of the root; a public one is looked for in the ssh-agent"),
    Flag::value("leafKey", "FILE", "public key that is certified; a new one is made without it"),
    Flag::value("validFrom", "DATE", "RFC 3339 (default now)"),
    Flag::value("validUntil", "DATE", "RFC 3339 (default in 72 hours)"),
    Flag::value("certOut", "FILE", "default cert.pem; with -isCA rootcert.pem"),
    Flag::value("keyOut", "FILE", "default key.pem; with -isCA rootkey.pem"),
];

pub(super) fn certificate(flags: &Flags, run: &mut Run<'_>) -> Result<()> {
    flags.nothing_else()?;
    let is_ca = flags.is_on("isCA");
    let (root_cert, root_key) = (flags.path("rootCert"), flags.path("rootKey"));
    let missing = |name: &str, other: &str| {
        Err(Error::new(format!("missing {name}"))
            .remedy(format!("-{other} alone issues nothing: give -{name} FILE, too")))
    };
    match (is_ca, &root_cert, &root_key) {
        (true, Some(_), _) => {
            run.output.warning("-rootCert is ignored: with -isCA the certificate signs itself");
            root(flags, run, "rootcert.pem", "rootkey.pem")
        }
        (true, None, _) => root(flags, run, "rootcert.pem", "rootkey.pem"),
        (false, None, None) => {
            run.output.warning(
                "without -rootCert and -rootKey the certificate signs itself: it is a root, and a \
                 trust policy that has it in ospkg_signing_root.pem trusts whoever has this key",
            );
            root(flags, run, "cert.pem", "key.pem")
        }
        (false, None, Some(_)) => missing("rootCert", "rootKey"),
        (false, Some(_), None) => missing("rootKey", "rootCert"),
        (false, Some(_), Some(_)) => {
            let cert_out = flags.path("certOut").unwrap_or_else(|| "cert.pem".into());
            spare(flags, &cert_out, flags.get("leafKey").is_none().then_some("key.pem"))?;
            let words = Words::new(&["keygen", "certificate", "--force"])
                .option("root-cert", root_cert)
                .option("root-key", root_key)
                .option("out-cert", Some(cert_out));
            let words = validity(flags, words, run)?;
            let words = match flags.path("leafKey") {
                Some(key) => {
                    if flags.get("keyOut").is_some() {
                        run.output.warning("-keyOut is ignored: with -leafKey no key is made");
                    }
                    words.option("key", Some(key))
                }
                None => new_key(flags, words, "key.pem", run),
            };
            run.ours(words)
        }
    }
}

fn root(flags: &Flags, run: &mut Run<'_>, cert: &str, key: &str) -> Result<()> {
    if flags.get("leafKey").is_some() {
        return Err(Error::new("-leafKey cannot be used for a root: that signs itself")
            .remedy("give the key itself as -rootKey, or leave -leafKey out for a new one"));
    }
    let cert_out = flags.path("certOut").unwrap_or_else(|| cert.into());
    spare(flags, &cert_out, flags.get("rootKey").is_none().then_some(key))?;
    let words = Words::new(&["keygen", "root", "--force"]).option("out-cert", Some(cert_out));
    let words = validity(flags, words, run)?;
    let words = match flags.path("rootKey") {
        Some(key) => words.option("key", Some(key)),
        None => new_key(flags, words, key, run),
    };
    run.ours(words)
}

/// Refuses names of outputs by which the root or its key would be lost: the names that are taken
/// without `-certOut` and `-keyOut` are those of a root that was made without flags, too.
fn spare(flags: &Flags, cert_out: &Path, new_key: Option<&str>) -> Result<()> {
    let key_out = new_key.map(|default| flags.path("keyOut").unwrap_or_else(|| default.into()));
    let outputs: Vec<&Path> = core::iter::once(cert_out).chain(key_out.as_deref()).collect();
    let inputs = ["rootCert", "rootKey", "leafKey"].map(|name| flags.path(name));
    let inputs: Vec<PathBuf> = inputs.into_iter().flatten().collect();
    files::spare_all(&outputs, &inputs).map_err(|error| {
        error.into_refusal().remedy("give other names with -certOut FILE and -keyOut FILE")
    })
}

/// The file of a new key. One that is there is replaced, as scripts expect that renew certificates,
/// but not in silence.
fn new_key(flags: &Flags, words: Words, default: &str, run: &mut Run<'_>) -> Words {
    let key_out = flags.path("keyOut").unwrap_or_else(|| default.into());
    if key_out.exists() {
        let key_out = key_out.display();
        run.output.warning(format!("{key_out} is there: the private key in it is to be replaced"));
    }
    words.option("out-key", Some(key_out))
}

fn validity(flags: &Flags, words: Words, run: &Run<'_>) -> Result<Words> {
    let now = dates::now();
    let date = |name: &str, default: i64| match flags.get(name) {
        None => Ok(default),
        Some(text) => {
            let text = text.to_string_lossy();
            dates::parse(&text)
                .map_err(|how| Error::new(format!("{name}: {text:?} is no date")).remedy(how))
        }
    };
    let from = date("validFrom", now)?;
    let until = date("validUntil", now.saturating_add(LIFETIME))?;
    if flags.get("validUntil").is_none() {
        run.output.note(
            "note: it ends in 72 hours, as stmgr's do; give -validUntil for longer. `ramstrap keygen` \
             gives signers a year",
        );
    }
    Ok(words
        .option("valid-from", Some(dates::format(from)))
        .option("valid-until", Some(dates::format(until))))
}
