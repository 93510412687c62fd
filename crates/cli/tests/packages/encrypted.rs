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
    let ran = lab.refused(&format!("{verify} os.json"), "error[E0324]");
    for file in ["os.json: the descriptor", "the archive"] {
        assert!(ran.stderr.contains(&format!("{file}: it is not encrypted")), "{}", ran.stderr);
    }
    assert!(ran.stderr.contains("are as they should be"), "{}", ran.stderr);
    lab.refused("ospkg status --trust-policy policy os.json", "error[E0324]");
    lab.ok("stmgr ospkg verify -trustPolicy policy -ospkg os.json");

    // Everything that looks into a package reads it.
    let ran = lab.ok("ospkg status --trust-policy policy --days 1 sealed/os.json");
    assert!(ran.stdout.contains("boots now      yes") && ran.stderr.is_empty(), "{}", ran.stderr);
    for identities in ["--trust-policy policy", "--identity key"] {
        let ran = lab.ok(&format!("ospkg inspect {identities} sealed/os.json"));
        assert!(ran.stdout.contains("the signature is over this archive"), "{}", ran.stdout);
    }
    lab.ok("ospkg extract --trust-policy policy --out one sealed/os.json");
    lab.ok("ospkg extract --unverified --identity key --out two sealed/os.json");
    assert_eq!(lab.read("one/kernel"), lab.read("vmlinuz"));
    assert_eq!(lab.read("two/initramfs"), lab.read("initramfs"));

    // And what does not says why.
    lab.write("half/os.json", lab.read("os.json"));
    lab.write("half/os.zip", lab.read("sealed/os.zip"));
    for command in ["extract --unverified --out x", "diff os.json", "sign --key c.key --cert c.pem"]
    {
        let ran = lab
            .refused(&format!("ospkg {command} half/os.json"), "half/os.zip is encrypted with age");
        assert!(ran.stderr.contains("age -d -i IDENTITY half/os.zip"), "{}", ran.stderr);
    }

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
    for command in
        ["inspect", "sign --key c.key --cert c.pem", "merge --out x.json os.json", "diff os.json"]
    {
        let ran = lab.refused(
            &format!("ospkg {command} sealed/os.json"),
            "sealed/os.json is encrypted with age",
        );
        for file in ["json", "zip"] {
            let remedy = format!("`age -d -i IDENTITY sealed/os.{file} > ");
            assert!(ran.stderr.contains(&remedy), "{}", ran.stderr);
        }
        let ran = lab.refused(&format!("ospkg {command} armored/os.json"), "error[E0326]");
        assert!(ran.stderr.contains("it is armored"), "{}", ran.stderr);
        assert!(ran.stderr.contains("encrypt it without --armor"), "{}", ran.stderr);
        assert!(ran.stderr.contains("age -d -i IDENTITY armored/os.json"), "{}", ran.stderr);
    }
    let read = ["status", "verify", "extract --out x"];
    for command in read {
        let command = format!("ospkg {command} --trust-policy policy");
        lab.refused(&format!("{command} sealed/os.json"), "error[E0325]");
    }
    lab.write("policy/decryption_identities", IDENTITY);
    for command in read {
        let command = format!("ospkg {command} --trust-policy policy");
        lab.refused(&format!("{command} armored/os.json"), "error[E0326]");
    }
    // Only one of the two.
    lab.refused(
        "ospkg status --trust-policy policy sealed/os.json",
        "the archive: it is not encrypted",
    );
}
