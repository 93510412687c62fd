use proptest::prelude::*;
use trust::Timestamp;

use super::Manifest;

#[test]
fn the_written_form_is_fixed() {
    let manifest = Manifest {
        label: Some("a <b>".into()),
        kernel: "boot/vmlinuz".into(),
        initramfs: "boot/initramfs".into(),
        cmdline: None,
        watchdog_seconds: None,
        release: None,
        not_after: None,
        channel: None,
    };
    let text = "{\n  \"version\": 1,\n  \"label\": \"a \\u003cb\\u003e\",\n  \
                \"kernel\": \"boot/vmlinuz\",\n  \"initramfs\": \"boot/initramfs\",\n  \
                \"cmdline\": \"\"\n}";
    assert_eq!(manifest.to_json(), text);
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
}

#[test]
fn a_watchdog_is_a_whole_number_of_seconds() {
    let manifest = Manifest {
        label: None,
        kernel: "k".into(),
        initramfs: "i".into(),
        cmdline: None,
        watchdog_seconds: Some(120),
        release: None,
        not_after: None,
        channel: None,
    };
    let text = manifest.to_json();
    assert!(text.ends_with("\"cmdline\": \"\",\n  \"watchdog_seconds\": 120\n}"), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    let read = |value: &str| {
        let text = format!(
            r#"{{"version": 1, "kernel": "k", "initramfs": "i", "watchdog_seconds": {value}}}"#
        );
        Manifest::parse(text.as_bytes()).map(|manifest| manifest.watchdog_seconds)
    };
    assert_eq!(read("null"), Ok(None));
    assert_eq!(read("10"), Ok(Some(10)));
    assert_eq!(read("86400"), Ok(Some(86_400)));
    for value in ["0", "9", "86401", "-1", "60.0", "1e2", "99999999999999999999"] {
        let error = read(value).unwrap_err().to_string();
        assert!(error.starts_with("manifest.json: watchdog_seconds: "), "{error}");
        assert!(error.ends_with(", expected a whole number from 10 to 86400"), "{error}");
    }
    for (value, found) in [(r#""60""#, "a string"), ("true", "a boolean"), ("[60]", "an array")] {
        let error = read(value).unwrap_err().to_string();
        assert!(error.contains(&format!("watchdog_seconds: {found}")), "{error}");
    }
}

#[test]
fn a_release_is_a_whole_number() {
    let manifest = Manifest {
        label: None,
        kernel: "k".into(),
        initramfs: "i".into(),
        cmdline: None,
        watchdog_seconds: None,
        release: Some(7),
        not_after: None,
        channel: None,
    };
    let text = manifest.to_json();
    assert!(text.ends_with("\"cmdline\": \"\",\n  \"release\": 7\n}"), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    let read = |value: &str| {
        let text =
            format!(r#"{{"version": 1, "kernel": "k", "initramfs": "i", "release": {value}}}"#);
        Manifest::parse(text.as_bytes()).map(|manifest| manifest.release)
    };
    assert_eq!(read("null"), Ok(None));
    assert_eq!(read("0"), Ok(Some(0)));
    assert_eq!(read("18446744073709551615"), Ok(Some(u64::MAX)));
    for (value, found) in [
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        (r#""7""#, "a string"),
        ("true", "a boolean"),
    ] {
        let error = read(value).unwrap_err().to_string();
        assert!(error.starts_with("manifest.json: release: "), "{error}");
        assert!(error.contains(found), "{error}");
        assert!(error.ends_with(", expected a whole number, 0 or more"), "{error}");
    }
}

/// Reads a manifest with one more key.
fn with(key: &str, value: &str) -> Result<Manifest, String> {
    let text = format!(r#"{{"version": 1, "kernel": "k", "initramfs": "i", "{key}": {value}}}"#);
    Manifest::parse(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn an_end_is_a_date_in_one_form() {
    let end = Timestamp::from_unix(1_795_298_837);
    let manifest = with("not_after", "\"2026-11-21T22:07:17Z\"").unwrap();
    assert_eq!(manifest.not_after, Some(end));
    let text = manifest.to_json();
    assert!(text.ends_with("\"cmdline\": \"\",\n  \"not_after\": \"2026-11-21T22:07:17Z\"\n}"));
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest.clone()));
    assert_eq!(with("not_after", "null").unwrap().not_after, None);
    for (value, found) in [
        ("\"\"", "\"\""),
        ("\"2026-11-21\"", "2026-11-21"),
        ("\"2026-11-21t22:07:17z\"", "t22"),
        ("\"2026-11-21T22:07:17+00:00\"", "+00:00"),
        ("\"2026-11-21T22:07:17.0Z\"", "17.0Z"),
        ("\"2026-02-30T00:00:00Z\"", "02-30"),
        ("\"2026-11-21T22:07:60Z\"", ":60Z"),
        ("\"soon\\u001b\"", "soon\\u{1b}"),
        ("1795298837", "a number"),
        ("[]", "an array"),
    ] {
        let error = with("not_after", value).unwrap_err();
        assert!(error.starts_with("manifest.json: not_after: "), "{error}");
        assert!(error.contains(found), "{error} does not say {found}");
        assert!(error.ends_with(", expected a date of the form 2026-11-21T22:07:17Z"), "{error}");
    }
    // Nothing is written that could not be read.
    for unix in [i64::MAX, i64::MIN, 253_402_300_800] {
        let manifest = Manifest { not_after: Some(Timestamp::from_unix(unix)), ..manifest.clone() };
        assert!(manifest.check().is_err(), "{unix}");
    }
}

#[test]
fn a_channel_is_a_short_name() {
    let manifest = with("channel", "\"eu-1.stable\"").unwrap();
    assert_eq!(manifest.channel.as_ref().unwrap().as_str(), "eu-1.stable");
    let text = manifest.to_json();
    assert!(text.ends_with("\"cmdline\": \"\",\n  \"channel\": \"eu-1.stable\"\n}"), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
    assert_eq!(with("channel", "null").unwrap().channel, None);
    for (value, found) in [
        ("\"\"", "\"\""),
        ("\" stable\"", "\" stable\""),
        ("\"a\\u001b[31m\"", "a\\u{1b}[31m"),
        ("7", "a number"),
        ("[\"stable\"]", "an array"),
    ] {
        let error = with("channel", value).unwrap_err();
        assert!(error.starts_with("manifest.json: channel: "), "{error}");
        assert!(error.contains(found), "{error} does not say {found}");
    }
    let long = with("channel", &format!("\"{}\"", "x".repeat(5000))).unwrap_err();
    assert!(long.len() < 250 && long.contains("1 to 64"), "{long}");
}

#[test]
fn what_is_wrong_is_named() {
    for (text, part) in [
        ("{}", "version: missing"),
        (r#"{"version": 2}"#, "version: 2"),
        (r#"{"version": 1.0}"#, "version: 1.0"),
        (r#"{"version": "1"}"#, "version: a string"),
        (r#"{"version": 1, "initramfs": "i"}"#, "kernel: missing"),
        (r#"{"version": 1, "kernel": "", "initramfs": "i"}"#, "kernel: missing or empty"),
        (r#"{"version": 1, "kernel": "k"}"#, "initramfs: missing"),
        (r#"{"version": 1, "kernel": "k", "initramfs": 7}"#, "initramfs: a number"),
        (r#"{"version": 1, "kernel": "k", "initramfs": "i", "label": []}"#, "label: an array"),
        (r#"{"version": 1, "kernel": "k", "initramfs": "i", "cmdline": "a\u0000b"}"#, "NUL"),
        (r#"{"version": 1, "kernel": "k", "initramfs": "i"} x"#, "other data"),
        ("hello", "not valid JSON"),
    ] {
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("manifest.json: ") && error.contains(part), "{error}");
    }
}

#[test]
fn absent_null_and_empty_are_the_same() {
    for extra in ["", r#", "label": null, "cmdline": null"#, r#", "label": "", "new": 7"#] {
        let text = format!(r#"{{"version": 1, "kernel": "k", "initramfs": "i"{extra}}}"#);
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!((manifest.label, manifest.cmdline), (None, None));
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn writing_and_reading_agree(
        label in prop::option::of("[^\0]{1,20}"),
        kernel in "[^\0]{1,20}",
        initramfs in "[^\0]{1,20}",
        cmdline in prop::option::of("[^\0]{1,20}"),
        watchdog_seconds in prop::option::of(10_u32..=86_400),
        release in prop::option::of(any::<u64>()),
        not_after in prop::option::of(-62_167_219_200_i64..253_402_300_800),
        channel in prop::option::of("[a-zA-Z0-9._-]{1,64}"),
    ) {
        let manifest = Manifest {
            label,
            kernel,
            initramfs,
            cmdline,
            watchdog_seconds,
            release,
            not_after: not_after.map(Timestamp::from_unix),
            channel: channel.map(|name| name.parse().unwrap()),
        };
        manifest.check().unwrap();
        prop_assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
    }
}
