//! Files that another implementation has encrypted, whole and broken in every way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this file is a test"
)]

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use age::secrecy::ExposeSecret;
use agefile::AgeError;
use agefile::Decryptor;
use agefile::Identities;
use agefile::decrypt;
use proptest::prelude::*;
use report::Code;
use report::Coded;

const CHUNK: usize = 64 * 1024;
const SEALED: usize = CHUNK + 16;

struct Key {
    other: age::x25519::Identity,
    text: String,
    ours: Identities,
}

fn key() -> Key {
    let other = age::x25519::Identity::generate();
    let text = other.to_string().expose_secret().to_owned();
    let ours = Identities::parse(text.as_bytes()).unwrap();
    Key { other, text, ours }
}

fn encrypt(to: &[&Key], plain: &[u8]) -> Vec<u8> {
    let recipients: Vec<_> = to.iter().map(|key| key.other.to_public()).collect();
    let recipients = recipients.iter().map(|it| it as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).unwrap();
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap();
    sealed
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 253).to_le_bytes()[0]).collect()
}

/// Decrypts in pieces of this size.
fn in_pieces(identities: &Identities, file: &[u8], size: usize) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    let mut out = |bytes: &[u8]| {
        plain.extend_from_slice(bytes);
        Ok::<_, AgeError>(())
    };
    let mut decryptor = Decryptor::new(identities.clone());
    for piece in file.chunks(size) {
        decryptor.push(piece, &mut out)?;
    }
    decryptor.finish(&mut out)?;
    Ok(plain)
}

/// Where the payload's nonce begins.
fn header_len(file: &[u8]) -> usize {
    let mark = file.windows(5).position(|it| it == b"\n--- ").unwrap();
    mark + 5 + 43 + 1
}

fn chunk_at(file: &[u8], number: usize) -> usize {
    header_len(file) + 16 + number * SEALED
}

#[test]
fn what_another_implementation_encrypts_is_decrypted() {
    let (key, other) = (key(), key());
    for len in [0, 1, 15, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 77] {
        let plain = content(len);
        let file = encrypt(&[&other, &key], &plain);
        assert!(decrypt(&key.ours, &file).unwrap() == plain, "{len}");
        for size in [1_usize, 7, 100, 4096, SEALED, usize::MAX] {
            // Byte by byte takes its time.
            if size < 100 && len > CHUNK + 1 {
                continue;
            }
            assert!(in_pieces(&key.ours, &file, size).unwrap() == plain, "{len} by {size}");
        }
    }
}

#[test]
fn any_of_the_identities_will_do() {
    let keys = [key(), key(), key()];
    let file = format!("# all\n{}\n\n  {}\r\n{}\n", keys[0].text, keys[1].text, keys[2].text);
    let all = Identities::parse(file.as_bytes()).unwrap();
    assert_eq!(all.len(), 3);
    for key in &keys {
        assert_eq!(decrypt(&all, &encrypt(&[key], b"plain")).unwrap(), b"plain");
    }
    let recipients: Vec<String> = all.iter().map(agefile::Identity::recipient).collect();
    let expected: Vec<String> = keys.iter().map(|key| key.other.to_public().to_string()).collect();
    assert_eq!(recipients, expected);
}

#[test]
fn others_are_told_that_it_is_not_for_them() {
    let file = encrypt(&[&key(), &key()], b"plain");
    let error = decrypt(&key().ours, &file).unwrap_err();
    assert_eq!(error.code(), Code::NoIdentityMatches);
    // The other implementation may add a recipient that nobody is.
    assert!(error.to_string().contains("none of them among the 1 identities"), "{error}");

    let passphrase = age::secrecy::SecretString::from("a passphrase".to_owned());
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(1);
    let file = age::encrypt(&recipient, b"plain").unwrap();
    let error = decrypt(&key().ours, &file).unwrap_err();
    assert_eq!(error.code(), Code::NoIdentityMatches);
    assert!(error.to_string().contains("wants a passphrase"), "{error}");
}

#[test]
fn what_is_not_encrypted_is_told_apart() {
    let ours = key().ours;
    for plain in [b"".as_slice(), b"{\"version\": 1}", b"PK\x03\x04 and more", b"age-encr\n", b"b"]
    {
        let error = decrypt(&ours, plain).unwrap_err();
        assert_eq!(error.code(), Code::NotEncrypted, "{plain:?}");
    }
    let armored = b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n";
    for size in [1, 1000] {
        assert_eq!(in_pieces(&ours, armored, size).unwrap_err(), AgeError::Armored);
    }
    let error = decrypt(&ours, b"age-encryption.org/v2\n").unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
}

#[test]
fn every_cut_is_noticed() {
    let key = key();
    let file = encrypt(&[&key], &content(2 * CHUNK + 100));
    let mut cuts: Vec<usize> = (1..400).collect();
    for chunk in 0..3 {
        let at = chunk_at(&file, chunk);
        cuts.extend([at - 1, at, at + 1, at + 15, at + 16, at + 17, at + 60]);
    }
    cuts.push(file.len() - 1);
    for len in cuts {
        let error = decrypt(&key.ours, &file[..len]).unwrap_err();
        let known = matches!(error.code(), Code::EncryptedTruncated | Code::DecryptionFailed);
        assert!(known, "{len}: {error}");
    }
    // Between two chunks nothing is damaged: it is only too short.
    for chunk in [1, 2] {
        let cut = &file[..chunk_at(&file, chunk)];
        assert_eq!(decrypt(&key.ours, cut).unwrap_err(), AgeError::Truncated);
    }
    assert_eq!(decrypt(&key.ours, &file[..40]).unwrap_err(), AgeError::Truncated);
}

#[test]
fn chunks_have_their_places() {
    let key = key();
    let file = encrypt(&[&key], &content(3 * CHUNK + 5));
    let chunk = |number| file[chunk_at(&file, number)..][..SEALED].to_vec();
    let start = &file[..chunk_at(&file, 0)];
    let last = &file[chunk_at(&file, 3)..];
    let build = |chunks: &[Vec<u8>], last: &[u8]| {
        let mut built = start.to_vec();
        chunks.iter().for_each(|chunk| built.extend_from_slice(chunk));
        built.extend_from_slice(last);
        decrypt(&key.ours, &built)
    };
    assert!(build(&[chunk(0), chunk(1), chunk(2)], last).is_ok());
    for (chunks, number) in [
        (vec![chunk(1), chunk(0), chunk(2)], 1),
        (vec![chunk(0), chunk(0), chunk(1), chunk(2)], 2),
        (vec![chunk(0), chunk(2)], 2),
        (vec![chunk(0), chunk(1)], 3),
    ] {
        assert_eq!(build(&chunks, last).unwrap_err(), AgeError::Chunk { number });
    }
    // Behind the last one comes nothing; of another file, nothing either.
    let twice = [last, last].concat();
    assert!(build(&[chunk(0), chunk(1), chunk(2)], &twice).is_err());
    let other = encrypt(&[&key], &content(3 * CHUNK + 5));
    let foreign = other[chunk_at(&other, 1)..][..SEALED].to_vec();
    assert_eq!(
        build(&[chunk(0), foreign, chunk(2)], last).unwrap_err(),
        AgeError::Chunk { number: 2 }
    );
    // An empty last chunk is no way to end a file that has others.
    let even = encrypt(&[&key], &content(CHUNK));
    let mut longer = even;
    longer.extend_from_slice(&encrypt(&[&key], b"")[..16]);
    assert!(decrypt(&key.ours, &longer).is_err());
}

#[test]
fn nothing_that_does_not_authenticate_is_given_out() {
    let key = key();
    let plain = content(2 * CHUNK + 9);
    let mut file = encrypt(&[&key], &plain);
    let at = chunk_at(&file, 1) + 5;
    file[at] ^= 1;
    let mut given = Vec::new();
    let mut out = |bytes: &[u8]| {
        given.extend_from_slice(bytes);
        Ok::<_, AgeError>(())
    };
    let mut decryptor = Decryptor::new(key.ours.clone());
    let error = decryptor.push(&file, &mut out).unwrap_err();
    assert_eq!(error, AgeError::Chunk { number: 2 });
    assert_eq!(decryptor.push(b"more", &mut out).unwrap_err(), error, "it stays so");
    assert_eq!(decryptor.finish(&mut out).unwrap_err(), error);
    assert_eq!(given, plain[..CHUNK]);
    // Until it is started again.
    decryptor.restart();
    let mut plain = Vec::new();
    let mut out = |bytes: &[u8]| {
        plain.extend_from_slice(bytes);
        Ok::<_, AgeError>(())
    };
    decryptor.push(&encrypt(&[&key], b"second"), &mut out).unwrap();
    decryptor.finish(&mut out).unwrap();
    assert!(decryptor.finish(&mut |_| Ok::<_, AgeError>(())).is_err());
    assert_eq!(plain, b"second");
}

#[test]
fn headers_are_bounded_and_strict() {
    let key = key();
    let file = encrypt(&[&key], b"plain");
    let text = String::from_utf8_lossy(&file[..header_len(&file)]).into_owned();
    let with =
        |header: String| decrypt(&key.ours, &[header.as_bytes(), &file[text.len()..]].concat());
    assert!(with(text.clone()).is_ok());
    let share: String = text.lines().nth(1).unwrap().split(' ').nth(2).unwrap().to_owned();
    let mac = text.lines().last().unwrap();
    let refused = |header: String| {
        let error = with(header.clone()).unwrap_err();
        assert_eq!(error.code(), Code::EncryptionHeader, "{error}: {header}");
    };
    refused(text.replacen("-> X25519 ", "-> X25519  ", 1));
    refused(text.replacen(&share, &format!("{share} more"), 1));
    refused(text.replacen(&share, &format!("{share}="), 1));
    refused(text.replacen(&share, &"A".repeat(43), 1));
    refused(text.replacen(&share, "short", 1));
    refused(format!("age-encryption.org/v1\n{mac}\n"));
    refused(text.replacen("--- ", "---  ", 1));
    refused(text.replacen("--- ", "-> scrypt a b\nAAAA\n--- ", 1));
    refused(text.replacen("\n-> ", "\n-> \u{e9} ", 1));
    refused(text.replacen("\n--- ", &format!("\n-> more\n{}\n--- ", "A".repeat(65)), 1));
    let many = format!("{}\n--- ", "\n-> more\n".repeat(agefile::MAX_STANZAS));
    refused(text.replacen("\n--- ", &many, 1));
    refused(format!("age-encryption.org/v1\n-> {}\n", "x".repeat(agefile::MAX_HEADER_LEN)));
    // More recipients than there were: somebody added one.
    let error = with(text.replacen("\n--- ", "\n-> more\nAAAA\n--- ", 1)).unwrap_err();
    assert_eq!(error, AgeError::HeaderMac);
    // A recipient of low order would let everybody in.
    let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(zero.len(), share.len());
    let error = with(text.replacen(&share, zero, 1)).unwrap_err();
    assert!(error.to_string().contains("low order"), "{error}");
}

#[test]
fn files_of_identities_are_read_strictly_and_never_repeated() {
    let key = key();
    let broken = |text: &str, part: &str| {
        let error = Identities::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains(&key.text[20..40]), "{error}");
    };
    broken("", "there is no identity");
    broken("# only a comment\n", "there is no identity");
    broken(&key.text[..70], "line 1: it is not a whole");
    broken(&format!("# x\n{}A", key.text), "line 2: it is not a whole");
    broken(&key.text.to_lowercase(), "neither a comment");
    broken(&key.other.to_public().to_string(), "it is a recipient");
    broken("AGE-PLUGIN-YUBIKEY-1QQQQ", "plugins are not supported");
    broken("AGE-SECRET-KEY-PQ-1QQQQ", "post-quantum");
    broken("-----BEGIN OPENSSH PRIVATE KEY-----", "SSH keys");
    broken(&format!("{}\n", key.text).repeat(33), "more than 32 identities");
    broken(&"#".repeat(70_000), "more than 65536 bytes");
    let mut swapped = key.text.clone().into_bytes();
    swapped.swap(30, 31);
    if swapped[30] != swapped[31] {
        broken(core::str::from_utf8(&swapped).unwrap(), "mistyped");
    }
    assert!(Identities::parse(b"\xff").is_err());
    let printed = format!("{:?} {:#?}", key.ours, key.ours.iter().next());
    assert!(printed.contains("***") && !printed.contains("AGE-"), "{printed}");
}

/// The program that operators run, if it is there (Debian's package `age`).
#[test]
fn the_reference_program_is_understood() {
    let key = key();
    let recipient = key.other.to_public().to_string();
    let child = Command::new("age")
        .args(["-r", &recipient])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: no age on this machine; Debian's package is called age");
        return;
    };
    let plain = content(CHUNK + 3);
    let mut stdin = child.stdin.take().unwrap();
    let input = plain.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let sealed = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap().unwrap();
    assert!(decrypt(&key.ours, &sealed).unwrap() == plain);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
        let key = Identities::parse(KEY.as_bytes()).unwrap();
        let _ = decrypt(&key, &bytes);
        let with_version = [b"age-encryption.org/v1\n".as_slice(), &bytes].concat();
        let _ = in_pieces(&key, &with_version, size);
        let _ = Identities::parse(&bytes);
    }

    #[test]
    fn a_changed_byte_is_noticed(at in 0_usize..500, change in 1_u8..) {
        let key = key();
        let mut file = encrypt(&[&key], b"plain text of a few words");
        let at = at % file.len();
        file[at] ^= change;
        prop_assert!(decrypt(&key.ours, &file).is_err(), "byte {}", at);
    }
}

/// The example key of age's own documentation has no use but this.
const KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
