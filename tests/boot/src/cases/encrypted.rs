//! Packages that mirrors have encrypted with age.

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use anyhow::Result;
use report::Code;

use crate::bench::Bench;
use crate::case::Case;
use crate::package::Archive;
use crate::scenario::Scenario;
use crate::site::Mirror;

const IDENTITIES: &str = "decryption_identities";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::boots("encrypted_package", |bench| {
            let identity = Identity::generate();
            let mirror = sealed(bench, &identity, |_| {})?;
            Ok(with(Scenario::new(bench, [mirror]), &identity))
        })
        .slow(),
        Case::refused("encrypted_to_somebody_else", Code::NoIdentityMatches, |bench| {
            let mirror = sealed(bench, &Identity::generate(), |_| {})?;
            Ok(with(Scenario::new(bench, [mirror]), &Identity::generate()))
        })
        .slow(),
        Case::refused("plain_package_where_encrypted_is_wanted", Code::NotEncrypted, |bench| {
            let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
            let mirror = Mirror::serving(&descriptor, &bench.minimal);
            Ok(with(Scenario::new(bench, [mirror]), &Identity::generate()))
        })
        .slow(),
        Case::refused("encrypted_package_without_identities", Code::EncryptedUnexpected, |bench| {
            let mirror = sealed(bench, &Identity::generate(), |_| {})?;
            Ok(Scenario::new(bench, [mirror]))
        })
        .slow(),
        Case::refused("encrypted_archive_changed", Code::DecryptionFailed, |bench| {
            let identity = Identity::generate();
            let mirror = sealed(bench, &identity, |archive| {
                if let Some(last) = archive.last_mut() {
                    *last ^= 1;
                }
            })?;
            Ok(with(Scenario::new(bench, [mirror]), &identity))
        })
        .slow(),
        Case::refused("encrypted_archive_cut", Code::EncryptedTruncated, |bench| {
            let identity = Identity::generate();
            let mirror = sealed(bench, &identity, |archive| archive.truncate(100))?;
            Ok(with(Scenario::new(bench, [mirror]), &identity))
        })
        .slow(),
        Case::refused("encrypted_descriptor_without_recipients", Code::EncryptionHeader, |bench| {
            let mirror = Mirror::new(b"age-encryption.org/v1\n--- x\n", &bench.minimal.bytes);
            Ok(with(Scenario::new(bench, [mirror]), &Identity::generate()))
        })
        .slow(),
        Case::refused("identities_malformed", Code::IdentitiesInvalid, |bench| {
            let scenario = Scenario::new(bench, []);
            Ok(scenario.policy_file(IDENTITIES, Some(b"# no identity\n")))
        })
        .slow(),
    ]
}

fn with(scenario: Scenario, identity: &Identity) -> Scenario {
    let text = identity.to_string();
    scenario.policy_file(IDENTITIES, Some(text.expose_secret().as_bytes()))
}

/// A mirror with the minimal OS, encrypted, the archive after a change.
fn sealed(bench: &Bench, identity: &Identity, change: impl FnOnce(&mut Vec<u8>)) -> Result<Mirror> {
    let descriptor = bench.minimal.descriptor(&bench.keys.two())?;
    let descriptor = age::encrypt(&identity.to_public(), &descriptor.to_json())?;
    let archive = age::encrypt(&identity.to_public(), &bench.minimal.bytes)?;
    Ok(Mirror::new(&descriptor, &Archive::of(archive).changed(change).bytes))
}
