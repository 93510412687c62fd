//! Secrets in the server's memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::edwards::EdwardsPoint;
use ed25519_dalek::SigningKey;
use lab::Client;
use provision::Fingerprint;
use provision::PublicKey;
use provision::wireguard;
use xtask::harness::Guest;
use xtask::harness::Needle;
use xtask::harness::places;

use super::traces;

/// How an Ed25519 public key begins in DER; the key itself follows.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A page of memory.
const PAGE: usize = 4096;

/// How far from a copy of the public key its secret is looked for.
const NEAR: u64 = 256;

/// Finds the secret of a machine's identity in its memory, which knows nothing but the fingerprint:
/// with it, its absence can be shown later.
///
/// A copy of the public key is known by the fingerprint; software keeps the secret beside it, as the
/// seed of RFC 8032 or as the scalar that it is expanded to.
///
/// # Errors
/// If the public key is nowhere, or no secret beside any copy.
pub fn identity(guest: &mut Guest, directory: &Path, of: Fingerprint) -> Result<Vec<Needle>> {
    guest.with_memory(directory, |memory| {
        let public =
            public_key(memory, of)?.context("the identity's public key is not in memory")?;
        let file = File::open(memory)?;
        let mut secrets: Vec<[u8; 32]> = Vec::new();
        for at in places(memory, &public)? {
            let start = at.saturating_sub(NEAR);
            let mut around = vec![0; usize::try_from(2 * NEAR)? + 32];
            let length = file.read_at(&mut around, start)?;
            let around = around.get(..length).unwrap_or_default();
            for window in around.windows(32).filter_map(|it| <[u8; 32]>::try_from(it).ok()) {
                if !secrets.contains(&window) && belongs(&window, &public) {
                    secrets.push(window);
                }
            }
        }
        ensure!(!secrets.is_empty(), "no secret beside the identity's public key");
        let needle = |secret: &[u8; 32]| Needle::secret("identity's secret", secret);
        Ok(secrets.iter().map(needle).collect())
    })
}

/// Leaves a file of 64 MiB in the server's memory, by SSH, every page of which has the same random
/// words; and returns them. Keys are few, and may be overwritten by chance when firmware and
/// bootloader start: so many pages are not.
///
/// # Errors
/// If staff cannot log in, or there are no random numbers.
pub fn plant(lab: &mut Client) -> Result<Needle> {
    let words: String = [wireguard::generate()?, wireguard::generate()?]
        .iter()
        .map(provision::config::Secret::expose)
        .collect();
    let script = format!(
        "page() {{ printf '%s' '{words}'; head -c {} /dev/zero; }}
         set -e; cd /
         for i in 1 2 3 4 5 6 7 8; do page; done > few
         for i in 1 2 3 4 5 6 7 8; do cat few few few few; done > more
         for i in 1 2 3 4 5 6 7 8; do cat more more more more; done > many
         for i in 1 2; do cat many; done > planted-file",
        PAGE - words.len(),
    );
    traces::ssh(lab, &script)?;
    Ok(Needle::bytes("a file", words.as_bytes()))
}

/// Whether this is the secret of that public key, in one form or the other.
fn belongs(window: &[u8; 32], public: &[u8; 32]) -> bool {
    // Random enough to be one: most of memory is not.
    if window.iter().filter(|&&byte| byte == 0).count() > 4 {
        return false;
    }
    let scalar = EdwardsPoint::mul_base_clamped(*window).compress();
    scalar == CompressedEdwardsY(*public)
        || SigningKey::from_bytes(window).verifying_key().as_bytes() == public
}

fn public_key(memory: &Path, of: Fingerprint) -> Result<Option<[u8; 32]>> {
    let file = File::open(memory)?;
    for at in places(memory, &SPKI)? {
        let mut der = [0; SPKI.len() + 32];
        if file.read_at(&mut der, at)? < der.len() {
            continue;
        }
        let is_ours = PublicKey::from_spki(&der).is_ok_and(|key| key.fingerprint() == of);
        if let (true, Some(key)) = (is_ours, der.last_chunk::<32>()) {
            return Ok(Some(*key));
        }
    }
    Ok(None)
}
