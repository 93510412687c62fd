//! Finding the key, and its public half.

use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::KeyType;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::Result;
use super::failed;
use crate::Uri;
use crate::protocol::Failure;

pub(super) struct Key {
    pub(super) handle: ObjectHandle,
    pub(super) label: String,
    pub(super) public: [u8; 32],
}

/// A private key as the token lists it.
struct Listed {
    handle: ObjectHandle,
    label: String,
    id: Vec<u8>,
    kind: Option<KeyType>,
}

/// The one private key that the URI means.
pub(super) fn find(session: &Session, token: &str, uri: &Uri) -> Result<Key> {
    let handles = session
        .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
        .map_err(|error| failed("the token does not list its keys", &error))?;
    let listed: Vec<Listed> = handles.into_iter().map(|handle| list(session, handle)).collect();
    let matches = |it: &&Listed| {
        uri.object.as_ref().is_none_or(|wanted| *wanted == it.label)
            && uri.id.as_ref().is_none_or(|wanted| *wanted == it.id)
    };
    let found: Vec<&Listed> = listed.iter().filter(matches).collect();
    let what = match found.as_slice() {
        [one] if one.kind == Some(KeyType::EC_EDWARDS) => {
            let public = public(session, one)?;
            return Ok(Key { handle: one.handle, label: one.label.clone(), public });
        }
        [one] => format!("the key {} on the token {token} is not Ed25519", one.describe()),
        [] => format!("the token {token} has no private key with {uri}"),
        _ => format!("the token {token} has more than one private key with {uri}"),
    };
    let details = match listed.is_empty() {
        true => vec!["it has no private keys that this PIN lets us see".to_owned()],
        false => listed.iter().map(|it| format!("it has {}", it.describe())).collect(),
    };
    Err(Failure { details, ..Failure::new(what, "name one Ed25519 key, by object= and id=") })
}

fn list(session: &Session, handle: ObjectHandle) -> Listed {
    let mut listed = Listed { handle, label: String::new(), id: Vec::new(), kind: None };
    let wanted = [AttributeType::Label, AttributeType::Id, AttributeType::KeyType];
    for attribute in session.get_attributes(handle, &wanted).unwrap_or_default() {
        match attribute {
            Attribute::Label(label) => {
                listed.label = String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned();
            }
            Attribute::Id(id) => listed.id = id,
            Attribute::KeyType(kind) => listed.kind = Some(kind),
            _ => {}
        }
    }
    listed
}

impl Listed {
    fn describe(&self) -> String {
        // In the form that a URI wants it.
        let id: String = self.id.iter().map(|byte| format!("%{byte:02x}")).collect();
        let kind = self.kind.map_or_else(|| "?".to_owned(), |kind| kind.to_string());
        format!("object={} id={id} ({})", self.label, kind.trim_start_matches("CKK_"))
    }
}

/// The public half: an object of its own with the same identifier, or with the same label where
/// there is no identifier; some tokens tell it of the private key itself.
fn public(session: &Session, key: &Listed) -> Result<[u8; 32]> {
    let same = match key.id.is_empty() {
        true => Attribute::Label(key.label.clone().into_bytes()),
        false => Attribute::Id(key.id.clone()),
    };
    let template =
        [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC_EDWARDS), same];
    let objects = session.find_objects(&template).unwrap_or_default();
    objects
        .into_iter()
        .chain([key.handle])
        .find_map(|handle| {
            let attributes = session.get_attributes(handle, &[AttributeType::EcPoint]).ok()?;
            attributes.into_iter().find_map(|attribute| match attribute {
                Attribute::EcPoint(point) => ed25519_point(&point),
                _ => None,
            })
        })
        .ok_or_else(|| {
            Failure::new(
                format!("the token does not tell the public half of {}", key.describe()),
                "put the public key onto the token under the same id; is the key Ed25519, not Ed448?",
            )
        })
}

/// Tokens give it raw, as an OCTET STRING, or (PKCS#11 3.0) as a BIT STRING.
fn ed25519_point(point: &[u8]) -> Option<[u8; 32]> {
    let raw = match point {
        [0x04, 0x20, raw @ ..] => raw,
        [0x03, 0x21, 0x00, raw @ ..] => raw,
        raw => raw,
    };
    // A raw key may begin with these very bytes.
    raw.try_into().or_else(|_| point.try_into()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::ed25519_point;

    #[test]
    fn a_point_is_read_in_all_its_forms() {
        let raw = [7; 32];
        let octets = [&[0x04, 0x20][..], &raw].concat();
        let bits = [&[0x03, 0x21, 0x00][..], &raw].concat();
        for form in [&raw[..], &octets, &bits] {
            assert_eq!(ed25519_point(form), Some(raw));
        }
        let mut unlucky = raw;
        unlucky[..2].copy_from_slice(&[0x04, 0x20]);
        assert_eq!(ed25519_point(&unlucky), Some(unlucky));
        for wrong in [&[][..], &[7; 31], &[7; 57], &octets[..33]] {
            assert_eq!(ed25519_point(wrong), None);
        }
    }
}
