//! Proofs by a log of our own, and what becomes of them when a line is not what it should be.

mod differential;
mod inclusion;
mod policies;
mod proofs;
mod times;

use rcgen::KeyPair;
use rcgen::PublicKeyData;
use rcgen::SigningKey;
use report::Code;
use sigsum_log::Leaf;
use sigsum_log::Log;
use sigsum_log::Party;
use sigsum_log::ProofParts;

use crate::Authorized;
use crate::Clock;
use crate::Endorsement;
use crate::PolicyFiles;
use crate::Refusal;
use crate::TrustPolicy;
use crate::authorize;
use crate::test_certificates::NOW;
use crate::test_certificates::Root;
use crate::test_certificates::archive;
use crate::test_certificates::clock;
use crate::test_certificates::ed25519;
use crate::test_certificates::leaf_params;

/// When witnesses cosign: an hour before everything is judged.
const COSIGNED: u64 = NOW.unix().unsigned_abs() - 3600;

/// A root, a signer that it issued, a log that has the signer's signature over [`archive`], and three
/// witnesses.
struct World {
    root: Root,
    certificate: Vec<u8>,
    key: KeyPair,
    log: Log,
    leaf: Leaf,
    witnesses: [Party; 3],
}

impl World {
    /// The signature is leaf 4 of 7.
    fn new() -> Self {
        Self::with(4, 7)
    }

    fn with(index: usize, size: usize) -> Self {
        let root = Root::new("root");
        let key = ed25519();
        let certificate = root.issue(&leaf_params("signer"), &key);
        let mut log = Log::new("log");
        log.grow(index);
        let leaf = submit(&mut log, &key);
        log.grow(size);
        let witnesses = ["w1", "w2", "w3"].map(Party::new);
        Self { root, certificate, key, log, leaf, witnesses }
    }

    /// A good proof, cosigned by all witnesses.
    fn proof(&self) -> ProofParts {
        let [one, two, three] = &self.witnesses;
        self.log.prove(&self.leaf, 7, &[(one, COSIGNED), (two, COSIGNED), (three, COSIGNED)])
    }

    /// The lines of log and witnesses, then these.
    fn rules(&self, lines: &str) -> String {
        let witnesses: String = self.witnesses.iter().map(Party::witness_line).collect();
        self.log.party().log_line() + &witnesses + lines
    }

    /// A policy of one signature, whose quorum is two of the three witnesses.
    fn policy(&self) -> TrustPolicy {
        self.policy_with(&self.rules("group all-three 2 w1 w2 w3\nquorum all-three\n"), "")
    }

    fn policy_with(&self, rules: &str, keys: &str) -> TrustPolicy {
        let json =
            format!(r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"{keys}}}"#);
        TrustPolicy::load(&PolicyFiles {
            trust_policy_json: json.as_bytes(),
            signing_root_pem: Some(self.root.pem().as_bytes()),
            sigsum_policy: Some(rules.as_bytes()),
            ..PolicyFiles::default()
        })
        .unwrap()
    }

    fn endorse(&self, proof: impl Into<Vec<u8>>) -> Endorsement {
        Endorsement { certificate_der: self.certificate.clone(), signature: proof.into() }
    }

    fn judge(&self, proof: impl Into<Vec<u8>>) -> Result<Authorized, Refusal> {
        authorize(&self.policy(), &[self.endorse(proof)], archive(), &clock())
    }

    /// Code and reason for which this proof does not count.
    fn skipped(&self, proof: impl Into<Vec<u8>>) -> (Code, String) {
        reason(self.judge(proof))
    }
}

/// Code and reason of the first signature that does not count.
fn reason(judged: Result<Authorized, Refusal>) -> (Code, String) {
    let refusal = judged.unwrap_err();
    (refusal.skipped()[0].code, refusal.skipped()[0].reason.clone())
}

/// A signer's signature over [`archive`], put into a log.
fn submit(log: &mut Log, key: &KeyPair) -> Leaf {
    let public = key.der_bytes().try_into().unwrap();
    log.submit(public, archive().as_bytes(), |message| {
        key.sign(message).unwrap().try_into().unwrap()
    })
}

fn on(
    clock: &Clock,
    policy: &TrustPolicy,
    endorsement: Endorsement,
) -> Result<Authorized, Refusal> {
    authorize(policy, &[endorsement], archive(), clock)
}
