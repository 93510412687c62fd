//! Archives that come encrypted, or should.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::io::Cursor;

use age::secrecy::ExposeSecret;
use agefile::AgeError;
use agefile::Identities;
use fetch::Sink;
use trust::Sha256Digest;

use super::ArchiveFile;

fn identity() -> (age::x25519::Identity, Identities) {
    let identity = age::x25519::Identity::generate();
    let ours = Identities::parse(identity.to_string().expose_secret().as_bytes()).unwrap();
    (identity, ours)
}

fn empty(identities: Option<&Identities>) -> ArchiveFile<Cursor<Vec<u8>>> {
    ArchiveFile::new(Cursor::new(Vec::new()), identities)
}

#[test]
fn what_is_kept_and_hashed_is_the_plaintext() {
    let (identity, ours) = identity();
    let plain: Vec<u8> = (0..300_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let sealed = age::encrypt(&identity.to_public(), &plain).unwrap();
    let mut file = empty(Some(&ours));
    assert!(file.hashes());
    // Half of it, then all of it from the start: a server began again.
    file.write_all(&sealed[..sealed.len() / 2]).unwrap();
    file.restart().unwrap();
    for piece in sealed.chunks(1000) {
        file.write_all(piece).unwrap();
    }
    assert_eq!(file.finish().unwrap(), Some(Sha256Digest::of(&plain)));
    let (content, len) = file.into_file();
    assert_eq!(len, plain.len() as u64);
    assert!(content.into_inner() == plain);
}

#[test]
fn each_is_refused_where_the_other_is_expected() {
    let (identity, ours) = identity();
    let sealed = age::encrypt(&identity.to_public(), b"plain").unwrap();
    let error = empty(None).write_all(&sealed).unwrap_err();
    assert_eq!(AgeError::in_io(&error), Some(&AgeError::Unexpected));
    let error = empty(Some(&ours)).write_all(b"PK\x03\x04").unwrap_err();
    assert_eq!(AgeError::in_io(&error), Some(&AgeError::NotEncrypted));
    let mut plain = empty(None);
    plain.write_all(b"PK\x03\x04").unwrap();
    assert!(!plain.hashes());
    assert_eq!(plain.finish().unwrap(), None);
}

#[test]
fn a_file_that_is_cut_is_not_complete() {
    let (identity, ours) = identity();
    let sealed = age::encrypt(&identity.to_public(), &[7; 70_000]).unwrap();
    let mut file = empty(Some(&ours));
    file.write_all(&sealed[..sealed.len() - 1]).unwrap();
    let error = file.finish().unwrap_err();
    assert_eq!(AgeError::in_io(&error), Some(&AgeError::Chunk { number: 2 }));
}
