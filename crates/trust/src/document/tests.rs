use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use report::Code;
use report::Coded;

use super::DEFAULT_MAX_CLOCK_SKEW;
use super::FetchMethod;
use super::MAX_POLICY_LEN;
use super::PolicyDocument;

fn parse(text: &str) -> Result<PolicyDocument, Code> {
    PolicyDocument::parse(text.as_bytes()).map_err(|error| error.code())
}

fn with(keys: &str) -> Result<PolicyDocument, Code> {
    parse(&format!(r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"{keys}}}"#))
}

#[test]
fn the_two_required_keys_are_enough() {
    let document =
        parse("{\"OSPKG_Signature_Threshold\": 3, \"ospkg_fetch_method\": \"initramfs\"}\n\0")
            .unwrap();
    assert_eq!(document.threshold(), 3);
    assert_eq!(document.fetch_method(), FetchMethod::Initramfs);
    assert_eq!(document.max_clock_skew(), DEFAULT_MAX_CLOCK_SKEW);
    assert!(document.denied_keys().is_empty() && document.warnings().is_empty());
}

#[test]
fn the_threshold_is_a_positive_integer() {
    let threshold = |value: &str| {
        parse(&format!(
            r#"{{"ospkg_signature_threshold": {value}, "ospkg_fetch_method": "network"}}"#
        ))
    };
    for value in ["1", "256", "9223372036854775807"] {
        assert_eq!(threshold(value).unwrap().threshold().to_string(), value);
    }
    for value in [
        "0",
        "-1",
        "-0",
        "1.0",
        "1.5",
        "2e0",
        "\"2\"",
        "null",
        "true",
        "[1]",
        "{}",
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
    ] {
        assert_eq!(threshold(value), Err(Code::TrustPolicyInvalid), "{value}");
    }
    assert_eq!(threshold("01"), Err(Code::TrustPolicyMalformed));
    assert_eq!(parse(r#"{"ospkg_fetch_method": "network"}"#), Err(Code::TrustPolicyInvalid));
}

#[test]
fn a_threshold_that_nothing_can_reach_is_warned_of() {
    let warnings = |threshold| PolicyDocument::with_threshold(threshold).unwrap().warnings().len();
    assert_eq!((warnings(256), warnings(257), warnings(u64::MAX)), (0, 1, 1));
    assert!(PolicyDocument::with_threshold(0).is_err());
}

#[test]
fn the_fetch_method_is_one_of_two_words() {
    for value in ["null", "\"\"", "\"Network\"", "\"floppy\"", "1", "[\"network\"]"] {
        let text = format!(r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": {value}}}"#);
        assert_eq!(parse(&text), Err(Code::TrustPolicyInvalid), "{value}");
    }
    assert_eq!(parse(r#"{"ospkg_signature_threshold": 1}"#), Err(Code::TrustPolicyInvalid));
}

#[test]
fn denied_keys_are_digests() {
    let hex = "AB".repeat(32);
    let document = with(&format!(r#", "denied_keys": ["{hex}", "{hex}", "{}"]"#, "0".repeat(64)));
    assert_eq!(document.unwrap().denied_keys().len(), 2);
    assert!(with(r#", "denied_keys": []"#).is_ok() && with(r#", "denied_keys": null"#).is_ok());
    for value in [
        "\"x\"",
        "[\"x\"]",
        "[1]",
        "[null]",
        "{}",
        &format!("[\"{hex}0\"]"),
        &format!("[\"0x{hex}\"]"),
    ] {
        let keys = format!(r#", "denied_keys": {value}"#);
        assert_eq!(with(&keys), Err(Code::TrustPolicyInvalid), "{value}");
    }
}

#[test]
fn the_clock_skew_is_in_whole_seconds() {
    for (value, seconds) in [("0", 0), ("86400", 86400), ("18446744073709551615", u64::MAX)] {
        let document = with(&format!(r#", "max_clock_skew": {value}"#)).unwrap();
        assert_eq!(document.max_clock_skew(), seconds);
    }
    for value in ["-1", "1.0", "\"1\"", "true", "[]"] {
        let keys = format!(r#", "max_clock_skew": {value}"#);
        assert_eq!(with(&keys), Err(Code::TrustPolicyInvalid), "{value}");
    }
}

#[test]
fn unknown_keys_warn_ambiguous_ones_are_refused() {
    let document = with(r#", "x\u001b": 1, "boot_mode": "network""#).unwrap();
    assert_eq!(
        document.warnings(),
        [
            "trust_policy.json: unknown key \"boot_mode\" is ignored",
            "trust_policy.json: unknown key \"x\\u{1b}\" is ignored",
        ]
    );
    for keys in [r#", "OSPKG_FETCH_METHOD": "network""#, r#", "x": 1, "X": 1"#] {
        assert_eq!(with(keys), Err(Code::TrustPolicyMalformed), "{keys}");
    }
    assert_eq!(parse("{} {}"), Err(Code::TrustPolicyMalformed));
}

#[test]
fn a_channel_is_a_short_name() {
    let read = |value: &str| {
        with(&format!(r#", "channel": {value}"#))
            .map(|it| it.channel().map(|channel| channel.as_str().to_owned()))
    };
    assert_eq!(with("").unwrap().channel(), None);
    assert_eq!(read("null"), Ok(None));
    assert_eq!(read(r#""stable""#), Ok(Some("stable".to_owned())));
    assert_eq!(
        with(r#", "Channel": "eu-1.x_Y""#).unwrap().channel().unwrap().as_str(),
        "eu-1.x_Y",
        "the key in any case, the name as it is"
    );
    let too_long = format!("\"{}\"", "x".repeat(65));
    for value in
        ["\"\"", "\" a\"", "\"a b\"", "\"a/b\"", "\"é\"", "7", "[\"a\"]", "true", &too_long]
    {
        assert_eq!(read(value), Err(Code::TrustPolicyInvalid), "{value}");
    }
}

#[test]
fn the_lowest_release_is_a_whole_number() {
    let read =
        |value: &str| with(&format!(r#", "min_release": {value}"#)).map(|it| it.min_release());
    assert_eq!(with("").unwrap().min_release(), None);
    assert_eq!(read("null"), Ok(None));
    assert_eq!(read("0"), Ok(Some(0)));
    assert_eq!(read("18446744073709551615"), Ok(Some(u64::MAX)));
    assert_eq!(with(r#", "Min_Release": 7"#).unwrap().min_release(), Some(7), "in any case");
    for value in ["-1", "1.0", "\"1\"", "true", "[]", "18446744073709551616"] {
        assert_eq!(read(value), Err(Code::TrustPolicyInvalid), "{value}");
    }
}

#[test]
fn length_is_bounded() {
    let text = r#"{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"}"#;
    let padded = |length| format!("{text}{}", " ".repeat(length - text.len()));
    assert!(parse(&padded(MAX_POLICY_LEN)).is_ok());
    assert_eq!(parse(&padded(MAX_POLICY_LEN + 1)), Err(Code::TrustPolicyMalformed));
}

#[test]
fn the_normal_form_reads_the_same() {
    let json = |document: &PolicyDocument| serde_json::to_string(document).unwrap();
    let plain = with(r#", "x": 1"#).unwrap();
    assert_eq!(json(&plain), r#"{"ospkg_signature_threshold":1,"ospkg_fetch_method":"network"}"#);
    let hex = "AB".repeat(32);
    let full = with(&format!(
        r#", "denied_keys": ["{hex}"], "max_clock_skew": 5, "min_release": 7, "channel": "x""#
    ))
    .unwrap();
    assert_eq!(parse(&json(&full)), Ok(full));
}

proptest! {
    #[test]
    fn never_panics(bytes in vec(any::<u8>(), 0..256)) {
        let _ = PolicyDocument::parse(&bytes);
    }

    #[test]
    fn any_value_of_any_known_key_is_accepted_or_refused(
        key in "ospkg_signature_threshold|ospkg_fetch_method|denied_keys|max_clock_skew|min_release|channel|[a-z]{1,3}",
        value in r#"null|-?[0-9]{1,20}|[0-9]\.[0-9]|"[a-z]{0,3}"|\[\]|\["[0-9a-f]{64}"\]|\{\}"#,
    ) {
        if let Ok(document) = parse(&format!(r#"{{"{key}": {value}, "ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}}"#)) {
            proptest::prop_assert_eq!(document.threshold(), 2);
        }
    }
}
