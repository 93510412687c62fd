//! Trust policies that are refused.

use report::Code;

use super::Case;
use super::Input;
use super::POLICY;
use super::Verdict;
use super::vector;

pub(super) fn cases() -> Vec<Case> {
    let more = |text: &str| POLICY.replacen('{', &format!("{{{text}, "), 1);
    let threshold =
        |value: &str| POLICY.replace("threshold\": 1", &format!("threshold\": {value}"));
    let malformed = [
        ("empty policy", String::new(), "not valid JSON"),
        ("policy with a key twice", more("\"ospkg_signature_threshold\": 2"), "more than once"),
        (
            "policy with a key in two cases",
            more("\"OSPKG_signature_threshold\": 2"),
            "more than once",
        ),
        ("two policies", format!("{POLICY}{POLICY}"), "other data follows"),
        ("policy with bytes behind it", format!("{POLICY} x"), "other data follows"),
        (
            "policy above 64 KiB",
            format!("{POLICY}{}", " ".repeat(65_536)),
            "longer than 65536 bytes",
        ),
        ("policy that is a list", "[]".to_owned(), "must be a JSON object, not an array"),
    ];
    let invalid = [
        ("no threshold", POLICY.replace("threshold", "x"), "threshold is missing"),
        ("threshold 0", threshold("0"), "must be 1 or more"),
        ("threshold -1", threshold("-1"), "must be 1 or more"),
        ("threshold 1.0", threshold("1.0"), "must be an integer, not 1.0"),
        ("threshold that is text", threshold("\"1\""), "must be an integer, not a string"),
        ("threshold of 2^64", threshold("18446744073709551616"), "must be an integer"),
        (
            "unknown fetch method",
            POLICY.replace("network", "Network"),
            "must be \"network\" or \"initramfs\"",
        ),
        ("denied key that is no digest", more("\"denied_keys\": [\"ab\"]"), "SHA-256"),
        ("min_release that is negative", more("\"min_release\": -1"), "0 or more"),
        ("max_clock_skew that is text", more("\"max_clock_skew\": \"1\""), "seconds"),
        (
            "channel that is empty",
            more("\"channel\": \"\""),
            "channel is no channel: a channel is named with 1 to 64",
        ),
        ("channel with a blank", more("\"channel\": \"a b\""), "channel is no channel"),
        ("channel that is a list", more("\"channel\": [\"a\"]"), "must be a string, not an array"),
    ];
    let root = String::from_utf8(vector("keys/root.cert.pem")).unwrap();
    let signer = String::from_utf8(vector("keys/signer1.cert.pem")).unwrap();
    let key = String::from_utf8(vector("keys/signer1.key.pem")).unwrap();
    let first_line = root.lines().nth(1).unwrap();
    let roots = [
        ("empty root file", String::new(), "no PEM block of type CERTIFICATE"),
        ("root file with a key alone", key, "no PEM block of type CERTIFICATE"),
        ("root that is no CA", signer, "it is not a CA certificate"),
        (
            "root with PEM headers",
            root.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1),
            "has headers",
        ),
        ("root without an end", root.replace("-----END CERTIFICATE-----", ""), "no END line"),
        (
            "good root and a broken one",
            format!("{root}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "certificate 2: not a certificate in DER",
        ),
        ("root that is not base64", root.replace(first_line, "!!!!"), "is not base64"),
        ("65 roots", root.repeat(65), "more than 64 certificates"),
        (
            "roots above 1 MiB",
            format!("{root}{}", " ".repeat(1024 * 1024)),
            "more than 1048576 bytes",
        ),
    ];
    let policy = |code| {
        move |(name, text, says): (&'static str, String, &'static str)| Case {
            name,
            input: Input::Policy(text.into_bytes()),
            verdict: Verdict::Refused(code, says),
        }
    };
    let two_roots = Case {
        name: "a root twice, with text around",
        input: Input::Roots(format!("a root\n{root}again\n{root}").into_bytes()),
        verdict: Verdict::Read("several roots are the rule, and text around blocks is PEM's"),
    };
    malformed
        .into_iter()
        .map(policy(Code::TrustPolicyMalformed))
        .chain(invalid.into_iter().map(policy(Code::TrustPolicyInvalid)))
        .chain(roots.into_iter().map(|(name, text, says)| Case {
            name,
            input: Input::Roots(text.into_bytes()),
            verdict: Verdict::Refused(Code::SigningRootInvalid, says),
        }))
        .chain([two_roots])
        .collect()
}
