//! Descriptors that are refused as a whole.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use report::Code;

use super::Case;
use super::Input;
use super::Verdict;
use super::certificate;
use super::descriptor_of;
use super::good_archive;
use super::signature;
use super::signed;
use super::vector;

pub(super) fn cases() -> Vec<Case> {
    let mut rows = documents();
    rows.extend(entries());
    rows.extend(read());
    rows
}

/// The document itself.
fn documents() -> Vec<Case> {
    let good = signed(&good_archive());
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let more = |text: &str| good.replacen('{', &format!("{{{text}, "), 1);
    let mut not_utf8 = good.clone().into_bytes();
    let url = good.find("os.zip").unwrap();
    not_utf8[url] = 0xff;
    let deep = more(&format!("\"x\": {}{}", "[".repeat(128), "]".repeat(128)));
    let padded = format!("{good}{}", " ".repeat(1024 * 1024));
    [
        ("empty descriptor", Vec::new(), "not valid JSON"),
        ("a page in place of a descriptor", b"<html>It works!</html>".to_vec(), "not valid JSON"),
        ("descriptor cut in half", good[..good.len() / 2].into(), "not valid JSON"),
        ("descriptor with a byte order mark", format!("\u{feff}{good}").into(), "not valid JSON"),
        ("descriptor that is not UTF-8", not_utf8, "not valid JSON"),
        (
            "descriptor with half a surrogate pair",
            more(r#""x": "\ud800""#).into(),
            "not valid JSON",
        ),
        ("descriptor with a comment", format!("{good} // signed").into(), "other data follows"),
        ("descriptor with bytes behind it", format!("{good}x").into(), "other data follows"),
        ("descriptor with a NUL behind it", format!("{good}\0").into(), "other data follows"),
        ("two descriptors", format!("{good}{good}").into(), "other data follows"),
        ("descriptor nested 128 deep", deep.into(), "not valid JSON"),
        ("descriptor with a number above all", more("\"x\": 1e999").into(), "not valid JSON"),
        (
            "descriptor that is a list",
            format!("[{good}]").into(),
            "must be a JSON object, not an array",
        ),
        ("version twice", more("\"version\": 1").into(), "key \"version\" appears more than once"),
        ("version in two cases", more("\"Version\": 1").into(), "appears more than once"),
        (
            "unknown key twice, deep inside",
            more(r#""x": [{"a": 1, "a": 2}]"#).into(),
            "key \"a\" appears more than once",
        ),
        (
            "key that folds to another",
            more("\"\u{17f}ignatures\": []").into(),
            "appears more than once",
        ),
        ("no version", with("\"version\": 1, ", "").into(), "version: missing, expected 1"),
        ("version 2", with("\"version\": 1", "\"version\": 2").into(), "version: 2, expected 1"),
        (
            "version 1.0",
            with("\"version\": 1", "\"version\": 1.0").into(),
            "version: 1.0, expected 1",
        ),
        (
            "version that is text",
            with("\"version\": 1", "\"version\": \"1\"").into(),
            "version: a string, expected 1",
        ),
        ("os_pkg_url that is no URL", with("os.zip", "http://[").into(), "os_pkg_url: not a URL"),
        (
            "os_pkg_url that is a list",
            with("\"os.zip\"", "[\"os.zip\"]").into(),
            "os_pkg_url: an array",
        ),
        (
            "certificates that are a string",
            with("\"certificates\": [", "\"certificates\": \"\", \"x\": [").into(),
            "certificates: a string",
        ),
        ("257 signatures", many(257), "more than the 256"),
    ]
    .into_iter()
    .map(|(name, document, says)| row(name, document, Code::DescriptorMalformed, says))
    .chain([
        row(
            "descriptor above 1 MiB",
            padded.into(),
            Code::DescriptorTooLarge,
            "at most 1048576 are read",
        ),
        row(
            "a signature without certificate",
            with("\"certificates\"", "\"x\"").into(),
            Code::DescriptorMismatch,
            "0 certificates, but 1 signatures",
        ),
        row(
            "a certificate without signature",
            with("\"signatures\"", "\"x\"").into(),
            Code::DescriptorMismatch,
            "1 certificates, but 0 signatures",
        ),
    ])
    .collect()
}

/// The certificates and signatures in it.
fn entries() -> Vec<Case> {
    let pem = certificate();
    let good = signature(&good_archive());
    let with_certificate = |text: &str| descriptor_of(text.as_bytes(), &good).into_bytes();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(&body).unwrap();
    let of_der = |der: &[u8]| {
        let body = BASE64_STANDARD.encode(der);
        with_certificate(&format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        ))
    };
    let inner = pem.trim_end().lines().nth(1).unwrap();
    let whole = signed(&good_archive());
    let encoded = BASE64_STANDARD.encode(good);
    let with_signature = |text: &str| whole.replace(&encoded, text).into_bytes();
    let key = String::from_utf8(vector("keys/signer1.key.pem")).unwrap();
    [
        // PEM.
        (
            "certificate that is no PEM",
            with_certificate("hello"),
            "no PEM block of type CERTIFICATE",
        ),
        ("empty certificate", with_certificate(""), "no PEM block of type CERTIFICATE"),
        (
            "private key in place of a certificate",
            with_certificate(&key),
            "not of type CERTIFICATE",
        ),
        (
            "PEM with headers",
            with_certificate(&pem.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1)),
            "has headers",
        ),
        ("two PEM blocks", with_certificate(&format!("{pem}{pem}")), "more than one PEM block"),
        (
            "certificate and key",
            with_certificate(&format!("{pem}{key}")),
            "more than one PEM block",
        ),
        (
            "PEM without an end",
            with_certificate(&pem.replace("-----END CERTIFICATE-----", "")),
            "no END line",
        ),
        (
            "PEM with another end",
            with_certificate(&pem.replace("END CERT", "END DIRT")),
            "no END line",
        ),
        (
            "PEM with a character that is not base64",
            with_certificate(&pem.replace(inner, &format!("!{}", &inner[1..]))),
            "is not base64",
        ),
        ("PEM without its padding", with_certificate(&unpadded(&pem)), "is not base64"),
        // DER.
        (
            "bytes behind the certificate",
            of_der(&[&der[..], b"\0"].concat()),
            "not a certificate in DER",
        ),
        ("certificate cut", of_der(&der[..der.len() - 1]), "not a certificate in DER"),
        (
            "certificate with a length of 4 GiB",
            of_der(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            "not a certificate in DER",
        ),
        ("no bytes in the certificate", of_der(b""), "not a certificate in DER"),
        // Base64 and types of both lists.
        (
            "certificate without its padding",
            whole
                .replace(&certificate_base64(), certificate_base64().trim_end_matches('='))
                .into_bytes(),
            "not base64",
        ),
        (
            "certificate of the URL alphabet",
            whole.replacen("LS0t", "LS_t", 1).into_bytes(),
            "not base64",
        ),
        (
            "certificate that is a number",
            whole.replace(&format!("\"{}\"", certificate_base64()), "7").into_bytes(),
            "a number, expected a base64 string",
        ),
        (
            "signature without its padding",
            with_signature(encoded.trim_end_matches('=')),
            "signatures[1]: not base64",
        ),
        (
            "signature with too much padding",
            with_signature(&format!("{encoded}=")),
            "signatures[1]: not base64",
        ),
        (
            "signature with a blank",
            with_signature(&format!(" {encoded}")),
            "signatures[1]: not base64",
        ),
        ("signature in hex", with_signature("zz-hex"), "signatures[1]: not base64"),
        (
            "signature that is a list",
            whole.replace(&format!("\"{encoded}\""), "[1, 2]").into_bytes(),
            "an array, expected a base64 string",
        ),
    ]
    .into_iter()
    .map(|(name, document, says)| row(name, document, Code::DescriptorEntryInvalid, says))
    .collect()
}

/// What is read all the same.
fn read() -> Vec<Case> {
    let good = signed(&good_archive());
    let encoded = BASE64_STANDARD.encode(signature(&good_archive()));
    let broken = format!("{}\\n{}\\r\\n", &encoded[..40], &encoded[40..]);
    let pem = certificate();
    let text = format!("Subject: signer\r\n{}\ntext behind\n", pem.replace('\n', "\r\n"));
    [
        (
            "descriptor with white space around",
            format!("\n {good}\n").into_bytes(),
            "JSON allows it",
        ),
        (
            "descriptor with unknown keys",
            good.replacen('{', r#"{"x": {"version": 7}, "#, 1).into_bytes(),
            "they are kept when somebody signs",
        ),
        (
            "keys in another case",
            good.replace("version", "VERSION").into_bytes(),
            "readers of the format take them",
        ),
        (
            "signature with new lines",
            good.replace(&encoded, &broken).into_bytes(),
            "readers of the format take them",
        ),
        (
            "text around the certificate",
            descriptor_of(text.as_bytes(), &signature(&good_archive())).into_bytes(),
            "PEM allows it",
        ),
    ]
    .into_iter()
    .map(|(name, document, why)| Case {
        name,
        input: Input::Descriptor(document),
        verdict: Verdict::Read(why),
    })
    .collect()
}

fn row(name: &'static str, document: Vec<u8>, code: Code, says: &'static str) -> Case {
    Case { name, input: Input::Descriptor(document), verdict: Verdict::Refused(code, says) }
}

/// A descriptor with so many signatures of one signer.
fn many(count: usize) -> Vec<u8> {
    let certificate = format!("\"{}\"", certificate_base64());
    let signature = format!("\"{}\"", BASE64_STANDARD.encode(signature(&good_archive())));
    format!(
        r#"{{"version": 1, "os_pkg_url": "os.zip", "certificates": [{}], "signatures": [{}]}}"#,
        vec![certificate; count].join(","),
        vec![signature; count].join(",")
    )
    .into_bytes()
}

/// The PEM text of the certificate, as it stands in a descriptor.
fn certificate_base64() -> String {
    BASE64_STANDARD.encode(certificate())
}

/// PEM whose base64 has no padding, where it needs some.
fn unpadded(pem: &str) -> String {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = BASE64_STANDARD.decode(body).unwrap();
    // Whatever the length was, it needs padding now; the DER is looked at later.
    while der.len().is_multiple_of(3) {
        der.push(0);
    }
    let body = BASE64_STANDARD.encode(der);
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        body.trim_end_matches('=')
    )
}
