//! WireGuard's X25519 keys, in the base64 that all of its tools use.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use curve25519_dalek::MontgomeryPoint;
use zeroize::Zeroizing;

use crate::KeyError;
use crate::config::Secret;
use crate::keys::random;

const LEN: usize = 32;
/// More than computing a public key takes of the stack.
const STACK: usize = 32 << 10;

/// A new private key.
///
/// # Errors
/// If the system has no random numbers.
pub fn generate() -> Result<Secret, KeyError> {
    let mut key = Zeroizing::new([0; LEN]);
    random(&mut *key)?;
    // As every other generator of such keys does: the bits that the curve ignores are not random.
    let [first, .., last] = &mut *key;
    *first &= 0xf8;
    *last = *last & 0x7f | 0x40;
    Ok(Secret::new(BASE64_STANDARD.encode(key.as_slice())))
}

/// The public key of a private one; `None` if that is no key.
#[must_use]
pub fn public_key(private: &Secret) -> Option<String> {
    let public = compute(private);
    wipe_stack();
    public
}

#[inline(never)]
fn compute(private: &Secret) -> Option<String> {
    let bytes = decode(private.expose())?;
    let mut key = Zeroizing::new([0; LEN]);
    key.copy_from_slice(&bytes);
    Some(BASE64_STANDARD.encode(MontgomeryPoint::mul_base_clamped(*key).as_bytes()))
}

/// The curve's own code takes the key by value and leaves copies of it on the stack, which a
/// machine that starts its next system without a power cycle would carry over.
#[inline(never)]
fn wipe_stack() {
    let mut room = [0_u8; STACK];
    // Must not be optimised away.
    core::hint::black_box(&mut room);
}

/// The 32 bytes of a key, on the heap alone; `None` for anything else, and for 32 zeros, which tools
/// take for "no key".
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
    let is_key = bytes.len() == LEN && bytes.iter().any(|byte| *byte != 0);
    is_key.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;
    use super::generate;
    use super::public_key;
    use crate::config::Secret;

    /// From RFC 7748, section 6.1.
    #[test]
    fn public_keys_are_those_of_the_standard() {
        let private = Secret::new("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
        let public = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(public_key(&private).as_deref(), Some(public));
    }

    #[test]
    fn new_keys_are_keys_and_not_the_same() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert!(public_key(&one).is_some());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zeros = "A".repeat(43) + "=";
        let short = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTg==";
        for text in ["", "x", &zeros, short, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo"] {
            assert!(decode(text).is_none(), "{text}");
        }
    }
}
