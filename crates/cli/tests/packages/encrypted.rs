//! Packages that are encrypted with age.

use crate::support::Lab;

const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

#[test]
fn encrypted_packages_are_judged_as_a_machine_does() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let encrypt = |name: &str| {
        let recipient: age::x25519::Recipient = RECIPIENT.parse().unwrap();
        age::encrypt(&recipient, &lab.read(name)).unwrap()
    };
    lab.write("sealed/os.json", encrypt("os.json"));
    lab.write("sealed/os.zip", encrypt("os.zip"));
    lab.write("key", IDENTITY);

    let verify = "ospkg verify --trust-policy policy";
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0325]");
    lab.ok(&format!("{verify} --identity key sealed/os.json"));
    lab.write("policy/decryption_identities", IDENTITY);
    let ran = lab.ok(&format!("{verify} sealed/os.json"));
    assert!(!ran.stderr.contains("not encrypted"), "{}", ran.stderr);
    let ran = lab.ok(&format!("{verify} os.json"));
    assert_eq!(ran.stderr.matches("machines refuse it from a mirror (E0324)").count(), 2);

    let mut cut = lab.read("sealed/os.zip");
    cut.truncate(cut.len() - 1);
    lab.write("sealed/os.zip", cut);
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0328]");
    lab.write("sealed/os.json", lab.read("sealed/os.json").split_at(100).0);
    lab.refused(&format!("{verify} sealed/os.json"), "error[E0329]");
    lab.write("key", "AGE-SECRET-KEY-1X");
    lab.refused(&format!("{verify} --identity key os.json"), "error[E0127]");
}

#[test]
fn a_descriptor_that_is_encrypted_is_said_to_be() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let recipient: age::x25519::Recipient = RECIPIENT.parse().unwrap();
    lab.write("sealed/os.json", age::encrypt(&recipient, &lab.read("os.json")).unwrap());
    lab.write("sealed/os.zip", lab.read("os.zip"));
    lab.write("armored/os.json", "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n");
    lab.write("armored/os.zip", lab.read("os.zip"));
    for command in [
        "status --trust-policy policy",
        "extract --trust-policy policy --out x",
        "inspect",
        "sign --key c.key --cert c.pem",
        "merge --out x.json os.json",
        "diff os.json",
    ] {
        let ran = lab.refused(
            &format!("ospkg {command} sealed/os.json"),
            "sealed/os.json is encrypted with age",
        );
        assert!(ran.stderr.contains("age -d -i IDENTITY sealed/os.json"), "{}", ran.stderr);
        let ran = lab.refused(&format!("ospkg {command} armored/os.json"), "error[E0326]");
        assert!(ran.stderr.contains("it is armored"), "{}", ran.stderr);
        assert!(ran.stderr.contains("encrypt it without --armor"), "{}", ran.stderr);
        assert!(ran.stderr.contains("age -d -i IDENTITY armored/os.json"), "{}", ran.stderr);
    }
    lab.write("policy/decryption_identities", IDENTITY);
    lab.refused("ospkg verify --trust-policy policy armored/os.json", "error[E0326]");
    let ran = lab.ok("ospkg status --trust-policy policy os.json");
    for file in ["os.json", "os.zip"] {
        let warning = format!("{file} is not encrypted: machines refuse it from a mirror (E0324)");
        assert!(ran.stderr.contains(&warning), "{}", ran.stderr);
    }
}
