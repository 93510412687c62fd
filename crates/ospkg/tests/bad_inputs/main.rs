//! The table of bad inputs: each kind by its name, the code and the substance of its error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

#[allow(dead_code, reason = "the tool's test uses the rest")]
mod cases;

use std::io::Cursor;

use cases::Case;
use cases::Files;
use cases::Input;
use cases::NOW;
use cases::Verdict;
use cases::good_archive;
use cases::signed;
use ospkg::Descriptor;
use ospkg::Package;
use report::Code;
use report::Coded;
use trust::Clock;
use trust::PolicyFiles;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

/// Kernel and initramfs, or code and message of the refusal: what a machine does.
fn judge(input: &Input) -> Result<(Vec<u8>, Vec<u8>), (Code, String)> {
    fn coded<E: Coded + ToString>(error: E) -> (Code, String) {
        (error.code(), error.to_string())
    }
    let Files { archive, descriptor, policy, roots } = input.among_good_ones();
    let policy = TrustPolicy::load(&PolicyFiles {
        trust_policy_json: &policy,
        signing_root_pem: Some(&roots),
        ..PolicyFiles::default()
    })
    .map_err(coded)?;
    let descriptor = Descriptor::parse(&descriptor).map_err(coded)?;
    let digest = Sha256Digest::of(&archive);
    let clock = Clock::exactly(Timestamp::from_unix(NOW));
    let authorized =
        trust::authorize(&policy, descriptor.endorsements(), digest, &clock).map_err(coded)?;
    let package = Package::open(authorized, digest, Cursor::new(archive)).map_err(coded)?;
    let verified = package.extract(Vec::new(), Vec::new(), |_, _| {}).map_err(coded)?;
    let (_, _, kernel, initramfs) = verified.into_parts();
    Ok((kernel, initramfs))
}

#[test]
fn every_kind_is_refused_with_its_code_and_reason_or_read_for_a_reason() {
    let cases = cases::all();
    assert!(cases.len() > 150, "only {} kinds", cases.len());
    let mut wrong = Vec::new();
    for Case { name, input, verdict } in &cases {
        let result = judge(input);
        let right = match (&result, verdict) {
            (Err((code, text)), Verdict::Refused(expected, says)) => {
                // One line, and nothing in it that a terminal would obey.
                code == expected && text.contains(says) && !text.contains(char::is_control)
            }
            (Ok((kernel, initramfs)), Verdict::Read(why)) => {
                kernel.starts_with(b"kernel") && initramfs == b"initramfs" && !why.is_empty()
            }
            _ => false,
        };
        if !right {
            let found = result.map(|_| "read").map_err(|(code, text)| format!("{code} {text}"));
            let expected = match verdict {
                Verdict::Refused(code, says) => format!("{code} {says}"),
                Verdict::Read(_) => "read".to_owned(),
            };
            wrong.push(format!("{name}: {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Signed after it was cut, so that its digest is no defence.
#[test]
fn an_archive_cut_at_any_byte_is_refused() {
    let archive = good_archive();
    judge(&Input::Archive(archive.clone())).unwrap();
    for len in 0..archive.len() {
        let (code, text) = judge(&Input::Archive(archive[..len].to_vec())).unwrap_err();
        assert_eq!(code, Code::ArchiveInvalid, "{len}: {text}");
    }
}

#[test]
fn a_descriptor_cut_at_any_byte_is_refused() {
    let descriptor = signed(&good_archive());
    for len in 0..descriptor.len() {
        let (code, text) = judge(&Input::Descriptor(descriptor[..len].into())).unwrap_err();
        assert_eq!(code, Code::DescriptorMalformed, "{len}: {text}");
    }
}

/// One bit of each byte of an archive that is signed as it is: refused, or what comes out is what
/// went in.
#[test]
fn no_flipped_bit_changes_what_is_read() {
    let archive = good_archive();
    for byte in 0..archive.len() {
        let mut flipped = archive.clone();
        flipped[byte] ^= 1 << (byte % 8);
        if let Ok((kernel, initramfs)) = judge(&Input::Archive(flipped)) {
            assert_eq!(
                (&kernel[..], &initramfs[..]),
                (&b"kernel"[..], &b"initramfs"[..]),
                "{byte}"
            );
        }
    }
}
