use std::fs;

use super::Staff;
use crate::Identity;

fn pem(number: u8) -> String {
    Identity::from_seed(&[number; 32]).public().to_pem()
}

fn message(files: &[(&str, &str)]) -> String {
    Staff::from_pems(files.iter().copied()).unwrap_err().to_string()
}

#[test]
fn a_directory_of_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("bob.pem"), pem(2)).unwrap();
    fs::write(at("alice.pem"), pem(1)).unwrap();
    fs::write(at("README"), "not a key").unwrap();
    let staff = Staff::load(directory.path()).unwrap();
    let names: Vec<&str> = staff.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(staff.name_of(Identity::from_seed(&[2; 32]).public()), Some("bob"));
    assert_eq!(staff.name_of(Identity::from_seed(&[3; 32]).public()), None);
    fs::write(at("carol.pem"), "broken").unwrap();
    assert!(Staff::load(directory.path()).unwrap_err().to_string().contains("carol"));
}

#[test]
fn no_directory_is_nobody() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Staff::load(&directory.path().join("staff")).unwrap().is_empty());
}

#[test]
fn who_is_who_must_be_clear() {
    let (one, two) = (pem(1), pem(2));
    assert!(message(&[("a", &one), ("b", &one)]).contains("a and b are the same key"));
    assert!(message(&[("a", &one), ("a", &two)]).contains("two staff keys named a"));
    for name in ["", ".a", "a b", "a\x1b[31m", &"a".repeat(65)] {
        assert!(message(&[(name, &one)]).contains("a name has 1 to 64"), "{name:?}");
    }
}
