use proptest::prelude::any;
use proptest::proptest;
use serde_json::Value;
use serde_json::json;

use super::Envelope;
use super::RequestKind;
use super::ServerMessage;
use super::Why;

fn request() -> Value {
    json!({
        "version": 1, "nonce": "00", "package_sha256": "ab".repeat(32),
        "identity": format!("SHA256:{}", "A".repeat(43)),
        "request": {"status": {}}
    })
}

fn refusal(message: &Value) -> String {
    match Envelope::parse(message.to_string().as_bytes()) {
        Ok(_) => panic!("{message} was taken"),
        Err(refused) => {
            assert_eq!(refused.code, Why::Malformed, "{refused}");
            refused.reason
        }
    }
}

#[test]
fn a_request_is_taken_whole_or_not_at_all() {
    let envelope = Envelope::parse(request().to_string().as_bytes()).unwrap();
    assert_eq!((envelope.kind, envelope.nonce.as_str()), (RequestKind::Status, "00"));
    for field in ["version", "nonce", "package_sha256", "identity", "request"] {
        let mut message = request();
        message.as_object_mut().unwrap().remove(field);
        assert!(refusal(&message).contains(&format!("has no {field}")));
        message[field] = json!([]);
        refusal(&message);
    }
    let mut message = request();
    message["more"] = json!("canary");
    assert_eq!(refusal(&message), "the request has a field that is not known");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let text = request().to_string().replace("\"nonce\"", "\"nonce\":\"11\",\"nonce\"");
    assert!(Envelope::parse(text.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes).and_then(Envelope::open);
        let _ = serde_json::from_slice::<ServerMessage>(&bytes);
    }

    #[test]
    fn no_change_makes_it_panic_or_repeat_anything(at in 0_usize..300, byte in any::<u8>()) {
        let mut message = request();
        message["request"] = json!({"provision": {"canary": "canary"}});
        let mut bytes = message.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Err(refused) = Envelope::parse(&bytes) {
            proptest::prop_assert!(!refused.reason.contains("canary"), "{}", refused);
        }
    }

    #[test]
    fn deep_messages_do_not_exhaust_the_stack(depth in 0_usize..5000) {
        let text = format!("{{\"request\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        proptest::prop_assert!(Envelope::parse(text.as_bytes()).is_err());
    }
}
