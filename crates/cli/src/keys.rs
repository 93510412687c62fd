//! Ed25519 keys: in the files that operators have, in ssh-agent, and on PKCS#11 tokens.
//!
//! [`Signer`] is the one way to a signature: whoever signs does not care where the key is.

mod agent;
mod options;
mod private;
mod public;
mod secret;
mod signer;
mod source;
mod token;

pub use options::SignerOptions;
pub use private::KeyFormat;
pub use private::PrivateKey;
pub use public::PublicKey;
pub(crate) use signer::ForCertificates;
pub use signer::Signer;
pub use source::AgentKey;
pub use source::KeySource;

use crate::Error;
use crate::Result;
use crate::text_file;

/// What to do about a key file that does not decode.
const DAMAGED: &str =
    "take a copy of it that is whole; `ssh-keygen -y -f FILE` says whether one is";

fn not_ed25519() -> Error {
    Error::new("the key is not Ed25519, or is damaged")
        .remedy("OS packages are signed with Ed25519 only; `ramstrap keygen` makes such keys")
}

/// Refuses the kinds of keys that FIDO devices have, whatever their curve: what they sign is never
/// the message itself.
fn refuse_fido(algorithm: &str) -> Result<()> {
    if !algorithm.starts_with("sk-") {
        return Ok(());
    }
    Err(Error::new(format!("{algorithm}: the key of a FIDO device cannot sign OS packages"))
        .detail("such a device signs a hash of the message together with its own flags and counter")
        .detail("machines verify Ed25519 over the archive's digest itself, and nothing else")
        .remedy(
            "use the device's PIV or OpenPGP application if it has Ed25519 (with --key pkcs11:…, or \
             through an agent that offers it as ssh-ed25519), or another key",
        ))
}

fn text(bytes: &[u8]) -> Result<&str> {
    if let Some(odd) = text_file::oddity(bytes) {
        return Err(Error::new(format!("it holds no key: {}", odd.what)).remedy(odd.remedy));
    }
    core::str::from_utf8(bytes).map_err(|_| {
        Error::new("it is not a text file").remedy("keys are read in PEM or OpenSSH form, not DER")
    })
}

/// The label of the only PEM block; anything but white space around it is refused.
fn label(text: &str) -> Result<&str> {
    let none = || {
        Error::new("it holds no key in PEM or OpenSSH form")
            .remedy("`ramstrap keygen` and ssh-keygen make such files")
    };
    let rest = text.trim().strip_prefix("-----BEGIN ").ok_or_else(none)?;
    let (label, body) = rest.split_once("-----").ok_or_else(none)?;
    let end = format!("-----END {label}-----");
    match body.split_once(end.as_str()) {
        Some((_, "")) => Ok(label),
        Some(_) => Err(Error::new("something follows the key in the file")
            .remedy("keep one key in one file and nothing else")),
        None => {
            Err(Error::new(format!("the {label} in it has no END line that fits its BEGIN line"))
                .remedy(
                    "the file was cut or damaged: get it anew, or take the other copy of the key",
                ))
        }
    }
}

/// Whether this is the first word of a public key of OpenSSH: `ssh-ed25519 AAAA…`.
fn is_openssh_public(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    ["ssh-", "sk-", "ecdsa-"].iter().any(|start| first.starts_with(start))
}
