//! Sigsum proofs: attached, verified, shown, and refused, by a log with witnesses of our own.

#![allow(clippy::panic, clippy::unwrap_used, reason = "all of this file is a test")]

mod support;

use ramstrap_cli::keys::KeyFormat;
use ramstrap_cli::keys::PrivateKey;
use sigsum_log::Log;
use sigsum_log::Party;
use sigsum_log::ProofParts;
use support::Lab;
use support::json;

const VERIFY: &str = "ospkg sigsum verify --trust-policy policy os.json";
const ATTACH: &str = "ospkg sigsum attach --proof a.proof --cert a.pem";

/// A package, a policy of two signatures in a log that two of three witnesses have cosigned, and the
/// signers `a` and `b`, who have published theirs.
struct Public {
    lab: Lab,
    log: Log,
    witnesses: [Party; 3],
    now: u64,
}

impl Public {
    fn new() -> Self {
        let lab = Lab::new();
        lab.ok("keygen root");
        lab.policy("policy", 2);
        lab.package();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut log = Log::new("log");
        log.grow(5);
        let witnesses = ["w1", "w2", "w3"].map(Party::new);
        let lines: String = witnesses.iter().map(Party::witness_line).collect();
        let rules = log.party().log_line() + &lines + "group g 2 w1 w2 w3\nquorum g\n";
        lab.write("policy/ospkg_trust_policy", rules);
        let mut public = Self { lab, log, witnesses, now: now.as_secs() };
        for name in ["a", "b"] {
            let proof = public.proof(name, 60);
            public.lab.write(&format!("{name}.proof"), proof.text());
        }
        public
    }

    /// The signature of a signer over the archive, cosigned by all witnesses so many seconds ago. Its
    /// key and certificate are there afterwards.
    fn proof(&mut self, name: &str, age: u64) -> ProofParts {
        let signer = Party::new(name);
        let key = PrivateKey::from_seed(&signer.secret().to_bytes());
        if !self.lab.path(&format!("{name}.pem")).exists() {
            let pem = key.to_pem(KeyFormat::Pkcs8, name).unwrap();
            self.lab.write(&format!("{name}.key"), pem);
            self.lab.ok(&format!(
                "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem \
                 --key {name}.key --subject-cn {name} --out-cert {name}.pem"
            ));
        }
        let digest = sigsum_log::sha256(&self.lab.read("os.zip"));
        let leaf = self.log.submit(signer.public(), &digest, |message| signer.sign(message));
        let time = self.now - age;
        let cosigned: Vec<_> = self.witnesses.iter().map(|it| (it, time)).collect();
        self.log.prove(&leaf, leaf.index + 1, &cosigned)
    }

    fn attach(&self, name: &str) {
        self.lab.ok(&format!(
            "ospkg sigsum attach --proof {name}.proof --cert {name}.pem --trust-policy policy os.json"
        ));
    }
}

#[test]
fn two_public_signatures_are_enough_and_one_is_not() {
    let public = Public::new();
    let lab = &public.lab;
    lab.refused(VERIFY, "error[E0404]");
    public.attach("a");
    lab.refused(VERIFY, "error[E0404]");
    public.attach("b");
    let ran = lab.ok(VERIFY);
    for line in ["accepted: os.json: 2 valid, 2 required", "leaf         5 of 6", "w3 on 20"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let result = json(&lab.ok(&format!("{VERIFY} --json")));
    assert_eq!(result["verdict"], "accepted");
    let second = &result["signatures"][1];
    assert_eq!((&second["subject"], &second["counts"]), (&"CN=b".into(), &true.into()));
    assert_eq!(second["sigsum"]["witnesses"][2]["state"], "cosigned");
    assert_eq!(second["sigsum"]["size"], 7);

    let verified = lab.ok("ospkg verify --trust-policy policy os.json --json");
    let signer = &json(&verified)["signers"][0];
    assert_eq!(signer["sigsum"]["witnesses"], serde_json::json!(["w1", "w2", "w3"]));
    let ran = lab.ok("ospkg verify --trust-policy policy os.json");
    assert!(ran.stdout.contains("public in") && ran.stdout.contains("cosigned by w1, w2, w3"));
    lab.ok("ospkg sigsum verify --policy policy/ospkg_trust_policy os.json");

    // As it is on a mirror that is not to read it.
    lab.ok("keygen age --out policy/decryption_identities");
    lab.ok("ospkg encrypt --trust-policy policy --out public os.json");
    lab.ok("ospkg sigsum verify --trust-policy policy public/os.json");
    lab.refused(
        "ospkg sigsum verify --policy policy/ospkg_trust_policy public/os.json",
        "public/os.json is encrypted with age",
    );
    std::fs::remove_file(lab.path("policy/decryption_identities")).unwrap();

    let inspected = json(&lab.ok("ospkg inspect --json os.json"));
    assert_eq!(inspected["signatures"][0]["over_this_archive"], true);
    assert_eq!(inspected["signatures"][0]["sigsum"]["cosignatures"], 3);
    assert!(lab.ok("ospkg inspect os.json").stdout.contains("3 cosignatures, the newest on"));
}

/// Byte for byte what the submitter wrote is what machines read.
#[test]
fn the_proof_is_kept_byte_for_byte() {
    let public = Public::new();
    public.attach("a");
    let descriptor: serde_json::Value =
        serde_json::from_slice(&public.lab.read("os.json")).unwrap();
    let parsed = ospkg::Descriptor::parse(&public.lab.read("os.json")).unwrap();
    assert_eq!(parsed.endorsements()[0].signature, public.lab.read("a.proof"));
    assert_eq!(descriptor["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn a_missing_witness_is_named() {
    let mut public = Public::new();
    public.attach("a");
    let mut proof = public.proof("b", 60);
    proof.cosignatures.truncate(1);
    public.lab.write("b.proof", proof.text());
    let lab = &public.lab;
    let attach = "ospkg sigsum attach --proof b.proof --cert b.pem os.json";
    let ran = lab.refused(&format!("{attach} --trust-policy policy"), "error[E0418]");
    assert!(ran.stderr.contains("cosigned by w1; missing: w2, w3"), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was attached"), "{}", ran.stderr);
    lab.refused(&format!("{attach} --policy policy/ospkg_trust_policy"), "error[E0418]");
    // Without a policy it cannot be told.
    let ran = lab.ok(attach);
    assert!(ran.stderr.contains("log and witnesses were not judged"), "{}", ran.stderr);
    let ran = lab.refused(VERIFY, "error[E0418]");
    assert!(ran.stdout.contains("w2: missing"), "{}", ran.stdout);
    lab.refused("ospkg sigsum verify --policy policy/ospkg_trust_policy os.json", "error[E0418]");
    let refused = json(&lab.run(&format!("{VERIFY} --json")));
    assert_eq!((&refused["ok"], &refused["code"]), (&false.into(), &"E0418".into()));
}

#[test]
fn what_is_not_the_signers_proof_is_not_attached() {
    let mut public = Public::new();
    let attach = format!("{ATTACH} os.json");
    let b = public.proof("b", 60).text();
    public.lab.write("a.proof", &b);
    public.lab.refused(&attach, "error[E0405]");
    public.lab.write("a.proof", b.replace("version=2", "version=3"));
    public.lab.refused(&attach, "error[E0416]");
    public.lab.write("a.proof", [0; 64]);
    let ran = public.lab.refused(&attach, "error[E0416]");
    assert!(ran.stderr.contains("sigsum-submit"), "{}", ran.stderr);
    let good = public.proof("a", 60).text();
    public.lab.write("a.proof", &good);
    public.lab.write("os.zip", b"another archive");
    public.lab.refused(&attach, "error[E0405]");
}

#[test]
fn plain_signatures_do_not_count_under_a_sigsum_policy() {
    let public = Public::new();
    let lab = &public.lab;
    lab.sign("a");
    lab.sign("b");
    lab.refused(VERIFY, "error[E0415]");
    lab.refused("ospkg verify --trust-policy policy os.json", "error[E0415]");
    lab.refused("ospkg sigsum verify --policy policy/ospkg_trust_policy os.json", "error[E0415]");
    lab.ok("ospkg verify --signing-root rootcert.pem --threshold 2 os.json");
    let ran = lab.refused(&format!("{ATTACH} os.json"), "error[E0411]");
    assert!(ran.stderr.contains("second certificate"), "{}", ran.stderr);
    // And the other way round.
    lab.policy("plain", 2);
    let ran = lab.refused("ospkg sigsum verify --trust-policy plain os.json", "error[E0415]");
    assert!(ran.stderr.contains("has no ospkg_trust_policy"), "{}", ran.stderr);
}

#[test]
fn a_signer_may_sign_plainly_what_others_have_published() {
    let public = Public::new();
    public.attach("a");
    public.lab.sign("b");
    public.lab.write("os.zip", b"another archive");
    let ran = public.lab.run("ospkg sign --key b.key --cert b.pem os.json");
    assert!(
        ran.stderr.contains("signatures 1, 2 (CN=a, CN=b) are not over os.zip"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_new_proof_takes_the_place_of_an_old_one() {
    let mut public = Public::new();
    let old = public.proof("a", 8 * 86_400).text();
    let new = public.lab.read("a.proof");
    let json_text = r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network",
        "max_cosignature_age": 604800}"#;
    public.lab.write("policy/trust_policy.json", json_text);
    public.lab.write("a.proof", &old);
    let lab = &public.lab;
    lab.refused(&format!("{ATTACH} --trust-policy policy os.json"), "error[E0419]");
    lab.ok(&format!("{ATTACH} os.json"));
    lab.refused(VERIFY, "error[E0419]");
    lab.refused("ospkg verify --trust-policy policy os.json", "error[E0419]");
    let ran = lab.refused("ospkg status --trust-policy policy os.json", "error[E0419]");
    assert!(ran.stderr.contains("`ramstrap ospkg sigsum attach --replace`"), "{}", ran.stderr);
    // What became of the proof on the way is told; the archive is none.
    for (bytes, told, help) in [
        (
            String::from_utf8(new.clone()).unwrap().replace('\n', "\r\n"),
            "carriage returns",
            "tr -d",
        ),
        (String::new(), "the file is empty", "NAME.zip.proof"),
        ("PK\x03\x04".to_owned() + &"x".repeat(70_000), "a ZIP archive", "NAME.zip.proof"),
        ("nothing\n".to_owned(), "`version=1` or `version=2`", "NAME.zip.proof"),
    ] {
        lab.write("a.proof", bytes);
        let ran = lab.refused(&format!("{ATTACH} os.json"), "error[E0416]");
        let (reason, remedy) = ran.stderr.split_once("\nhelp: ").unwrap();
        assert!(reason.contains(told) && remedy.contains(help), "{}", ran.stderr);
    }
    lab.write("a.proof", &new);
    let ran = lab.refused(&format!("{ATTACH} os.json"), "error[E0411]");
    assert!(ran.stderr.contains("--replace"), "{}", ran.stderr);
    let result = json(&lab.ok(&format!("{ATTACH} --trust-policy policy --replace --json os.json")));
    assert_eq!((&result["replaced"], &result["signatures"]), (&true.into(), &1.into()));
    lab.ok(VERIFY);
    lab.ok("ospkg verify --trust-policy policy os.json");
    // A week after it was cosigned, it is over.
    let status = json(&lab.ok("ospkg status --trust-policy policy --json os.json"));
    assert_eq!(status["ends"][0]["what"], "Sigsum proof of CN=a");
    assert_eq!(status["ends"][0]["boots_after"], false);
    assert_eq!(status["boots_until"], status["ends"][0]["at"]);
    let ran = lab.refused("ospkg status --trust-policy policy --days 8 os.json", "error[E0419]");
    let help = ran.stderr.split("\nhelp: ").nth(1).unwrap();
    assert!(help.contains("submit the archive to the log again"), "{help}");
    assert!(help.contains("`ramstrap ospkg sigsum attach --replace`"), "{help}");
    assert!(!help.contains("certificates"), "none of them ends by then: {help}");
}

#[test]
fn a_policy_is_explained() {
    let public = Public::new();
    let lab = &public.lab;
    let checked = json(&lab.ok("trust-policy check policy --json"));
    let meaning = checked["meaning"].to_string();
    for words in ["only Sigsum proofs count", "2 of 3: w1, w2, w3"] {
        assert!(meaning.contains(words), "{meaning}");
    }
    assert!(checked["report"]["sigsum_sha256"].is_string());
    lab.ok("trust-policy check policy/ospkg_trust_policy");
    let text = String::from_utf8(lab.read("policy/ospkg_trust_policy")).unwrap();
    lab.write("policy/ospkg_trust_policy", text.replace("quorum g", "quorum none"));
    let ran = lab.ok("trust-policy check policy");
    assert!(
        ran.stderr.contains("warning: ospkg_trust_policy: the quorum is none"),
        "{}",
        ran.stderr
    );
    lab.write("policy/ospkg_trust_policy", text.replace("group g 2", "group g 4"));
    for path in ["policy", "policy/ospkg_trust_policy"] {
        let ran = lab.refused(&format!("trust-policy check {path}"), "error[E0107]");
        assert!(ran.stderr.contains("line 5: \"4\" must be any, all or"), "{}", ran.stderr);
    }
}

#[test]
fn witnesses_of_the_future_expire_certificates_as_on_a_machine() {
    const FUTURE: &str = "cosigned in the future, on ";
    let mut public = Public::new();
    public.now += 2 * 86_400;
    for name in ["a", "b"] {
        let proof = public.proof(name, 0);
        public.lab.write(&format!("{name}.proof"), proof.text());
    }
    let lab = &public.lab;
    for name in ["a", "b"] {
        let attach = format!("ospkg sigsum attach --proof {name}.proof --cert {name}.pem");
        let ran = lab.ok(&format!("{attach} --trust-policy policy os.json"));
        assert!(ran.stderr.contains(FUTURE), "{}", ran.stderr);
    }
    let verify = "ospkg verify --trust-policy policy os.json";
    for words in [VERIFY, verify, "ospkg status --trust-policy policy os.json"] {
        let ran = lab.ok(words);
        assert!(ran.stderr.contains(FUTURE), "{words}: {}", ran.stderr);
        assert!(!lab.run(&format!("{words} --at 2026-12-01")).stderr.contains(FUTURE));
    }

    // Certificates that end tomorrow have ended when the witnesses say that it is the day after.
    for name in ["a", "b"] {
        lab.ok(&format!(
            "keygen certificate --root-cert rootcert.pem --root-key rootkey.pem --key {name}.key \
             --subject-cn {name} --valid-days 1 --out-cert {name}.pem --force"
        ));
    }
    lab.package_again();
    for name in ["a", "b"] {
        lab.ok(&format!("ospkg sigsum attach --proof {name}.proof --cert {name}.pem os.json"));
    }
    for words in [VERIFY, verify, "ospkg status --trust-policy policy os.json"] {
        let ran = lab.refused(words, "error[E04");
        assert!(ran.stderr.contains("[E0407]") && ran.stderr.contains(FUTURE), "{}", ran.stderr);
    }
    let attach = "ospkg sigsum attach --proof a.proof --cert a.pem --trust-policy policy --replace";
    lab.refused(&format!("{attach} os.json"), "error[E0407]");
}
