//! Secure Boot's variables, and the file that a virtual machine's firmware keeps them in.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::process::Command;

use bootmedia::authenticode::Signer;
use bootmedia::efi_vars;
use bootmedia::efi_vars::NewVariable;
use bootmedia::efi_vars::StoreError;
use bootmedia::secure_boot;
use bootmedia::secure_boot::Guid;
use bootmedia::secure_boot::Variable;
use support::CERTIFICATE;
use support::KEY;
use tempfile::TempDir;

const TIME: u64 = 1_795_317_600;

fn owner() -> Guid {
    "12345678-9abc-4def-8123-456789abcdef".parse().unwrap()
}

#[test]
fn guids_are_written_as_everybody_does() {
    assert_eq!(secure_boot::GLOBAL.to_string(), "8be4df61-93ca-11d2-aa0d-00e098032b8c");
    assert_eq!(Variable::Db.vendor().to_string(), "d719b2cb-3d3a-4596-a3bc-dad00e67656f");
    assert_eq!(owner().to_string(), "12345678-9abc-4def-8123-456789abcdef");
    assert_eq!(owner().0[..8], [0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xef, 0x4d]);
    for text in
        ["", "12345678", "12345678-9abc-4def-8123-456789abcdeg", "123456789abc4def8123456789abcdef"]
    {
        assert!(text.parse::<Guid>().is_err(), "{text}");
    }
}

#[test]
fn a_signature_list_has_one_certificate() {
    let list = secure_boot::signature_list(b"DER", owner()).unwrap();
    let type_of_list = [
        0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0,
        0x72,
    ];
    assert_eq!(list[..16], type_of_list);
    assert_eq!(list[16..28], [47, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0]);
    assert_eq!(list[28..44], owner().0);
    assert_eq!(&list[44..], b"DER");
}

#[test]
fn an_update_has_the_form_that_firmware_asks_for() {
    let signer = Signer::from_pem(KEY, CERTIFICATE).unwrap();
    let update = secure_boot::update(Variable::Db, b"content", TIME, &signer).unwrap();
    // 2026-11-22 03:20:00; everything behind the seconds must be zero.
    assert_eq!(update[..16], [0xea, 0x07, 11, 22, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(update[20..24], [0x00, 0x02, 0xf1, 0x0e]);
    let signature = &update[40..];
    // EDK II looks for the digest's object identifier at a fixed place, behind a length of two
    // bytes and without an envelope.
    assert_eq!(signature[..2], [0x30, 0x82]);
    assert_eq!(signature[13..22], [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]);
    assert_eq!(secure_boot::update_content(&update), Some(b"content".as_slice()));
    assert_eq!(update, secure_boot::update(Variable::Db, b"content", TIME, &signer).unwrap());
    assert_eq!(secure_boot::update_content(b"content"), None);
    assert_eq!(secure_boot::update_content(&update[..39]), None);
}

#[test]
fn openssl_verifies_an_update() {
    let signer = Signer::from_pem(KEY, CERTIFICATE).unwrap();
    let update = secure_boot::update(Variable::Pk, b"content", TIME, &signer).unwrap();
    let lab = TempDir::new().unwrap();
    let len = u32::from_le_bytes(update[16..20].try_into().unwrap()) as usize;
    // The envelope that OpenSSL wants around signed data.
    let data = &update[40..16 + len];
    let number = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
    let mut envelope = vec![0x30, 0x82];
    envelope.extend(number(11 + 4 + data.len()));
    envelope.extend([0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x82]);
    envelope.extend(number(data.len()));
    envelope.extend(data);
    std::fs::write(lab.path().join("signature"), envelope).unwrap();
    std::fs::write(lab.path().join("certificate"), CERTIFICATE).unwrap();
    let verify = |time: &[u8]| {
        let mut signed = b"P\0K\0".to_vec();
        signed.extend(secure_boot::GLOBAL.0);
        signed.extend([0x27, 0, 0, 0]);
        signed.extend(time);
        signed.extend(b"content");
        std::fs::write(lab.path().join("content"), signed).unwrap();
        let args = "cms -verify -binary -inform DER -in signature -content content \
                    -certfile certificate -noverify -out verified";
        Command::new("openssl").args(args.split_whitespace()).current_dir(lab.path()).output()
    };
    let Ok(output) = verify(&update[..16]) else {
        eprintln!("skipped: openssl is missing");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!verify(&[0; 16]).unwrap().status.success());
}

/// Where the first variable of [`store`] is.
const FIRST: usize = 100;

/// An empty store with room for `room` bytes of variables, and other things behind it.
fn store(room: u32) -> Vec<u8> {
    let mut store = vec![0; 72];
    store[40..44].copy_from_slice(b"_FVH");
    store[48] = 72;
    store.extend([
        0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77,
        0x92,
    ]);
    store.extend((28 + room).to_le_bytes());
    store.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
    store.extend(vec![0xff; room as usize + 512]);
    store
}

#[test]
fn variables_are_put_into_a_store() {
    let time = secure_boot::efi_time(TIME).unwrap();
    let key = |variable| NewVariable::key(variable, time, b"list");
    let one = efi_vars::with_variable(&store(200), &key(Variable::Pk)).unwrap();
    let variable = &one[FIRST..FIRST + 72];
    assert_eq!(variable[..8], [0xaa, 0x55, 0x3f, 0, 0x27, 0, 0, 0]);
    assert_eq!(variable[16..32], time);
    assert_eq!(variable[36..44], [6, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(variable[44..60], secure_boot::GLOBAL.0);
    assert_eq!(&variable[60..70], b"P\0K\0\0\0list");
    assert_eq!(one.len(), store(200).len());
    // The next one starts at a multiple of four.
    let two = efi_vars::with_variable(&one, &key(Variable::Db)).unwrap();
    assert_eq!(two[..FIRST + 72], one[..FIRST + 72]);
    assert_eq!(two[FIRST + 72..FIRST + 75], [0xaa, 0x55, 0x3f]);
    assert_eq!(
        efi_vars::with_variable(&two, &key(Variable::Pk)),
        Err(StoreError::Exists("PK".to_owned()))
    );
}

#[test]
fn a_variable_must_fit_into_a_store_that_is_one() {
    let time = [0; 16];
    let put = |store: &[u8]| {
        efi_vars::with_variable(store, &NewVariable::key(Variable::Pk, time, b"list"))
    };
    assert!(put(&store(70)).is_ok());
    assert_eq!(put(&store(69)), Err(StoreError::NoRoom("PK".to_owned())));
    let mut other = store(200);
    other[72] ^= 1;
    assert!(matches!(put(&other), Err(StoreError::NotStore(_))));
    assert!(matches!(put(&[]), Err(StoreError::NotStore(_))));
    assert!(matches!(put(&store(200)[..150]), Err(StoreError::NotStore(_))));
}
